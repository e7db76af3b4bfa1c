"""Edits of a document: a checked patch or an undo in, the next document and its change out, or a refusal that says all.

Pure and total: given the same document, past and patch it decides the same, so a store may run it again under its own
lock. Entries are never altered; a value that changes is a new entry in the place of the old one.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

from prefs.core import patches
from prefs.core.access import Writing
from prefs.core.basis import consent_faults, lacks_consent, refuse, restore_faults
from prefs.core.callers import Role
from prefs.core.catalogue import Catalogue, Definition
from prefs.core.changes import Action, Change, KeyChange
from prefs.core.contradictions import Warned, crowded_groups, expired, warnings
from prefs.core.disclosure import is_negative, show_entries, told, within
from prefs.core.entries import Context, Document, Entry, Provenance, ProvenanceKind, Scope, ScopeKind, Strength
from prefs.core.errors import Conflict, Fault, KeyConflict, NotAllowed, NotFound, VersionMoved
from prefs.core.objections import NOTICED, may_be_noticed
from prefs.core.papers import Papers
from prefs.core.patches import Member, Said
from prefs.core.sights import Shown, Sight
from prefs.core.values import entered_number, escape

ENTRIES_MAX = 2000  # of one guest: far above any real person, low enough that one cannot fill the house


class Past(Protocol):
    """The guest's earlier changes, as `ports.Past` promises them."""

    def since(self, version: int) -> Sequence[Change]: ...
    def at(self, version: int) -> Change | None: ...
    def papers(self) -> Papers: ...


@dataclass(frozen=True, slots=True)
class Author:
    """Who edits, through what, when, and the provenance their role gives to what they write.

    `sight` is how much they are told of stored entries, `places` the properties and stays whose entries they may be
    told of; None is for all of them."""

    role: Role
    actor: str
    surface: str
    writes: Writing
    at: datetime
    sight: Sight
    places: frozenset[Scope] | None = None

    @property
    def kind(self) -> ProvenanceKind:
        return self.writes.kind

    def told(self, catalogue: Catalogue, entries: Iterable[Entry], document: Document) -> list[dict[str, Any]]:
        """Entries of one key in the form and to the extent in which this author may be told of them."""
        return show_entries(catalogue, entries, self.sight, document.purposes_at(self.at), self.places)

    def may_remove(self, entry: Entry) -> bool:
        """A guest removes every provenance, staff what staff entered, a service what was imported (rule 12)."""
        return entry.provenance.kind in self.writes.removes


@dataclass(frozen=True, slots=True)
class Edited:
    """`change` is None where nothing changed; the document is then the one that came in. `aside` are the definitions of
    imported members that were not laid on it, since they need a consent first."""

    document: Document
    change: Change | None
    warnings: tuple[Warned, ...] = ()
    touched: tuple[str, ...] = ()
    aside: tuple[Definition, ...] = ()


