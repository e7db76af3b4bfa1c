"""The catalogue of the moment: the standard one under the operator's extension, and changes of that extension.

A change that leaves stored entries invalid is refused with their number, or planned, or carried out: entries are
rewritten guest by guest through ordinary writes, and swept once more after the change for what came in between.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from prefs.core import access
from prefs.core.access import Act
from prefs.core.accesses import Deed
from prefs.core.callers import Caller
from prefs.core.catalogue import SURFACES, Catalogue, Definition
from prefs.core.catalogue_changes import Plan, Step, migrate, plan
from prefs.core.changes import Coherence, Written
from prefs.core.dictionary import check_references
from prefs.core.entries import Document
from prefs.core.errors import CatalogueInUse, Fault, InvalidEdit, NotFound
from prefs.core.extensions import SOURCE, check, extend
from prefs.core.listing import list_catalogue, show_definition
from prefs.core.values import entered_number, escape
from prefs.ports import Apply, Clock, Past, Put, Reads, Store
from prefs.services.answers import Answer
from prefs.services.ids import ENTRY
from prefs.services.languages import spoken
from prefs.services.witness import Witness

MEMBERS = ("area", "definition", "labels", "rename_from", "deprecated_by")
GUESTS_A_PAGE = 500
ADVICE = "Ask for a plan first, then migrate."


@dataclass(frozen=True, slots=True)
class Move:
    """Entries of one definition that another takes over; `why` is empty where the key stays the same."""

    old: Definition
    new: Definition | None
    why: str = ""


class Definitions:
    """Use cases around preference definitions. Keeps the assembled catalogue until the extension's version moves."""

    def __init__(
        self, store: Store, standard: Catalogue, clock: Clock, new_id: Callable[[str], str], witness: Witness
    ) -> None:
        self.store, self.standard, self.clock, self.new_id = store, standard, clock, new_id
        self.witness = witness
        self._kept: tuple[int, Catalogue] = (0, standard)

    async def current(self, reads: Reads | None = None) -> Catalogue:
        version, records = await (reads or self.store).extensions()
        kept, catalogue = self._kept
        if version != kept:
            catalogue = extend(self.standard, version, {record.id: record.body for record in records})
            self._kept = (version, catalogue)
        return catalogue

    async def listing(self, language: str = "en", surface: str | None = None) -> Answer:
        """All that a client needs to draw an editor, in the best language for an Accept-Language header."""
        if surface and surface not in SURFACES:
            raise InvalidEdit([Fault("surface", "UNKNOWN_CHOICE", "must be one of " + ", ".join(SURFACES))])
        catalogue = await self.current()
        return Answer(list_catalogue(catalogue, spoken(catalogue, language), surface or ""), catalogue.version)

    async def put(
        self,
        caller: Caller,
        key: str,
        body: object,
        *,
        plan: bool = False,
        migrate: bool = False,
        language: str = "en",
    ) -> Answer:
        """Add or replace a definition. Raises NotAllowed, InvalidEdit, CatalogueInvalid, CatalogueInUse."""
        access.require(caller, Act.CHANGE_CATALOGUE)
        record, rename_from = _read(body)
        current, records = await self._records()
        source = current.get(rename_from) if rename_from else None
        if rename_from and (source is None or rename_from == key):
            raise InvalidEdit([Fault("/rename_from", "UNKNOWN_KEY", "must be another key of the catalogue")])
        together = {**records, key: record, **({rename_from: _gone(source)} if source else {})}
        definition = check(current, key, record)
        candidate = extend(self.standard, 1, together)
        check_references(SOURCE, candidate)
        moves = _moves(current.get(key), definition, candidate, source)
        found = await self._plan(moves)
        if plan:
            return Answer({"key": key, "plan": found.show()}, current.version)
        self._refuse_use(key, found, migrate)
        puts: list[Put[int]] = []
        async with self.witness.act(caller, Deed.CATALOGUE_PUT, keys=[key, *([rename_from] if source else [])]):
            if source:  # both keys stand while entries move, so that nothing is out of sight
                puts.append(await self.store.put_extension(key, record))
            guests = await self._migrate(moves, found, caller)
            puts.append(
                await self.store.put_extension(rename_from if source else key, _gone(source) if source else record)
            )
            guests += await self._migrate(moves, await self._plan(moves), caller)
        after = await self.current()
        shown = show_definition(after.definitions[key], spoken(after, language))
        told = {"key": key, "version": after.version, "definition": shown}
        told["migrated"] = {"guests": guests, "counts": dict(found.counts)}
        return Answer(told, after.version, coherence=Coherence.worst(put.coherence for put in puts))

    async def delete(self, caller: Caller, key: str, *, plan: bool = False, migrate: bool = False) -> Answer:
        """Take a key away. Raises NotAllowed, NotFound, CatalogueInvalid where others point at it, CatalogueInUse."""
        access.require(caller, Act.CHANGE_CATALOGUE)
        current, records = await self._records()
        old = current.get(key)
        if old is None:
            raise NotFound("There is no such key.")
        check_references(SOURCE, extend(self.standard, 1, {**records, key: _gone(old)}))
        moves = (Move(old, None),)
        found = await self._plan(moves)
        if plan:
            return Answer({"key": key, "plan": found.show()}, current.version)
        self._refuse_use(key, found, migrate)
        async with self.witness.act(caller, Deed.CATALOGUE_DELETE, keys=[key]):
            guests = await self._migrate(moves, found, caller)
            put = await self.store.put_extension(key, _gone(old))
            guests += await self._migrate(moves, await self._plan(moves), caller)
        after = await self.current()
        told = {"key": key, "version": after.version, "migrated": {"guests": guests, "counts": dict(found.counts)}}
        return Answer(told, after.version, coherence=put.coherence)

    async def _records(self) -> tuple[Catalogue, dict[str, Mapping[str, Any]]]:
        _, records = await self.store.extensions()
        return await self.current(), {record.id: record.body for record in records}

    async def _plan(self, moves: tuple[Move, ...]) -> Plan:
        counts: dict[str, int] = {}
        steps: list[Step] = []
        for move in moves:
            found = plan(move.old, move.new, await self.store.usage(move.old.key), move.why)
            steps.extend(found.steps)
            for reason, count in found.counts.items():
                counts[reason] = counts.get(reason, 0) + count
        return Plan(counts, tuple(steps))

    def _refuse_use(self, key: str, found: Plan, migrate: bool) -> None:
        if found.counts and not migrate:
            raise CatalogueInUse(key, found.counts, ADVICE)

    async def _migrate(self, moves: tuple[Move, ...], found: Plan, caller: Caller) -> int:
        """Rewrite the entries of every guest that holds one; answers how many guests changed."""
        changed = 0
        for move in moves if found.counts else ():
            after = ""
            while guests := await self.store.guests_with(move.old.key, GUESTS_A_PAGE, after):
                after = guests[-1]
                for guest in guests:
                    written = await self.store.write(guest, self._rewriting(move, caller))
                    changed += written.change is not None
        return changed

    def _rewriting(self, move: Move, caller: Caller) -> Apply:
        def apply(document: Document, past: Past) -> Written:
            rewritten, change = migrate(
                document,
                move.old,
                move.new,
                moved=move.why,
                actor=caller.subject,
                role=caller.role.value,
                surface=caller.surface,
                at=self.clock.now(),
                new_id=lambda: self.new_id(ENTRY),
            )
            return Written(rewritten, change, {})

        return apply


