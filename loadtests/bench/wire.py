"""HTTP/1.1 as bytes: requests that are made once and sent often, and the little of a response that is looked at."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Where the own generator puts the entity tag it last saw of a target, and a value that was not there before.
ETAG, VALUE = b"@etag@", b"@v"

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_ETAG = re.compile(rb"\r\netag: *([^\r]+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Request:
    path: str
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def as_bytes(self) -> bytes:
        lines = [f"{self.method} {self.path} HTTP/1.1", "host: 127.0.0.1"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.body:
            lines.append(f"content-length: {len(self.body)}")
        return "\r\n".join([*lines, "", ""]).encode() + self.body


def request(
    path: str, method: str = "GET", body: Any = None, headers: Mapping[str, str] | None = None, token: str = ""
) -> Request:
    """A JSON request; `body` may be ready bytes."""
    named = dict(headers or {})
    if token:
        named["authorization"] = f"Bearer {token}"
    encoded = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    if encoded:
        named.setdefault("content-type", "application/json")
    return Request(path, method, tuple(named.items()), encoded)


def response_end(buffer: bytes | bytearray) -> int:
    """Where the first response in the buffer ends; 0 while it is not whole."""
    head = buffer.find(b"\r\n\r\n")
    if head < 0:
        return 0
    length = _LENGTH.search(buffer, 0, head)
    if length:
        end = head + 4 + int(length[1])
        return end if len(buffer) >= end else 0
    if _CHUNKED.search(buffer, 0, head):
        # Nothing is pipelined, so the last chunk is the end of what has come.
        return len(buffer) if buffer.endswith(b"\r\n0\r\n\r\n") else 0
    return head + 4  # 204, 304


def response_length(head: bytes) -> int:
    """How much follows a head that says so."""
    length = _LENGTH.search(head)
    return int(length[1]) if length else 0


def status_of(buffer: bytes | bytearray) -> int:
    return int(buffer[9:12])


def etag_of(buffer: bytes | bytearray) -> bytes:
    found = _ETAG.search(buffer)
    return bytes(found[1]) if found else b""