def edit(
    catalogue: Catalogue,
    document: Document,
    past: Past,
    patch: Mapping[str, Any],
    scope: Scope,
    author: Author,
    new_id: Callable[[], str],
    *,
    if_match: int | None = None,
    base_version: int | None = None,
) -> Edited:
    """Apply a merge patch, all keys or none. Raises InvalidEdit, NotAllowed, VersionMoved, KeyConflict."""
    if scope.kind is ScopeKind.ROOM:
        raise NotAllowed("Only a device in the room sets live values.")
    if author.kind in NOTICED and not may_be_noticed(document, author.at):
        raise NotAllowed("This guest does not want to be observed.")
    faults: list[Fault] = []
    members = patches.read(catalogue, patch, scope, author.at, faults)
    aside: list[Member] = []
    if author.kind is ProvenanceKind.IMPORTED:
        aside = [member for member in members if lacks_consent(member, document, author.at)]
        members = [member for member in members if member not in aside]
    for member in members:
        faults.extend(consent_faults(member, document, author.kind, author.at))
    draft = _Draft(document, scope, author, new_id)
    for member in members:
        draft.apply(member)
    faults.extend(_group_faults(catalogue, members, draft, author.at))
    if len(draft.entries) > ENTRIES_MAX:
        faults.append(Fault("", "TOO_MANY_ENTRIES", f"a guest holds at most {ENTRIES_MAX} entries"))
    if faults:
        refuse(faults, document, author.role, catalogue)
    if if_match is not None and if_match != document.version:
        raise VersionMoved(if_match, document.version)
    changes = draft.changes()
    if base_version is not None:
        yours = {key: entered_number(patch[key]) for key in patch}
        _refuse_conflicts(catalogue, document, past, changes, yours, base_version, author)
    warned = tuple(one for member in members if member.said for one in _warned(member, draft, author))
    touched = tuple(member.definition.key for member in members)
    edited = _finish(document, draft.entries, changes, author, Action.EDIT)
    return replace(edited, warnings=warned, touched=touched, aside=tuple(member.definition for member in aside))


def revert(
    catalogue: Catalogue,
    document: Document,
    past: Past,
    version: int,
    author: Author,
    new_id: Callable[[], str],
) -> Edited:
    """Undo one change as a new version. Raises NotFound for a version that never was, NotAllowed for a change that was
    not an edit, KeyConflict for keys that changed since, InvalidEdit where what stood before may not stand again."""
    undone = past.at(version)
    if undone is None:
        raise NotFound("No such version.")
    if not undone.keys:
        held_values = undone.action in (Action.EDIT, Action.REVERT)
        erased = "What this change held was erased when the consent to it was withdrawn."
        raise NotAllowed(erased if held_values else "Only changes of preferences can be undone here.")
    later = {key.key for change in past.since(version) for key in change.keys}
    faults: list[Fault] = []
    reverted: list[KeyChange] = []
    conflicting: list[KeyChange] = []
    for key_change in undone.keys:
        slots = {e.slot for e in (*key_change.removed, *key_change.added)}
        standing = [e for e in document.of(key_change.key) if e.slot in slots]
        before = _rolled_back(document.of(key_change.key), key_change.key, past.since(version - 1))
        before = [e for e in before if e.slot in slots and not expired(e, author.at)]
        removed = [e for e in standing if not any(same(e, other) for other in before)]
        missing = [e for e in before if not any(same(e, other) for other in standing)]
        if not removed and not missing:
            continue
        if key_change.key in later:
            conflicting.append(key_change)
            continue
        fitting = _restore_faults(catalogue, key_change.key, missing)
        faults.extend(fitting or restore_faults(catalogue, document, key_change.key, missing, author.at))
        restored = tuple(replace(e, id=new_id(), version=document.version + 1) for e in missing)
        reverted.append(KeyChange(key_change.key, tuple(removed), restored))
    if conflicting:
        yours = {c.key: author.told(catalogue, c.removed, document) for c in conflicting}
        _refuse_conflicts(catalogue, document, past, conflicting, yours, version, author)
    touched = tuple(change.key for change in undone.keys)
    gone = {entry.id for change in reverted for entry in change.removed}
    entries = [e for e in document.entries if e.id not in gone]
    entries.extend(entry for change in reverted for entry in change.added)
    faults.extend(crowded_groups(catalogue, entries, reverted, author.at))
    if faults:
        refuse(faults, document, author.role, catalogue)
    edited = _finish(document, entries, reverted, author, Action.REVERT, note=f"reverts {version}")
    return replace(edited, touched=touched)


