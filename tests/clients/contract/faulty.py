"""A server on loopback that behaves as the fake one does, except where the script of a case says otherwise."""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from guestprefs_client.testing import Answer, Asked, FakeServer

from tests.clients.contract.streams import CUT, Part, Stream
from tests.clients.surroundings import MovedClock

HANG_SECONDS_MAX = 20


@dataclass(slots=True)
class Script:
    """What the next requests meet. Words of an action:

    `status` answers with a problem of that status; `headers` are added to whatever is answered; `body` replaces it.
    `drop` closes the connection: "before" the request is done, or "after". `hang` never answers, before or after.
    `hold` keeps the answer back until the case lets it go. `cut` sends so many bytes of the answer and closes. `then`
    lets somebody else edit (guest: patch) right after the request was done. `stream` begins a stream that tells these
    parts (`streams.py`).
    An empty action, and none, is plain service.
    """

    actions: list[dict[str, Any]] = field(default_factory=list)
    down: bool = False


class FaultyServer:
    def __init__(self) -> None:
        self.fake = FakeServer(MovedClock())
        self.script = Script()
        self.heard: list[Asked] = []
        self._gone = threading.Event()
        self._turn = threading.Lock()
        self._came = threading.Condition(self._turn)
        self._let_go = threading.Event()
        self._streams: list[tuple[Stream, str]] = []
        self._told: dict[str, bytes] = {}
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> FaultyServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._gone.set()
        self.let_go()
        self.cut()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        faulty = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = HANG_SECONDS_MAX

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                split = urlsplit(self.path)
                headers = {name.lower(): value for name, value in self.headers.items()}
                params = dict(parse_qsl(split.query, keep_blank_values=True))
                faulty.meet(self, Asked(self.command, split.path, params, headers, body))

            do_GET = do_PATCH = do_POST = do_PUT = do_DELETE = handle_any

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing: what was asked is kept in `heard`."""

        return Handler

    def meet(self, handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        with self._turn:
            self.heard.append(asked)
            self._came.notify_all()
            action = {"drop": "before"} if self.script.down else (self.script.actions or [{}]).pop(0)
            before = "before" in (action.get("drop"), action.get("hang"))
            stream = self._stream(asked, action["stream"]) if "stream" in action else None
            answer = None if before or stream else self._answered(asked, action)
        if stream is not None:
            with suppress(OSError):  # whoever listened has left
                stream.send(handler)
            _close(handler)
            return
        if "hold" in action:
            self._let_go.wait(HANG_SECONDS_MAX)
        if "hang" in action:
            self._gone.wait(HANG_SECONDS_MAX)
        if answer is None or "drop" in action or "hang" in action:
            _close(handler)
            return
        self._send(handler, answer, action.get("cut"))

    def _stream(self, asked: Asked, parts: Sequence[Part]) -> Stream:
        stream, guest = Stream(self.fake, self._told), asked.params["guest"]
        stream.say(parts, guest)
        self._streams.append((stream, guest))
        return stream

    def say(self, parts: Sequence[Part]) -> None:
        """What the newest stream tells next."""
        with self._turn:
            stream, guest = self._streams[-1]
            stream.say(parts, guest)

    def wait_for(self, count: int) -> None:
        """Until so many requests have come since they were last compared."""
        with self._came:
            assert self._came.wait_for(lambda: len(self.heard) >= count, HANG_SECONDS_MAX), f"{len(self.heard)} came"

    def let_go(self) -> None:
        """Answer what was held back."""
        self._let_go.set()

    def cut(self) -> None:
        """Every stream that is open."""
        with self._turn:
            for stream, guest in self._streams:
                stream.say([CUT], guest)
            self._streams.clear()

    def _answered(self, asked: Asked, action: Mapping[str, Any]) -> Answer:
        if "status" in action:
            self.fake.fail(action["status"], action.get("code", "UNAVAILABLE"))
        answer = self.fake.answer(asked)
        for guest, patch in action.get("then", {}).items():
            self.fake.edit(guest, patch)
        body = action["body"].encode() if "body" in action else answer.body
        return Answer(answer.status, {**answer.headers, **action.get("headers", {})}, body)

    @staticmethod
    def _send(handler: BaseHTTPRequestHandler, answer: Answer, cut: int | None) -> None:
        handler.send_response_only(answer.status)
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        handler.send_header("content-length", str(len(answer.body)))
        handler.end_headers()
        handler.wfile.write(answer.body[:cut])
        handler.wfile.flush()
        if cut is not None:
            _close(handler)


def _close(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True
    with suppress(OSError):  # the client was quicker
        handler.connection.shutdown(socket.SHUT_RDWR)
