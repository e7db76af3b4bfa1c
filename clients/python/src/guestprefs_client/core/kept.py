"""Answers as they are remembered, how fresh they are, and how they look with the user's own waiting edits on top."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from guestprefs_client.core import answers
from guestprefs_client.core.effects import Response
from guestprefs_client.models import EffectivePreferences, Preference

# A wrapped value is known by this member, in the API as here.
WRAPPED = "value"
PENDING = "pending"


@dataclass(frozen=True, slots=True)
class Meta:
    """Where an answer comes from. `stale` means that the server was not asked, or could not be, and may know better."""

    from_cache: bool
    stale: bool
    as_of: datetime
    etag: str = ""
    request_id: str = ""
    pending_writes: int = 0
    pending_keys: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class Preferences(Mapping[str, Preference]):
    """What applies for one guest, by key, and where that is known from."""

    guest: str
    version: int
    preferences: Mapping[str, Preference]
    meta: Meta
    valid_until: datetime | None = None

    def __getitem__(self, key: str) -> Preference:
        return self.preferences[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.preferences)

    def __len__(self) -> int:
        return len(self.preferences)

    def value(self, key: str, default: Any = None) -> Any:
        """The value of one key, or `default` when there is none."""
        found = self.preferences.get(key)
        return default if found is None or found.value is None else found.value

    def values_by_key(self) -> dict[str, Any]:
        return {key: found.value for key, found in self.preferences.items()}


@dataclass(frozen=True, slots=True)
class Kept:
    """One answer as it lies in a store. Times are of our wall clock, spans are told by the server's own."""

    body: str
    version: int
    etag: str = ""
    taken_at: float = 0.0
    server_ahead: float = 0.0
    valid_for: float | None = None
    age: float = 0.0
    request_id: str = ""

    @classmethod
    def of(cls, response: Response, now: float) -> Kept:
        said = answers.read(EffectivePreferences, response)
        told = answers.server_time(response)
        until = answers.moment(said.valid_until)
        return cls(
            body=response.body.decode(),
            version=said.version,
            etag=response.headers.get("etag", ""),
            taken_at=now,
            server_ahead=told - now if told is not None else 0.0,
            valid_for=until - (told if told is not None else now) if until is not None else None,
            age=answers.age_of(response),
            request_id=response.headers.get("x-request-id", ""),
        )

    def confirmed(self, response: Response, now: float) -> Kept:
        """The same after a 304. What it is valid for began to run when it was first answered."""
        told = answers.server_time(response)
        spent = max(0.0, now - self.taken_at)
        return replace(
            self,
            taken_at=now,
            server_ahead=told - now if told is not None else self.server_ahead,
            valid_for=None if self.valid_for is None else self.valid_for - spent,
            age=answers.age_of(response),
            request_id=response.headers.get("x-request-id", self.request_id),
        )

    @classmethod
    def load(cls, data: bytes) -> Kept:
        return cls(**json.loads(data))

    def dump(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    def fresh(self, now: float, max_age: float, least_version: int) -> bool:
        """Whether it will do without asking. A clock that was set back makes nothing younger."""
        spent = now - self.taken_at
        valid = self.valid_for is None or spent < self.valid_for
        return 0.0 <= spent <= max_age and valid and self.version >= least_version and not self.age

    def told(self, *, from_cache: bool, stale: bool) -> Preferences:
        said = EffectivePreferences.model_validate_json(self.body)
        until = answers.moment(said.valid_until)
        as_of = answers.told_at(self.taken_at + self.server_ahead - self.age)
        meta = Meta(from_cache, stale or self.age > 0, as_of, self.etag, self.request_id)
        until_at = None if until is None else answers.told_at(until)
        return Preferences(said.guest, said.version, said.preferences, meta, until_at)


def narrowed(known: Preferences, keys: tuple[str, ...]) -> Preferences:
    """An answer about everything, cut to what was asked for."""
    return replace(known, preferences={key: one for key, one in known.preferences.items() if key in keys})


def overlaid(known: Preferences, pending: Sequence[tuple[str, Mapping[str, Any]]]) -> Preferences:
    """With edits (scope, patch) on top that the server has not heard of yet.

    Only what says plainly what will apply is shown: a value for the profile and for every situation. Of the others
    the key is named as pending and the last known value stays.
    """
    if not pending:
        return known
    shown = dict(known.preferences)
    touched: set[str] = set()
    for scope, patch in pending:
        touched |= patch.keys()
        for key, said in patch.items() if scope == "profile" else ():
            wrapped = said if isinstance(said, dict) and WRAPPED in said else {WRAPPED: said}
            if said is None:
                shown.pop(key, None)
            elif not wrapped.get("context"):
                plain = {name: wrapped[name] for name in (WRAPPED, "unit", "strength") if name in wrapped}
                shown[key] = Preference(status=PENDING, **plain)
    meta = replace(known.meta, pending_writes=len(pending), pending_keys=frozenset(touched))
    return replace(known, preferences=shown, meta=meta)