def remove(catalogue: Catalogue, document: Document, entry_id: str, author: Author) -> Edited:
    """Remove one entry, whatever else stands under its key. Raises NotFound where there is none that the author may be
    told of, NotAllowed where it is not theirs to remove."""
    gone = next((entry for entry in document.entries if entry.id == entry_id), None)
    if gone is None:
        raise NotFound("There is no such entry.")
    if author.role is not Role.GUEST and not author.told(catalogue, (gone,), document):
        raise NotFound("There is no such entry.")
    if not author.may_remove(gone):
        raise NotAllowed("Only the guest may remove what somebody else said.")
    left = [entry for entry in document.entries if entry is not gone]
    change = KeyChange(gone.key, (gone,), ())
    return replace(_finish(document, left, (change,), author, Action.EDIT), touched=(gone.key,))


def same(one: Entry, other: Entry) -> bool:
    """Whether two entries say the same, whoever wrote them and when."""
    return (
        one.slot == other.slot
        and one.strength is other.strength
        and one.value == other.value
        and type(one.value) is type(other.value)
        and one.expires_at == other.expires_at
        and one.entered == other.entered
    )


class _Draft:
    """The entries of a document while members are laid over them; remembers per key what left and what came."""

    def __init__(self, document: Document, scope: Scope, author: Author, new_id: Callable[[], str]) -> None:
        self.document, self.scope, self.author, self.new_id = document, scope, author, new_id
        self.entries = list(document.entries)
        self._removed: dict[str, list[Entry]] = {}
        self._added: dict[str, list[Entry]] = {}

    def apply(self, member: Member) -> None:
        definition, author = member.definition, self.author
        here = [e for e in self.document.of(definition.key) if e.scope == self.scope]
        if member.context is None:
            self._remove(e for e in here if author.may_remove(e))
            return
        here = [e for e in here if e.context == member.context]
        if member.clears:
            kept_negatives = member.negatives is not None
            self._remove(
                e for e in here if author.may_remove(e) and not (kept_negatives and is_negative(definition, e))
            )
        mine = [e for e in here if e.provenance.kind is author.kind]
        if member.positive:
            self._replace(member, [e for e in mine if not is_negative(definition, e)], (member.positive,))
        if member.negatives is not None:
            self._replace(member, [e for e in mine if is_negative(definition, e)], member.negatives)

    def changes(self) -> list[KeyChange]:
        keys = dict.fromkeys((*self._removed, *self._added))
        return [KeyChange(k, tuple(self._removed.get(k, ())), tuple(self._added.get(k, ()))) for k in keys]

    def _replace(self, member: Member, standing: list[Entry], said: Iterable[Said]) -> None:
        """Leave standing what says the same already; put the rest in the place of what does not."""
        wanted = [self._entry(member, one) for one in said]
        live = [e for e in standing if not expired(e, self.author.at)]
        self._remove(e for e in standing if e not in live or not any(same(e, new) for new in wanted))
        for new in wanted:
            if not any(same(e, new) for e in live):
                self._added.setdefault(new.key, []).append(new)
                self.entries.append(new)

    def _remove(self, entries: Iterable[Entry]) -> None:
        for entry in list(entries):
            self._removed.setdefault(entry.key, []).append(entry)
            self.entries.remove(entry)

    def _entry(self, member: Member, said: Said) -> Entry:
        author = self.author
        return Entry(
            id=self.new_id(),
            key=member.definition.key,
            value=said.value,
            strength=said.strength,
            scope=self.scope,
            context=member.context or Context(),
            provenance=Provenance(author.kind, author.actor, author.surface, author.at),
            version=self.document.version + 1,
            expires_at=said.expires_at,
            entered=said.entered,
        )


def _finish(
    document: Document,
    entries: Iterable[Entry],
    changes: Sequence[KeyChange],
    author: Author,
    action: Action,
    note: str = "",
) -> Edited:
    if not changes:
        return Edited(document, None)
    version = document.version + 1
    ordered = tuple(sorted(entries, key=lambda e: e.id))
    change = Change(
        document.guest,
        version,
        author.at,
        author.actor,
        author.role.value,
        author.surface,
        action,
        tuple(changes),
        note,
    )
    return Edited(replace(document, version=version, entries=ordered, updated_at=author.at), change)


