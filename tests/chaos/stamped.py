"""Streams in which every event says when it was read and when it began to be sent, as a comment in front of it.

The clock is the machine's own (`time.monotonic`), so that a test in another process can hold it against the moment at
which something was acknowledged to it, and neither a slow reader nor a busy test makes an event look late.
"""

from __future__ import annotations

import time
from typing import Any

from fastapi import FastAPI

from api import streams
from api.app import create_app as real_app
from prefs.services.changes import Stream

_read_at: dict[int, float] = {}  # of what is being told, by the identity of its data
_write, _look, _items = streams.written, Stream._first_look, Stream._items
_tell = Stream._told


def stamp() -> None:
    """From now on the streams of this process do, whatever was planted in them before."""
    global _tell
    _tell = Stream._told
    streams.written = _stamped
    Stream._told = _timed  # type: ignore[method-assign]
    Stream._first_look = _timed_first  # type: ignore[method-assign]
    Stream._items = _timed_items  # type: ignore[method-assign]


async def _timed(self: Stream, *asked: Any) -> Any:
    began = time.monotonic()
    told = await _tell(self, *asked)
    if told is not None and told.data is not None:
        _read_at[id(told.data)] = began
    return told


async def _timed_first(self: Stream, guest: str) -> Any:
    began = time.monotonic()
    answer = await _look(self, guest)
    if answer is not None:
        _read_at[id(answer.body)] = began
    return answer


async def _timed_items(self: Stream, *asked: Any) -> Any:
    began = time.monotonic()
    items = await _items(self, *asked)
    for item in items:
        _read_at[id(item)] = began
    return items


def _stamped(told: streams.Told) -> bytes:
    now, data = time.monotonic(), told.data or {}
    parts = [data, *(data.get("items") or ())]
    read_at = min((found for part in parts if (found := _read_at.pop(id(part), None)) is not None), default=now)
    return b":%.6f %.6f\n%s" % (read_at, now, _write(told))


def create_app() -> FastAPI:
    stamp()
    return real_app()
