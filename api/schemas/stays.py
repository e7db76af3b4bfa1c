"""Shapes of a stay: who, where, from when until when, in which room, travelling how and with whom."""

from typing import Annotated, Any, NotRequired, TypedDict

from pydantic import Field, with_config

from api.schemas.bodies import Body
from api.schemas.fields import Id, Moment, StayStatus, Trip
from api.schemas.preferences import FORBID, GUEST


class PartyBody(Body):
    adults: Annotated[int, Field(ge=0, le=50)] = 1
    children: Annotated[int, Field(ge=0, le=50)] = 0


class StayPut(Body):
    """A stay as the property's system knows it; putting it again replaces it."""

    guest: Annotated[str, Field(min_length=1, max_length=64)]
    property: Id
    arrival: Moment
    departure: Moment
    room: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$")] | None = None
    trip: Trip | None = None
    party: PartyBody | None = None
    status: StayStatus = "booked"


@with_config(FORBID)
class Party(TypedDict):
    adults: int
    children: int


@with_config(FORBID)
class Stay(TypedDict):
    stay: str
    guest: str
    property: str
    arrival: str
    departure: str
    room: NotRequired[str | None]
    trip: NotRequired[str | None]
    party: NotRequired[Party | None]
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
STAY_EXAMPLE: dict[str, Any] = {"stay": "R-88123", **STAY_BODY_EXAMPLE, "version": 1}
