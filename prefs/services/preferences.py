"""Reading and editing preferences: what applies here and now, edits, presses in the room, many guests at once, undo."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypedDict, Unpack

from prefs.core import access, edits, patches, presses, quarantine, sightings
from prefs.core.access import Act, Writing
from prefs.core.callers import Caller
from prefs.core.catalogue import Catalogue
from prefs.core.changes import Written
from prefs.core.edits import Author, Edited
from prefs.core.entries import Document, Entry, ProvenanceKind, Scope, ScopeKind
from prefs.core.errors import Fault, InvalidEdit, NotAllowed, NotFound
from prefs.core.labels import Labels
from prefs.core.patches import write_instant
from prefs.core.resolve import resolve
from prefs.core.sightings import Sighting
from prefs.core.sights import Sight
from prefs.core.stays import Facts, Stay, current, turns
from prefs.core.values import escape
from prefs.core.views import render
from prefs.ports import Clock, Once, Past, Reads, Store, Traced
from prefs.services.answers import Answer, answered
from prefs.services.batches import Batch, Item, named_in_body, problem
from prefs.services.ids import ENTRY, WAITING
from prefs.services.languages import spoken
from prefs.services.surroundings import (
    CatalogueSource,
    Surroundings,
    asked_for,
    no_guest,
    no_property,
    no_stay,
)
from prefs.services.telling import show_change, show_warning
from prefs.services.witness import Outcomes, Witness, owes_record

BATCH_MAX = 1000
HISTORY_MAX = 200
STALE_CONSENT_S = 60  # older knowledge than this does not show what a consent could have ended meanwhile


class Asked(TypedDict, total=False):
    """About what moment and place, in which language, and how much of it."""

    property: str | None
    stay: str | None
    keys: Sequence[str] | None
    at: datetime | None
    trip: str | None
    party: str | None
    explain: bool
    language: str
    reads: Traced | None


@dataclass(frozen=True, slots=True)
class Unrecorded:
    """An answer that is not on record yet, and what it takes to tell it without what cannot be recorded."""

    answer: Answer
    catalogue: Catalogue
    labels: Labels


class Preferences:
    """Use cases around one guest's preferences, and the batch read for many."""

    def __init__(
        self,
        store: Store,
        catalogues: CatalogueSource,
        clock: Clock,
        new_id: Callable[[str], str],
        witness: Witness,
    ) -> None:
        self.store, self.catalogues, self.clock, self.new_id = store, catalogues, clock, new_id
        self.witness = witness
        self.surroundings = Surroundings(store, catalogues, clock)

    async def effective(self, caller: Caller, guest: str, **asked: Unpack[Asked]) -> Answer:
        """What applies to a guest, for the caller's surface. Raises NotFound, NotAllowed, InvalidEdit.

        An answer about now says until when time alone cannot change it (`holds_until`)."""
        found = await self.unrecorded(caller, guest, **asked)
        return await self.witness.preferences(caller, found.catalogue, found.answer, found.labels)

    async def unrecorded(
        self,
        caller: Caller,
        guest: str,
        *,
        property: str | None = None,
        stay: str | None = None,
        keys: Sequence[str] | None = None,
        at: datetime | None = None,
        trip: str | None = None,
        party: str | None = None,
        explain: bool = False,
        language: str = "en",
        reads: Traced | None = None,
    ) -> Unrecorded:
        """The same for whoever sees to the record: before that it may be told to nobody."""
        access.require(caller, Act.READ_PREFERENCES)
        asked_at = self.clock.now()
        seen = await self.surroundings.glimpse(caller, Act.READ_PREFERENCES, [guest], property, reads)
        known, stays = await self.surroundings.reach(caller, Act.READ_PREFERENCES, guest, seen)
        catalogue = await self.catalogues.current(seen)
        _refuse_unknown(catalogue, keys)
        facts = await self.surroundings.facts(
            caller, stays, catalogue, property=property, stay=stay, at=at, trip=trip, party=party, reads=seen
        )
        document = await self.surroundings.document(known, seen)
        live = await seen.live(facts.stay) if facts.stay else ()
        document = _with_lasting_consents(document, reads)
        labels, sight = spoken(catalogue, language), self._sight(caller, known, stays, facts)
        owed = owes_record(caller)
        answer = _shown(catalogue, document, facts, sight, labels, keys=keys, live=live, explain=explain, owed=owed)
        return Unrecorded(_holding(answer, stays, asked_at, at), catalogue, labels)

    async def batch(
        self,
        caller: Caller,
        guests: Sequence[str],
        *,
        property: str | None = None,
        keys: Sequence[str] | None = None,
        at: datetime | None = None,
        language: str = "en",
        reads: Traced | None = None,
        beside: Sequence[Sighting] = (),
        outcomes: Outcomes | None = None,
    ) -> Batch:
        """The same for many guests of one property, in the order asked; a guest that fails does not fail the rest.

        `beside` is what lies ready of others and is told in the same answer: it is recorded in the same append, and if
        that failed, `recorded` is false and it must not be told. `outcomes` as for the witness. Raises NotFound for the
        property, InvalidEdit for the request as a whole.
        """
        access.require(caller, Act.READ_PREFERENCES)
        if len(guests) > BATCH_MAX:
            raise InvalidEdit([Fault("/guests", "TOO_MANY", f"must have at most {BATCH_MAX} elements")])
        now, act = self.clock.now(), Act.READ_PREFERENCES
        seen = await self.surroundings.glimpse(caller, act, guests, property, reads)
        catalogue = await self.catalogues.current(seen)
        with named_in_body():
            moment = self.surroundings.moment(at)
            _refuse_unknown(catalogue, keys)
        place = property
        if place is None and access.is_bound(caller):
            if len(caller.properties) > 1:
                raise InvalidEdit([Fault("/property", "REQUIRED", "the token names several properties: say which one")])
            place = next(iter(caller.properties))
        if place is not None and not access.belongs(caller, place):
            raise no_property()
        declared = await self.surroundings.property(place, catalogue, seen) if place else None
        known = {guest: asked_for(caller, act, guest) for guest in guests}
        wanted = list(dict.fromkeys(known.values()))
        stays, read = await seen.stays_of(wanted), await seen.get_many(wanted)
        if place and (access.is_bound(caller) or caller.stay):  # a reason at one property is none at another
            stays = {guest: [s for s in found if s.property == place] for guest, found in stays.items()}
        tied = {guest: access.relation(caller, guest, stays.get(guest, []), now) for guest in wanted}
        reachable = [guest for guest in wanted if access.allows(caller, act, tied[guest])]
        if len(reachable) < len(wanted):
            await self.surroundings.wait_as_for_nobody(caller, seen)
        documents = {guest: read[guest] for guest in reachable if guest in read}
        here = {guest: current(stays.get(guest, []), place, moment) if place else None for guest in reachable}
        labels, owed = spoken(catalogue, language), owes_record(caller)
        items: list[Item] = []
        for guest in guests:
            document = documents.get(known[guest])
            if document is None:
                items.append(Item(guest, problem=problem(no_guest())))
                continue
            document, stay = _with_lasting_consents(document, reads), here[document.guest]
            pressed = await seen.live(stay) if stay else ()
            sight, facts = access.sight_of(caller, tied[document.guest]), Facts(moment, declared, stay, asked_at=now)
            answer = _shown(catalogue, document, facts, sight, labels, keys=keys, live=pressed, owed=owed)
            items.append(Item(guest, _holding(answer, stays[document.guest], now, at)))
        return await self.witness.batch(caller, catalogue, items, beside, labels, outcomes)

    async def patch(
        self,
        caller: Caller,
        guest: str,
        scope: Scope | str,
        patch: Mapping[str, Any],
        *,
        if_match: int | None = None,
        base_version: int | None = None,
        once: Once | None = None,
        provenance: str | None = None,
        property: str | None = None,
        language: str = "en",
    ) -> Answer:
        """Edit by merge patch. Raises NotFound, NotAllowed, InvalidEdit, VersionMoved, KeyConflict, KeyReused."""
        where = patches.parse_scope(scope) if isinstance(scope, str) else scope
        if where.kind is ScopeKind.ROOM:
            return await self._press(caller, guest, patch, property=property, language=language)
        access.require(caller, Act.EDIT_PREFERENCES)
        writes = access.writing_at(caller, where, provenance)
        if where.kind is ScopeKind.PROPERTY and not access.belongs(caller, where.id):
            raise no_property()
        place = property or (where.id if where.kind is ScopeKind.PROPERTY else None)
        seen = await self.surroundings.glimpse(caller, Act.EDIT_PREFERENCES, [guest], place, documents=False)
        known, stays = await self.surroundings.reach(caller, Act.EDIT_PREFERENCES, guest, seen)
        catalogue = await self.catalogues.current(seen)
        facts = await self._facts_of_edit(caller, stays, catalogue, where, property, seen)
        live = await seen.live(facts.stay) if facts.stay else ()
        author = self._author(caller, writes, known, stays, facts)

        def apply(document: Document, past: Past) -> Written:
            edited = edits.edit(
                catalogue,
                document,
                past,
                patch,
                where,
                author,
                lambda: self.new_id(ENTRY),
                if_match=if_match,
                base_version=base_version,
            )
            written = self._written(catalogue, edited, facts, author.sight, live, language)
            if author.kind is not ProvenanceKind.IMPORTED:
                return written
            return quarantine.keep(catalogue, written, edited, past, patch, where, author, lambda: self.new_id(WAITING))

        async with self.witness.conflicts(caller, known, catalogue):
            answer = answered(await self.store.write(known, apply, once), catalogue, self.clock.now())
        return await self.witness.edited(caller, catalogue, answer, facts, spoken(catalogue, language))

    async def revert(
        self, caller: Caller, guest: str, version: int, *, once: Once | None = None, language: str = "en"
    ) -> Answer:
        """Undo one change: the guest any, staff and services only what they did themselves.

        Raises NotFound, NotAllowed, InvalidEdit, KeyConflict, KeyReused."""
        access.require(caller, Act.REVERT)
        known, stays = await self.surroundings.reach(caller, Act.REVERT, guest)
        catalogue = await self.catalogues.current()
        facts = await self.surroundings.facts(caller, stays, catalogue)
        author = self._author(caller, access.writing(caller), known, stays, facts)

        def apply(document: Document, past: Past) -> Written:
            undone = past.at(version)
            own = undone is not None and (undone.actor, undone.role) == (caller.subject, caller.role.value)
            if undone is None:
                raise NotFound("There is no such version.")
            if not own and not author.writes.undoes_others:
                raise NotAllowed("Only the guest may undo what somebody else did.")
            edited = edits.revert(catalogue, document, past, version, author, lambda: self.new_id(ENTRY))
            return self._written(catalogue, edited, facts, author.sight, (), language)

        async with self.witness.conflicts(caller, known, catalogue):
            answer = answered(await self.store.write(known, apply, once), catalogue, self.clock.now())
        return await self.witness.edited(caller, catalogue, answer, facts, spoken(catalogue, language))

    async def history(self, caller: Caller, guest: str, limit: int = 50, cursor: str | None = None) -> Answer:
        """Who changed what, newest first, as far as the caller's surface sees values. Raises NotFound, NotAllowed."""
        access.require(caller, Act.READ_HISTORY)
        faults = []
        if not 1 <= limit <= HISTORY_MAX:
            faults.append(Fault("limit", "OUT_OF_RANGE", f"must be between 1 and {HISTORY_MAX}"))
        if cursor is not None and not (cursor.isascii() and cursor.isdigit() and len(cursor) <= 12):
            faults.append(Fault("cursor", "BAD_CURSOR", "must be a next_cursor as it was given"))
        if faults:
            raise InvalidEdit(faults)
        known, stays = await self.surroundings.reach(caller, Act.READ_HISTORY, guest)
        document = await self.surroundings.document(known)
        catalogue = await self.catalogues.current()
        found = await self.store.history(known, limit + 1, int(cursor) if cursor else None)
        page, sight = found[:limit], self._sight(caller, known, stays)
        places = access.places(caller, stays)
        purposes = document.purposes_at(self.clock.now())
        changes = [show_change(catalogue, change, sight, purposes, places) for change in page]
        body: dict[str, Any] = {"changes": [c for c in changes if c["keys"] or sight.is_own]}
        body["next_cursor"] = str(page[-1].version) if len(found) > limit else None
        seen = sightings.of_history(catalogue, known, document.version, body, sight.surface)
        return await self.witness.told(caller, Answer(body, document.version), seen, sightings.without_changes)

    async def _press(
        self, caller: Caller, guest: str, patch: Mapping[str, Any], *, property: str | None, language: str
    ) -> Answer:
        """Live values from a device in the room: kept with the stay, ended by the clock, attributed to no one."""
        access.require(caller, Act.PRESS)
        known, stays = await self.surroundings.reach(caller, Act.PRESS, guest)
        catalogue = await self.catalogues.current()
        facts = await self.surroundings.facts(caller, stays, catalogue, property=property)
        if facts.stay is None:
            raise no_stay()
        document = await self.surroundings.document(known)
        sight = self._sight(caller, known, stays, facts)
        pressed, cleared = presses.read(catalogue, document, patch, facts, sight, lambda: self.new_id(ENTRY))
        put = await self.store.put_live(facts.stay, pressed, cleared)
        live = await self.store.live(facts.stay)
        labels = spoken(catalogue, language)
        shown = _shown(catalogue, document, facts, sight, labels, keys=tuple(patch), live=live)
        body = {**shown.body, "warnings": []}
        body.pop("valid_until", None)
        answer = Answer(body, document.version, shown.valid_until, coherence=put.coherence)
        return await self.witness.edited(caller, catalogue, answer, facts, labels)

    async def _facts_of_edit(
        self,
        caller: Caller,
        stays: Sequence[Stay],
        catalogue: Catalogue,
        scope: Scope,
        property: str | None,
        reads: Reads,
    ) -> Facts:
        """Facts at the place an edit is for. Raises NotFound where the scope names a place that is not theirs."""
        if scope.kind is ScopeKind.STAY:
            stay = next((s for s in stays if s.id == scope.id), None)
            if stay is None or not access.reaches(caller, Act.EDIT_PREFERENCES, stay.guest, [stay], self.clock.now()):
                raise no_stay()
            place = property or stay.property
            return await self.surroundings.facts(
                caller, stays, catalogue, property=place, stay=stay.id if place == stay.property else None, reads=reads
            )
        if scope.kind is ScopeKind.PROPERTY:
            await self.surroundings.property(scope.id, catalogue, reads)
            return await self.surroundings.facts(caller, stays, catalogue, property=property or scope.id, reads=reads)
        return await self.surroundings.facts(caller, stays, catalogue, property=property, reads=reads)

    def _sight(self, caller: Caller, guest: str, stays: Sequence[Stay], facts: Facts | None = None) -> Sight:
        """How much the caller is told of this guest, where facts say so by the tie at that property."""
        if access.is_bound(caller) and facts is not None and facts.property is not None:
            stays = [stay for stay in stays if stay.property == facts.property.id]
        return access.sight_of(caller, access.relation(caller, guest, stays, self.clock.now()))

    def _author(self, caller: Caller, writes: Writing, guest: str, stays: Sequence[Stay], facts: Facts) -> Author:
        sight, places = self._sight(caller, guest, stays, facts), access.places(caller, stays)
        return Author(caller.role, caller.subject, caller.surface, writes, self.clock.now(), sight, places)

    def _written(
        self,
        catalogue: Catalogue,
        edited: Edited,
        facts: Facts,
        sight: Sight,
        live: Sequence[Entry],
        language: str,
    ) -> Written:
        labels = spoken(catalogue, language)
        shown = _shown(catalogue, edited.document, facts, sight, labels, keys=edited.touched, live=live)
        body = {**shown.body, "warnings": [show_warning(catalogue, warned, labels) for warned in edited.warnings]}
        body.pop("valid_until", None)
        return Written(edited.document, edited.change, body)


