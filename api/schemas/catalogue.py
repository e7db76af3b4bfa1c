"""Shapes of the catalogue: definitions with labels in one language, and what an operator may add to it."""

from typing import Any, NotRequired, TypedDict

from pydantic import with_config

from api.schemas.bodies import with_nulls
from api.schemas.preferences import FORBID, Strength


@with_config(FORBID)
class Area(TypedDict):
    id: str
    title: str
    order: int


@with_config(FORBID)
class Language(TypedDict):
    language: str
    name: str


@with_config(FORBID)
class Group(TypedDict):
    """At most `max` of the members may be stated together in one scope and context."""

    id: str
    members: list[str]
    max: int
    reason: str


@with_config(FORBID)
class SpecialWhen(TypedDict):
    strengths: list[str]
    values: list[str]


@with_config(FORBID)
class StandsFor(TypedDict):
    key: str
    time_of_day: str


@with_config(FORBID)
class Capability(TypedDict):
    name: str
    source: str


@with_config(FORBID)
class Definition(TypedDict):
    """One key with all that a client needs to draw its editor; `value` describes the kind of value."""

    key: str
    area: str
    order: int
    title: str
    help: str
    review: str
    value: dict[str, Any]
    merge: str
    scopes: list[str]
    contexts: list[str]
    strengths: list[Strength]
    sensitivity: str
    purpose: str
    purposes: NotRequired[dict[str, str]]
    surfaces: dict[str, str]
    default: Any
    clamp: str
    retention: str
    fixed_strength: NotRequired[Strength]
    special_when: NotRequired[SpecialWhen]
    stands_for: NotRequired[StandsFor]
    capability: NotRequired[Capability]
    strictest_order: NotRequired[list[Any]]
    codes: NotRequired[list[str]]
    deprecated_by: NotRequired[str]


@with_config(FORBID)
class Catalogue(TypedDict):
    """Grouped by area and ordered, in the language matched from Accept-Language."""

    version: int
    language: str
    direction: str
    languages: list[Language]
    areas: list[Area]
    strengths: dict[str, str]
    contexts: dict[str, list[str]]
    groups: list[Group]
    definitions: list[Definition]


# A member whose name is a word of Python.
_From = TypedDict("_From", {"from": Any})


@with_config(FORBID)
class PlanStep(_From):
    """Stored entries of one value, strength and scope, and what would become of them."""

    reason: str
    outcome: str
    to: Any
    strength: Strength
    scope: str
    count: int


@with_config(FORBID)
class Plan(TypedDict):
    counts: dict[str, int]
    steps: list[PlanStep]
    more_steps: int


@with_config(FORBID)
class Migrated(TypedDict):
    guests: int
    counts: dict[str, int]


@with_config(FORBID)
class CatalogueChange(TypedDict):
    """What became of a change: done at a new version, or, asked for a plan, what it would do to stored entries."""

    key: str
    version: NotRequired[int]
    definition: NotRequired[Definition]
    migrated: NotRequired[Migrated]
    plan: NotRequired[Plan]


DEFINITION_SCHEMA: dict[str, Any] = with_nulls(
    {
        "title": "DefinitionPut",
        "description": "A definition in the shape of the standard catalogue, with labels; English titles are required.",
        "type": "object",
        "properties": {
            "area": {"type": "string"},
            "definition": {"type": "object"},
            "labels": {"type": "object", "additionalProperties": {"type": "object"}},
            "rename_from": {"type": "string"},
            "deprecated_by": {"type": "string"},
        },
        "required": ["area", "definition", "labels"],
        "additionalProperties": False,
    }
)
DEFINITION_EXAMPLE: dict[str, Any] = {
    "area": "arrival",
    "definition": {
        "order": 90,
        "merge": "replace",
        "scopes": ["profile", "property", "stay"],
        "contexts": [],
        "strengths": ["preferred", "no_preference"],
        "sensitivity": "P0",
        "purpose": "service_delivery",
        "surfaces": {"front_desk": "value", "guest_app": "value"},
        "clamp": "nearest_choice",
        "retention": "stated",
        "value": {"kind": "choice", "choices": ["tea", "coffee", "water"]},
        "reasons": {
            "scopes": "A drink is a matter of place and trip.",
            "purpose": "The desk offers it.",
            "retention": "A plain wish.",
        },
    },
    "labels": {
        "en": {
            "title": "Welcome drink",
            "help": "Brought to you on arrival.",
            "choices": {"tea": "Tea", "coffee": "Coffee", "water": "Water"},
        }
    },
}
_SHOWN_EXAMPLE: dict[str, Any] = {
    "key": "lumen.arrival.drink",
    "area": "arrival",
    "order": 90,
    "title": "Welcome drink",
    "help": "Brought to you on arrival.",
    "review": "source",
    "value": {"kind": "choice", "choices": [{"id": "tea", "label": "Tea"}, {"id": "coffee", "label": "Coffee"}]},
    "merge": "replace",
    "scopes": ["stay", "property", "profile"],
    "contexts": [],
    "strengths": ["preferred", "no_preference"],
    "sensitivity": "P0",
    "purpose": "service_delivery",
    "surfaces": {"front_desk": "value", "guest_app": "value"},
    "default": None,
    "clamp": "nearest_choice",
    "retention": "stated",
}
CATALOGUE_EXAMPLE: dict[str, Any] = {
    "version": 1,
    "language": "en",
    "direction": "ltr",
    "languages": [{"language": "en", "name": "English"}],
    "areas": [{"id": "arrival", "title": "Arrival and service", "order": 7}],
    "strengths": {"required": "must", "preferred": "would like"},
    "contexts": {"trip": ["business", "leisure", "group"]},
    "groups": [],
    "definitions": [_SHOWN_EXAMPLE],
}
CHANGE_EXAMPLE: dict[str, Any] = {
    "key": "lumen.arrival.drink",
    "version": 2,
    "definition": _SHOWN_EXAMPLE,
    "migrated": {"guests": 0, "counts": {}},
}
