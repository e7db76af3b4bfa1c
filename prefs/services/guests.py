"""Guests as such: their names, who they are elsewhere, and the document of all their entries."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from prefs.core import access, values
from prefs.core.access import Act
from prefs.core.callers import Caller
from prefs.core.catalogue import Catalogue
from prefs.core.changes import Action, Change, Erasure, KeyChange, Written
from prefs.core.disclosure import show_document
from prefs.core.entries import Document, Identifier, Scope
from prefs.core.errors import Fault, InvalidEdit, NotFound, VersionMoved
from prefs.core.papers import Papers
from prefs.core.patches import write_instant
from prefs.core.resolve import resolve
from prefs.core.sights import Relation, Sight
from prefs.core.stays import Facts, Stay
from prefs.core.tables import Table
from prefs.core.views import display_name
from prefs.ports import Clock, Once, Past, Store, Tiers
from prefs.services.answers import Answer, answered
from prefs.services.ids import GUEST
from prefs.services.surroundings import CatalogueSource, Surroundings
from prefs.services.witness import Witness

NAME_MAX = 120
IDENTIFIERS_MAX = 20
EXTERNAL_ID_MAX = 128
SYSTEM = re.compile(r"[a-z0-9][a-z0-9_.-]{0,39}")
NAME_DISPLAY = "privacy.name_display"
ADDRESSED_AS = "comms.addressed_as"


@dataclass(frozen=True, slots=True)
class Decision:
    """What a use case makes of a document: the same one where nothing changed, a word for the history, what lies beside
    it, what goes from the past, and what the answer says beyond the document, or instead of it."""

    document: Document
    note: str = ""
    keys: tuple[KeyChange, ...] = ()
    papers: Papers | None = None
    erasure: Erasure | None = None
    told: Mapping[str, Any] = field(default_factory=dict)
    instead: bool = False


class Guests:
    """Use cases around who a guest is."""

    def __init__(
        self,
        store: Store,
        catalogues: CatalogueSource,
        clock: Clock,
        new_id: Callable[[str], str],
        witness: Witness,
        tiers: Tiers | None = None,
    ) -> None:
        self.store, self.catalogues, self.clock, self.new_id = store, catalogues, clock, new_id
        self.tiers, self.witness = tiers, witness
        self.surroundings = Surroundings(store, catalogues, clock)

    async def create(
        self,
        caller: Caller,
        display_name: object = "",
        identifiers: Sequence[Any] = (),
        *,
        once: Once | None = None,
    ) -> Answer:
        """A new guest. `identifiers` are objects with system and id.

        Raises NotAllowed, InvalidEdit, IdentifierTaken, KeyReused."""
        access.require(caller, Act.CREATE_GUEST)
        faults: list[Fault] = []
        name = _name(display_name, faults)
        found = _identifiers(identifiers, faults)
        if faults:
            raise InvalidEdit(faults)
        now, catalogue = self.clock.now(), await self.catalogues.current()
        document = Document(
            guest=self.new_id(GUEST),
            version=1,
            identifiers=tuple(sorted(found)),
            display_name=name,
            created_at=now,
            updated_at=now,
        )
        change = _change(document, caller, Action.CREATE, now, "")
        shown = _show(catalogue, document, caller, access.sight_of(caller, Relation.NONE), name or None, now)
        return answered(await self.store.create(Written(document, change, shown), once), catalogue, self.clock.now())

    async def find(self, caller: Caller, system: str, external_id: str) -> Answer:
        """The document of the guest another system knows by this identifier. Raises NotFound."""
        identifier = Identifier(system, external_id)
        named = SYSTEM.fullmatch(system) and 0 < len(external_id) <= EXTERNAL_ID_MAX and values.clean_text(external_id)
        guest = await self.store.find(identifier) if named else None
        return await self.document(caller, guest or "")

    async def document(self, caller: Caller, guest: str) -> Answer:
        """All that is known of a guest, as far as the caller's surface goes. Raises NotFound."""
        access.require(caller, Act.READ_GUEST)
        known, stays = await self.surroundings.reach(caller, Act.READ_GUEST, guest)
        catalogue = await self.catalogues.current()
        document = await self.surroundings.document(known)
        show = await self._showing(caller, known, stays, catalogue)
        return await self.witness.document(caller, catalogue, Answer(show(document), document.version))

    async def rename(
        self,
        caller: Caller,
        guest: str,
        display_name: object,
        *,
        if_match: int | None = None,
        once: Once | None = None,
    ) -> Answer:
        """Change the display name. Raises NotFound, NotAllowed, InvalidEdit, VersionMoved, KeyReused."""
        access.require(caller, Act.RENAME_GUEST)
        faults: list[Fault] = []
        name = _name(display_name, faults)
        if faults:
            raise InvalidEdit(faults)

        def rename(document: Document, past: Past) -> Decision:
            return Decision(replace(document, display_name=name), "display name")

        return await self.change(caller, Act.RENAME_GUEST, guest, Action.PROFILE, rename, if_match=if_match, once=once)

    async def add_identifier(
        self, caller: Caller, guest: str, system: str, external_id: str, *, once: Once | None = None
    ) -> Answer:
        """Raises NotFound, NotAllowed, InvalidEdit, IdentifierTaken, KeyReused."""
        access.require(caller, Act.IDENTIFY_GUEST)
        faults: list[Fault] = []
        identifier = _identifier({"system": system, "id": external_id}, "", faults)
        if faults:
            raise InvalidEdit([replace(fault, pointer=fault.pointer.lstrip("/")) for fault in faults])

        def add(document: Document, past: Past) -> Decision:
            together = tuple(sorted({*document.identifiers, identifier}))
            if len(together) > IDENTIFIERS_MAX:
                raise InvalidEdit([Fault("id", "TOO_MANY", f"a guest has at most {IDENTIFIERS_MAX} identifiers")])
            return Decision(replace(document, identifiers=together), f"identifier of {system} added")

        return await self.change(caller, Act.IDENTIFY_GUEST, guest, Action.PROFILE, add, once=once)

    async def remove_identifier(
        self, caller: Caller, guest: str, system: str, external_id: str, *, once: Once | None = None
    ) -> Answer:
        """Raises NotFound for a guest or an identifier that is not there, NotAllowed, KeyReused."""
        access.require(caller, Act.IDENTIFY_GUEST)
        identifier = Identifier(system, external_id)

        def remove(document: Document, past: Past) -> Decision:
            if identifier not in document.identifiers:
                raise NotFound("The guest has no such identifier.")
            left = tuple(one for one in document.identifiers if one != identifier)
            return Decision(replace(document, identifiers=left), f"identifier of {system} removed")

        return await self.change(caller, Act.IDENTIFY_GUEST, guest, Action.PROFILE, remove, once=once)

    async def change(
        self,
        caller: Caller,
        act: Act,
        guest: str,
        action: Action,
        decide: Callable[[Document, Past], Decision],
        *,
        if_match: int | None = None,
        once: Once | None = None,
        strict: bool = False,
    ) -> Answer:
        """Write what `decide` makes of the document, and answer with the document. `strict`: when this is answered, no
        tier can tell what was before; where one could not be told, the answer says by when (`effective_by`)."""
        known, stays = await self.surroundings.reach(caller, act, guest)
        catalogue, now = await self.catalogues.current(), self.clock.now()
        show = await self._showing(caller, known, stays, catalogue)

        def apply(document: Document, past: Past) -> Written:
            if if_match is not None and if_match != document.version:
                raise VersionMoved(if_match, document.version)
            found = decide(document, past)
            decided, change = found.document, None
            if decided != document:
                decided = replace(decided, version=document.version + 1, updated_at=now)
                change = replace(_change(decided, caller, action, now, found.note), keys=found.keys)
            answer = dict(found.told) if found.instead else {**show(decided), **found.told}
            return Written(decided, change, answer, papers=found.papers, erasure=found.erasure)

        if not strict or self.tiers is None:
            answer = answered(await self.store.write(known, apply, once), catalogue, self.clock.now())
            return await self.witness.document(caller, catalogue, answer)
        committed = await self.tiers.withdraw(known, apply, once)
        answer = await self.witness.document(
            caller, catalogue, answered(committed.written, catalogue, self.clock.now())
        )
        if not committed.degraded:
            return answer
        effective_by = self.clock.now() + committed.gone_after
        return replace(
            answer, body={**answer.body, "effective_by": write_instant(effective_by)}, effective_by=effective_by
        )

    async def _showing(
        self, caller: Caller, guest: str, stays: Sequence[Stay], catalogue: Catalogue
    ) -> Callable[[Document], dict[str, Any]]:
        """How a document is shown to this caller. Where the name is shown as the guest chose, what they chose depends
        on where and when that is."""
        sight = access.sight_of(caller, access.relation(caller, guest, stays, self.clock.now()))
        places, whole = access.places(caller, stays), access.part(caller, "name") == "whole"
        facts = None if whole else await self.surroundings.facts(caller, stays, catalogue)

        def show(document: Document) -> dict[str, Any]:
            chosen = allowed_name(catalogue, document, facts) if facts else document.display_name or None
            return _show(catalogue, document, caller, sight, chosen, self.clock.now(), places)

        return show