def _refuse_unknown(catalogue: Catalogue, keys: Sequence[str] | None) -> None:
    faults = [
        Fault("keys", "UNKNOWN_KEY", f"{escape(key)} is not a key of the catalogue")
        for key in keys or ()
        if catalogue.get(key) is None
    ]
    if faults:
        raise InvalidEdit(faults)


def _shown(
    catalogue: Catalogue,
    document: Document,
    facts: Facts,
    sight: Sight,
    labels: Labels,
    *,
    keys: Sequence[str] | None,
    live: Sequence[Entry] = (),
    explain: bool = False,
    owed: bool = False,
) -> Answer:
    resolved = resolve(catalogue, document, facts, keys=keys, sight=sight, live=live, explain=explain)
    body: dict[str, Any] = {"guest": document.guest, "version": document.version}
    if resolved.valid_until:
        body["valid_until"] = write_instant(resolved.valid_until)
    body["preferences"] = render(catalogue, resolved, sight, labels, explain)
    place = facts.property.id if facts.property else ""
    sighting = sightings.of_resolved(catalogue, resolved, sight.surface, place) if owed else None
    return Answer(body, document.version, resolved.valid_until, sighting=sighting)


def _with_lasting_consents(document: Document, reads: Traced | None) -> Document:
    """What is read while the store is gone may be a copy from before a consent was withdrawn."""
    return replace(document, consents=()) if reads is not None and reads.age_s > STALE_CONSENT_S else document


def _holding(answer: Answer, stays: Sequence[Stay], asked_at: datetime, at: datetime | None) -> Answer:
    if at is not None or answer.valid_until is None:
        return answer
    return replace(answer, holds_until=min([answer.valid_until, *turns(stays, asked_at)]))
