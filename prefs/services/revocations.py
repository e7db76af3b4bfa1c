"""Revocations: what an operator takes back before its time, and the list that every process reads."""

from datetime import timedelta
from typing import Any

from prefs.core import access
from prefs.core.access import Act
from prefs.core.accesses import Deed
from prefs.core.callers import Caller
from prefs.core.enrolment import Changes, Kind
from prefs.core.revocations import KEPT, Revocable, Revocation, Revoked
from prefs.ports import Clock, Store
from prefs.services.witness import Witness

EVERYWHERE_WITHIN = timedelta(minutes=1)  # each process reads the list four times as often
_ALSO_DROPPED = {Revocable.DEVICE: Kind.DEVICE, Revocable.LINK: Kind.LINK}


class Revocations:
    def __init__(self, store: Store, clock: Clock, witness: Witness) -> None:
        self.store, self.clock, self.witness = store, clock, witness

    async def current(self) -> Revoked:
        """Everything that is revoked now."""
        return Revoked(await self.store.credentials.revocations(self.clock.now()))

    async def revoke(self, caller: Caller, kind: Revocable, value: str) -> dict[str, Any]:
        """Take back a token, all tokens of a subject so far, a device or a link. Raises NotAllowed. What is named need
        not be known here: it may come from a provider."""
        access.require(caller, Act.REVOKE)
        now = self.clock.now()
        entry = Revocation(kind, value, now, now + KEPT)
        async with self.witness.act(caller, Deed.TOKEN_REVOKE):
            await self._take_back(entry)
        return {"kind": kind.value, "value": value, "at": _text(now), "effective_by": _text(now + EVERYWHERE_WITHIN)}

    async def _take_back(self, entry: Revocation) -> None:
        kept = _ALSO_DROPPED.get(entry.kind)
        if kept is None:
            await self.store.credentials.revoke([entry], entry.at)
            return
        gone = Changes(None, drop=[(kept, entry.value)], revoke=[entry])
        await self.store.credentials.change(kept, entry.value, lambda _: gone)


def _text(moment: Any) -> str:
    return str(moment.isoformat()).replace("+00:00", "Z")
