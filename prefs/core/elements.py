"""A value taken apart into what choices apply to: one part for a choice, a flag or an object's field, one per element
of a list or set.

Each part remembers what was asked for before anything replaced it, since a second substitution looks at the fallbacks
of what was asked, never at the fallbacks of the first substitute.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from prefs.core.catalogue import Definition
from prefs.core.values import Choice, Flag, Object, Sequence, Text, choices

type Accepts = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Part:
    """One element: as it stands in the value, its id, and the id of what the guest asked for."""

    item: Any
    id: str
    asked: str


def focus(definition: Definition) -> str:
    """The field of an object that choices apply to; empty for every other kind."""
    kind = definition.kind
    if not isinstance(kind, Object):
        return ""
    if definition.capability and definition.capability.field:
        return definition.capability.field
    return next((name for name, part in kind.fields.items() if isinstance(part, (Choice, Flag))), "")


def parts(definition: Definition, value: Any) -> list[Part] | None:
    """None for a value that choices do not apply to, such as a quantity."""
    kind = definition.kind
    if isinstance(kind, Sequence):
        return [Part(item, one, one) for item in value for one in [kind.element_id(item)]]
    if isinstance(kind, Object):
        chosen = value.get(focus(definition))
        return None if chosen is None else [_single(chosen)]
    return [_single(value)] if isinstance(kind, (Choice, Flag, Text)) else None


def _single(value: Any) -> Part:
    one = str(value).lower() if isinstance(value, bool) else str(value)
    return Part(value, one, one)


def whole(definition: Definition, value: Any, remaining: list[Part]) -> Any:
    """The value with these parts in place; None where nothing is left of it."""
    if not remaining:
        return None
    if isinstance(definition.kind, Sequence):
        return [part.item for part in remaining]
    if isinstance(definition.kind, Object):
        return value | {focus(definition): remaining[0].item}
    return remaining[0].item


def replaced(definition: Definition, part: Part, other: str) -> Part:
    """The part with another element in its place; what else the element said, such as a count, stays."""
    kind = definition.kind
    if isinstance(part.item, dict) and isinstance(kind, Sequence) and kind.id_field:
        return Part(part.item | {kind.id_field: other}, other, part.asked)
    return Part(other, other, part.asked)


def substitute(
    definition: Definition,
    given: list[Part],
    keeps: Accepts,
    takes: Accepts,
    refused: Collection[str],
) -> tuple[list[Part], list[str]]:
    """Parts that `keeps` accepts stay; the others go to the first declared fallback that `takes` accepts and nobody
    refused and that is not there already, else they go. Answers what remains and the ids that could not stay."""
    fallbacks: Mapping[str, tuple[str, ...]] = definition.fallbacks
    there = {part.id for part in given if keeps(part.id)}
    remaining: list[Part] = []
    gone: list[str] = []
    for part in given:
        if keeps(part.id):
            remaining.append(part)
            continue
        gone.append(part.asked)
        for other in fallbacks.get(part.asked, ()):
            if other not in refused and other not in there and takes(other):
                remaining.append(replaced(definition, part, other))
                there.add(other)
                break
    return remaining, gone


def universe(definition: Definition) -> tuple[str, ...]:
    """Every id the choices may take; empty where the kind is open, as with texts."""
    kind = definition.kind
    if isinstance(kind, Flag):
        return ("true", "false")
    path = focus(definition)
    if isinstance(kind, Sequence) and kind.id_field:
        path = kind.id_field
    return tuple(choice for where, choice in choices(kind) if where == path)
