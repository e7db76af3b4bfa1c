"""What a stream is of and what it tells; what it remembers of that, so that it can say which keys are others now; and
where it stands, as text.

A guest is remembered as digests of keys and values, a few hundred bytes: which keys changed is the difference between
two answers to the same caller, so it says nothing of what that caller may not see, and misses nothing that changed for
another reason than a write: a stay, a policy, a turn of the clock.
"""

import base64
import binascii
import hashlib
import math
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from prefs.core.catalogue import Catalogue
from prefs.core.changes import Cursor
from prefs.core.sightings import may_be_special
from prefs.core.stays import Stay, turns
from prefs.services.answers import Answer

NAME_BYTES, DIGEST_BYTES = 4, 8
_WIDTH = NAME_BYTES + DIGEST_BYTES
HEARTBEAT_S, PATIENCE_MIN_S = 15.0, 0.05
PLACE_BYTES = 8
PLACE_NUMBERS = 4
FEED_KEPT = timedelta(days=7)  # how long a place is good for; what the feed tells beside changes is kept a day longer

WITHDRAWN = "withdrew "  # how the change of a withdrawal is noted


@dataclass(slots=True, eq=False)
class Wire:
    """What an event tells as whoever sends it first has written it, for all streams that tell the same."""

    content: bytes = b""


@dataclass(frozen=True, slots=True)
class Told:
    """One event of a stream; without data it only says where the stream stands. `place` is empty where the stream, if
    it were cut now, would have to go on from an earlier place.

    After `until`, by the monotonic clock, it must not be handed on any more. What it tells is then read `again`: it may
    be nothing by now."""

    kind: str
    data: dict[str, Any] | None = None
    place: str = ""
    until: float = math.inf
    again: "Callable[[], Awaitable[Told | None]] | None" = None
    wire: Wire | None = None


@dataclass(slots=True)
class Due:
    """What the feed said of one guest since it was last told."""

    version: int = 0
    keys: list[str] = field(default_factory=list)
    withdrawn: list[str] = field(default_factory=list)
    erased: bool = False
    moved: bool = False  # something beside the document: a stay, a press, what a property declares, the clock


@dataclass(slots=True)
class Walk:
    """Through the guests of a property: after whom to go on, how many at a time, and whether that was all."""

    size: int
    after: str = ""
    next: str = ""
    complete: bool = False


@dataclass(slots=True)
class Pulse:
    """When something was last said. Heartbeats come in their time, and not when something happened that the caller is
    not told: that it happened is not for them either."""

    said_at: datetime | None = None

    def is_due(self, now: datetime) -> bool:
        return self._left_s(now) <= 0

    def patience_s(self, now: datetime, turns: Iterable[datetime]) -> float:
        """Until the next heartbeat, or the next moment at which time alone changes something."""
        left_s = min([self._left_s(now), *((turn - now).total_seconds() for turn in turns)])
        return max(left_s, PATIENCE_MIN_S)

    def _left_s(self, now: datetime) -> float:
        return HEARTBEAT_S - (now - self.said_at).total_seconds() if self.said_at else 0.0


@dataclass(slots=True)
class Memory:
    """Of every guest that a stream told of, what it told, as digests; at which version; and when time alone may change
    something about the guest."""

    digests: dict[str, bytes] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    turns: dict[str, datetime] = field(default_factory=dict)

    def keep(
        self, guest: str, answer: Answer, now: datetime, stays: Iterable[Stay] = (), digests: bytes | None = None
    ) -> None:
        """`digests` of the answer, where they are known."""
        self.digests[guest] = remember(answer.body["preferences"]) if digests is None else digests
        self.versions[guest] = answer.version or 0
        self.watch_clock(guest, answer.holds_until, stays, now)

    def forget(self, guest: str, told: bytes | None = None) -> None:
        """What was read but not told; `told` is what was told before it."""
        self.digests.pop(guest, None)
        self.versions.pop(guest, None)
        self.turns.pop(guest, None)
        if told is not None:
            self.digests[guest] = told

    def watch_clock(self, guest: str, holds_until: datetime | None, stays: Iterable[Stay], now: datetime) -> None:
        moments = [*turns(list(stays), now), *([holds_until] if holds_until else [])]
        if moments:
            self.turns[guest] = min(moments)

    def turned(self, now: datetime) -> list[str]:
        """Those whose moment has come; it is forgotten."""
        due = [guest for guest, at in self.turns.items() if at <= now]
        for guest in due:
            del self.turns[guest]
        return due


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a stream is of: a guest, as at a property perhaps, or a property."""

    guest: str | None
    property: str | None
    language: str
    follow: bool


def _digest(data: str, size: int) -> bytes:
    return hashlib.blake2b(data.encode("utf-8", "replace"), digest_size=size).digest()


def remember(preferences: Mapping[str, Any]) -> bytes:
    """These answers as digests."""
    return b"".join(
        _digest(key, NAME_BYTES) + _digest(f"{key}={shown!r}", DIGEST_BYTES) for key, shown in preferences.items()
    )


def differences(before: bytes, now: bytes, preferences: Iterable[str], catalogue: Iterable[str]) -> list[str]:
    """Keys whose answer is another one than the one remembered `before`, or is gone or new. `now` is what there is to
    remember of these preferences."""
    known = dict(_remembered(before))
    changed = [
        key for key, (name, shown) in zip(preferences, _remembered(now), strict=True) if known.pop(name, None) != shown
    ]
    if known:
        changed += [key for key in catalogue if _digest(key, NAME_BYTES) in known]
    return changed


def _remembered(digests: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Of each key its name and what was told of it."""
    for at in range(0, len(digests), _WIDTH):
        yield digests[at : at + NAME_BYTES], digests[at + NAME_BYTES : at + _WIDTH]


def write_place(cursor: Cursor, at: datetime) -> str:
    """A place in the feed as the id of an event: numbers and a time, in a form that nobody need read."""
    numbers = (cursor.since, cursor.until, cursor.position, int(at.timestamp()))
    packed = b"".join(number.to_bytes(PLACE_BYTES) for number in numbers)
    return base64.urlsafe_b64encode(packed).decode()


def read_place(text: str) -> tuple[Cursor, datetime] | None:
    """None for what was never written here."""
    try:
        packed = base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError):
        return None
    if len(packed) != PLACE_BYTES * PLACE_NUMBERS:
        return None
    since, until, position, seconds = (
        int.from_bytes(packed[at : at + PLACE_BYTES]) for at in range(0, len(packed), PLACE_BYTES)
    )
    if max(since, until, position) >= 2**63 or seconds >= 2**33:
        return None
    return Cursor(since, until, position), datetime.fromtimestamp(seconds, UTC)


def visible(catalogue: Catalogue, keys: Iterable[str], preferences: dict[str, Any], surface: str) -> list[str]:
    """Which of the keys that were written a caller may be told of, where it is not known what they were told before."""

    def is_plain(key: str) -> bool:
        definition = catalogue.get(key)
        return definition is not None and surface in definition.surfaces and not may_be_special(definition)

    return [key for key in keys if key in preferences or is_plain(key)]
