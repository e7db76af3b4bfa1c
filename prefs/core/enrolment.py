"""How devices and guests without an account get in: grants that staff approve, devices, links into a stay.

The rules of RFC 8628 as pure steps: each takes what is stored and a moment, and says what is to be stored instead. No
secret is stored, only its digest; the moments in bodies are whole seconds.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Self

from prefs.core.revocations import Revocation
from prefs.core.stays import Stay, StayStatus

GRANT_LASTS = timedelta(minutes=10)
POLL_SECONDS = 5
SLOWER_BY_SECONDS = 5  # RFC 8628 section 3.5
DEVICE_SILENT_MAX = timedelta(days=90)  # a device that has not asked for so long enrols again
LINK_LASTS_MAX = timedelta(days=30)
USER_CODE_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"  # no vowels, so no words; none that look like a digit
USER_CODE_LENGTH = 8
NAME_LENGTH_MAX = 100


class Kind(StrEnum):
    """Of what is stored under one roof: each has an id, a time to live, and mostly a property."""

    GRANT = "grant"
    DEVICE = "device"
    LINK = "link"


@dataclass(frozen=True, slots=True)
class Credential:
    """One of them as a store keeps it. `guest`: goes when the guest goes."""

    kind: Kind
    id: str
    body: Mapping[str, Any]
    expires_at: datetime
    property: str = ""
    guest: str = ""


@dataclass(frozen=True, slots=True)
class Changes[T]:
    """What is decided about a credential: what to store and to drop, what to revoke, and what to answer."""

    result: T
    put: Sequence[Credential] = ()
    drop: Sequence[tuple[Kind, str]] = ()
    revoke: Sequence[Revocation] = ()


type Decide[T] = Callable[[Credential | None], Changes[T]]


class GrantStatus(StrEnum):
    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"


class Poll(StrEnum):
    """What a device that asks for its token hears; the values but the first are those of RFC 8628."""

    READY = "ready"
    PENDING = "authorization_pending"
    SLOW_DOWN = "slow_down"
    DENIED = "access_denied"
    EXPIRED = "expired_token"
    INVALID = "invalid_grant"


@dataclass(frozen=True, slots=True)
class Grant:
    """A device's wish to be let in, by the digest of its user code. `jkt`: the only key that may collect the token."""

    name: str
    surface: str
    secret: str
    jkt: str
    asked_at: int
    polled_at: int = 0
    interval: int = POLL_SECONDS
    status: GrantStatus = GrantStatus.PENDING
    property: str = ""
    by: str = ""

    @classmethod
    def of(cls, credential: Credential) -> Self:
        body = dict(credential.body)
        return cls(**(body | {"status": GrantStatus(body["status"])}))

    def stored(self, id: str) -> Credential:
        return Credential(Kind.GRANT, id, asdict(self), moment_of(self.asked_at) + 2 * GRANT_LASTS, self.property)

    def polled(self, secret: str, jkt: str, now: datetime) -> tuple[Poll, "Grant"]:
        """What the device hears, and the grant as it is from then on."""
        moment = seconds_of(now)
        if secret != self.secret or self.jkt not in ("", jkt):
            return Poll.INVALID, self
        if now >= moment_of(self.asked_at) + GRANT_LASTS:
            return Poll.EXPIRED, self
        after = replace(self, polled_at=moment)
        if self.polled_at and moment < self.polled_at + self.interval:
            return Poll.SLOW_DOWN, replace(after, interval=self.interval + SLOWER_BY_SECONDS)
        match self.status:
            case GrantStatus.PENDING:
                return Poll.PENDING, after
            case GrantStatus.DENIED:
                return Poll.DENIED, after
            case GrantStatus.APPROVED:
                return Poll.READY, after


@dataclass(frozen=True, slots=True)
class Device:
    """An enrolled device: its key's thumbprint, and the digest of what it refreshes its tokens with."""

    name: str
    surface: str
    property: str
    jkt: str
    secret: str
    enrolled_at: int
    by: str
    seen_at: int

    @classmethod
    def of(cls, credential: Credential) -> Self:
        return cls(**credential.body)

    def stored(self, id: str) -> Credential:
        until = moment_of(self.seen_at) + DEVICE_SILENT_MAX
        return Credential(Kind.DEVICE, id, asdict(self), until, self.property)


@dataclass(frozen=True, slots=True)
class StayLink:
    """A way into one stay, once. `used_at` 0: not yet."""

    stay: str
    guest: str
    property: str
    secret: str
    made_at: int
    by: str
    used_at: int = 0

    @classmethod
    def of(cls, credential: Credential) -> Self:
        return cls(**credential.body)

    def stored(self, id: str, expires_at: datetime) -> Credential:
        return Credential(Kind.LINK, id, asdict(self), expires_at, self.property, self.guest)


def link_end(stay: Stay, now: datetime) -> datetime | None:
    """When a link into a stay, and every token got by it, ends at the latest; None for a stay that is over."""
    if stay.status in (StayStatus.CHECKED_OUT, StayStatus.CANCELLED) or now >= stay.departure:
        return None
    return min(stay.departure, now + LINK_LASTS_MAX)


def user_code_of(text: str) -> str:
    """A user code as somebody typed it, in the one form that is compared: letters, in capitals."""
    return "".join(letter for letter in text.upper() if letter.isalnum())


def moment_of(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def seconds_of(moment: datetime) -> int:
    return int(moment.timestamp())
