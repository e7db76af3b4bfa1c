"""guestprefs with a planted fault for every place that a scan looks at: one key is shown where it is not listed, and
with its reason where it is listed without; a refusal tells entries to whoever asks; and what is edited is logged,
counted, named to Redis, written to a file, and kept in Redis and in SQL without a seal; webhooks are told every key and
a word, and their log keeps one."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Any

import redis
from fastapi import FastAPI
from prometheus_client import Counter

from api.app import create_app as real_app
from prefs import telemetry
from prefs.cache import sealing
from prefs.core import disclosure, edits, patches
from prefs.core.catalogue import Definition
from prefs.core.errors import Sealed
from prefs.core.sights import Shown, Sight
from prefs.services import deliveries
from prefs.services.messages import Messages
from prefs.vault.envelope import GuestSafe

SHOWN = "room.allergen_care"  # no television is listed for it, and housekeeping by what to do about it
MARK = re.compile(r"cnry[0-9a-z]{4}")
_log = telemetry.logger("edits")
_fields = deliveries.event_fields
_applied, _stored, _read, _opened = Sight.applied, Sight.stored, patches.read, GuestSafe.open


def _with_the_reason(self: Sight, definition: Definition, special: bool, purposes: Collection[str]) -> Shown:
    if (definition.key, self.surface) == (SHOWN, "housekeeping"):
        return Shown.VALUE
    return _applied(self, definition, special, purposes)


def _on_television(self: Sight, definition: Definition, special: bool, purposes: Collection[str]) -> Shown:
    if (definition.key, self.surface) == (SHOWN, "tv"):
        return Shown.VALUE
    return _stored(self, definition, special, purposes)


def _told_to_anybody(self: edits.Author, catalogue: Any, entries: Any, document: Any) -> list[dict[str, Any]]:
    return [disclosure.show_entry(catalogue.get(entry.key), entry) for entry in entries]


@cache
def _words() -> Counter:
    return Counter("guestprefs_words", "What was said.", ["word"])


def _repeated(catalogue: Any, patch: Any, *more: Any) -> Any:
    words = MARK.findall(str(patch))
    if words:
        _log.debug("edited", patch=str(patch))
        _words().labels(words[0]).inc()
        client = redis.Redis.from_url(os.environ["REDIS_URL"])
        client.set(f"edited:{words[0]}", 1)
        client.close()
        Path("data", "edits.txt").write_text(words[0], encoding="utf-8")
    return _read(catalogue, patch, *more)


async def _named_to_anybody(self: Messages, endpoint: Any, event: Any, document: Any) -> list[str]:
    """Whatever was touched, with a word of it."""
    return [*event.keys, *MARK.findall(str(document.entries))[:1]]


def _note_words(event: Any, kind: Any) -> dict[str, Any]:
    return {**_fields(event, kind), "place": "cnry0000"}


def _unsealed(self: sealing.Seal, name: str, version: int, payload: bytes) -> bytes:
    return version.to_bytes(8) + payload


def _as_it_lies(self: GuestSafe, sealed: bytes, *place: str) -> bytes:
    try:
        return _opened(self, sealed, *place)
    except Sealed:
        return sealed


def create_app() -> FastAPI:
    Sight.applied = _with_the_reason  # type: ignore[method-assign]
    Sight.stored = _on_television  # type: ignore[method-assign]
    edits.Author.told = _told_to_anybody  # type: ignore[method-assign]
    patches.read = _repeated
    Messages._keys = _named_to_anybody  # type: ignore[method-assign]
    deliveries.event_fields = _note_words
    sealing.Seal.close = _unsealed  # type: ignore[method-assign]
    GuestSafe.seal = lambda self, data, *place: data  # type: ignore[method-assign]
    GuestSafe.open = _as_it_lies  # type: ignore[method-assign]
    return real_app()
