"""Streams in which every event says, as a comment in front of it, when its reading began, when it was written, and when
it was handed over to be sent.

The clock is the machine's own (`time.monotonic`), so that a test in another process can hold it against the moment at
which something was acknowledged to it, and neither a slow reader nor a busy test makes an event look late. The product
looks between writing and handing over whether it may: what happens to a worker there is told from what happens before.
"""

from __future__ import annotations

import time
from typing import Any

from fastapi import FastAPI

from api import streams
from api.app import create_app as real_app
from prefs.services.preferences import Preferences

_read_at: dict[int, float] = {}  # of what was read, by the identity of its preferences
_write, _send = streams.written, streams._send
_unrecorded, _batch = Preferences.unrecorded, Preferences.batch


def stamp() -> None:
    """From now on the streams of this process do."""
    streams.written = _stamped
    streams._send = _stamped_send
    Preferences.unrecorded = _timed  # type: ignore[method-assign]
    Preferences.batch = _timed_batch  # type: ignore[method-assign]


def _note(body: dict[str, Any], began: float) -> None:
    _read_at[id(body["preferences"])] = began


async def _timed(self: Preferences, *asked: Any, **more: Any) -> Any:
    began = time.monotonic()
    found = await _unrecorded(self, *asked, **more)
    _note(found.answer.body, began)
    return found


async def _timed_batch(self: Preferences, *asked: Any, **more: Any) -> Any:
    began = time.monotonic()
    batch = await _batch(self, *asked, **more)
    for item in batch:
        if item.answer is not None:
            _note(item.answer.body, began)
    return batch


def _stamped(told: streams.Told) -> bytes:
    now, data = time.monotonic(), told.data or {}
    parts = [part["preferences"] for part in (data, *data.get("items", ())) if "preferences" in part]
    read_at = min((_read_at.get(id(part), now) for part in parts), default=now)
    return b":%.6f %.6f \n%s" % (read_at, now, _write(told))


async def _stamped_send(send: Any, content: bytes, patience_s: float) -> None:
    first, _, rest = content.partition(b" \n")
    if rest and first.startswith(b":"):
        content = b"%s %.6f\n%s" % (first, time.monotonic(), rest)
    await _send(send, content, patience_s)


def create_app() -> FastAPI:
    stamp()
    return real_app()
