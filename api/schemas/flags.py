"""Shapes of the OpenFeature Remote Evaluation Protocol, and how an effective preference is told as a flag.

OFREP knows a flag's value, one of five reasons, a variant, and metadata of plain values. The variant is the status and
never the value: telemetry of OpenFeature SDKs sends variants on, and what a guest wishes is none of its business.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NotRequired, TypedDict

from pydantic import ConfigDict, Field, with_config

from api.schemas.bodies import Body
from api.schemas.fields import Id, Moment, PartyAxis, Trip
from api.schemas.preferences import FORBID, Status, Strength
from api.schemas.strict_json import write

Reason = Literal["STATIC", "TARGETING_MATCH", "DISABLED", "UNKNOWN"]
ErrorCode = Literal["PARSE_ERROR", "TARGETING_KEY_MISSING", "INVALID_CONTEXT", "FLAG_NOT_FOUND", "GENERAL"]

NOT_OF_THE_GUEST = ("default/", "recommended/")  # layers that are the same for everybody
NOTHING = "default"


class FlagContext(Body):
    """Whose preferences, and where and when. Applications share one context among all that they ask, so members that
    mean nothing here are passed over."""

    model_config = ConfigDict(extra="ignore")

    targeting_key: Annotated[str, Field(alias="targetingKey", min_length=1, description="The guest's id.")]
    property: Annotated[Id | None, Field(description="For which property.")] = None
    stay: Annotated[Id | None, Field(description="For which stay.")] = None
    at: Annotated[Moment | None, Field(description="At this moment instead of now.")] = None
    trip: Annotated[Trip | None, Field(description="Outranks the stay's.")] = None
    party: Annotated[PartyAxis | None, Field(description="Outranks the stay's.")] = None


class FlagRequest(Body):
    model_config = ConfigDict(extra="ignore")

    context: FlagContext


_Not = TypedDict("_Not", {"not": NotRequired[str]})


@with_config(FORBID)
class FlagMetadata(_Not):
    """Where the value comes from. `entered_value` and `entered_unit` are what was typed; `reason` is a code for
    programs, `text` its sentence; `not` is JSON: what the guest does not want or must not get."""

    status: Status
    version: int
    layer: NotRequired[str]
    strength: NotRequired[Strength]
    unit: NotRequired[str]
    entered_value: NotRequired[bool | float | str]
    entered_unit: NotRequired[str]
    device_value: NotRequired[bool | float | str]
    reason: NotRequired[str]
    text: NotRequired[str]
    valid_until: NotRequired[str]


@with_config(FORBID)
class Flag(TypedDict):
    """One effective preference. Without a `value` the application's own default holds. A surface that only acts gets
    what to do: `{"action", "elements"}`."""

    key: str
    value: NotRequired[Any]
    reason: Reason
    variant: str
    metadata: FlagMetadata


@with_config(FORBID)
class FlagSetMetadata(TypedDict):
    """The guest's version, and until when time alone changes nothing."""

    version: int
    valid_until: NotRequired[str]


@with_config(FORBID)
class Flags(TypedDict):
    """Every effective preference that the caller's surface may see and of which something is known."""

    flags: list[Flag]
    metadata: FlagSetMetadata


@with_config(FORBID)
class FlagFailure(TypedDict):
    """Why there is no answer; `key` where one flag was asked for."""

    key: NotRequired[str]
    errorCode: ErrorCode
    errorDetails: str


def flag_of(key: str, preference: Mapping[str, Any] | None, version: int | None) -> dict[str, Any]:
    """One flag, from the preference as the caller's surface may see it. What is withheld without a word and what nobody
    knows anything of are told alike."""
    value, status = (None, NOTHING) if preference is None else (_value(preference), preference["status"])
    if preference is None or (status == NOTHING and value is None):
        return _flag(key, None, "UNKNOWN", {"status": NOTHING, "version": version or 0})
    told: dict[str, Any] = {"status": status, "version": version or 0}
    entered, reason = preference.get("entered", {}), preference.get("reason", {})
    candidates = {
        **{name: preference.get(name) for name in ("layer", "strength", "unit")},
        "entered_value": entered.get("value"),
        "entered_unit": entered.get("unit"),
        "device_value": preference.get("device_value"),
        "reason": reason.get("code"),
        "text": reason.get("text"),
        "not": write(preference["not"]).decode() if preference.get("not") else None,
    }
    told |= {name: given for name, given in candidates.items() if isinstance(given, bool | int | float | str)}
    return _flag(key, value, _reason(status, preference.get("layer") or ""), told)


def flags_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """Effective preferences as a flag set."""
    version = body["version"]
    metadata = {name: body[name] for name in ("version", "valid_until") if name in body}
    return {"flags": [flag_of(key, one, version) for key, one in body["preferences"].items()], "metadata": metadata}


def _flag(key: str, value: Any, reason: Reason, metadata: dict[str, Any]) -> dict[str, Any]:
    shown = {} if value is None else {"value": value}
    return {"key": key, **shown, "reason": reason, "variant": metadata["status"], "metadata": metadata}


def _value(preference: Mapping[str, Any]) -> Any:
    if "action" not in preference:
        return preference.get("value")
    if preference["action"] is None:
        return None
    return {name: preference[name] for name in ("action", "elements") if name in preference}


def _reason(status: str, layer: str) -> Reason:
    if status.startswith("withheld"):
        return "DISABLED"
    return "STATIC" if status == NOTHING or layer.startswith(NOT_OF_THE_GUEST) else "TARGETING_MATCH"


GUEST = "gst_0199d0f0c1a27cc0a4c3f1f2b6a7d001"
REQUEST_EXAMPLE: dict[str, Any] = {"context": {"targetingKey": GUEST, "property": "dallas"}}
METADATA_EXAMPLE: dict[str, Any] = {
    "status": "clamped",
    "version": 43,
    "layer": "stated/profile",
    "strength": "preferred",
    "unit": "Cel",
    "reason": "CAPABILITY_MIN",
    "text": "This room goes down to 18 °C.",
}
FLAG_EXAMPLE: dict[str, Any] = {
    "key": "climate.temperature.occupied",
    "value": 18.0,
    "reason": "TARGETING_MATCH",
    "variant": "clamped",
    "metadata": METADATA_EXAMPLE,
}
FLAGS_EXAMPLE: dict[str, Any] = {
    "flags": [FLAG_EXAMPLE],
    "metadata": {"version": 43, "valid_until": "2026-12-01T21:00:00Z"},
}
FAILURE_EXAMPLE: dict[str, Any] = {
    "errorCode": "INVALID_CONTEXT",
    "errorDetails": "/context/trip: Input should be 'business', 'leisure' or 'group'",
}
