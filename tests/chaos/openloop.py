"""Load at a given rate, whatever the server does, and everything that was answered: when it was meant to be asked, how
long it took from then, and the words of the answer that a promise is about."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import math
import os
import re
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple, Self

import uvloop

from loadtests.bench import wire

STRAGGLERS_S = 5.0
PACE_S = 0.001
# Later than this it comes when the machine stood still, and what it missed would then be asked all at once.
STILL_S = 0.3
URGENT = -10  # a load that comes late measures itself
_TOLD = re.compile(rb"\r\n(cache-status|age|retry-after|x-request-id): *([^\r]+)", re.IGNORECASE)

_HEAD_END = b"\r\n\r\n"
_NUMBER = b"q-number"

BROKEN = 0  # the connection ended with the question under way
UNANSWERED = -1
REFUSED = -2  # there was no connection to ask over


class Reply(NamedTuple):
    label: str
    at: float  # seconds since the load began: when it was meant to be asked
    seconds: float
    status: int
    headers: dict[str, str]
    own: bool  # it bears the id of this very question, and tells of what was asked about


@dataclass(frozen=True, slots=True)
class Ask:
    """A request to send, by its label. `wire.Request` without an id: each question gets one of its own."""

    label: str
    request: wire.Request
    about: str = ""  # words that a good answer holds

    def numbered(self, number: int) -> bytes:
        words = _words(self.request).replace(_NUMBER, b"q-%d" % number)
        return words.replace(wire.VALUE, b"%d" % (10 + number % 89))  # a write of what is there already is none


@cache  # a load that has to think for long about each question measures itself
def _words(request: wire.Request) -> bytes:
    named = (*request.headers, ("x-request-id", _NUMBER.decode()))
    return wire.Request(request.path, request.method, named, request.body).as_bytes()


class Connection(asyncio.Protocol):
    def __init__(self, loop: OpenLoop) -> None:
        self._owner = loop
        self._buffer = bytearray()
        self.transport: Any = None
        self.asked: tuple[str, float, int] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._owner.lost(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = wire.response_end(self._buffer)
        if end:
            answer = bytes(self._buffer[:end])
            del self._buffer[:end]
            self._owner.answered(self, answer, spare=bool(self._buffer))


class OpenLoop:
    """Asks in turn, `rate` times a second over at most so many connections, until `stop`; on a thread of its own.

    With a rate of 0 each connection asks again when it was answered: what the server can do. On a core of its own, a
    load leaves to the server what the server has."""

    under_way = 0  # of all

    def __init__(
        self, port: int, asks: Sequence[Ask], rate: float, connections: int = 64, core: int | None = None
    ) -> None:
        self._port, self._asks, self._connections, self._core = port, asks, connections, core
        self.rate = rate
        self.replies: list[Reply] = []
        self.unasked = 0  # words that nobody had asked for came over a connection
        self._began = 0.0
        self._number = 0
        self._idle: deque[Connection] = deque()
        self._all: set[Connection] = set()
        self._due: deque[tuple[str, float, int]] = deque()
        self._stopping = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(target=lambda: uvloop.run(self._run()), daemon=True)

    def __enter__(self) -> Self:
        if not OpenLoop.under_way:
            # It would look through all that the tests hold, stop every load for that long, and be measured.
            gc.disable()
        OpenLoop.under_way += 1
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def end(self) -> None:
        """Ask nothing more."""
        self._stopping.set()

    def stop(self) -> list[Reply]:
        """And wait for what was asked."""
        self.end()
        self._thread.join()
        if not self._stopped:
            self._stopped = True
            OpenLoop.under_way -= 1
            if not OpenLoop.under_way:
                gc.enable()
        return self.replies

    def now(self) -> float:
        return time.perf_counter() - self._began

    def since(self, at: float, until: float = math.inf) -> list[Reply]:
        return [reply for reply in tuple(self.replies) if at <= reply.at < until]

    async def _run(self) -> None:
        if self._core is not None:
            os.sched_setaffinity(0, {self._core})
            with contextlib.suppress(PermissionError):  # only the administrator may be more urgent than the rest
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), URGENT)
        self._began = intended = time.perf_counter()
        ended: float | None = None
        while ended is None or (time.perf_counter() < ended + STRAGGLERS_S and self._under_way()):
            now = time.perf_counter()
            if self._stopping.is_set():
                ended = ended or now
            if self.rate:
                intended = max(intended, now - STILL_S)
            while ended is None and intended <= now and (self.rate or self._under_way() < self._connections):
                self._number += 1
                self._due.append((self._asks[self._number % len(self._asks)].label, intended, self._number))
                intended = intended + 1 / self.rate if self.rate else now
            await self._hand_out()
            await asyncio.sleep(PACE_S)
        left = [*self._due, *(connection.asked for connection in self._all if connection.asked)]
        self._due.clear()
        for label, at, _ in left:
            self._note(label, at, UNANSWERED, {}, own=True)
        for connection in tuple(self._all):
            connection.asked = None
            connection.transport.abort()

    def _under_way(self) -> int:
        return len(self._due) + sum(connection.asked is not None for connection in self._all)

    async def _hand_out(self) -> None:
        loop = asyncio.get_running_loop()
        while self._due:
            if not self._idle:
                if len(self._all) >= self._connections:
                    return
                try:
                    _, made = await loop.create_connection(lambda: Connection(self), "127.0.0.1", self._port)
                except OSError:
                    label, at, _ = self._due.popleft()
                    self._note(label, at, REFUSED, {}, own=True)
                    continue
                self._all.add(made)
                self._idle.append(made)
            connection = self._idle.popleft()
            if connection.transport.is_closing():
                self._all.discard(connection)
                continue
            connection.asked = self._due.popleft()
            number = connection.asked[2]
            connection.transport.write(self._asks[number % len(self._asks)].numbered(number))

    def answered(self, connection: Connection, answer: bytes, *, spare: bool) -> None:
        self.unasked += spare or connection.asked is None
        if connection.asked is not None:
            label, at, number = connection.asked
            connection.asked = None
            head = answer[: answer.index(_HEAD_END) + 2]
            told = {name.decode().lower(): value.decode() for name, value in _TOLD.findall(head)}
            status, about = wire.status_of(answer), self._asks[number % len(self._asks)].about.encode()
            own = told.get("x-request-id") == f"q-{number}" and (status != 200 or about in answer)
            self._note(label, at, status, told, own=own)
            self._idle.append(connection)

    def lost(self, connection: Connection) -> None:
        self._all.discard(connection)
        if connection.asked is not None:
            label, at, _ = connection.asked
            connection.asked = None
            self._note(label, at, BROKEN, {}, own=True)

    def _note(self, label: str, at: float, status: int, told: dict[str, str], *, own: bool) -> None:
        self.replies.append(Reply(label, at - self._began, time.perf_counter() - at, status, told, own))


def statuses(replies: Iterable[Reply]) -> dict[int, int]:
    return dict(Counter(reply.status for reply in replies))


def failed(replies: Iterable[Reply], *also: int) -> list[Reply]:
    """Neither well answered nor with one of these statuses."""
    return [reply for reply in replies if not 200 <= reply.status < 300 and reply.status not in also]


def percentile(replies: Iterable[Reply], share: float) -> float:
    """Seconds that this share of the replies took at most."""
    taken = sorted(reply.seconds for reply in replies)
    return taken[min(len(taken) - 1, math.ceil(share * len(taken)) - 1)] if taken else 0.0
