"""What more guests cost: the same calls at 1,000, 100,000 and, when asked, 1,000,000 guests stored; memory a guest."""

import math
import random
import re
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from loadtests.bench import guests, load
from loadtests.bench.budgets import Finding
from loadtests.bench.comparing import Contender, Say, in_turn, tiers_of
from loadtests.bench.load import Sample
from loadtests.bench.percentiles import per_tenfold, percentile
from loadtests.bench.probed import MEMORY
from loadtests.bench.started import Grounds, House, Place, ask
from loadtests.bench.wire import request

FULL = 1_000_000
HOT = 100  # guests that are read over and over
SPREAD = 3_000  # guests that are read once in a while, from anywhere in the store
MEMORY_GUESTS = 10_000
# Read before the first look, so that what is made once is not counted: a SQLite connection keeps pages of the file, up
# to a limit (`prefs.store.engines.PAGES_KIB`), which so many guests fill.
WARM_GUESTS = 15_000
_OFFERED = 0.1  # of what the slowest took closed-loop: far from a queue, also in the generator
TAIL_ROUNDS = 9  # the 99th percentile of a second and a half is mostly what else the machine did
FORGET_EVERY_S = 0.2  # too short to ask for any of the spread guests twice
MISSED_MIN = 0.9  # of the answers to be misses


@dataclass(slots=True)
class Growth:
    """Cost of each call, in microseconds, by the number of guests stored."""

    engine: str
    costs: dict[str, dict[int, float]] = field(default_factory=dict)
    missed: float = 1.0  # the smallest share of misses that the store answered

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
        if call == "miss" and self.missed < MISSED_MIN:
            return Finding(note=f"{self.engine}: the store answered only {self.missed:.0%} of what should miss")
        by_cpu = self.factor(f"{call} CPU")
        note += "" if math.isnan(by_cpu) else f"; by CPU of the process {by_cpu:.2f} x"
        full = sizes[-1] >= FULL
        return Finding(self.factor(call), note + ("" if full else "; GROWTH=full asks for 1,000,000"), counts=full)


@dataclass(frozen=True, slots=True)
class Missing(Contender):
    """Asks for guests that nobody knows: the shared tier, if there is one, is emptied again and again."""

    def once(self, seconds: float) -> Sample:
        with forgetting(self.house.environment.get("REDIS_URL", "")):
            before = _answered(self.place)
            sample = super(Missing, self).once(seconds)
        after = _answered(self.place)
        stored, all_told = (after[0] - before[0], after[1] - before[1])
        self.shares.append(stored / all_told if all_told else 0.0)
        return sample

    @property
    def house(self) -> House:
        assert isinstance(self.place, House)
        return self.place

    shares: list[float] = field(default_factory=list)


@contextmanager
def forgetting(redis_url: str) -> Iterator[None]:
    if not redis_url:
        yield
        return
    over = threading.Event()

    def forget() -> None:
        with socket.create_connection(("127.0.0.1", urlsplit(redis_url).port or 6379), timeout=5) as line:
            while not over.wait(FORGET_EVERY_S):
                line.sendall(b"FLUSHALL\r\n")
                line.recv(16)

    thread = threading.Thread(target=forget, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _answered(place: Place) -> tuple[float, float]:
    """How many documents the store told so far, and how many all tiers did."""
    said = ask(place.port, request("/metrics"))[2].decode()
    told = re.findall(r'^guestprefs_cache_served_total{kind="guest",tier="(\w+)"} (\S+)$', said, re.MULTILINE)
    return sum(float(n) for tier, n in told if tier == "store"), sum(float(n) for _, n in told)


def measure(houses: Mapping[int, House], rounds: int, seconds: float, say: Say) -> Growth:
    """A house for each number of guests stored, asked in turn: what else the machine does falls on all sizes alike."""
    growth = Growth(next(iter(houses.values())).engine)
    contenders: list[Contender] = []
    hot = {}
    for size, house in houses.items():
        chance = random.Random(size)
        anywhere = [chance.randrange(size) for _ in range(SPREAD)]
        hot[size], miss = guests.reads(house, range(HOT)), guests.reads(house, anywhere, fresh=True)
        load.counted(house.port, SPREAD, miss)  # so that no disk plays a part, whenever the store was last used
        written = guests.writes(house, sorted(set(anywhere))[-200:])
        contenders += [
            Contender(house, f"hot {size}", hot[size], settled=True),
            Missing(house, f"miss {size}", miss),
            Contender(house, f"batch {size}", [guests.batch(house, anywhere[:100])], settled=True),
            Contender(house, f"write {size}", targets=written),
        ]
    contenders.sort(key=lambda each: each.label.split()[0])  # the sizes of one call right after each other
    misses = [each for each in contenders if isinstance(each, Missing)]
    group = in_turn(f"growth on {growth.engine}", contenders, rounds, seconds, say)
    for label, each in group.rounds.items():
        call, stored = label.split()
        if each.wrong:
            raise RuntimeError(f"{label} on {growth.engine}: {each.wrong} answers were wrong")
        growth.note(call, int(stored), 1e6 / each.best.rate)
        growth.note(f"{call} CPU", int(stored), each.cpu_us)
    growth.missed = min(share for each in misses for share in each.shares)
    rate = _OFFERED * min(group.rounds[f"hot {size}"].best.rate for size in houses)
    tails: dict[int, list[float]] = {size: [] for size in houses}
    for number in range(TAIL_ROUNDS):
        for size, house in list(houses.items())[:: -1 if number % 2 else 1]:
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
