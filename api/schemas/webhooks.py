"""Shapes of webhooks: endpoints, their secrets, and the log of what they were told."""

from typing import Annotated, Any, Literal, NotRequired, TypedDict

from pydantic import Field, with_config

from api.schemas.bodies import Body
from api.schemas.fields import Name
from api.schemas.preferences import FORBID

Surface = Literal[
    "thermostat", "lights", "tv", "kiosk", "housekeeping", "front_desk", "food", "engineering", "guest_app"
]
Event = Literal[
    "guest.changed",
    "guest.consent_given",
    "guest.consent_withdrawn",
    "guest.erased",
    "stay.changed",
    "property.changed",
    "catalogue.changed",
]
Status = Literal["on", "off", "gone"]
State = Literal["pending", "delivered", "dead", "dropped"]


class WebhookPut(Body):
    """Whom to tell, by which surface's projection, of what."""

    url: Annotated[str, Field(min_length=1, max_length=1000, examples=["https://pms.hotel.example/guestprefs"])]
    surface: Surface
    events: Annotated[list[Event], Field(min_length=1, max_length=20)] | None = None
    description: Name = ""
    enabled: bool = True


@with_config(FORBID)
class Webhook(TypedDict):
    """`failing_since` while the receiver takes nothing; `secret` only in the answer that made it."""

    id: str
    url: str
    surface: Surface
    events: list[Event]
    description: str
    status: Status
    created_at: str
    version: int
    failures: int
    failing_since: NotRequired[str]
    next_attempt_at: NotRequired[str]
    secret: NotRequired[str]


@with_config(FORBID)
class Webhooks(TypedDict):
    webhooks: list[Webhook]


@with_config(FORBID)
class WebhookSecret(TypedDict):
    """The new secret, told this once. Until `previous_until` messages are signed with both."""

    secret: str
    previous_until: str


@with_config(FORBID)
class DeliveryAttempt(TypedDict):
    """`http_status` of the receiver, or `error`: why it did not answer."""

    at: str
    took_ms: int
    http_status: NotRequired[int]
    error: NotRequired[str]


@with_config(FORBID)
class Ping(TypedDict):
    taken: bool
    at: str
    took_ms: int
    http_status: NotRequired[int]
    error: NotRequired[str]


@with_config(FORBID)
class Delivery(TypedDict):
    """A message, without what it says: `id` is its webhook-id, `tried` how often it was sent, `attempts` the last."""

    id: str
    type: str
    state: State
    guest: NotRequired[str]
    version: NotRequired[int]
    property: NotRequired[str]
    created_at: str
    tried_at: str
    tried: int
    attempts: list[DeliveryAttempt]
    next_attempt_at: NotRequired[str]


@with_config(FORBID)
class Deliveries(TypedDict):
    deliveries: list[Delivery]
    next_cursor: str | None


PUT_EXAMPLE: dict[str, Any] = {
    "url": "https://pms.hotel.example/guestprefs",
    "surface": "housekeeping",
    "events": ["guest.changed", "guest.erased"],
    "description": "Room boards",
}
WEBHOOK_EXAMPLE: dict[str, Any] = {
    "id": "pms",
    **PUT_EXAMPLE,
    "status": "on",
    "created_at": "2026-11-22T18:04:11Z",
    "version": 1,
    "failures": 0,
}
MADE_EXAMPLE: dict[str, Any] = {**WEBHOOK_EXAMPLE, "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="}
WEBHOOKS_EXAMPLE: dict[str, Any] = {"webhooks": [WEBHOOK_EXAMPLE]}
SECRET_EXAMPLE: dict[str, Any] = {
    "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=",
    "previous_until": "2026-11-23T18:04:11Z",
}
PING_EXAMPLE: dict[str, Any] = {"taken": True, "at": "2026-11-22T18:04:11Z", "took_ms": 41, "http_status": 204}
DELIVERY_EXAMPLE: dict[str, Any] = {
    "id": "msg_3f1c0a5f7d8e4b6f9a2c1d0e8b7a6c5d",
    "type": "guest.changed",
    "state": "dead",
    "guest": "gst_019b76da1e2f7c3a9d4b5e6f70819203",
    "version": 43,
    "created_at": "2026-11-22T18:04:11Z",
    "tried_at": "2026-11-23T18:05:40Z",
    "tried": 24,
    "attempts": [{"at": "2026-11-23T18:05:40Z", "took_ms": 12, "http_status": 500}],
}
DELIVERIES_EXAMPLE: dict[str, Any] = {"deliveries": [DELIVERY_EXAMPLE], "next_cursor": None}
