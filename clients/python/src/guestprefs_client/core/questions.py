"""The requests of the API's calls, as data. The same question is always the same text, so that it can be remembered."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

from guestprefs_client.core.effects import Request

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
BATCH_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked about a guest."""

    guest: str
    property: str | None = None
    stay: str | None = None
    keys: tuple[str, ...] | None = None
    at: str | None = None
    trip: str | None = None
    party: str | None = None
    explain: bool = False

    def params(self) -> tuple[tuple[str, str], ...]:
        given = {
            "property": self.property,
            "stay": self.stay,
            "keys": ",".join(self.keys) if self.keys else None,
            "at": self.at,
            "trip": self.trip,
            "party": self.party,
            "explain": "true" if self.explain else None,
        }
        return tuple((name, value) for name, value in given.items() if value is not None)

    def name(self, language: str | None) -> str:
        return urlencode([*self.params(), ("language", language or "")])

    def lasting(self) -> bool:
        """Whether the answer may be asked for again: one about a moment is about that moment only."""
        return self.at is None

    def narrow(self) -> bool:
        """Whether a 404 may be about something else than the guest."""
        return bool(self.property or self.stay)


def question(
    guest: str,
    property: str | None = None,
    stay: str | None = None,
    keys: Iterable[str] | None = None,
    at: datetime | None = None,
    trip: str | None = None,
    party: str | None = None,
    explain: bool = False,
) -> Question:
    moment = at.isoformat().replace("+00:00", "Z") if at else None
    wanted = tuple(sorted(set(keys))) if keys is not None else None
    return Question(guest, property, stay, wanted, moment, trip, party, explain)


def path(*parts: str) -> str:
    return "/v1/" + "/".join(quote(part, safe="") for part in parts)


def reading(asked: Question) -> Request:
    return Request("GET", path("guests", asked.guest, "preferences"), asked.params())


def patching(guest: str, patch: Mapping[str, Any], scope: str, property: str | None, provenance: str | None) -> Request:
    given = {"scope": scope, "property": property, "provenance": provenance}
    params = tuple((name, value) for name, value in given.items() if value is not None)
    headers = {"content-type": MERGE_PATCH}
    return Request("PATCH", path("guests", guest, "preferences"), params, headers, encoded(patch))


def batch(guests: Iterable[str], property: str, keys: tuple[str, ...] | None) -> Request:
    body: dict[str, Any] = {"guests": list(guests), "property": property}
    if keys is not None:
        body["keys"] = list(keys)
    return posting("/v1/preferences/batch", body)


def posting(address: str, body: Any = None) -> Request:
    if body is None:
        return Request("POST", address)
    return Request("POST", address, (), {"content-type": JSON}, encoded(body))


def encoded(body: Any) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
