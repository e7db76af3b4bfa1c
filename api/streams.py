"""Server-sent events over plain ASGI: how an event looks on the wire, and what becomes of slow readers.

A stream sends one event at a time and takes the next from the service only when the server has taken that one, so
what waits for a slow reader is bounded by what the service keeps. A reader who takes nothing for half a minute is cut.

What was read may be told for a moment only: the last thing before the bytes are handed over is to look whether that
moment is over, and what the server does not take by then is taken back. Then it is read again.
"""

import asyncio
import random
import time
from collections import Counter as Counts
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, Protocol

from prometheus_client import Counter, Gauge
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.schemas import strict_json
from prefs.core.callers import Caller, Role
from prefs.core.errors import PrefsError, Unavailable

MEDIA_TYPE = "text/event-stream"
SEND_TIMEOUT_S = 30.0
READINGS_MAX = 8  # of one event, each of them too slow to be told
AT_ONCE_S = 0.02  # what the server takes within that did not have to wait for the reader
RETRY_MS = 1000
LEAVE_MS = (500, 5000)  # a server that goes must not have all of its streams come to the next one at once
STREAMS_MAX = 4096  # of a process
SYSTEMS_FACTOR = 8  # how many more streams a service or operator may have than anybody else

_OPEN = Gauge("guestprefs_streams_open", "Streams that are open in this process.")
_ENDED = Counter("guestprefs_streams_ended", "Streams that ended, by why.", ["why"])
_AGAIN = Counter("guestprefs_stream_events_read_again", "Events that were read again because they came too late.")


class Wire(Protocol):
    """What all streams that tell the same send, once one of them has written it."""

    content: bytes


class Told(Protocol):
    """One event, as the service tells it."""

    @property
    def kind(self) -> str: ...
    @property
    def data(self) -> dict[str, Any] | None: ...
    @property
    def place(self) -> str: ...
    @property
    def until(self) -> float: ...
    @property
    def again(self) -> "Callable[[], Awaitable[Told | None]] | None": ...
    @property
    def wire(self) -> Wire | None: ...


class Seats:
    """How many streams each caller has in this process."""

    def __init__(self, per_caller: int) -> None:
        self._per_caller = per_caller
        self._taken: Counts[tuple[str, str]] = Counts()
        self._open = 0

    def take(self, caller: Caller) -> Callable[[], None]:
        """A seat, given back by calling what is returned. Raises HTTPException 429 and Unavailable."""
        who = (caller.role.value, caller.subject)
        most = self._per_caller * (SYSTEMS_FACTOR if caller.role in (Role.SERVICE, Role.OPERATOR) else 1)
        if self._taken[who] >= most:
            detail = f"This caller has {most} streams open; one stream can follow a whole property."
            raise HTTPException(429, detail, {"retry-after": "5"})
        if self._open >= STREAMS_MAX:
            raise Unavailable("This process has as many streams open as it can serve.")
        self._taken[who] += 1
        self._open += 1
        _OPEN.inc()
        given_back = False

        def give_back() -> None:
            nonlocal given_back
            if not given_back:
                given_back = True
                self._taken[who] -= 1
                self._open -= 1
                _OPEN.dec()
                if not self._taken[who]:
                    del self._taken[who]

        return give_back


def written(told: Told) -> bytes:
    """An event on the wire. Where there is nothing to tell, a comment: it keeps the connection and moves the place."""
    if told.kind == "leave":
        return b"retry: %d\n\n" % random.randint(*LEAVE_MS)
    place = b"id: %s\n" % told.place.encode() if told.place else b""
    if told.data is None:
        return b":\n%s\n" % place
    if told.wire is None:
        data = strict_json.write(told.data)
    else:
        data = told.wire.content = told.wire.content or strict_json.write(told.data)
    return b"event: %s\n%sdata: %s\n\n" % (told.kind.encode(), place, data)


class EventStream(Response):
    """Answers with what a service tells, until it ends or the reader is gone."""

    media_type = MEDIA_TYPE

    def __init__(
        self,
        telling: AsyncGenerator[Told],
        *after: Callable[[], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`after` is called when it is over, also where it never began. `monotonic` is the clock of `Told.until`."""
        super().__init__(headers={"cache-control": "no-store", "x-accel-buffering": "no"}, media_type=MEDIA_TYPE)
        del self.headers["content-length"]
        self._telling = telling
        self._after = after
        self._monotonic = monotonic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        telling = asyncio.ensure_future(self._tell(send))
        leaving = asyncio.ensure_future(_gone(receive))
        try:
            await asyncio.wait((telling, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (telling, leaving):
                task.cancel()
            await asyncio.wait((telling, leaving))
            for done in self._after:
                done()
        if telling.cancelled():
            _ENDED.labels("left").inc()
            return
        _ENDED.labels(telling.result()).inc()

    async def _tell(self, send: Send) -> str:
        """Everything; why it ended."""
        why = "told"
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        try:
            await _send(send, b"retry: %d\n\n" % RETRY_MS, SEND_TIMEOUT_S)
            async with aclosing(self._telling) as events:
                async for told in events:
                    if not await self._hand_over(send, told):
                        why = "late"  # who comes back is told what is then
                        break
        except TimeoutError:
            return "slow"  # the connection is broken off: there is no way to say goodbye
        except PrefsError as refused:
            why = refused.code.lower()  # the token ended, or the database is gone: who comes back is told
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        return why

    async def _hand_over(self, send: Send, told: Told) -> bool:
        """Send it, as it was read a moment ago or is read again; False where that always comes too late."""
        for _ in range(READINGS_MAX):
            content = written(told)
            if told.again is None:
                await _send(send, content, SEND_TIMEOUT_S)
                return True
            left_s = told.until - self._monotonic()
            if left_s > 0:
                try:
                    await _send(send, content, left_s)
                except TimeoutError:
                    await self._room(send)
                else:
                    return True
            _AGAIN.inc()
            newer = await told.again()
            if newer is None:
                return True
            told = newer
        return False

    async def _room(self, send: Send) -> None:
        """Wait until the server takes at once what it is given: empty parts, of which nothing goes over the wire."""
        while True:
            asked_at = self._monotonic()
            await _send(send, b"", SEND_TIMEOUT_S)
            if self._monotonic() - asked_at < AT_ONCE_S:
                return


async def _send(send: Send, content: bytes, patience_s: float) -> None:
    async with asyncio.timeout(patience_s):
        await send({"type": "http.response.body", "body": content, "more_body": True})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