def _name(raw: object, faults: list[Fault]) -> str:
    if raw is None or raw == "":
        return ""
    if not isinstance(raw, str):
        faults.append(Fault("/display_name", "WRONG_TYPE", "must be a text"))
    elif len(raw) > NAME_MAX or not raw.strip():
        faults.append(Fault("/display_name", "WRONG_LENGTH", f"must have 1 to {NAME_MAX} characters"))
    elif not values.clean_text(raw):
        faults.append(Fault("/display_name", "BAD_TEXT", "must not contain control characters or broken Unicode"))
    else:
        return raw
    return ""


def _identifiers(raw: object, faults: list[Fault]) -> set[Identifier]:
    if not isinstance(raw, list | tuple):
        faults.append(Fault("/identifiers", "WRONG_TYPE", "must be a list"))
        return set()
    if len(raw) > IDENTIFIERS_MAX:
        faults.append(Fault("/identifiers", "TOO_MANY", f"must have at most {IDENTIFIERS_MAX} elements"))
        return set()
    return {_identifier(one, f"/identifiers/{i}", faults) for i, one in enumerate(raw)}


def _identifier(raw: object, pointer: str, faults: list[Fault]) -> Identifier:
    table = Table(raw, pointer, faults)
    table.known("system", "id")
    system = table.text("system", 40)
    if system and not SYSTEM.fullmatch(system):
        table.fault("system", "BAD_ID", "must be lower-case letters, digits, dots, dashes or underscores")
    return Identifier(system, table.text("id", EXTERNAL_ID_MAX))


