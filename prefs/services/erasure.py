"""Erasing a guest everywhere, with a receipt.

An erasure is one transaction in the database, under fences that no cache can fill again. Its tombstone is then written
to a second place, which restoring does not reach (`tombstones`).
"""

import asyncio
import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from prefs.core import access
from prefs.core.access import Act
from prefs.core.accesses import Deed
from prefs.core.callers import Caller
from prefs.core.erasure import RECEIPT_TYPE, Tombstone, receipt_of
from prefs.ports import Buried, Clock, Once, SecondPlace, Signer, Store
from prefs.services.ids import RECEIPT
from prefs.services.surroundings import CatalogueSource, Surroundings, no_guest
from prefs.services.witness import Witness, owes_record

DOUBT = timedelta(minutes=7)  # longer than any copy that could not be told of lives


@dataclass(frozen=True, slots=True)
class Erased:
    """The receipt as it is told. `effective_by` where some process may tell the data until then."""

    body: dict[str, Any]
    replayed: bool = False
    effective_by: datetime | None = None


class Erasure:
    """Use cases around being forgotten."""

    def __init__(
        self,
        store: Store,
        catalogues: CatalogueSource,
        clock: Clock,
        new_id: Callable[[str], str],
        signer: Signer,
        second_place: SecondPlace,
        witness: Witness,
        issuer: str,
    ) -> None:
        self.store, self.clock, self.new_id = store, clock, new_id
        self.signer, self.second_place, self.witness, self.issuer = signer, second_place, witness, issuer
        self.surroundings = Surroundings(store, catalogues, clock)
        self._running: set[asyncio.Future[Any]] = set()

    async def erase(self, caller: Caller, guest: str, *, once: Once | None = None) -> Erased | None:
        """Erase a guest; None where that was done before. Raises NotFound, NotAllowed, KeyReused, Unavailable."""
        access.require(caller, Act.ERASE_GUEST)
        known, _ = await self.surroundings.reach(caller, Act.ERASE_GUEST, guest)
        happened, told = await self._before(known, once)
        if happened:
            return told
        erasing = asyncio.ensure_future(self._witnessed(caller, known, once))  # what is begun ends, whoever hangs up
        self._running.add(erasing)
        erasing.add_done_callback(self._done)
        return await asyncio.shield(erasing)

    async def _witnessed(self, caller: Caller, guest: str, once: Once | None) -> Erased | None:
        if not owes_record(caller):
            return await self.erase_known(guest, once)
        async with self.witness.act(caller, Deed.ERASE):  # without the guest, whose name is to be forgotten there too
            return await self.erase_known(guest, once)

    def _done(self, erasing: "asyncio.Future[Any]") -> None:
        self._running.discard(erasing)
        if not erasing.cancelled():
            erasing.exception()  # seen: a caller that left does not want it any more

    async def erase_known(self, guest: str, once: Once | None = None) -> Erased | None:
        """Erase whoever asks for it; None where that was done before. Raises NotFound, KeyReused, Unavailable."""
        await asyncio.to_thread(self.second_place.append, ())
        request = _request(once)
        tombstone = Tombstone(self.signer.digest(guest), self.clock.now(), self.new_id(RECEIPT), request=request)
        buried = await self.store.erase(guest, tombstone, once)
        if buried is None:
            raise no_guest()
        if not buried.fresh:
            return None
        await asyncio.to_thread(self.second_place.append, (buried.tombstone,))
        return await self._told(guest, buried)

    async def happened(self, guest: str) -> bool:
        """Whether this guest was erased: then the id is nobody's, for ever."""
        return await self.store.tombstone(self.signer.digest(guest)) is not None

    async def _told(self, guest: str, buried: Buried) -> Erased:
        gone_by = self.clock.now() + buried.gone_after
        # Where the ledger does not answer, asking again does the rest: what is done of the erasure stays done.
        pseudonymised = await self.witness.ledger.pseudonymise(guest)
        tombstone = replace(buried.tombstone, places={**buried.tombstone.places, "ledger": pseudonymised})
        body = receipt_of(tombstone, guest, self.issuer, everywhere=not buried.degraded, gone_by=gone_by)
        signed = self.signer.sign(RECEIPT_TYPE, body)
        await self.store.keep_receipt(tombstone.digest, signed)
        return Erased({**body, "signed": signed}, effective_by=gone_by if buried.degraded else None)

    async def _before(self, guest: str, once: Once | None) -> tuple[bool, Erased | None]:
        """Whether a guest was erased before this call, and what a repeat of that call is told once more. Raises
        NotFound for one who never was."""
        if await self.store.get(guest) is not None:
            return False, None
        tombstone = await self.store.tombstone(self.signer.digest(guest))
        if tombstone is None:
            raise no_guest()
        if once is None or tombstone.request != _request(once):
            await self.witness.ledger.pseudonymise(guest)
            return True, None
        if tombstone.signed:
            body = _body_of(tombstone.signed)
            copies = body["copies"]
            until = None if copies["everywhere"] else datetime.fromisoformat(copies["gone_by"])
            return True, Erased({**body, "signed": tombstone.signed}, replayed=True, effective_by=until)
        # The process died between erasing and signing: what its caches could be told of is not known.
        left = max(tombstone.at + DOUBT - self.clock.now(), timedelta())
        told = await self._told(guest, Buried(tombstone, degraded=bool(left), gone_after=left))
        return True, replace(told, replayed=True)


def _request(once: Once | None) -> str:
    """What a repeat of the same request is known by: nothing of the guest stays in it."""
    if once is None:
        return ""
    return hashlib.sha256("\n".join((once.caller, once.key, once.fingerprint)).encode()).hexdigest()


def _body_of(signed: str) -> dict[str, Any]:
    payload = signed.split(".")[1]
    body: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return body
