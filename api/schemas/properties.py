"""Shapes of a property: clock, what it and its rooms can do, television line-up, its rules. The core judges a body."""

from typing import Any, NotRequired, TypedDict

from pydantic import with_config

from api.schemas.bodies import with_nulls
from api.schemas.preferences import FORBID

_RANGE: dict[str, Any] = {
    "title": "RangeCapability",
    "type": "object",
    "properties": {
        "min": {"type": "number"},
        "max": {"type": "number"},
        "unit": {"type": "string"},
        "step": {"type": "number", "exclusiveMinimum": 0},
        "deadband": {"type": "number", "minimum": 0},
    },
    "required": ["min", "max", "unit"],
    "additionalProperties": False,
}
_CHOICES: dict[str, Any] = {
    "title": "ChoicesCapability",
    "type": "object",
    "properties": {"choices": {"type": "array", "items": {"type": "string"}}},
    "required": ["choices"],
    "additionalProperties": False,
}
_CAPABILITIES: dict[str, Any] = {"type": "object", "additionalProperties": {"anyOf": [_RANGE, _CHOICES]}}
_CHANNEL: dict[str, Any] = {
    "title": "Channel",
    "type": "object",
    "properties": {
        "network_id": {"type": "string"},
        "number": {"type": "integer", "minimum": 1},
        "genre": {"type": "string"},
        "call_sign": {"type": "string"},
    },
    "required": ["network_id", "number"],
    "additionalProperties": False,
}
_POLICY: dict[str, Any] = {
    "title": "Policy",
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "key": {"type": "string"},
        "level": {"enum": ["property", "brand"]},
        "force": {"enum": ["mandatory", "recommended"]},
        "basis": {"enum": ["law", "safety", "energy", "comfort", "brand"]},
        "context": {"type": "object", "additionalProperties": {"type": "string"}},
        "value": {},
        "unit": {"type": "string"},
        "min": {"type": "number"},
        "max": {"type": "number"},
        "allowed": {"type": "array", "items": {"type": "string"}},
        "forbidden": {"type": "array", "items": {"type": "string"}},
        "name": {"type": "string"},
    },
    "required": ["id", "key", "force", "basis"],
    "additionalProperties": False,
}
PROPERTY_SCHEMA: dict[str, Any] = with_nulls(
    {
        "title": "PropertyPut",
        "description": "A hotel as it declares itself; what is not declared is unknown, not absent.",
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "brand": {"type": "string"},
            "time_zone": {"type": "string", "description": "IANA name"},
            "warm_months": {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 12}},
            "capabilities": _CAPABILITIES,
            "rooms": {
                "type": "object",
                "additionalProperties": {
                    "type": "object",
                    "properties": {"capabilities": _CAPABILITIES},
                    "additionalProperties": False,
                },
            },
            "lineup": {"type": "array", "items": _CHANNEL},
            "policies": {"type": "array", "items": _POLICY},
        },
        "additionalProperties": False,
    }
)


@with_config(FORBID)
class Property(TypedDict):
    """A property as it was put, with its id and version."""

    id: str
    version: int
    name: NotRequired[str | None]
    brand: NotRequired[str | None]
    time_zone: NotRequired[str | None]
    warm_months: NotRequired[list[int] | None]
    capabilities: NotRequired[dict[str, Any] | None]
    rooms: NotRequired[dict[str, Any] | None]
    lineup: NotRequired[list[dict[str, Any]] | None]
    policies: NotRequired[list[dict[str, Any]] | None]


@with_config(FORBID)
class Properties(TypedDict):
    items: list[Property]
    next_cursor: str | None


DECLARED_EXAMPLE: dict[str, Any] = {
    "name": "Dallas Downtown",
    "brand": "lumen",
    "time_zone": "America/Chicago",
    "warm_months": [4, 5, 6, 7, 8, 9, 10],
    "capabilities": {"thermostat.setpoint": {"min": 16, "max": 30, "step": 0.5, "unit": "Cel", "deadband": 2.5}},
    "rooms": {"1204": {"capabilities": {"thermostat.setpoint": {"min": 18, "max": 26, "step": 0.5, "unit": "Cel"}}}},
    "lineup": [{"network_id": "espn", "number": 35, "genre": "sports"}],
    "policies": [
        {
            "id": "cool-floor",
            "key": "climate.temperature.occupied",
            "level": "property",
            "force": "mandatory",
            "basis": "energy",
            "context": {"season": "warm"},
            "min": 20,
            "unit": "Cel",
            "name": "Summer cooling floor",
        }
    ],
}
PROPERTY_EXAMPLE: dict[str, Any] = {"id": "dallas", **DECLARED_EXAMPLE, "version": 3}
PROPERTIES_EXAMPLE: dict[str, Any] = {"items": [PROPERTY_EXAMPLE], "next_cursor": None}
