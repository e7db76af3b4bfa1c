"""A stream of `GET /v1/changes` that tells what a case says, part by part, and is cut when the case says so."""

from __future__ import annotations

import json
import queue
from collections.abc import Iterable, Mapping
from http.server import BaseHTTPRequestHandler
from typing import Any

from guestprefs_client.testing import Asked, FakeServer

CUT, END = "cut", "end"
PATIENCE_SECONDS = 20
type Part = Mapping[str, Any] | str


class Stream:
    """Parts of a script: an event (`event`, `id`, and `edit`, what somebody else changed so that there is something to
    tell), `{"again": ID}` tells the event of this id once more, `"cut"` breaks the connection, `"end"` is an orderly
    end. After the last part the stream stays open, and says no more until the case has more to say."""

    def __init__(self, fake: FakeServer, told: dict[str, bytes]) -> None:
        self._fake, self._told = fake, told
        self._waiting: queue.SimpleQueue[bytes | str] = queue.SimpleQueue()

    def say(self, parts: Iterable[Part], guest: str) -> None:
        for part in parts:
            self._waiting.put(part if isinstance(part, str) else self._event(part, guest))

    def _event(self, part: Mapping[str, Any], guest: str) -> bytes:
        if "again" in part:
            return self._told[part["again"]]
        if "edit" in part:
            self._fake.edit(guest, part["edit"])
        kind, place = part["event"], part.get("id", "")
        data: dict[str, Any] = {"guest": guest}
        if kind in ("snapshot", "change", "consent_withdrawn"):
            path = f"/v1/guests/{guest}/preferences"
            shown = json.loads(self._fake.answer(Asked("GET", path, {}, {})).body)
            more = {"changed": sorted(part.get("edit", {}))}
            data = {"items": [shown], "complete": True} if kind == "snapshot" else {**shown, **more}
        head = f"id: {place}\n" if place else ""
        self._told[place] = f"event: {kind}\n{head}data: {json.dumps(data)}\n\n".encode()
        return self._told[place]

    def send(self, handler: BaseHTTPRequestHandler) -> None:
        """Until it is cut, ended, or given up by whoever listens."""
        handler.send_response_only(200)
        for name, value in (("content-type", "text/event-stream"), ("transfer-encoding", "chunked")):
            handler.send_header(name, value)
        handler.end_headers()
        while (said := self._next()) not in (CUT, END):
            assert isinstance(said, bytes)
            handler.wfile.write(b"%x\r\n%b\r\n" % (len(said), said))
            handler.wfile.flush()
        if said == END:
            handler.wfile.write(b"0\r\n\r\n")
            handler.wfile.flush()

    def _next(self) -> bytes | str:
        try:
            return self._waiting.get(timeout=PATIENCE_SECONDS)
        except queue.Empty:
            return CUT
