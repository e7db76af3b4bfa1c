"""What speaks against an edit in the rest of the document: groups that refuse it, entries it cannot beat.

A crowded group is a fault. A value that stands though another entry refuses or outranks it is only a warning: both stay
(resolving rules 8 and 12), and the guest hears which other entry it was.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from prefs.core.catalogue import Catalogue, Definition, Merge
from prefs.core.changes import KeyChange
from prefs.core.disclosure import is_negative
from prefs.core.entries import Entry, Strength
from prefs.core.errors import Fault
from prefs.core.ranking import level_of
from prefs.core.values import element_ids, escape, leaves


@dataclass(frozen=True, slots=True)
class Warned:
    """An edit that was accepted, though another entry keeps it from being used (resolving rule 8)."""

    key: str
    code: str
    entry: str
    value: Any


def expired(entry: Entry, at: datetime) -> bool:
    return entry.expires_at is not None and entry.expires_at <= at


def crowded_groups(
    catalogue: Catalogue, entries: Iterable[Entry], changes: Sequence[KeyChange], at: datetime
) -> list[Fault]:
    """Groups that the added entries fill beyond their maximum, judged per scope, context and class."""
    candidates = [
        (group, added)
        for group in catalogue.groups
        for added in (entry for change in changes for entry in change.added)
        if any(_stands_for_member(member, added) for member in group.members)
    ]
    if not candidates:
        return []  # nearly always: most keys are in no group
    standing = [e for e in entries if not expired(e, at) and _positive_value(catalogue, e)]
    faults = []
    for group, added in candidates:
        near = [e for e in standing if (e.scope, e.context) == (added.scope, added.context)]
        near = [e for e in near if level_of(e.provenance.kind) == level_of(added.provenance.kind)]
        held = [m for m in group.members if any(_stands_for_member(m, e) for e in near)]
        if len(held) > group.maximum:
            detail = f"at most {group.maximum} of {', '.join(held)} can stand together. {group.reason}".strip()
            faults.append(Fault(f"/{escape(added.key)}", "EXCLUSIVE", detail))
    return list(dict.fromkeys(faults))


def _positive_value(catalogue: Catalogue, entry: Entry) -> bool:
    definition = catalogue.get(entry.key)
    return definition is not None and entry.value is not None and not is_negative(definition, entry)


def _stands_for_member(member: str, entry: Entry) -> bool:
    key, _, choice = member.partition("=")
    return entry.key == key and entry.value is not None and (not choice or choice in set(_texts(entry.value)))


def _texts(value: Any) -> Iterable[str]:
    return (leaf for leaf in leaves(value) if isinstance(leaf, str))


def warnings(
    definition: Definition, written: Iterable[Entry], standing: Sequence[Entry], at: datetime
) -> Iterable[Warned]:
    """What the entries of a key that were just written have against them among those that stand."""
    key = definition.key
    for new in written:
        for other in standing:
            if other.id == new.id or expired(other, at) or not _meet(new, other):
                continue
            higher = level_of(other.provenance.kind) >= level_of(new.provenance.kind)
            if higher and _refuses(definition, other, new):
                yield Warned(key, "REFUSED_ELSEWHERE", other.id, other.value)
            elif _refuses(definition, new, other) and other.strength is Strength.REQUIRED:
                yield Warned(key, "REFUSED_ELSEWHERE", other.id, new.value)
            elif higher and _outranks(definition, other, new):
                yield Warned(key, "OUTRANKED_BY_NEED", other.id, other.value)


def _refuses(definition: Definition, refusal: Entry, positive: Entry) -> bool:
    if not is_negative(definition, refusal) or refusal.strength is not Strength.UNACCEPTABLE:
        return False
    if is_negative(definition, positive) or positive.value is None:
        return False
    return str(refusal.value) in element_ids(definition.kind, positive.value)


def _outranks(definition: Definition, need: Entry, wish: Entry) -> bool:
    if definition.merge in (Merge.UNION, Merge.STRICTEST) or is_negative(definition, wish):
        return False
    return need.strength is Strength.REQUIRED and not wish.strength.is_need and need.value != wish.value


def _meet(one: Entry, other: Entry) -> bool:
    """Whether two entries can ever hold at the same time and place."""
    if one.scope.kind is other.scope.kind and one.scope.id != other.scope.id:
        return False
    mine, theirs = one.context.named(), other.context.named()
    return all(theirs.get(axis, word) == word for axis, word in mine.items())
