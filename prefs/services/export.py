"""Everything known about a guest in one document, for the guest to take along (GDPR Art. 15 and 20).

What the guest said, what staff noticed, what came from elsewhere and what was guessed stand apart. The head is one
document of a bounded size; history and the record of who saw what are told page by page, as long as they may be.
"""

import json
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prefs.core import access, sightings
from prefs.core.access import Act
from prefs.core.accesses import Deed
from prefs.core.bookings import show_stay
from prefs.core.callers import Caller
from prefs.core.catalogue import GUEST_SURFACE, Catalogue
from prefs.core.disclosure import show_entries, show_entry
from prefs.core.entries import Consent, Document, Entry, ProvenanceKind
from prefs.core.errors import LedgerUnavailable
from prefs.core.labels import Labels
from prefs.core.papers import Waiting
from prefs.core.patches import write_instant
from prefs.core.sightings import Sighting
from prefs.core.sights import Sight
from prefs.core.stays import Stay
from prefs.ports import Clock, Lodging, Lookup, Store
from prefs.services.accesses import show_access
from prefs.services.guests import allowed_name
from prefs.services.languages import spoken
from prefs.services.surroundings import CatalogueSource, Surroundings
from prefs.services.telling import show_change
from prefs.services.witness import Witness, owes_record

SCHEMA = "/schemas/guest-export.json"
PAGE = 100
GROUPS: dict[str, tuple[ProvenanceKind, ...]] = {
    "stated": (ProvenanceKind.STATED, ProvenanceKind.STATED_VIA_STAFF, ProvenanceKind.CONFIRMED),
    "observed": (ProvenanceKind.OBSERVED,),
    "imported": (ProvenanceKind.IMPORTED,),
    "inferred": (ProvenanceKind.INFERRED,),
}

type Pages = AsyncIterator[Sequence[dict[str, Any]]]


async def nothing_recorded() -> Pages:
    nothing: Sequence[Sequence[dict[str, Any]]] = ()
    for page in nothing:
        yield page


@dataclass(frozen=True, slots=True)
class Exported:
    """`head` is whole; `parts` are its last members, each a list told in pages."""

    head: dict[str, Any]
    parts: dict[str, Pages]


class Export:
    def __init__(
        self,
        store: Store,
        catalogues: CatalogueSource,
        clock: Clock,
        witness: Witness,
    ) -> None:
        self.store, self.catalogues, self.clock, self.witness = store, catalogues, clock, witness
        self.surroundings = Surroundings(store, catalogues, clock)

    async def export(self, caller: Caller, guest: str, language: str = "en") -> Exported:
        """Raises NotFound, NotAllowed, LedgerUnavailable. How much of an entry is told is decided as everywhere
        (`access.SHOWN`), and recorded where it is not the guest who asks. Who saw what is told to the guest alone."""
        access.require(caller, Act.EXPORT_GUEST)
        known, stays = await self.surroundings.reach(caller, Act.EXPORT_GUEST, guest)
        sight = access.sight_of(caller, access.relation(caller, known, stays, self.clock.now()))
        catalogue = await self.catalogues.current()
        found = await self.store.look_up(Lookup((known,), (known,)))
        document = found.documents.get(known) or await self.surroundings.document(known)
        now = self.clock.now()
        show = _Showing(catalogue, sight, document.purposes_at(now))
        papers = await self.store.papers(known)
        head: dict[str, Any] = {
            "$schema": SCHEMA,
            "guest": known,
            "exported_at": write_instant(now),
            **_about(document),
            "display_name": await self._name(caller, stays, catalogue, document),
            "consent_receipts": [dict(receipt.body) for receipt in papers.receipts],
            "waiting": [_awaited(one, caller) for one in papers.waiting if one.waits(now) and _concerns(one, caller)],
            "preferences": {group: show.of(document.entries, kinds) for group, kinds in GROUPS.items()},
            **_lodged(show, found.lodgings[known]),
        }
        async with self.witness.on_behalf(caller, Deed.EXPORT, known):
            if not await self.witness.saw(caller, (_special(catalogue, head, sight),)):
                raise LedgerUnavailable("It cannot be recorded who gets this export.")
        labels = spoken(catalogue, language)
        log = nothing_recorded() if owes_record(caller) else self._accesses(known, labels)
        return Exported(head, {"history": self._history(caller, document, show), "access_log": log})

    async def _name(
        self, caller: Caller, stays: Sequence[Stay], catalogue: Catalogue, document: Document
    ) -> str | None:
        """On a screen that others see, the name as the guest chose it."""
        if access.part(caller, "name") == "whole":
            return document.display_name or None
        return allowed_name(catalogue, document, await self.surroundings.facts(caller, stays, catalogue))

    async def _history(self, caller: Caller, document: Document, show: "_Showing") -> Pages:
        before, surface = document.version + 1, access.surface_of(caller)
        while page := await self.store.history(document.guest, PAGE, before):
            changes = [show_change(show.catalogue, change, show.sight, show.purposes, None) for change in page]
            body: Mapping[str, Any] = {"changes": changes}
            seen = sightings.of_history(show.catalogue, document.guest, document.version, body, surface)
            if seen is not None and not await self.witness.saw(caller, (seen,)):
                body = sightings.without_changes(body, seen.keys)
            yield body["changes"]
            before = page[-1].version

    async def _accesses(self, guest: str, labels: Labels) -> Pages:
        before = None
        while page := await self.witness.ledger.of_guest(guest, PAGE, before):
            yield [show_access(one, labels) for one in page]
            before = page[-1].position


