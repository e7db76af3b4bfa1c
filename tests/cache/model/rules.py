"""The rules of the protocol, each with a switch, and the settings in which the model is searched.

`SPECIFIED` is FENCE + LEASE. A mutant turns one switch (the classic protocols several) and must be found out.
`ANNOUNCING` adds three rules for the local tier. If an UNFENCE is lost and its write is acknowledged all the same, its
message is lost with it, and as specified a local entry outlives the write. `LENIENT` adds to these that a strict write
is acknowledged when one of FENCE and UNFENCE was answered; as specified it needs both.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final


@dataclass(frozen=True, slots=True)
class Rules:
    fences: bool = True  # a write fences before BEGIN
    fence_drops_entry: bool = True
    fence_drops_lease: bool = True
    fence_for_each_write: bool = True  # writes of one process do not take each other's fence down
    unfence_invalidates: bool = True  # UNFENCE that finds its fence gone drops entry and lease
    leases: bool = True  # a miss asks for a lease before it reads SQL
    fill_asks_lease: bool = True
    writers_fill: bool = False  # the last to unfence writes its own version through
    placeholders: bool = True
    publishes_before_ack: bool = True
    clears_when_cut_off: bool = True
    asks_heartbeat: bool = True  # the local tier is served only on a fresh echo
    namespaces: bool = True  # keys carry the run_id; without, a restart brings a snapshot back
    cold_guard: bool = True
    checks_token: bool = True  # an entry older than the reader's token is no hit
    waits_when_strict: bool = True  # Delta between UNFENCE and the acknowledgement
    fence_announces: bool = False  # FENCE publishes too, so that local entries go before the commit, whatever follows
    forgets_fenced: bool = False  # what was read past a fence is not kept locally: its announcement may be over
    forgets_cold: bool = False  # nor what was read past a cold Redis, which forgot its fences
    strict_needs_unfence: bool = True  # if not, a strict write relies on its announced FENCE when UNFENCE is lost
    strict_needs_fence: bool = True  # if not, a strict write without its FENCE relies on UNFENCE, which invalidates


SPECIFIED: Final = Rules()
ANNOUNCING: Final = Rules(fence_announces=True, forgets_fenced=True, forgets_cold=True)
LENIENT: Final = replace(ANNOUNCING, strict_needs_unfence=False, strict_needs_fence=False)

# Promises. A read that goes past the local tier:
NOT_STALE: Final = "not stale"  # is no older than any write acknowledged before it began
NO_INVERSION: Final = "no inversion"  # nor older than what any earlier read returned
# A read from the local tier:
WITHIN_DELTA: Final = "within Delta"  # is no older than any write acknowledged Delta ago
WITHDRAWN: Final = "withdrawn"  # is no older than any strict write acknowledged at all
# Any read:
TOKEN: Final = "token"  # is no older than its token, here always the newest version anyone could hold


# What may go wrong.
EVICTION: Final = "eviction"  # of the entry, by memory pressure or its TTL
CRASH: Final = "crash"  # of a writer
UNFENCE_LOST: Final = "UNFENCE lost"  # the write is acknowledged all the same, and the relay repeats the UNFENCE
FENCE_LOST: Final = "FENCE lost"  # the write goes on all the same (mode "available")
FENCE_EARLY: Final = "FENCE expires early"  # before its write is over: the clock of the Redis host jumped
RESTART: Final = "Redis restarts"
GUARD_EARLY: Final = "the cold guard ends early"  # a COMMIT took longer than any may
CUT: Final = "subscription cut"  # unnoticed for a while


@dataclass(frozen=True, slots=True)
class Setting:
    """Who takes part, which faults may strike (any number of times, at any moment), what is promised all the same."""

    writers: int
    readers: int
    promises: frozenset[str]
    faults: frozenset[str] = frozenset()
    local: bool = False  # the readers share one worker's local tier; the writers are in other processes
    strict: bool = False

    def __str__(self) -> str:
        kind = ["strict writes"] if self.strict else []
        tier = "local tier" if self.local else "shared tier"
        crowd = f"writers {self.writers}, readers {self.readers}"
        return f"{', '.join([tier, *kind, crowd])}, {' and '.join(sorted(self.promises))}: {faults_told(self.faults)}"


def faults_told(faults: frozenset[str]) -> str:
    return ", ".join(sorted(faults)) or "no fault"


LINEARIZABLE: Final = frozenset({NOT_STALE, NO_INVERSION})
