"""A recorded history of reads and writes, and what in it breaks the freshness contract.

Every write makes the next version of its guest, so the check needs no search: a read must not be older than what was
acknowledged before it began (for a local copy: a Delta before it began), nor than its token, nor, past the local tier,
than what any read had already returned; and it must say what was written at its version.
"""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from prefs.cache.loader import Freshness


@dataclass(frozen=True, slots=True)
class Read:
    guest: str
    begun_at: float
    ended_at: float
    level: Freshness
    version: int
    value: Any
    token: int = 0


@dataclass(frozen=True, slots=True)
class Write:
    """`degraded` ones are excused: their answer said that others may not see them yet."""

    guest: str
    ended_at: float
    version: int
    value: Any
    degraded: bool = False


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


@dataclass(slots=True)
class History:
    reads: list[Read] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)

    def faults(self, delta_s: float) -> Counter[str]:
        """How often each promise was broken: stale, inverted, token, wrong."""
        acknowledged = _floors([(w.guest, w.ended_at, w.version) for w in self.writes if not w.degraded])
        returned = _floors([(r.guest, r.ended_at, r.version) for r in self.reads])
        written = {(w.guest, w.version): w.value for w in self.writes}
        found: Counter[str] = Counter()
        for read in self.reads:
            allowed_s = delta_s if read.level is Freshness.DEFAULT else 0.0
            if read.version < acknowledged[read.guest].before(read.begun_at - allowed_s):
                found["stale"] += 1
            if read.level is not Freshness.DEFAULT and read.version < returned[read.guest].before(read.begun_at):
                found["inverted"] += 1
            if read.version < read.token:
                found["token"] += 1
            if written.get((read.guest, read.version), read.value) != read.value:
                found["wrong"] += 1
        return found


def _floors(known: Sequence[tuple[str, float, int]]) -> dict[str, Floors]:
    floors: dict[str, Floors] = {guest: Floors() for guest, _, _ in known}
    for guest, moment, version in sorted(known, key=lambda one: one[1]):
        floors[guest].add(moment, version)
    return floors
