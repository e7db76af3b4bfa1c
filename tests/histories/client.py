"""A client that costs little: HTTP/1.1 as bytes over kept connections, so that three servers and thousands of reads a
second fit on two cores. A call that gets no answer, for whatever reason, is `Unanswered`."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from loadtests.bench import wire

HOST = "127.0.0.1"
PATIENCE_S = 15.0  # beyond any fault here: a longer silence is one
_VERSION = re.compile(rb"\r\npreferences-version: *(\d+)", re.IGNORECASE)
_TIER = re.compile(rb"\r\ncache-status: *[^\r]*detail=(\w+)", re.IGNORECASE)
_AGE = re.compile(rb"\r\nage: *(\d+)", re.IGNORECASE)
_COHERENCE = re.compile(rb"\r\ncoherence: *(\w+)", re.IGNORECASE)


class Unanswered(Exception):
    """The connection was refused or lost, or nothing came: what was asked may have been done or not."""


class Answer(NamedTuple):
    status: int
    head: bytes
    body: bytes

    @property
    def version(self) -> int:
        found = _VERSION.search(self.head)
        return int(found[1]) if found else 0

    @property
    def tier(self) -> str:
        found = _TIER.search(self.head)
        return found[1].decode() if found else ""

    @property
    def coherence(self) -> str:
        found = _COHERENCE.search(self.head)
        return found[1].decode() if found else ""

    @property
    def age_s(self) -> float:
        found = _AGE.search(self.head)
        return float(found[1]) if found else 0.0

    @property
    def etag(self) -> str:
        return wire.etag_of(self.head).decode()


class Line(asyncio.Protocol):
    """One connection, dialled when it is needed; one request at a time."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._waiting: asyncio.Future[Answer] | None = None

    async def ask(self, request: bytes) -> Answer:
        loop = asyncio.get_running_loop()
        if self._transport is None:
            try:
                await loop.create_connection(lambda: self, HOST, self._port)
            except OSError as error:
                raise Unanswered(str(error)) from error
        transport = self._transport
        if transport is None:
            raise Unanswered("closed at once")
        self._buffer.clear()
        waiting: asyncio.Future[Answer] = loop.create_future()
        self._waiting = waiting
        silence = loop.call_later(PATIENCE_S, transport.abort)
        transport.write(request)
        try:
            return await waiting
        finally:
            silence.cancel()
            if not waiting.done() or waiting.cancelled():
                self.close()  # an answer that still comes must not be taken for the next one's

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = wire.response_end(self._buffer)
        if end and self._waiting is not None and not self._waiting.done():
            head_end = self._buffer.find(b"\r\n\r\n") + 4
            answer = bytes(self._buffer[:end])
            self._waiting.set_result(Answer(wire.status_of(answer), answer[:head_end], answer[head_end:]))
            if b"connection: close" in answer[:head_end].lower():
                self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(Unanswered(str(exc or "closed")))


class Caller:
    """One client with a connection to each worker."""

    def __init__(self, ports: list[int]) -> None:
        self._lines = [Line(port) for port in ports]

    async def ask(self, worker: int, request: bytes) -> Answer:
        return await self._lines[worker].ask(request)

    def close(self) -> None:
        for line in self._lines:
            line.close()


@asynccontextmanager
async def callers(ports: list[int], count: int) -> AsyncIterator[list[Caller]]:
    """So many clients, whose connections are gone afterwards."""
    made = [Caller(ports) for _ in range(count)]
    try:
        yield made
    finally:
        for caller in made:
            caller.close()
        await asyncio.sleep(0)  # a transport is closed a turn after it was told to


def request(method: str, path: str, token: str, body: Any = None, headers: Mapping[str, str] | None = None) -> bytes:
    return wire.request(path, method, body, headers, token).as_bytes()