@dataclass(frozen=True, slots=True)
class _Showing:
    catalogue: Catalogue
    sight: Sight
    purposes: frozenset[str]

    def of(self, entries: Iterable[Entry], kinds: Collection[ProvenanceKind]) -> list[dict[str, Any]]:
        """As everywhere, with their keys. Of a key that the catalogue knows no more, that there is something."""
        told = []
        for entry in entries:
            if entry.provenance.kind not in kinds:
                continue
            shown = show_entries(self.catalogue, (entry,), self.sight, self.purposes)
            if not shown and self.catalogue.get(entry.key) is None:
                shown = [show_entry(None, entry)]
            told += [{"key": entry.key, **one} for one in shown]
        return told


def _special(catalogue: Catalogue, head: Mapping[str, Any], sight: Sight) -> Sighting | None:
    entries: dict[str, list[Any]] = {}
    for one in (*head["live"], *(one for group in head["preferences"].values() for one in group)):
        entries.setdefault(one["key"], []).append(one)
    return sightings.of_document(catalogue, {**head, "entries": {"all": entries}}, sight.surface)


def _concerns(waiting: Waiting, caller: Caller) -> bool:
    """What waits is the guest's business, and that of the system which brought it."""
    return not owes_record(caller) or waiting.source == caller.subject


def _awaited(waiting: Waiting, caller: Caller) -> dict[str, Any]:
    """What another system told and no consent covers yet; with its value for the guest alone, in their own app."""
    whole = not owes_record(caller) and caller.surface == GUEST_SURFACE
    told = {
        "id": waiting.id,
        "purpose": waiting.purpose,
        "key": waiting.key,
        "scope": waiting.scope,
        "source": waiting.source,
        "at": write_instant(waiting.at),
        "expires_at": write_instant(waiting.expires_at),
    }
    return {**told, "member": json.loads(waiting.member)} if whole else told


def _about(document: Document) -> dict[str, Any]:
    made, changed = document.created_at, document.updated_at
    return {
        "version": document.version,
        "created_at": write_instant(made) if made else None,
        "updated_at": write_instant(changed) if changed else None,
        "identifiers": [{"system": one.system, "id": one.id} for one in document.identifiers],
        "consents": [_consented(one) for one in document.consents],
    }


def _consented(consent: Consent) -> dict[str, Any]:
    told = {"purpose": consent.purpose, "granted_at": write_instant(consent.granted_at)}
    told |= {"actor": consent.actor, "surface": consent.surface}
    return told | ({"expires_at": write_instant(consent.expires_at)} if consent.expires_at else {})


def _lodged(show: _Showing, lodging: Lodging) -> dict[str, list[dict[str, Any]]]:
    pressed = [
        {"stay": stay, **one} for stay, entries in lodging.live.items() for one in show.of(entries, ProvenanceKind)
    ]
    return {"live": pressed, "stays": [show_stay(stay) for stay in lodging.stays]}
