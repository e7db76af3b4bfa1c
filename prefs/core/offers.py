"""What a room or property offers by name: choices, languages, and the channels of its television line-up.

A wish that is not offered goes to its first declared fallback, a language to the same language of another region, a
channel to another one of the same genre.
"""

from collections.abc import Sequence as Ordered
from dataclasses import dataclass
from typing import Any

from prefs.core import elements
from prefs.core.catalogue import Definition
from prefs.core.elements import Part
from prefs.core.labels import lookup_extended
from prefs.core.restrictions import Restricted
from prefs.core.rooms import Channel, Choices
from prefs.core.values import Sequence, Text

CAPABILITY_CHOICE = "CAPABILITY_CHOICE"
CAPABILITY_UNAVAILABLE = "CAPABILITY_UNAVAILABLE"
LANGUAGE_REGION = "LANGUAGE_REGION"


@dataclass(frozen=True, slots=True)
class Offered:
    """What is left after looking at the offer. `altered` says that the guest gets something else than asked;
    a code without it tells of a difference that the definition calls no alteration."""

    value: Any
    altered: bool = False
    code: str = ""
    missing: tuple[str, ...] = ()
    device_value: Any = None


def speaks(definition: Definition) -> bool:
    """Whether the elements are language tags."""
    kind = definition.kind.items if isinstance(definition.kind, Sequence) else definition.kind
    return isinstance(kind, Text) and kind.name == "language"


def missing(definition: Definition, value: Any, choices: Choices) -> tuple[str, ...]:
    """Elements asked for that are not offered."""
    return tuple(part.id for part in elements.parts(definition, value) or () if part.id not in choices.offered)


def choose(definition: Definition, restricted: Restricted, choices: Choices, refused: frozenset[str]) -> Offered:
    given = restricted.parts or []
    if speaks(definition):
        return _choose_language(definition, restricted, given, choices, refused)

    def keeps(one: str) -> bool:
        return one in choices.offered

    def takes(one: str) -> bool:
        return one in choices.offered and restricted.allows(one)

    available = [part for part in given if keeps(part.id)]
    if len(available) == len(given):
        return Offered(restricted.value)
    gone = tuple(part.asked for part in given if not keeps(part.id))
    if available and not definition.want_all:
        value = elements.whole(definition, restricted.value, available)
        return Offered(value, code=CAPABILITY_CHOICE, missing=gone)
    remaining, _ = elements.substitute(definition, given, keeps, takes, refused)
    return _altered(definition, restricted.value, remaining, gone)


def _altered(definition: Definition, value: Any, remaining: list[Part], gone: tuple[str, ...]) -> Offered:
    after = elements.whole(definition, value, remaining)
    code = CAPABILITY_UNAVAILABLE if after is None else CAPABILITY_CHOICE
    return Offered(after, True, code, gone)


def _choose_language(
    definition: Definition, restricted: Restricted, given: list[Part], choices: Choices, refused: frozenset[str]
) -> Offered:
    """RFC 4647 Lookup, then the same language of another region, wish by wish (resolving rule 29)."""
    usable = [tag for tag in choices.offered if tag not in refused and restricted.allows(tag)]
    remaining: list[Part] = []
    gone: list[str] = []
    for part in given:
        found = lookup_extended([part.id], usable)
        if found is None:
            gone.append(part.asked)
        elif all(found != other.id for other in remaining):
            remaining.append(Part(found, found, part.asked))
    value = elements.whole(definition, restricted.value, remaining)
    if value == restricted.value:
        return Offered(value)
    if gone and (definition.want_all or not remaining):
        return _altered(definition, restricted.value, remaining, tuple(gone))
    regional = any(part.id != part.asked for part in remaining)
    return Offered(value, code=LANGUAGE_REGION if regional else CAPABILITY_CHOICE, missing=tuple(gone))


def tune(definition: Definition, restricted: Restricted, lineup: Ordered[Channel], refused: frozenset[str]) -> Offered:
    """Favourite networks found in the line-up; a network that is not there gives its place to the first channel of
    its genre that is not there yet. The guest's own genre for a network goes before the one that is known for it."""
    given = restricted.parts or []
    by_network = {channel.network_id.casefold(): channel for channel in reversed(lineup)}
    taken = {part.id.casefold() for part in given if part.id.casefold() in by_network}
    tuned: list[tuple[Part, Channel]] = []
    gone: list[str] = []
    for part in given:
        channel = by_network.get(part.id.casefold())
        if channel is not None:
            tuned.append((part, channel))
            continue
        gone.append(part.asked)
        genre = _genre(definition, part)
        for other in lineup if genre else ():
            one = other.network_id
            usable = one.casefold() not in taken and one not in refused and restricted.allows(one)
            if other.genre == genre and usable:
                taken.add(one.casefold())
                tuned.append((_retuned(definition, part, other), other))
                break
    numbers = [{"network_id": channel.network_id, "number": channel.number} for _, channel in tuned] or None
    if not gone:
        return Offered(restricted.value, device_value=numbers)
    remaining = [part for part, _ in tuned]
    altered = _altered(definition, restricted.value, remaining, tuple(gone))
    if remaining and not definition.want_all:
        return Offered(altered.value, code=altered.code, missing=altered.missing, device_value=numbers)
    return Offered(altered.value, True, altered.code, altered.missing, numbers)


def _genre(definition: Definition, part: Part) -> str:
    own = part.item.get("genre") if isinstance(part.item, dict) else ""
    return str(own or definition.genres.get(part.id) or definition.genres.get(part.id.casefold(), ""))


def _retuned(definition: Definition, part: Part, channel: Channel) -> Part:
    kind = definition.kind
    if not (isinstance(part.item, dict) and isinstance(kind, Sequence) and kind.id_field):
        return Part(channel.network_id, channel.network_id, part.asked)
    item = {kind.id_field: channel.network_id}
    if channel.call_sign:
        item["call_sign"] = channel.call_sign
    item["genre"] = channel.genre
    return Part(item, channel.network_id, part.asked)
