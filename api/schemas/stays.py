"""Shapes of a stay: who, where, from when until when, in which room, travelling how and with whom."""

from typing import Any, NotRequired, TypedDict

from pydantic import with_config

from api.schemas.bodies import with_nulls
from api.schemas.fields import GUEST_PATTERN, ID_PATTERN, StayStatus
from api.schemas.preferences import FORBID, GUEST

STAY_SCHEMA: dict[str, Any] = with_nulls(
    {
        "title": "StayPut",
        "description": "A stay as the property's system knows it; putting it again replaces it.",
        "type": "object",
        "properties": {
            "guest": {"type": "string", "pattern": GUEST_PATTERN},
            "property": {"type": "string", "pattern": ID_PATTERN},
            "arrival": {"type": "string", "format": "date-time"},
            "departure": {"type": "string", "format": "date-time", "description": "After the arrival."},
            "room": {"type": "string", "maxLength": 20, "description": "Empty until one is assigned."},
            "trip": {"enum": ["business", "leisure", "group", ""]},
            "party": {
                "type": "object",
                "properties": {
                    "adults": {"type": "integer", "minimum": 0, "maximum": 99},
                    "children": {"type": "integer", "minimum": 0, "maximum": 99},
                },
                "additionalProperties": False,
            },
            "status": {"enum": ["booked", "in_house", "checked_out", "cancelled", ""]},
        },
        "required": ["guest", "property", "arrival", "departure"],
        "additionalProperties": False,
    }
)


@with_config(FORBID)
class Party(TypedDict):
    adults: int
    children: int


@with_config(FORBID)
class Stay(TypedDict):
    """`room` and `trip` are empty until they are known."""

    id: str
    guest: str
    property: str
    room: str
    arrival: str
    departure: str
    trip: str
    party: NotRequired[Party]
    status: StayStatus
    version: int


STAY_BODY_EXAMPLE: dict[str, Any] = {
    "guest": GUEST,
    "property": "dallas",
    "arrival": "2026-11-22T23:00:00Z",
    "departure": "2026-11-25T17:00:00Z",
    "room": "1204",
    "trip": "business",
    "party": {"adults": 1, "children": 0},
    "status": "booked",
}
STAY_EXAMPLE: dict[str, Any] = {"id": "R-88123", **STAY_BODY_EXAMPLE, "version": 1}
