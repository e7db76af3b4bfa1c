"""What one message to an endpoint may say: decided when it is sent, anew each time that it is.

An endpoint is to the rules a service at its surface. It is told which keys changed as far as that surface is shown
them. The name of a key alone can tell of an illness: of special-category data no name is told without the guest's
consent for what the surface uses it for, and only after it is on record who was told. A change of nothing that may be
named is no message, so that silence and a message tell nothing beside that.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from prefs.core import access
from prefs.core.callers import ALL_GUESTS, Caller, Role
from prefs.core.catalogue import Catalogue, Definition
from prefs.core.changes import Action, Change, EventKind, FeedEvent
from prefs.core.entries import Document
from prefs.core.errors import LedgerUnavailable
from prefs.core.sightings import Sighting, may_be_special
from prefs.core.sights import Relation
from prefs.core.webhooks import Delivery, Endpoint, Kind, Message, named
from prefs.ports import Clock, Lookup, Store
from prefs.services.surroundings import CatalogueSource
from prefs.services.witness import Witness

_CONSENTS = {"granted": Kind.CONSENT_GIVEN, "renewed": Kind.CONSENT_GIVEN, "withdrew": Kind.CONSENT_WITHDRAWN}
_KINDS = {
    EventKind.STAY: Kind.STAY,
    EventKind.PROPERTY: Kind.PROPERTY,
    EventKind.CATALOGUE: Kind.CATALOGUE,
    EventKind.ERASED: Kind.ERASED,
}
_OF_DOCUMENT = (Action.CREATE, Action.PROFILE)  # changes that name no key


def kind_of(event: FeedEvent) -> Kind | None:
    """What type of message an event makes; None for one that endpoints are never told of."""
    if event.kind is EventKind.CHANGE:
        return _CONSENTS.get(event.note.partition(" ")[0], Kind.CHANGED) if _is_consent(event) else Kind.CHANGED
    if event.kind is EventKind.ERASED and event.place:
        return None  # it is told once, not once more for each property
    return _KINDS.get(event.kind)


def _is_consent(event: FeedEvent) -> bool:
    return event.action == Action.CONSENT


def caller_of(endpoint: Endpoint) -> Caller:
    """Who an endpoint is to the rules, and in the ledger."""
    permissions = frozenset({ALL_GUESTS})
    return Caller(f"webhook:{endpoint.id}", Role.SERVICE, endpoint.surface, permissions=permissions)


@dataclass
class Messages:
    store: Store
    catalogues: CatalogueSource
    clock: Clock
    witness: Witness
    digest_of: Callable[[str], str]

    async def of_event(self, endpoint: Endpoint, event: FeedEvent) -> Message | None:
        """None where there is nothing that this endpoint may be told. Raises Unavailable."""
        kind = kind_of(event)
        if kind is None or kind.value not in endpoint.events:
            return None
        match kind:
            case Kind.PROPERTY:
                return Message(kind, {"property": event.place})
            case Kind.CATALOGUE:
                return Message(kind, {})
            case Kind.ERASED:
                return Message(kind, {"subject": named(endpoint, event.guest)})
        document = (await self.store.look_up(Lookup((event.guest,)))).documents.get(event.guest)
        if document is None:
            return None  # erased meanwhile, which is told by itself
        whom: dict[str, Any] = {"guest": event.guest, "subject": named(endpoint, self.digest_of(event.guest))}
        if kind is Kind.STAY:
            return Message(kind, {**whom, "property": event.place})
        whom |= {"version": event.version, "surface": endpoint.surface}
        if kind is not Kind.CHANGED:
            purpose = event.note.split()[1].rstrip(",")
            return Message(kind, {**whom, "purpose": purpose}) if purpose in access.pursued(endpoint.surface) else None
        keys = await self._keys(endpoint, event, document)
        return Message(kind, {**whom, "keys": keys}) if keys or event.action in _OF_DOCUMENT else None

    async def of_delivery(self, endpoint: Endpoint, delivery: Delivery) -> Message | None:
        """The message of the log that somebody asked for again."""
        match delivery.kind:
            case Kind.RESYNC:
                return Message(Kind.RESYNC, {})
            case Kind.ERASED:
                return Message(delivery.kind, {"subject": named(endpoint, delivery.digest)})
            case Kind.PROPERTY:
                return Message(delivery.kind, {"property": delivery.place})
            case Kind.CATALOGUE:
                return Message(delivery.kind, {})
        if delivery.kind is Kind.STAY:
            event = FeedEvent(EventKind.STAY, endpoint.progress.cursor, delivery.guest, place=delivery.place)
        else:
            change = await self._change(delivery.guest, delivery.version)
            if change is None:
                return None
            keys = tuple(dict.fromkeys(one.key for one in change.keys))
            event = FeedEvent(
                *(EventKind.CHANGE, endpoint.progress.cursor, delivery.guest, delivery.version, keys, ""),
                *(change.action.value, change.note),
            )
        return await self.of_event(endpoint, event)

    async def _change(self, guest: str, version: int) -> Change | None:
        found = await self.store.history(guest, 1, version + 1)
        return found[0] if found and found[0].version == version else None

    # ------------------------------------------------------------ keys

    async def _keys(self, endpoint: Endpoint, event: FeedEvent, document: Document) -> list[str]:
        catalogue = await self.catalogues.current()
        listed = [one for one in _touched(catalogue, event.keys) if endpoint.surface in one.surfaces]
        special = await self._special(event, [one for one in listed if may_be_special(one)])
        told = access.sight_of(caller_of(endpoint), Relation.NONE)
        purposes = document.purposes_at(self.clock.now())
        shown = [one for one in listed if told.takes(one, one.key in special, purposes)]
        if owed := [one for one in shown if one.key in special]:
            await self._record(endpoint, event, owed)
        return [one.key for one in shown]

    async def _special(self, event: FeedEvent, doubtful: Iterable[Definition]) -> set[str]:
        """Keys under which the change had special-category data, before or after; also where its values are forgotten,
        so that it cannot be seen any more."""
        found = {one.key: one for one in doubtful}
        if not found:
            return set()
        change = await self._change(event.guest, event.version)
        if change is None:
            return set(found)
        plain = set()
        for one in change.keys:
            definition, entries = found.get(one.key), (*one.removed, *one.added)
            if definition is None or definition.is_special_as_a_whole or not entries:
                continue
            if not any(definition.is_special(entry.strength, entry.value) for entry in entries):
                plain.add(one.key)
        return set(found) - plain

    async def _record(self, endpoint: Endpoint, event: FeedEvent, owed: Iterable[Definition]) -> None:
        """Raises LedgerUnavailable: then it is not told now."""
        keys = tuple(one.key for one in owed)
        purposes = tuple(sorted({one.purpose_at(endpoint.surface) for one in owed}))
        seen = Sighting(event.guest, event.version, keys, purposes)
        if not await self.witness.saw(caller_of(endpoint), (seen,)):
            raise LedgerUnavailable("It cannot be recorded who is told of this.")


def _touched(catalogue: Catalogue, keys: Iterable[str]) -> list[Definition]:
    """Keys that were written, and plain ones whose answer is another one by that."""
    found: dict[str, Definition] = {}
    for key in keys:
        definition = catalogue.get(key)
        if definition is None:
            continue
        found[key] = definition
        beside = definition.stands_for and catalogue.get(definition.stands_for.key)
        if beside and not may_be_special(definition):
            found.setdefault(beside.key, beside)
    return list(found.values())


def event_fields(event: FeedEvent, kind: Kind) -> dict[str, Any]:
    """What the log keeps of an event: who it is about, never which keys."""
    if kind is Kind.ERASED:
        return {"digest": event.guest}
    return {"guest": event.guest, "place": event.place, "version": event.version}
