"""Writers, and readers at every freshness level, that write down what they asked and what they were told.

Four kinds of guests at once. Busy ones are written all the time, so that reads and writes race. Quiet ones are read
much and written every few seconds: a write heals whatever a wrong protocol left behind, so only where writes are few
does anything stay wrong for long. Still ones are read by default alone, since a read past the local copy, or with a
token, heals that too. Cold ones are many and read seldom: most of their reads come from the store.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from prefs.cache.loader import Freshness
from tests.histories.checking import History, Read, Write
from tests.histories.client import Answer, Caller, Unanswered, request
from tests.histories.trio import WORKERS, Trio

KEY = "tv.favorite_channels"
DEFAULT, NO_CACHE, TOKEN = "default", "no-cache", "token"
_VALUE = re.compile(rb'"network_id": ?"(\w+)"')
_NO_CACHE = {"cache-control": "no-cache"}


@dataclass(frozen=True, slots=True)
class Group:
    """How many guests, and the seconds between two writes of one writer and between two reads of one reader."""

    name: str
    guests: int
    write_pause_s: float
    read_pause_s: float
    readers: int
    writers: int = 1
    twice: bool = False  # each write is followed by another at once, with readers in between
    kinds: Sequence[str] = (NO_CACHE, TOKEN, DEFAULT, TOKEN, NO_CACHE)


BUSY = Group("busy", 8, write_pause_s=0.05, read_pause_s=0.03, readers=15, writers=6)
QUIET = Group("quiet", 60, write_pause_s=5 / 60, read_pause_s=0.03, readers=15, twice=True)
STILL = Group("still", 60, write_pause_s=5 / 60, read_pause_s=0.02, readers=6, twice=True, kinds=(DEFAULT,))
COLD = Group("cold", 400, write_pause_s=0.2, read_pause_s=0.06, readers=5)
# For protocols that are wrong in a race: all the time two writes in a row, and everybody reading in between.
RACING = Group("racing", 40, write_pause_s=0.02, read_pause_s=0.02, readers=8, writers=12, twice=True)
RACING_STILL = replace(RACING, name="racing still", guests=200, kinds=(DEFAULT,))
EVERY_GROUP = (BUSY, QUIET, STILL, COLD)
# As many reads as two cores give.
DENSE = tuple(
    replace(group, readers=3 * group.readers, read_pause_s=group.read_pause_s / 2, writers=3 * group.writers)
    for group in EVERY_GROUP
)


@dataclass(slots=True)
class Counts:
    """What happened, for a test to see that it was not empty."""

    asked: Counter[str] = field(default_factory=Counter)  # answered reads by kind
    tiers: Counter[str] = field(default_factory=Counter)  # default and no-cache reads by the tier that answered
    refused: Counter[int] = field(default_factory=Counter)  # answers that are neither 200 nor 304
    unanswered: int = 0
    unchanged: int = 0
    written: int = 0  # acknowledged
    degraded: int = 0
    unfenced: int = 0


class Traffic:
    def __init__(self, trio: Trio, groups: Sequence[Group] = EVERY_GROUP, seed: int = 11) -> None:
        self.history = History()
        self.counts = Counts()
        self._trio = trio
        self._groups = groups
        self._chance = random.Random(seed)
        self._numbers = itertools.count()
        self._callers: list[Caller] = []
        self._tokens: dict[str, str] = {}
        self._guests: dict[str, list[str]] = {}
        self._over = 0.0
        self._enough: Callable[[], bool] = lambda: True

    def prepare(self) -> None:
        """Make the guests; what a guest says before the first write counts as written too."""
        for group in self._groups:
            begun_at = time.monotonic()
            self._guests[group.name] = made = self._trio.make_guests(group.guests)
            for guest in made:
                self._tokens[guest] = self._trio.guest_token(guest)
                self.history.writes.append(Write(guest, begun_at, "", time.monotonic(), 1))

    async def run(self, seconds: float, enough: Callable[[], bool] = lambda: True) -> History:
        """For so long, and on until enough has happened: a slow machine takes longer to show as much."""
        self._trio.make_late()
        self._over, self._enough = time.monotonic() + seconds, enough
        work = []
        for group in self._groups:
            kinds = itertools.cycle(group.kinds)
            work += [self._read_on(group, next(kinds)) for _ in range(group.readers)]
            work += [self._write_on(group) for _ in range(group.writers)]
        try:
            await asyncio.gather(*work)
        finally:
            for caller in self._callers:
                caller.close()
            await asyncio.sleep(0)  # a transport is closed a turn after it was told to
        return self.history

    def _goes_on(self) -> bool:
        return time.monotonic() < self._over or not self._enough()

    def _caller(self) -> Caller:
        self._callers.append(Caller(self._trio.ports))
        return self._callers[-1]

    # ------------------------------------------------------------ readers

    async def _read_on(self, group: Group, kind: str) -> None:
        caller, guests = self._caller(), self._guests[group.name]
        known: dict[str, tuple[str, str]] = {}  # the entity tag this reader saw last of a guest, and what it stood for
        newest: Counter[str] = Counter()
        while self._goes_on():
            guest = self._chance.choice(guests)
            await self.read(caller, self._chance.randrange(WORKERS), guest, kind, newest, known)
            await asyncio.sleep(group.read_pause_s * 2 * self._chance.random())

    async def read(
        self,
        caller: Caller,
        worker: int,
        guest: str,
        kind: str,
        newest: Counter[str],
        known: dict[str, tuple[str, str]] | None = None,
    ) -> None:
        headers = dict(_NO_CACHE) if kind == NO_CACHE else {}
        token = newest[guest] if kind == TOKEN else 0
        if token:
            headers["preferences-min-version"] = str(token)
        etag, before = known.get(guest, ("", "")) if known is not None else ("", "")
        if etag and self._chance.random() < 0.3:
            headers["if-none-match"] = etag
        path = f"/v1/guests/{guest}/preferences?keys={KEY}"
        asked = request("GET", path, self._tokens[guest], headers=headers)
        begun_at = time.monotonic()
        answer = await self._ask(caller, worker, asked)
        if answer is None:
            return
        ended_at = time.monotonic()
        if answer.status == 304:
            value = before
            self.counts.unchanged += 1
        else:
            found = _VALUE.search(answer.body)
            value = found[1].decode() if found else ""
        level = Freshness.SHARED if kind == NO_CACHE else Freshness.DEFAULT
        self.history.reads.append(
            Read(guest, begun_at, ended_at, level, answer.version, value, token, answer.tier, answer.age_s)
        )
        self.counts.asked[kind] += 1
        self.counts.tiers[answer.tier] += 1
        newest[guest] = max(newest[guest], answer.version)
        if known is not None:
            known[guest] = (answer.etag, value)

    async def _ask(self, caller: Caller, worker: int, asked: bytes) -> Answer | None:
        """The answer if it is one of success; a worker that is gone gets a moment."""
        try:
            answer = await caller.ask(worker, asked)
        except Unanswered:
            self.counts.unanswered += 1
            await asyncio.sleep(0.02)
            return None
        if answer.status in (200, 304):
            return answer
        self.counts.refused[answer.status] += 1
        return None

    # ------------------------------------------------------------ writers

    async def _write_on(self, group: Group) -> None:
        caller, guests = self._caller(), self._guests[group.name]
        probes = [self._caller() for _ in range(2 * WORKERS)]
        while self._goes_on():
            guest, worker = self._chance.choice(guests), self._chance.randrange(WORKERS)
            version = await self._write(caller, worker, guest)
            if version and NO_CACHE in group.kinds:
                await self._ask_elsewhere(probes, worker, guest, version)
            if group.twice:
                await self._write_again(group, caller, probes, guest)
            await asyncio.sleep(group.write_pause_s * 2 * self._chance.random())

    async def _ask_elsewhere(self, probes: Sequence[Caller], worker: int, guest: str, version: int) -> None:
        """What was acknowledged is asked for at once, of the others."""
        others = [number for number in range(WORKERS) if number != worker]
        await asyncio.gather(
            *(self.read(probes[other], other, guest, NO_CACHE, Counter()) for other in others),
            self.read(probes[worker], self._chance.choice(others), guest, TOKEN, Counter({guest: version})),
        )

    async def _write_again(self, group: Group, caller: Caller, probes: Sequence[Caller], guest: str) -> None:
        """A write while all are loading what the write before made: who is slow now holds something old. Then the guest
        is left alone for long, so that nothing heals what stayed."""
        worker = self._chance.randrange(WORKERS)

        async def write_soon() -> int:
            await asyncio.sleep(0.02 * self._chance.random())
            return await self._write(caller, worker, guest)

        writing = asyncio.ensure_future(write_soon())

        async def look(number: int) -> None:
            kind = NO_CACHE if number < WORKERS and NO_CACHE in group.kinds else DEFAULT
            while not writing.done():
                await self.read(probes[number], number % WORKERS, guest, kind, Counter())
                await asyncio.sleep(0.002)

        await asyncio.gather(*(look(number) for number in range(2 * WORKERS)))
        if (version := await writing) and NO_CACHE in group.kinds:
            await self._ask_elsewhere(probes, worker, guest, version)

    async def _write(self, caller: Caller, worker: int, guest: str) -> int:
        value = f"w{next(self._numbers)}"
        body = {KEY: [{"network_id": value, "genre": "sports"}]}
        asked = request("PATCH", f"/v1/guests/{guest}/preferences", self._tokens[guest], body)
        write = Write(guest, time.monotonic(), value)
        self.history.writes.append(write)
        answer = await self._ask(caller, worker, asked)
        if answer is None:
            return 0
        write.ended_at, write.version = time.monotonic(), answer.version
        write.degraded, write.unfenced = answer.coherence == "degraded", answer.coherence == "unfenced"
        self.counts.written += 1
        self.counts.degraded += write.degraded
        self.counts.unfenced += write.unfenced
        return answer.version
