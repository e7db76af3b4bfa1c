"""A recorded history of reads and writes, and what in it breaks the freshness contract.

Every write makes the next version of its guest, so the check needs no search: running maxima over one clock do. A read
must not be older than what was acknowledged before it began (for a local copy: a Delta before it began), nor than its
token, nor, past the local tier, than what any read had already returned; it must say what was written at its version,
and nothing may be read that nobody had begun to write. A write without an answer may be seen or not: if it is seen, its
value belongs to one version from then on.

An answer with an `Age` says that the store did not answer and how old it is: it must not be older than that. Writes
whose answer says `degraded` are excused, and so are writes that say they were `unfenced` from the rule on
going back; what they excused is counted too, under its own name, so that no excuse goes unseen.
"""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf
from typing import Any

from prefs.cache.loader import Freshness

FAULTS = ("stale", "inverted", "token", "wrong", "unborn")


@dataclass(frozen=True, slots=True)
class Read:
    guest: str
    begun_at: float
    ended_at: float
    level: Freshness
    version: int
    value: Any
    token: int = 0
    tier: str = ""
    age_s: float = 0.0  # more than 0: the answer said that it is that old, because the store did not answer


@dataclass(slots=True)
class Write:
    """`ended_at` is infinite and `version` 0 while, or if, there is no answer."""

    guest: str
    begun_at: float
    value: Any
    ended_at: float = inf
    version: int = 0
    degraded: bool = False
    unfenced: bool = False


@dataclass(slots=True)
class Floors:
    """The greatest version known by each moment."""

    moments: list[float] = field(default_factory=list)
    versions: list[int] = field(default_factory=list)

    def add(self, moment: float, version: int) -> None:
        self.moments.append(moment)
        self.versions.append(max(version, self.versions[-1] if self.versions else 0))

    def before(self, moment: float) -> int:
        place = bisect.bisect_left(self.moments, moment)
        return self.versions[place - 1] if place else 0


@dataclass(frozen=True, slots=True)
class Finding:
    """A read and the promise it broke; `floor` is the version it should have been at least. `lag_s` says by how much
    a stale one was too late after the acknowledgement of that version."""

    fault: str
    read: Read
    floor: int = 0
    lag_s: float = 0.0


@dataclass(slots=True)
class History:
    reads: list[Read] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)

    def faults(self, delta_s: float) -> Counter[str]:
        """How often each promise was broken, and how often an excuse was needed (`excused stale` and the like)."""
        return Counter(found.fault for found in self.findings(delta_s))

    def findings(self, delta_s: float) -> list[Finding]:
        answered = [write for write in self.writes if write.version]
        told = _Bounds(_floors((w.guest, w.ended_at, w.version) for w in answered if not w.degraded))
        all_told = _Bounds(_floors((w.guest, w.ended_at, w.version) for w in answered))
        loose = {(w.guest, w.version) for w in answered if w.degraded or w.unfenced}
        seen = sorted(self.reads, key=lambda read: read.ended_at)
        returned = _Bounds(_floors((r.guest, r.ended_at, r.version) for r in seen if (r.guest, r.version) not in loose))
        all_returned = _Bounds(_floors((r.guest, r.ended_at, r.version) for r in seen))
        contents = Contents(self.writes)
        found: list[Finding] = []
        for read in seen:
            allowed_s = max(delta_s if read.level is Freshness.DEFAULT else 0.0, read.age_s)
            found += _below("stale", read, read.begun_at - allowed_s, told, all_told)
            if read.level is not Freshness.DEFAULT and not read.age_s:
                found += _below("inverted", read, read.begun_at, returned, all_returned)
            if read.version < read.token:
                found.append(Finding("token", read, read.token))
            if fault := contents.fault(read):
                found.append(Finding(fault, read))
        return found


class _Bounds:
    def __init__(self, floors: dict[str, Floors]) -> None:
        self._floors = floors

    def at(self, guest: str, moment: float) -> int:
        floors = self._floors.get(guest)
        return floors.before(moment) if floors else 0

    def passed_at(self, guest: str, version: int) -> float:
        """When anything newer than this version was known first."""
        floors = self._floors[guest]
        return floors.moments[bisect.bisect_right(floors.versions, version)]


def _below(fault: str, read: Read, moment: float, strict: _Bounds, lax: _Bounds) -> Iterable[Finding]:
    for name, bounds in ((fault, strict), ("excused " + fault, lax)):
        floor = bounds.at(read.guest, moment)
        if read.version < floor:
            yield Finding(name, read, floor, read.begun_at - bounds.passed_at(read.guest, read.version))
            return


class Contents:
    """What each version of each guest says, as far as writers and readers have told."""

    def __init__(self, writes: Iterable[Write]) -> None:
        self._begun: dict[tuple[str, Any], Write] = {}
        self._at: dict[tuple[str, int], Any] = {}
        for write in writes:
            self._begun[write.guest, write.value] = write
            if write.version:
                self._at[write.guest, write.version] = write.value

    def fault(self, read: Read) -> str:
        """To be asked in the order reads ended, for the first sight of an unanswered write says its version."""
        write = self._begun.get((read.guest, read.value))
        if write is None or write.begun_at > read.ended_at:
            return "unborn"
        if write.version and write.version != read.version:
            return "wrong"
        if self._at.setdefault((read.guest, read.version), read.value) != read.value:
            return "wrong"
        write.version = write.version or read.version
        return ""


def _floors(known: Iterable[tuple[str, float, int]]) -> dict[str, Floors]:
    floors: dict[str, Floors] = {}
    for guest, moment, version in sorted(known, key=lambda one: one[1]):
        floors.setdefault(guest, Floors()).add(moment, version)
    return floors