def _read(body: object) -> tuple[dict[str, Any], str]:
    """The record to keep, and the key it is renamed from. Raises InvalidEdit for anything but the known members."""
    if not isinstance(body, dict):
        raise InvalidEdit([Fault("", "WRONG_TYPE", "must be an object")])
    faults = [
        Fault(f"/{escape(str(name))}", "UNKNOWN_FIELD", "is not a member; known: " + ", ".join(MEMBERS))
        for name in sorted(set(map(str, body)) - set(MEMBERS))
    ]
    faults += [
        Fault(f"/{name}", "WRONG_TYPE", "must be a text")
        for name in ("rename_from", "deprecated_by")
        if body.get(name) is not None and not isinstance(body[name], str)
    ]
    faults += [
        Fault(f"/{name}", "WRONG_TYPE" if name in body else "MISSING_FIELD", "must be an object")
        for name in ("definition", "labels")
        if not isinstance(body.get(name), dict)
    ]
    if faults:
        raise InvalidEdit(faults)
    kept = entered_number(body)
    if not isinstance(kept, dict):
        raise InvalidEdit([Fault("", "WRONG_TYPE", "must be an object")])
    definition = dict(kept["definition"])
    if kept.get("deprecated_by"):
        definition["deprecated_by"] = kept["deprecated_by"]
    record = {"area": kept.get("area"), "definition": definition, "labels": kept["labels"], "deleted": False}
    return record, kept.get("rename_from") or ""


def _gone(definition: Definition | None) -> dict[str, Any]:
    area = definition.area if definition else ""
    return {"area": area, "definition": {}, "labels": {}, "deleted": True}


def _moves(
    old: Definition | None, new: Definition, candidate: Catalogue, source: Definition | None
) -> tuple[Move, ...]:
    """Which entries a put concerns: those of the key itself, and those of the key it is renamed from."""
    moves: list[Move] = []
    if old and new.deprecated_by and not old.deprecated_by:
        moves.append(Move(old, candidate.get(new.deprecated_by), "deprecated"))
    elif old:
        moves.append(Move(old, new))
    if source:
        moves.append(Move(source, new, "renamed"))
    return tuple(moves)
