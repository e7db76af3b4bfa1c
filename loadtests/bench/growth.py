"""What more guests cost: the same calls at 1,000, 100,000 and, when asked, 1,000,000 guests stored; memory a guest."""

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field

import psutil

from loadtests.bench import guests, load
from loadtests.bench.budgets import Finding
from loadtests.bench.comparing import Contender, Say, in_turn, tier_of
from loadtests.bench.percentiles import per_tenfold, percentile
from loadtests.bench.started import House, Place, ask

FULL = 1_000_000
HOT = 100  # guests that are read over and over
SPREAD = 5_000  # guests that are read once in a while, from anywhere in the store
MEMORY_GUESTS = 2_000
WARM_GUESTS = 300  # read before the first look, so that what is made once is not counted
_OFFERED = 0.3  # of what the slowest took closed-loop


@dataclass(slots=True)
class Growth:
    """Cost of each call, in microseconds, by the number of guests stored."""

    engine: str
    costs: dict[str, dict[int, float]] = field(default_factory=dict)
    miss_tier: str = ""

    def note(self, call: str, size: int, cost: float) -> None:
        self.costs.setdefault(call, {})[size] = cost

    def factor(self, call: str) -> float:
        """From the smallest to the largest number stored."""
        costs = self.costs.get(call, {})
        return costs[max(costs)] / costs[min(costs)] if len(costs) > 1 else math.nan

    def tenfold(self, call: str) -> float:
        return per_tenfold(sorted(self.costs.get(call, {}).items()))

    def finding(self, call: str) -> Finding:
        sizes = sorted(self.costs.get(call, {}))
        if len(sizes) < 2:
            return Finding(note="not asked for")
        note = f"{self.engine}, {sizes[0]:,} to {sizes[-1]:,}; {self.tenfold(call):.3f}x per tenfold"
        if call == "miss" and self.miss_tier not in ("", "store"):
            return Finding(note=f"no-cache reads were answered from {self.miss_tier}")
        full = sizes[-1] >= FULL
        return Finding(self.factor(call), note + ("" if full else "; GROWTH=full asks for 1,000,000"), counts=full)


def measure(houses: Mapping[int, House], rounds: int, seconds: float, say: Say) -> Growth:
    """A house for each number of guests stored, asked in turn: what else the machine does falls on all sizes alike."""
    growth = Growth(next(iter(houses.values())).engine)
    contenders, hot = [], {}
    for size, house in houses.items():
        chance = random.Random(size)
        anywhere = [chance.randrange(size) for _ in range(SPREAD)]
        hot[size], miss = guests.reads(house, range(HOT)), guests.reads(house, anywhere, fresh=True)
        growth.miss_tier = growth.miss_tier or tier_of(house, miss[0])
        written = guests.writes(house, sorted(set(anywhere))[-200:])
        contenders += [
            Contender(house, f"hot {size}", hot[size]),
            Contender(house, f"miss {size}", miss),
            Contender(house, f"batch {size}", [guests.batch(house, anywhere[:100])]),
            Contender(house, f"write {size}", targets=written),
        ]
    contenders.sort(key=lambda each: each.label.split()[0])  # the sizes of one call right after each other
    group = in_turn(f"growth on {growth.engine}", contenders, rounds, seconds, say)
    for label, each in group.rounds.items():
        call, stored = label.split()
        growth.note(call, int(stored), 1e6 / each.best.rate if each.best.rate else math.nan)
    rate = _OFFERED * min(group.rounds[f"hot {size}"].best.rate for size in houses)
    tails: dict[int, list[float]] = {size: [] for size in houses}
    for _ in range(rounds):
        for size, house in houses.items():
            seen = load.opened(house.port, hot[size], seconds, rate).counts
            tails[size].append(percentile(seen, 0.99))
    for size, seen_p99 in tails.items():
        growth.note("hot p99", size, min(seen_p99))
    return growth


def memory(house: House, reader: Place) -> Finding:
    """What a serving process that has read nobody grows by when it reads some thousand guests once."""
    asked = guests.reads(house, range(WARM_GUESTS + MEMORY_GUESTS))
    for one in asked[:WARM_GUESTS]:
        ask(reader.port, one)
    if tier_of(reader, asked[0]) != "local":
        return Finding(note="this commit has no local tier")
    before = _resident(reader)
    for one in asked[WARM_GUESTS:]:
        ask(reader.port, one)
    grown = _resident(reader) - before
    kept = "local" in ask(reader.port, asked[WARM_GUESTS])[1].get("cache-status", "")
    note = f"{MEMORY_GUESTS:,} guests, resident memory" + ("" if kept else "; the first were already evicted")
    return Finding(grown / MEMORY_GUESTS / 1024, note, counts=kept)


def _resident(place: Place) -> int:
    """Of the process that serves: the largest, its supervisor does nothing."""
    return max(int(psutil.Process(pid).memory_info().rss) for pid in place.pids if psutil.pid_exists(pid))