def allowed_name(catalogue: Catalogue, document: Document, facts: Facts) -> str | None:
    """The name as the guest chose that screens show it."""
    resolved = resolve(catalogue, document, facts, keys=(NAME_DISPLAY, ADDRESSED_AS)).effective
    shown = resolved.get(NAME_DISPLAY)
    addressed = resolved.get(ADDRESSED_AS)
    alias = addressed.value.get("name", "") if addressed and isinstance(addressed.value, dict) else ""
    return display_name(document.display_name, str(shown.value) if shown and shown.value else None, alias)


def _change(document: Document, caller: Caller, action: Action, at: datetime, note: str) -> Change:
    role = caller.role.value
    return Change(document.guest, document.version, at, caller.subject, role, caller.surface, action, note=note)


def _show(
    catalogue: Catalogue,
    document: Document,
    caller: Caller,
    sight: Sight,
    name: str | None,
    at: datetime,
    places: frozenset[Scope] | None = None,
) -> dict[str, Any]:
    body: dict[str, Any] = {"guest": document.guest, "version": document.version, "display_name": name}
    if access.part(caller, "identifiers") == "whole":
        body["identifiers"] = [{"system": one.system, "id": one.id} for one in document.identifiers]
    if access.part(caller, "consents") == "whole":
        body["consents"] = [
            {
                "purpose": consent.purpose,
                "granted_at": write_instant(consent.granted_at),
                "actor": consent.actor,
                "surface": consent.surface,
                **({"expires_at": write_instant(consent.expires_at)} if consent.expires_at else {}),
                **({"receipt": consent.receipt} if consent.receipt else {}),
            }
            for consent in document.consents
            if consent.holds(at)
        ]
    return {**body, "entries": show_document(catalogue, document, sight, at, places)}
