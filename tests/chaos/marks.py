"""Words that stand nowhere else, one for every key of the catalogue, every guest and every way something came to be
known: whoever finds one again knows whose it is, under which preference key, and who may be told.

Free text holds its word as it is, a language as one of its variants. A choice can only be what the catalogue names, so
every closed list of choices gets the words as further choices, by the call an operator has for that, with a label that
is told apart from the word itself. Flags, times and numbers have no room for a word: in answers they are recognised by
their key, and where they rest they lie sealed in one piece with what has.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from prefs.bootstrap import standard_catalogue
from prefs.core.catalogue import Definition, Sensitivity
from prefs.core.values import Choice, Flag, Integer, Kind, Object, Quantity, Text, choices
from prefs.core.values import Sequence as Several

CATALOGUE = standard_catalogue()
DEFINITIONS: Mapping[str, Definition] = CATALOGUE.definitions
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
LONG = 8  # letters of a word
FOUND = re.compile(r"(cnry|sdry)([0-9a-z]{4})", re.IGNORECASE)
TIMES = {"start": "08:15", "end": "19:45"}


@dataclass(frozen=True, slots=True)
class Mark:
    """A word that was said of a guest. `layer` says how it came to be known, `scope` where it holds."""

    number: int
    guest: str
    key: str
    layer: str
    scope: str = "profile"

    @property
    def id(self) -> str:
        return "".join(DIGITS[self.number // len(DIGITS) ** place % len(DIGITS)] for place in (3, 2, 1, 0))

    @property
    def word(self) -> str:
        """What is stored: the value, or a part of it."""
        return f"cnry{self.id}"

    @property
    def label(self) -> str:
        """What a choice of this word is called."""
        return f"Sdry{self.id}"


def found(text: str) -> set[tuple[str, str]]:
    """Every mark in a text: `cnry` (the word itself) or `sdry` (its label), and the mark's id."""
    return {(how.lower(), id.lower()) for how, id in FOUND.findall(text)}


def is_special(definition: Definition) -> bool:
    """Whether what is said here under this key is special-category data; where strength or value decide, they do."""
    return definition.sensitivity is Sensitivity.SC or definition.special_when is not None


def has_room(kind: Kind) -> bool:
    """Whether a value of this kind can hold a word."""
    match kind:
        case Object():
            return any(has_room(part) for part in kind.fields.values())
        case Several():
            return has_room(kind.items)
        case Text():
            return kind.name != "time" and kind.max_length >= LONG
    return isinstance(kind, Choice)


def value_of(kind: Kind, word: str, field: str = "") -> Any:
    """A value with the word wherever one fits; without a word an ordinary one."""
    match kind:
        case Choice():
            return word or kind.choices[0]
        case Text(name="language"):
            return f"en-{word}" if word else "en"
        case Text(name="time"):
            return TIMES.get(field, "08:15")
        case Text():
            return word if word and has_room(kind) else "x"
        case Flag():
            return True
        case Integer():
            return kind.minimum
        case Quantity():
            return kind.show(kind.minimum)
        case Object():
            return {name: value_of(part, word, name) for name, part in kind.fields.items()}
        case Several():
            return [value_of(kind.items, word)]
    raise AssertionError(f"no value for {kind}")


def speaks(kind: Kind) -> bool:
    """Whether an action says a word of this kind as it is: a language has no label."""
    return isinstance(kind, Several) and isinstance(kind.items, Text) and kind.items.name == "language"


def said(mark: Mark) -> Any:
    """The member of an edit that says it; as a need, where it is the need that gives something away."""
    definition = DEFINITIONS[mark.key]
    value = value_of(definition.kind, mark.word)
    needs = definition.special_when is not None and definition.special_when.strengths
    return {"value": value, "strength": "required"} if needs else value


def body(definition: Definition, marks: Sequence[Mark], *, plain: bool = False) -> dict[str, Any]:
    """The definition with the marks among its choices; `plain`: as one whose values are nothing special."""
    raw = deepcopy(dict(definition.raw))
    words = [mark.word for mark in marks]
    _widen(raw["value"], words)
    if raw["merge"] == "strictest" and isinstance(definition.kind, Choice):
        raw["strictest_order"] = [*raw["strictest_order"], *words]
    if "values" in raw.get("special_when", {}):
        raw["special_when"]["values"] += words
    if plain:
        raw["sensitivity"] = "P1"
        raw.pop("special_when", None)
        raw["reasons"].pop("special_when", None)
    known = CATALOGUE.labels["en"].keys[definition.key]
    picks = {choice for _, choice in choices(definition.kind)}
    named = {pick: known.choices[pick] for pick in sorted(picks)}
    labels = {"title": known.title, "help": known.help, "choices": named, "fields": dict(known.fields)}
    if picks:
        named |= {mark.word: mark.label for mark in marks}
    if known.actions:
        labels["actions"] = dict(known.actions)
    return {"area": definition.area, "definition": raw, "labels": {"en": labels}}


def _widen(raw: Any, words: Sequence[str]) -> None:
    """Every list of choices in the written form of a kind takes the words too."""
    if raw.get("kind") == "choice":
        raw["choices"] = [*raw["choices"], *words]
    for part in (raw.get("items"), *raw.get("fields", {}).values()):
        if part:
            _widen(part, words)
