"""The protocol with one rule broken, and the protocols it replaces: each must be found out, in a small setting."""

from __future__ import annotations

from typing import Final, NamedTuple

from tests.cache.model.rules import NO_INVERSION, NOT_STALE, TOKEN, WITHDRAWN, WITHIN_DELTA, Rules, Setting
from tests.cache.model.settings import CALM, LOCAL, RESTARTED, SHARED, STRICT, TOKENS, UNFENCED


class Mutant(NamedTuple):
    name: str
    rules: Rules
    setting: Setting
    broken: str


MUTANTS: Final = (
    Mutant("FILL without lease check", Rules(fill_asks_lease=False), SHARED, NOT_STALE),
    Mutant("FENCE keeps lease", Rules(fence_drops_lease=False), SHARED, NOT_STALE),
    Mutant("FENCE keeps entry", Rules(fence_drops_entry=False), SHARED, NOT_STALE),
    Mutant("INVALIDATE skipped", Rules(unfence_invalidates=False), UNFENCED, NOT_STALE),
    Mutant("DEL only", Rules(fences=False, leases=False, fill_asks_lease=False), CALM, NOT_STALE),
    Mutant("lease only", Rules(fences=False), CALM, NO_INVERSION),
    Mutant("write-through by any", Rules(writers_fill=True), CALM, NOT_STALE),
    Mutant("no local placeholder", Rules(placeholders=False), LOCAL, WITHIN_DELTA),
    Mutant("publish after ack", Rules(publishes_before_ack=False), LOCAL, WITHIN_DELTA),
    Mutant("local tier not cleared on disconnect", Rules(clears_when_cut_off=False), LOCAL, WITHIN_DELTA),
)

# Rules that came with the restart, the tokens and the strict writes.
MORE_MUTANTS: Final = (
    Mutant("one writer id for a process", Rules(fence_for_each_write=False), CALM, NO_INVERSION),
    Mutant("no namespace", Rules(namespaces=False), RESTARTED, NOT_STALE),
    Mutant("no cold guard", Rules(cold_guard=False), RESTARTED, NOT_STALE),
    Mutant("heartbeat not asked", Rules(asks_heartbeat=False), LOCAL, WITHIN_DELTA),
    Mutant("strict write does not wait", Rules(waits_when_strict=False), STRICT, WITHDRAWN),
    Mutant("token not checked", Rules(checks_token=False), TOKENS, TOKEN),
)
