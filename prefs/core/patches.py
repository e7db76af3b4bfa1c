"""The written form of an edit: JSON of a PATCH in, checked members out, with every fault found and where it stands.

A member of a patch is a bare value, `null`, or the wrapped form with `value` or `not` (no kind of value has fields of
these names, so the two cannot be mistaken for each other). What a member does to a document lives in `edits.py`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from prefs.core import values
from prefs.core.catalogue import Catalogue, Definition
from prefs.core.entries import ANY_TIME, AXES, NEGATIVE_IDS_MAX, PROFILE, Context, Entered, Scope, ScopeKind, Strength
from prefs.core.errors import Fault, InvalidEdit
from prefs.core.values import escape

KEYS_MAX = 50
WRAPPED = ("value", "unit", "strength", "context", "expires_at", "not")
SCOPE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
INSTANT = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d(:\d\d(\.\d{1,6})?)?([Zz]|[+-]\d\d:\d\d)")


@dataclass(frozen=True, slots=True)
class Said:
    """A value with its strength, as it will stand in an entry."""

    value: Any
    strength: Strength
    expires_at: datetime | None = None
    entered: Entered | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """What a patch asks for one key. `context` None means every context; `negatives` None leaves them as they are."""

    definition: Definition
    pointer: str
    context: Context | None = ANY_TIME
    clears: bool = False
    positive: Said | None = None
    negatives: tuple[Said, ...] | None = None

    @property
    def said(self) -> tuple[Said, ...]:
        return (*((self.positive,) if self.positive else ()), *(self.negatives or ()))


def parse_scope(text: str) -> Scope:
    """`profile`, `room`, or `brand:ID`, `property:ID`, `stay:ID`. Raises InvalidEdit naming the parameter."""
    kind, colon, scope_id = text.partition(":")
    if text in ("", "profile"):
        return PROFILE
    if text == "room":
        return Scope(ScopeKind.ROOM)
    if not colon or kind not in ("brand", "property", "stay") or not SCOPE_ID.fullmatch(scope_id):
        detail = "must be profile, room, brand:ID, property:ID or stay:ID"
        raise InvalidEdit([Fault("scope", "BAD_SCOPE", detail)])
    return Scope(ScopeKind(kind), scope_id)


def parse_instant(raw: object) -> datetime | None:
    """An RFC 3339 date and time with its offset, in UTC; None for anything else."""
    if not isinstance(raw, str) or not INSTANT.fullmatch(raw):
        return None
    try:
        return datetime.fromisoformat(raw.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def write_instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def read(catalogue: Catalogue, patch: object, scope: Scope, at: datetime, faults: list[Fault]) -> list[Member]:
    """Every member that is right; what is wrong with the others is added to `faults`."""
    if not isinstance(patch, Mapping):
        faults.append(Fault("", "WRONG_TYPE", "must be an object with preference keys as its members"))
        return []
    if len(patch) > KEYS_MAX:
        faults.append(Fault("", "TOO_MANY_KEYS", f"must name at most {KEYS_MAX} keys, not {len(patch)}"))
        return []
    members = []
    for key, raw in patch.items():
        pointer = f"/{escape(str(key))}"
        definition = catalogue.get(key) if isinstance(key, str) else None
        if definition is None:
            faults.append(Fault(pointer, "UNKNOWN_KEY", "is not a key of the catalogue"))
        elif raw is None:
            members.append(Member(definition, pointer, context=None, clears=True))
        elif definition.deprecated_by:
            detail = f"is deprecated: write {definition.deprecated_by} instead"
            faults.append(Fault(pointer, "DEPRECATED", detail))
        elif scope.kind not in definition.scopes:
            allowed = ", ".join(kind.value for kind in ScopeKind if kind in definition.scopes)
            faults.append(Fault(pointer, "SCOPE_NOT_ALLOWED", f"takes no scope {scope.kind}; only: {allowed}"))
        else:
            found = len(faults)
            member = _Reader(definition, pointer, at, faults).member(raw)
            if len(faults) == found:
                members.append(member)
    return members


class _Reader:
    """Reads one member; every method adds to the shared faults and goes on."""

    def __init__(self, definition: Definition, pointer: str, at: datetime, faults: list[Fault]) -> None:
        self.definition, self.pointer, self.at, self.faults = definition, pointer, at, faults

    def fault(self, where: str, code: str, detail: str) -> None:
        self.faults.append(Fault(self.pointer + where, code, detail))

    def member(self, raw: object) -> Member:
        definition = self.definition
        if isinstance(raw, Mapping) and ("value" in raw or "not" in raw):
            return self.wrapped(raw)
        if isinstance(raw, Mapping) and not isinstance(definition.kind, values.Object) and set(raw) <= set(WRAPPED):
            self.fault("/value", "MISSING_FIELD", "the wrapped form needs value or not")
            return Member(definition, self.pointer)
        return Member(definition, self.pointer, positive=self.value(raw, None, "", self.usual_strength(), None))

    def wrapped(self, raw: Mapping[str, Any]) -> Member:
        definition = self.definition
        for unknown in sorted(str(name) for name in set(raw) - set(WRAPPED)):
            self.fault(f"/{escape(unknown)}", "UNKNOWN_FIELD", "is not a member; known: " + ", ".join(WRAPPED))
        context = self.context(raw.get("context"))
        expires_at = self.expiry(raw.get("expires_at"))
        strength = self.strength(raw.get("strength"), "/strength")
        unit = self.unit(raw.get("unit"))
        negatives = self.negatives(raw["not"], expires_at) if "not" in raw else None
        bare = raw.get("value")
        if strength.is_negative and strength is not definition.fixed_strength:
            if negatives is not None:
                self.fault("/strength", "STRENGTH_NOT_ALLOWED", "with not, the value itself must be a wish or a need")
            refused = self.refusal(bare, strength, expires_at, "/value")
            return Member(definition, self.pointer, context, negatives=(refused,))
        if strength is Strength.NO_PREFERENCE:
            if bare is not None:
                self.fault("/value", "VALUE_NOT_ALLOWED", "must be null with strength no_preference")
            said = Said(None, strength, expires_at)
            return Member(definition, self.pointer, context, positive=said, negatives=negatives)
        if bare is None:
            clears = "value" in raw
            return Member(definition, self.pointer, context, clears=clears, negatives=negatives)
        positive = self.value(bare, unit, "/value", strength, expires_at)
        return Member(definition, self.pointer, context, positive=positive, negatives=negatives)

    def usual_strength(self) -> Strength:
        definition = self.definition
        if definition.fixed_strength:
            return definition.fixed_strength
        return Strength.PREFERRED if Strength.PREFERRED in definition.strengths else Strength.REQUIRED

    def strength(self, raw: object, where: str) -> Strength:
        if raw is None:
            return self.usual_strength()
        allowed = ", ".join(s.value for s in Strength if s in self.definition.strengths)
        if not isinstance(raw, str) or raw not in set(Strength):
            self.fault(where, "UNKNOWN_CHOICE", f"must be one of {allowed}")
        elif Strength(raw) not in self.definition.strengths:
            self.fault(where, "STRENGTH_NOT_ALLOWED", f"this key takes only {allowed}")
        else:
            return Strength(raw)
        return self.usual_strength()

    def unit(self, raw: object) -> str | None:
        if raw is None:
            return None
        if not isinstance(raw, str):
            self.fault("/unit", "WRONG_TYPE", "must be a text")
            return None
        quantity = next(values.quantities(self.definition.kind), None)
        if quantity is None:
            self.fault("/unit", "WRONG_UNIT", "this key has no unit")
            return None
        if raw not in quantity.accepts:
            self.fault("/unit", "WRONG_UNIT", f"must be one of {', '.join(quantity.accepts)}")
            return None
        return raw

    def context(self, raw: object) -> Context:
        if raw is None:
            return ANY_TIME
        if not isinstance(raw, Mapping):
            self.fault("/context", "WRONG_TYPE", "must be an object with " + ", ".join(AXES))
            return ANY_TIME
        named: dict[str, str] = {}
        for axis, word in raw.items():
            where = f"/context/{escape(str(axis))}"
            if axis not in AXES:
                self.fault(where, "UNKNOWN_FIELD", "is not an axis; known: " + ", ".join(AXES))
            elif axis not in self.definition.contexts:
                allowed = ", ".join(self.definition.contexts) or "none"
                self.fault(where, "CONTEXT_NOT_ALLOWED", f"this key does not depend on {axis}; allowed: {allowed}")
            elif word is not None and word not in AXES[axis]:
                self.fault(where, "UNKNOWN_CHOICE", "must be one of " + ", ".join(AXES[axis]))
            elif word is not None:
                named[axis] = word
        return Context(**named)

    def expiry(self, raw: object) -> datetime | None:
        if raw is None:
            return None
        at = parse_instant(raw)
        if at is None:
            self.fault("/expires_at", "BAD_TIME", "must be an RFC 3339 date and time with its offset")
        elif at <= self.at:
            self.fault("/expires_at", "OUT_OF_RANGE", "must lie in the future")
        return at

    def value(self, raw: object, unit: str | None, where: str, strength: Strength, expires_at: datetime | None) -> Said:
        kind = self.definition.kind
        found = len(self.faults)
        value = kind.check(raw, unit, self.pointer + where, self.faults)
        entered = None
        quantity = next(values.quantities(kind), None)
        if len(self.faults) == found and quantity is not None:
            typed = values.entered_number(raw)
            if (unit or quantity.unit) != quantity.unit or typed != kind.show(value):
                entered = Entered(typed, unit or quantity.unit)
        return Said(value, strength, expires_at, entered)

    def negatives(self, raw: object, expires_at: datetime | None) -> tuple[Said, ...]:
        if raw is None:
            return ()
        if self.definition.fixed_strength or not any(s.is_negative for s in self.definition.strengths):
            self.fault("/not", "STRENGTH_NOT_ALLOWED", "this key takes no avoid or unacceptable values")
            return ()
        if not isinstance(raw, list):
            self.fault("/not", "WRONG_TYPE", "must be a list")
            return ()
        if len(raw) > NEGATIVE_IDS_MAX:
            self.fault("/not", "TOO_MANY", f"must have at most {NEGATIVE_IDS_MAX} elements")
            return ()
        said: list[Said] = []
        for i, item in enumerate(raw):
            refused = self.negative(item, f"/not/{i}", expires_at)
            if refused.value is not None and any(refused.value == other.value for other in said):
                self.fault(f"/not/{i}", "DUPLICATE", "stands in the list twice")
            said.append(refused)
        return tuple(said)

    def negative(self, item: object, where: str, expires_at: datetime | None) -> Said:
        strength = Strength.UNACCEPTABLE
        if Strength.UNACCEPTABLE not in self.definition.strengths:
            strength = Strength.AVOID
        inner = where
        if isinstance(item, Mapping):
            for unknown in sorted(str(name) for name in set(item) - {"value", "strength"}):
                self.fault(f"{where}/{escape(unknown)}", "UNKNOWN_FIELD", "is not a member; known: value, strength")
            if item.get("strength") is not None:
                strength = self.strength(item["strength"], f"{where}/strength")
                if not strength.is_negative:
                    self.fault(f"{where}/strength", "STRENGTH_NOT_ALLOWED", "must be avoid or unacceptable")
            item, inner = item.get("value"), f"{where}/value"
        return self.refusal(item, strength, expires_at, inner)

    def refusal(self, raw: object, strength: Strength, expires_at: datetime | None, where: str) -> Said:
        """A value that is not wanted; on lists and sets it names one element by its id (resolving rule 10)."""
        kind = refusable(self.definition.kind)
        if kind is None:
            self.fault(where, "STRENGTH_NOT_ALLOWED", "the elements of this key have no id by which to refuse one")
            return Said(None, strength, expires_at)
        if raw is None:
            self.fault(where, "MISSING_FIELD", "is required")
            return Said(None, strength, expires_at)
        return Said(kind.check(raw, None, self.pointer + where, self.faults), strength, expires_at)


def refusable(kind: values.Kind) -> values.Kind | None:
    """The kind of a negative: the value itself, or the id of an element; None where elements have no id."""
    if not isinstance(kind, values.Sequence):
        return kind
    if isinstance(kind.items, values.Object):
        return kind.items.fields[kind.id_field] if kind.id_field else None
    return kind.items
