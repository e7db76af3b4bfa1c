"""What a change of a definition does to the entries under it: kept, clamped, mapped to another choice, dropped.

The same rewriting plans a change (over counted usage) and carries it out (over one guest's document), so that a plan
never promises what the migration does not do. An entry is rewritten as a new entry with its old provenance.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from prefs.core import units
from prefs.core.catalogue import Definition
from prefs.core.changes import Action, Change, KeyChange
from prefs.core.entries import Document, Entry, ScopeKind, Strength
from prefs.core.errors import Fault
from prefs.core.patches import refusable
from prefs.core.values import Choice, Integer, Kind, Object, Quantity, Sequence, unit_of

STEPS_SHOWN = 20
# Faults of a value under the new definition, by what an operator calls the cause.
CAUSES: Mapping[str, str] = {
    "OUT_OF_RANGE": "out_of_range",
    "UNKNOWN_CHOICE": "choice_removed",
    "TOO_MANY": "list_shortened",
    "EXCLUSIVE": "made_exclusive",
}


class Use(Protocol):
    """How many entries share a value, strength and scope kind, as `ports.Usage` counts them."""

    @property
    def value(self) -> Any: ...
    @property
    def strength(self) -> Strength: ...
    @property
    def scope(self) -> ScopeKind: ...
    @property
    def count(self) -> int: ...


class Outcome(StrEnum):
    KEPT = "kept"
    MOVED = "moved"
    CLAMPED = "clamped"
    MAPPED = "mapped"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class Rewritten:
    """What becomes of a stored value, and why it cannot stay as it is; no reason where it can."""

    outcome: Outcome
    value: Any = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One group of entries that would change: values in shown form, before and after."""

    reason: str
    outcome: Outcome
    before: Any
    after: Any
    strength: Strength
    scope: ScopeKind
    count: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Entries that cannot stay as they are: how many for which reason, and what would become of them."""

    counts: Mapping[str, int]
    steps: tuple[Step, ...]

    def show(self) -> dict[str, Any]:
        """As JSON, with the largest groups first and at most a screenful of them."""
        largest = sorted(self.steps, key=lambda step: -step.count)[:STEPS_SHOWN]
        steps = [
            {
                "reason": step.reason,
                "outcome": step.outcome.value,
                "from": step.before,
                "to": step.after,
                "strength": step.strength.value,
                "scope": step.scope.value,
                "count": step.count,
            }
            for step in largest
        ]
        return {"counts": dict(self.counts), "steps": steps, "more_steps": len(self.steps) - len(steps)}


def plan(old: Definition, new: Definition | None, usage: Iterable[Use], moved: str = "") -> Plan:
    """What changing `old` to `new` would do to what is stored; `moved` says why entries go to another key."""
    counts: dict[str, int] = {}
    steps = []
    for use in usage:
        after = rewrite(old, new, use.value, use.strength, use.scope, moved)
        if not after.reason:
            continue
        counts[after.reason] = counts.get(after.reason, 0) + use.count
        shown = None if new is None or after.outcome is Outcome.DROPPED else _shown(new, after.value, use.strength)
        before = _shown(old, use.value, use.strength)
        steps.append(Step(after.reason, after.outcome, before, shown, use.strength, use.scope, use.count))
    return Plan(counts, tuple(steps))


def rewrite(
    old: Definition, new: Definition | None, value: Any, strength: Strength, scope: ScopeKind, moved: str = ""
) -> Rewritten:
    """What becomes of one stored value under a new definition."""
    if new is None:
        return Rewritten(Outcome.DROPPED, reason="deleted")
    if scope not in new.scopes:
        return Rewritten(Outcome.DROPPED, reason="scope_removed")
    if strength not in new.strengths:  # never a need made a wish
        return Rewritten(Outcome.DROPPED, reason="strength_removed")
    if value is None:
        return Rewritten(Outcome.MOVED, None, moved) if moved else Rewritten(Outcome.KEPT)
    if strength.is_negative and new.fixed_strength is None:
        found = _negative(new, value)
    else:
        found = _positive(old, new, value)
    if not found.reason and moved:
        return replace(found, outcome=Outcome.MOVED, reason=moved)
    return found


def _negative(new: Definition, value: Any) -> Rewritten:
    kind = refusable(new.kind)
    faults: list[Fault] = []
    if kind is None or kind.check(value, None, "", faults) != value or faults:
        return Rewritten(Outcome.DROPPED, reason=_cause(faults))
    return Rewritten(Outcome.KEPT, value)


def _positive(old: Definition, new: Definition, value: Any) -> Rewritten:
    shown = old.kind.show(value)
    unit = unit_of(old.kind) or None
    if unit and not units.comparable(unit, unit_of(new.kind)):
        return Rewritten(Outcome.DROPPED, reason="kind_changed")
    faults: list[Fault] = []
    checked = new.kind.check(shown, unit, "", faults)
    if not faults:
        if checked == value and type(old.kind) is type(new.kind):
            return Rewritten(Outcome.KEPT, value)
        return Rewritten(Outcome.MAPPED, checked, "representation_changed")
    cause = _cause(faults)
    mended = _mend(new.kind, shown, unit, {**old.fallbacks, **new.fallbacks})
    again: list[Fault] = []
    found = new.kind.check(mended, unit, "", again) if mended is not None else None
    if mended is None or again:
        return Rewritten(Outcome.DROPPED, reason=cause)
    return Rewritten(Outcome.CLAMPED if cause == "out_of_range" else Outcome.MAPPED, found, cause)


def _cause(faults: Iterable[Fault]) -> str:
    causes = [CAUSES.get(fault.code, "kind_changed") for fault in faults]
    return causes[0] if causes and len(set(causes)) == 1 else "kind_changed"


def _mend(kind: Kind, raw: Any, unit: str | None, fallbacks: Mapping[str, tuple[str, ...]]) -> Any:
    """The nearest raw value that the kind may take; None where there is none."""
    if isinstance(kind, Quantity):
        return _mend_quantity(kind, raw, unit)
    if isinstance(kind, Integer):
        return min(max(raw, kind.minimum), kind.maximum) if type(raw) is int else None
    if isinstance(kind, Choice):
        options = (raw, *fallbacks.get(raw, ())) if isinstance(raw, str) else ()
        return next((option for option in options if option in kind.choices), None)
    if isinstance(kind, Sequence):
        return _mend_sequence(kind, raw, unit, fallbacks)
    if isinstance(kind, Object):
        if not isinstance(raw, dict):
            return None
        mended = {name: _mend(part, raw[name], unit, fallbacks) for name, part in kind.fields.items() if name in raw}
        left = {name: value for name, value in mended.items() if value is not None}
        return left if all(name in left for name in kind.fields if name not in kind.optional) else None
    faults: list[Fault] = []
    kind.check(raw, None, "", faults)
    return None if faults else raw


def _mend_quantity(kind: Quantity, raw: Any, unit: str | None) -> Any:
    try:
        value = units.canonical(units.parse_number(raw), unit or kind.unit, kind.unit, kind.resolution)
    except ValueError:
        return None
    nearest = min(max(value, kind.minimum), kind.maximum)
    shown = units.convert(kind.exact(nearest), kind.unit, unit or kind.unit)
    return float(shown) if shown.denominator > 1 else int(shown)


def _mend_sequence(kind: Sequence, raw: Any, unit: str | None, fallbacks: Mapping[str, tuple[str, ...]]) -> Any:
    if not isinstance(raw, list):
        return None
    left: dict[str, Any] = {}
    for item in raw:
        mended = _mend(kind.items, item, unit, fallbacks)
        if mended is not None:
            left.setdefault(kind.element_id(mended), mended)
    for group in kind.exclusive:
        for element in [element for element in left if element in group][1:]:
            del left[element]
    return list(left.values())[: kind.max_items] if left or not raw else None


def migrate(
    document: Document,
    old: Definition,
    new: Definition | None,
    *,
    moved: str = "",
    actor: str,
    role: str,
    surface: str,
    at: datetime,
    new_id: Callable[[], str],
) -> tuple[Document, Change | None]:
    """One guest's document with the entries of a key rewritten; no change where all of them can stay."""
    removed: list[Entry] = []
    added: list[Entry] = []
    taken = {entry.slot for entry in document.of(new.key)} if new and new.key != old.key else set()
    for entry in document.of(old.key):
        after = rewrite(old, new, entry.value, entry.strength, entry.scope.kind, moved)
        if not after.reason:
            continue
        removed.append(entry)
        if new is None or after.outcome is Outcome.DROPPED:
            continue
        entered = entry.entered if after.value == entry.value or after.outcome is Outcome.MOVED else None
        version = document.version + 1
        moving = replace(entry, id=new_id(), key=new.key, value=after.value, version=version, entered=entered)
        if moving.slot not in taken:  # what already stands under the other key was said for it
            added.append(moving)
    if not removed:
        return document, None
    gone = {entry.id for entry in removed}
    entries = sorted([*(e for e in document.entries if e.id not in gone), *added], key=lambda e: e.id)
    after_document = replace(document, version=document.version + 1, entries=tuple(entries), updated_at=at)
    sides = [KeyChange(old.key, tuple(removed), tuple(e for e in added if e.key == old.key))]
    if new is not None and new.key != old.key and added:
        sides.append(KeyChange(new.key, (), tuple(added)))
    change = Change(
        document.guest,
        after_document.version,
        at,
        actor,
        role,
        surface,
        Action.CATALOGUE,
        tuple(sides),
        moved or "definition changed",
    )
    return after_document, change


def _shown(definition: Definition, value: Any, strength: Strength) -> Any:
    if value is None or (strength.is_negative and definition.fixed_strength is None):
        return value
    return definition.kind.show(value)
