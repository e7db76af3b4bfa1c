"""Correcting what is known about a guest: taking away one entry, and objecting to whatever was noticed or guessed.

To rectify is to state it oneself: what a guest states stands above whatever was observed, imported or guessed.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from prefs.core import access, edits
from prefs.core.access import Act
from prefs.core.callers import Caller
from prefs.core.catalogue import Catalogue
from prefs.core.changes import Written
from prefs.core.edits import Author, Edited
from prefs.core.entries import PROFILE, Document
from prefs.core.errors import VersionMoved
from prefs.core.objections import OPT_OUT, is_personalised
from prefs.core.patches import write_instant
from prefs.core.stays import Stay
from prefs.ports import Apply, Clock, Committed, Once, Past, Store, Tiers
from prefs.services.answers import Answer, answered
from prefs.services.ids import ENTRY
from prefs.services.surroundings import CatalogueSource, Surroundings


class Corrections:
    def __init__(
        self,
        store: Store,
        catalogues: CatalogueSource,
        clock: Clock,
        new_id: Callable[[str], str],
        tiers: Tiers | None = None,
    ) -> None:
        self.store, self.catalogues, self.clock, self.new_id, self.tiers = store, catalogues, clock, new_id, tiers
        self.surroundings = Surroundings(store, catalogues, clock)

    async def delete_entry(
        self, caller: Caller, guest: str, entry: str, *, if_match: int | None = None, once: Once | None = None
    ) -> Answer:
        """Take one entry away, whoever it came from: the guest any, staff and services what they wrote.

        Raises NotFound, NotAllowed, VersionMoved, KeyReused."""
        access.require(caller, Act.DELETE_ENTRY)
        known, stays = await self.surroundings.reach(caller, Act.DELETE_ENTRY, guest)
        catalogue = await self.catalogues.current()
        author = self._author(caller, known, stays)

        def apply(document: Document, past: Past) -> Written:
            if if_match is not None and if_match != document.version:
                raise VersionMoved(if_match, document.version)
            edited = edits.remove(catalogue, document, entry, author)
            body = {"guest": known, "version": edited.document.version, "entry": entry, "key": edited.touched[0]}
            return Written(edited.document, edited.change, body)

        return answered(await self.store.write(known, apply, once), catalogue, self.clock.now())

    async def personalisation(self, caller: Caller, guest: str) -> Answer:
        """Whether what was noticed or guessed about the guest is used. Raises NotFound, NotAllowed."""
        access.require(caller, Act.PERSONALISE)
        known, _ = await self.surroundings.reach(caller, Act.PERSONALISE, guest)
        document = await self.surroundings.document(known)
        return Answer(self._told(document), document.version)

    async def personalise(self, caller: Caller, guest: str, enabled: bool, *, once: Once | None = None) -> Answer:
        """Object, or take the objection back. An objection holds from the answer on, in every process; where one could
        not be told, the answer says by when (`effective_by`). Raises NotFound, NotAllowed, KeyReused."""
        access.require(caller, Act.PERSONALISE)
        known, stays = await self.surroundings.reach(caller, Act.PERSONALISE, guest)
        catalogue, author = await self.catalogues.current(), self._author(caller, known, stays)

        def apply(document: Document, past: Past) -> Written:
            if is_personalised(document, self.clock.now()) is enabled:
                return Written(document, None, self._told(document))
            edited = self._switched(catalogue, document, past, author, enabled)
            return Written(edited.document, edited.change, self._told(edited.document))

        committed = await self._withdrawn(known, apply, once, strict=not enabled)
        answer = answered(committed.written, catalogue, self.clock.now())
        if not committed.degraded:
            return answer
        effective_by = self.clock.now() + committed.gone_after
        body = {**answer.body, "effective_by": write_instant(effective_by)}
        return replace(answer, body=body, effective_by=effective_by)

    def _switched(self, catalogue: Catalogue, document: Document, past: Past, author: Author, enabled: bool) -> Edited:
        patch = {OPT_OUT: None if enabled else True}
        return edits.edit(catalogue, document, past, patch, PROFILE, author, lambda: self.new_id(ENTRY))

    async def _withdrawn(self, guest: str, apply: Apply, once: Once | None, *, strict: bool) -> Committed:
        if strict and self.tiers is not None:
            return await self.tiers.withdraw(guest, apply, once)
        return Committed(await self.store.write(guest, apply, once), False, timedelta())

    def _told(self, document: Document) -> dict[str, Any]:
        enabled = is_personalised(document, self.clock.now())
        return {"guest": document.guest, "version": document.version, "enabled": enabled}

    def _author(self, caller: Caller, guest: str, stays: Sequence[Stay]) -> Author:
        now = self.clock.now()
        sight = access.sight_of(caller, access.relation(caller, guest, stays, now))
        places, writes = access.places(caller, stays), access.writing(caller)
        return Author(caller.role, caller.subject, caller.surface, writes, now, sight, places)
