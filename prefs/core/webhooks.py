"""Webhooks: endpoints that are told of changes, what one message says, how it is signed, and when it is tried again.

Signing follows Standard Webhooks 1.0. A message says who changed and which keys, never a value: whoever hears it reads
what they may see, as anybody else does.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from prefs.core.changes import Cursor

SECRET_PREFIX = "whsec_"
SECRET_BYTES = 32
OLD_SECRET_KEPT = timedelta(hours=24)  # how long what a rotation replaced still signs
GIVES_UP = timedelta(hours=24)  # how long an endpoint is tried that takes nothing
BACK_OFF_S, BACK_OFF_MAX_S = 5.0, 7200.0
LOG_KEPT = timedelta(days=30)
ATTEMPTS_KEPT = 20  # of one delivery
GONE = 410


class Kind(StrEnum):
    """The type of a message. All but the last two can be subscribed to; those are told to every endpoint."""

    CHANGED = "guest.changed"
    CONSENT_GIVEN = "guest.consent_given"
    CONSENT_WITHDRAWN = "guest.consent_withdrawn"
    ERASED = "guest.erased"
    STAY = "stay.changed"
    PROPERTY = "property.changed"
    CATALOGUE = "catalogue.changed"
    RESYNC = "resync"
    PING = "ping"


SUBSCRIBABLE = tuple(kind for kind in Kind if kind not in (Kind.RESYNC, Kind.PING))


class Standing(StrEnum):
    """Whether an endpoint is told anything. `gone`: its receiver said that it is no more (410)."""

    ON = "on"
    OFF = "off"
    GONE = "gone"


class State(StrEnum):
    """Of a delivery. `dropped`: there was nothing left that might be told."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class Secret:
    """What signs; with a time from which on it does not."""

    key: bytes = field(repr=False)
    until: datetime | None = None

    @property
    def text(self) -> str:
        return SECRET_PREFIX + base64.b64encode(self.key).decode()


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an endpoint has been told, and how long it has refused to hear more."""

    cursor: Cursor
    at: datetime  # when the cursor was the newest there was
    failures: int = 0
    failing_since: datetime | None = None
    next_at: datetime | None = None
    resync: bool = False  # it has to be told that something was missed


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`surface` is the projection by which it is told; `salt` makes what names guests here mean nothing elsewhere."""

    id: str
    url: str
    surface: str
    events: tuple[str, ...]
    description: str
    standing: Standing
    made_at: datetime
    version: int
    salt: str = field(repr=False)
    secrets: tuple[Secret, ...]  # the newest first
    progress: Progress
    leased_until: datetime | None = None

    def signing(self, now: datetime) -> list[bytes]:
        return [secret.key for secret in self.secrets if secret.until is None or now < secret.until]

    def rotated(self, key: bytes, now: datetime) -> "Endpoint":
        """With another secret; the one before signs beside it for a while."""
        old = replace(self.secrets[0], until=now + OLD_SECRET_KEPT)
        return replace(self, secrets=(Secret(key), old), version=self.version + 1)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One time that a message was sent: what came back, or why nothing did."""

    at: datetime
    took_ms: int
    status: int = 0
    error: str = ""
    retry_after_s: float | None = None

    @property
    def taken(self) -> bool:
        return 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message in the log, without what it says: that is made anew whenever it is sent, so that nothing is told that
    may not be told any more. `digest` stands for a guest who was erased. `next_at` is set where it was asked for again.
    """

    endpoint: str
    id: str
    kind: Kind
    state: State
    made_at: datetime
    at: datetime
    guest: str = ""
    digest: str = ""
    place: str = ""
    version: int = 0
    attempts: tuple[Attempt, ...] = ()
    tried: int = 0
    since: datetime | None = None
    next_at: datetime | None = None

    def after(self, attempt: Attempt, state: State, next_at: datetime | None = None) -> "Delivery":
        kept = (*self.attempts, attempt)[-ATTEMPTS_KEPT:]
        return replace(self, state=state, at=attempt.at, attempts=kept, tried=self.tried + 1, next_at=next_at)


@dataclass(frozen=True, slots=True)
class Message:
    """What one attempt says."""

    kind: Kind
    data: Mapping[str, Any]

    def body(self, at: datetime) -> bytes:
        told = {"type": self.kind.value, "timestamp": at.isoformat().replace("+00:00", "Z"), "data": dict(self.data)}
        return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()


def signature(keys: Sequence[bytes], id: str, timestamp: int, body: bytes) -> str:
    """The value of the header webhook-signature: one signature for each key."""
    signed = b".".join((id.encode(), str(timestamp).encode(), body))
    macs = (hmac.new(key, signed, hashlib.sha256).digest() for key in keys)
    return " ".join(f"v1,{base64.b64encode(mac).decode()}" for mac in macs)


def headers(endpoint: Endpoint, id: str, at: datetime, body: bytes) -> dict[str, str]:
    timestamp = int(at.timestamp())
    return {
        "content-type": "application/json",
        "user-agent": "guestprefs-webhooks",
        "webhook-id": id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(endpoint.signing(at), id, timestamp, body),
    }


def named(endpoint: Endpoint, *parts: object) -> str:
    """A name that only this endpoint's salt makes from these parts."""
    text = "\0".join(str(part) for part in parts)
    return hmac.new(endpoint.salt.encode(), text.encode(), hashlib.sha256).hexdigest()[:32]


def back_off_s(failures: int, chance: float, asked_s: float | None = None) -> float:
    """How long to wait after so many failures: full jitter, `chance` from 0 to 1; no less than the receiver asked."""
    most = min(BACK_OFF_MAX_S, BACK_OFF_S * float(2 ** min(failures, 30)))
    return max(chance * most, min(asked_s or 0.0, BACK_OFF_MAX_S))
