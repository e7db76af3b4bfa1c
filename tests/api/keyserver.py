"""An OpenID provider's key set over HTTP, on loopback: it can fail in every way one can, and counts who asks."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from joserfc.jwk import Key

HANGS_SECONDS_MAX = 10.0


class KeyServer:
    """`mode` says what the next request gets: the keys, an error, silence, words that are no keys, another address."""

    def __init__(self, keys: Sequence[Key]) -> None:
        self.keys, self.mode, self.asked = list(keys), "keys", list[str]()
        self._closing = threading.Event()
        told = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                told._answer(self)

            def log_message(self, *_: Any) -> None:
                """What is asked is counted, not told."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self.issuer = f"http://127.0.0.1:{self._server.server_port}"
        self.jwks_url = f"{self.issuer}/keys"

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.asked.append(handler.path)
        status, body = 200, json.dumps({"keys": [key.as_dict(private=False) for key in self.keys]}).encode()
        match self.mode:
            case "500":
                status = 500
            case "hangs":
                self._closing.wait(HANGS_SECONDS_MAX)
                return
            case "nonsense":
                body = b"<html>"
            case "moved":
                status = 302
            case "endless":
                body = b" " * 300_000
        if handler.path.endswith("openid-configuration"):
            body = json.dumps({"issuer": self.issuer, "jwks_uri": self.jwks_url}).encode()
        handler.send_response(status)
        if status == 302:
            handler.send_header("Location", f"{self.issuer}/elsewhere")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def open(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def key_server(*keys: Key) -> Iterator[KeyServer]:
    server = KeyServer(keys)
    server.open()
    try:
        yield server
    finally:
        server.close()


class Canary:
    """An address that nobody has a reason to ask: it counts connections."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/keys"

    def connections(self) -> int:
        found = 0
        while True:
            try:
                self._socket.accept()[0].close()
            except BlockingIOError:
                return found
            found += 1

    def close(self) -> None:
        self._socket.close()
