"""What more guests cost: the same calls at 1,000, 100,000 and, when asked, 1,000,000 guests stored; memory a guest."""

import math
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from loadtests.bench import guests, load
from loadtests.bench.budgets import Finding
from loadtests.bench.comparing import Contender, Say, in_turn, tier_of, tiers_of
from loadtests.bench.percentiles import per_tenfold, percentile
from loadtests.bench.probed import MEMORY
from loadtests.bench.started import Grounds, House, Place, ask
from loadtests.bench.wire import request

FULL = 1_000_000
HOT = 100  # guests that are read over and over
SPREAD = 3_000  # guests that are read once in a while, from anywhere in the store
MEMORY_GUESTS = 10_000
WARM_GUESTS = 1_000  # read before the first look, so that what is made once is not counted
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
        by_cpu = self.factor(f"{call} CPU")
        note += "" if math.isnan(by_cpu) else f"; by CPU of the process {by_cpu:.2f} x"
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
        load.counted(house.port, SPREAD, miss)  # so that no disk plays a part, whenever the store was last used
        growth.miss_tier = growth.miss_tier or tier_of(house, miss[0])
        written = guests.writes(house, sorted(set(anywhere))[-200:])
        contenders += [
            Contender(house, f"hot {size}", hot[size], settled=True),
            Contender(house, f"miss {size}", miss),
            Contender(house, f"batch {size}", [guests.batch(house, anywhere[:100])], settled=True),
            Contender(house, f"write {size}", targets=written),
        ]
    contenders.sort(key=lambda each: each.label.split()[0])  # the sizes of one call right after each other
    group = in_turn(f"growth on {growth.engine}", contenders, rounds, seconds, say)
    for label, each in group.rounds.items():
        call, stored = label.split()
        if each.wrong:
            raise RuntimeError(f"{label} on {growth.engine}: {each.wrong} answers were wrong")
        growth.note(call, int(stored), 1e6 / each.best.rate)
        growth.note(f"{call} CPU", int(stored), each.cpu_us)
    rate = _OFFERED * min(group.rounds[f"hot {size}"].best.rate for size in houses)
    tails: dict[int, list[float]] = {size: [] for size in houses}
    for _ in range(rounds):
        for size, house in houses.items():
            load.counted(house.port, HOT, hot[size])
            seen = load.opened(house.port, hot[size], seconds, rate).counts
            tails[size].append(percentile(seen, 0.99))
    for size, seen_p99 in tails.items():
        growth.note("hot p99", size, min(seen_p99))
    return growth


@dataclass(frozen=True, slots=True)
class Memory:
    """What a serving process grew by when it read guests once, and what its local tier says it holds of them."""

    guests: int
    resident: float  # bytes a guest
    accounted: float
    kept: bool

    def finding(self) -> Finding:
        note = f"{self.guests:,} guests read once, resident memory after gc; the tier's own account "
        note += f"{self.accounted / 1024:.2f} KiB" + ("" if self.kept else "; the first were already evicted")
        return Finding(self.resident / 1024, note, counts=self.kept and self.guests >= MEMORY_GUESTS)


def memory(house: House, grounds: Grounds, stored: int) -> Memory:
    """Of a process of its own that has read nobody yet, with room for all it is going to read."""
    reader = grounds.served(house, "memory", "loadtests.bench.probed:probed", GUESTPREFS_CACHE_MIB="4096")
    warm = min(WARM_GUESTS, stored // 4)
    read = min(MEMORY_GUESTS, stored - warm)
    asked = guests.reads(house, range(warm + read))
    load.counted(reader.port, warm, asked[:warm])
    before, told_before = _resident(reader), _accounted(reader)
    load.counted(reader.port, read, asked[warm:])
    grown, told = _resident(reader) - before, _accounted(reader) - told_before
    kept = tiers_of(reader, [asked[warm], asked[-1]]) == {"local": 2}
    grounds.end(reader)
    return Memory(read, grown / read, told / read, kept)


def _resident(reader: Place) -> int:
    return int(ask(reader.port, request(MEMORY))[2])


def _accounted(reader: Place) -> float:
    """As the metrics say; they are set when something is kept, so one answer may be missing."""
    found = re.search(rb"^guestprefs_cache_local_bytes (\S+)$", ask(reader.port, request("/metrics"))[2], re.MULTILINE)
    return float(found[1]) if found else math.nan
