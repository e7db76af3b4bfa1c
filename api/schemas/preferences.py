"""Shapes of effective preferences: what applies, how it came about, and what an edit may say."""

from typing import Annotated, Any, Literal, NotRequired, TypedDict

from pydantic import ConfigDict, Field, with_config

from api.schemas.bodies import Body
from api.schemas.fields import Id, Moment
from api.schemas.problems import Problem

FORBID = ConfigDict(extra="forbid")
BATCH_GUESTS_MAX = 1000

Status = Literal[
    "applied",
    "clamped",
    "substituted",
    "unmet",
    "suppressed_by_policy",
    "withheld_no_consent",
    "withheld_no_record",
    "no_preference",
    "default",
]
Strength = Literal["required", "preferred", "avoid", "unacceptable", "no_preference"]


@with_config(FORBID)
class Entered(TypedDict):
    """What was typed, to the digit."""

    value: Any
    unit: str


# Members whose names are words of Python: `from` and `not`.
_From = TypedDict("_From", {"from": Any})


@with_config(FORBID)
class ReasonStep(_From):
    """One rule that altered the value."""

    code: str
    to: Any


@with_config(FORBID)
class Reason(TypedDict):
    """Why the value is not plainly what was asked for: a code for programs, a sentence for people."""

    code: str
    requested: NotRequired[Any]
    entered: NotRequired[Entered]
    policy: NotRequired[str]
    missing: NotRequired[Any]
    steps: NotRequired[list[ReasonStep]]
    text: NotRequired[str]


@with_config(FORBID)
class Negative(TypedDict):
    value: Any
    strength: Strength
    layer: str


@with_config(FORBID)
class Considered(TypedDict):
    """A candidate that did not win, and why."""

    entry: NotRequired[str]
    layer: str
    value: Any
    strength: Strength
    context: NotRequired[dict[str, str]]
    code: str
    text: NotRequired[str]


@with_config(FORBID)
class ActionElement(TypedDict):
    text: str
    count: NotRequired[int]
    strength: NotRequired[Strength]


_Not = TypedDict("_Not", {"not": NotRequired[list[Negative]]})


@with_config(FORBID)
class Preference(_Not):
    """What applies for one key. A surface that only acts gets `action` and `elements` in place of value and reason."""

    value: NotRequired[Any]
    unit: NotRequired[str]
    entered: NotRequired[Entered]
    strength: NotRequired[Strength]
    status: Status
    layer: NotRequired[str | None]
    reason: NotRequired[Reason]
    device_value: NotRequired[Any]
    considered: NotRequired[list[Considered]]
    action: NotRequired[str | None]
    elements: NotRequired[list[ActionElement]]


@with_config(FORBID)
class EffectivePreferences(TypedDict):
    """What applies; `valid_until` is left out when only a write can change it."""

    guest: str
    version: int
    valid_until: NotRequired[str]
    preferences: dict[str, Preference]


@with_config(FORBID)
class Warning(TypedDict):
    """An edit that was stored and will not have its way, and what stands before it."""

    key: str
    code: str
    entry: str
    text: str


@with_config(FORBID)
class Edited(TypedDict):
    """The guest's version after the edit, and every touched key as it applies now. Imported keys that wait for the
    guest's consent are named in `waiting_for_consent` and stored nowhere else."""

    guest: str
    version: int
    preferences: dict[str, Preference]
    warnings: list[Warning]
    waiting_for_consent: NotRequired[list[str]]


@with_config(FORBID)
class BatchItem(TypedDict):
    """One guest's answer, or the problem that this guest has; the call as a whole succeeds."""

    guest: str
    version: NotRequired[int]
    valid_until: NotRequired[str]
    preferences: NotRequired[dict[str, Preference]]
    problem: NotRequired[Problem]


@with_config(FORBID)
class Batch(TypedDict):
    items: list[BatchItem]


class BatchRequest(Body):
    """Guests of one property, read through the caller's surface."""

    guests: Annotated[list[Annotated[str, Field(max_length=64)]], Field(min_length=1, max_length=BATCH_GUESTS_MAX)]
    property: Id
    keys: Annotated[list[Annotated[str, Field(max_length=120)]], Field(min_length=1, max_length=100)] | None = None
    at: Moment | None = None


PATCH_SCHEMA: dict[str, Any] = {
    "title": "PreferencesPatch",
    "description": (
        "A JSON Merge Patch (RFC 7396) over preference keys: keys not named stay, null removes all at the scope, all "
        "or none is stored. A value is bare, in the canonical unit of its key, or wrapped."
    ),
    "type": "object",
    "maxProperties": 50,
    "additionalProperties": {
        "anyOf": [
            {"$ref": "#/components/schemas/WrappedPreference"},
            {"type": ["null", "boolean", "number", "string", "array", "object"]},
        ]
    },
}
WRAPPED_SCHEMA: dict[str, Any] = {
    "title": "WrappedPreference",
    "description": "A value with how strongly, when and until when it holds; `not` replaces the list of negatives.",
    "type": "object",
    "properties": {
        "value": {},
        "unit": {"type": "string", "description": "UCUM code, such as [degF]"},
        "strength": {"enum": ["required", "preferred", "avoid", "unacceptable", "no_preference"]},
        "context": {
            "type": "object",
            "properties": {
                "time_of_day": {"enum": ["wake", "day", "evening", "sleep"]},
                "trip": {"enum": ["business", "leisure", "group"]},
                "party": {"enum": ["alone", "partner", "children"]},
                "season": {"enum": ["warm", "cool"]},
            },
            "additionalProperties": False,
        },
        "expires_at": {"type": ["string", "null"], "format": "date-time"},
        "not": {"type": "array", "items": {}},
    },
    "additionalProperties": False,
}

GUEST = "gst_0199d0f0c1a27cc0a4c3f1f2b6a7d001"
PATCH_EXAMPLE: dict[str, Any] = {
    "climate.temperature.occupied": {"value": 68, "unit": "[degF]"},
    "tv.favorite_channels": [{"network_id": "espn", "genre": "sports"}],
    "lighting.brightness": None,
}
PREFERENCES_EXAMPLE: dict[str, Any] = {
    "climate.temperature.occupied": {
        "value": 18.0,
        "unit": "Cel",
        "strength": "preferred",
        "status": "clamped",
        "layer": "stated/profile",
        "reason": {
            "code": "CAPABILITY_MIN",
            "requested": 17.0,
            "steps": [{"code": "CAPABILITY_MIN", "from": 17.0, "to": 18.0}],
            "text": "This room goes down to 18 °C.",
        },
    }
}
EFFECTIVE_EXAMPLE: dict[str, Any] = {
    "guest": GUEST,
    "version": 43,
    "valid_until": "2026-12-01T21:00:00Z",
    "preferences": PREFERENCES_EXAMPLE,
}
EDITED_EXAMPLE: dict[str, Any] = {"guest": GUEST, "version": 43, "preferences": PREFERENCES_EXAMPLE, "warnings": []}
BATCH_REQUEST_EXAMPLE: dict[str, Any] = {
    "guests": [GUEST],
    "property": "dallas",
    "keys": ["climate.temperature.occupied"],
}
BATCH_EXAMPLE: dict[str, Any] = {"items": [EFFECTIVE_EXAMPLE]}