def _restore_faults(catalogue: Catalogue, key: str, entries: Iterable[Entry]) -> list[Fault]:
    """What the catalogue says against entries that are to stand again: it may have moved on."""
    definition, pointer = catalogue.get(key), f"/{escape(key)}"
    if definition is None:
        return [Fault(pointer, "UNKNOWN_KEY", "is no longer a key of the catalogue") for _ in entries]
    detail = "the catalogue no longer takes the value that stood here before"
    return [Fault(pointer, "OUTDATED", detail) for entry in entries if not fits(definition, entry)]


def fits(definition: Definition, entry: Entry) -> bool:
    """Whether the definition, as it is now, would take this entry."""
    if definition.deprecated_by or entry.scope.kind not in definition.scopes:
        return False
    if entry.strength not in definition.strengths or not set(entry.context.named()) <= set(definition.contexts):
        return False
    if entry.value is None:
        return entry.strength is Strength.NO_PREFERENCE
    negative = is_negative(definition, entry)
    kind = patches.refusable(definition.kind) if negative else definition.kind
    if kind is None:
        return False
    faults: list[Fault] = []
    try:
        shown = entry.value if negative else kind.show(entry.value)
    except (TypeError, ValueError, KeyError, AttributeError):  # a value of another kind than the key has now
        return False
    return kind.check(shown, None, "", faults) == entry.value and not faults


def _group_faults(catalogue: Catalogue, members: Iterable[Member], draft: _Draft, at: datetime) -> list[Fault]:
    changes = [c for c in draft.changes() if c.added]
    wanted = {member.definition.key for member in members if member.positive}
    return crowded_groups(catalogue, draft.entries, [c for c in changes if c.key in wanted], at)


def _refuse_conflicts(
    catalogue: Catalogue,
    document: Document,
    past: Past,
    changes: Sequence[KeyChange],
    yours: Mapping[str, Any],
    base_version: int,
    author: Author,
) -> None:
    """Raise KeyConflict when a key that this edit would change has changed after the base version."""
    if base_version > document.version:
        raise VersionMoved(base_version, document.version)
    since = past.since(base_version)
    conflicts = []
    for key in (change.key for change in changes):
        newer = [change for change in since if any(k.key == key for k in change.keys)]
        if not newer:
            continue
        last = newer[-1]
        base = _rolled_back(document.of(key), key, newer)
        sides = [author.told(catalogue, side, document) for side in (document.of(key), base)]
        at = patches.write_instant(last.at)
        conflicts.append(Conflict(key, yours.get(key), sides[0], sides[1], last.actor, at, last.version))
    if conflicts:
        raise KeyConflict(conflicts, document.version)


def _rolled_back(entries: Iterable[Entry], key: str, changes: Sequence[Change]) -> list[Entry]:
    """Entries of a key as they stood before these changes."""
    standing = {entry.id: entry for entry in entries}
    for change in reversed(changes):
        for key_change in (k for k in change.keys if k.key == key):
            for entry in key_change.added:
                standing.pop(entry.id, None)
            standing.update((entry.id, entry) for entry in key_change.removed)
    return sorted(standing.values(), key=lambda e: e.id)


def _warned(member: Member, draft: _Draft, author: Author) -> Iterable[Warned]:
    """Warnings for what this author holds in the member's slot, out of entries the author's surface may see."""
    definition, purposes = member.definition, draft.document.purposes_at(author.at)
    standing = [e for e in draft.entries if e.key == definition.key]
    mine = [e for e in standing if (e.scope, e.context) == (draft.scope, member.context)]
    mine = [e for e in mine if e.provenance.kind is author.kind]
    seen = [e for e in standing if within(e, author.places)]
    visible = [e for e in seen if told(definition, e, author.sight, purposes) is Shown.VALUE]
    return warnings(definition, mine, visible, author.at)
