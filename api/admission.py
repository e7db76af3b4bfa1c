"""How much is worked on at once. Beyond it a request waits for a moment, and then is told 503 OVERLOADED.

A process that takes on more than it can do does all of it late, until callers give up and what it does is for nobody.
So requests that are whole get a place, one of few; the others queue, first come, first served. How long one may queue
depends on the queue (controlled delay, as CoDel does with packets): a burst may wait a while, but once the queue has
not been empty for that long it is no burst, and waiting would only make everybody late. A refusal costs a few
microseconds: it is sent ahead of everything else, from bytes that were made before.

A place is taken only when the body has come, so that whoever sends slowly waits on his own time. When no place comes
back although the event loop has nothing to do, whoever has one waits for something that does not answer: that is no
overload, and others, who may not need it, get places of their own. What operators ask is always answered. The hot read
is answered before this: it costs less than a refusal.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Any

from prometheus_client import Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.middleware import BATCH_BYTES_MAX, Refusal
from prefs import telemetry

ALWAYS_ANSWERED = frozenset(("/livez", "/readyz", "/metrics"))
AT_ONCE = 32  # more than one core can serve, few enough that a refusal does not wait long for its turn among them
WAITING_MAX = 1024  # a bound for memory; time decides long before
BURST_WAIT_S = 0.2  # how long a request may queue in a burst, and how long a queue may stand and be one
STANDING_WAIT_S = 0.02  # how long it may queue once the queue stands
STUCK_S = 0.1  # without a place given back
STUCK_ROUND_S = 0.005  # an event loop that has nothing to do comes round sooner than this
STUCK_MAX = 1024  # requests under way without a place, a bound for memory

STATUS, CODE = 503, "OVERLOADED"
_OVERLOADED = Refusal(
    STATUS, CODE, "More is asked of this process than it can do; nothing was done. Try again in a moment."
)
BODY_TIMEOUT_S = 10.0
_LATE = Refusal(408, "TOO_SLOW", "The body did not come in time; nothing was done.")

_SHED = Counter("guestprefs_requests_shed", "Requests refused with 503 OVERLOADED.")
_UNDER_WAY = Gauge("guestprefs_admission_under_way", "Requests that have a place and are worked on.")
_WAITING = Gauge("guestprefs_admission_waiting", "Requests that wait for a place.")
_WAITED = Histogram(
    "guestprefs_admission_wait_seconds", "Time that queued requests waited for a place.", buckets=telemetry.BUCKETS
)


class Admission:
    """ASGI middleware; one event loop's, like everything it lets through."""

    def __init__(
        self,
        app: ASGIApp,
        at_once: int = AT_ONCE,
        clock: Callable[[], float] = monotonic,
        body_timeout_s: float = BODY_TIMEOUT_S,
    ) -> None:
        self.app = app
        self._body_timeout_s = body_timeout_s
        self._at_once = at_once
        self._clock = clock
        self._under_way = 0
        self._round = 0  # of places; those of an earlier round do not come back
        self._stuck = 0  # requests of earlier rounds
        self._moved_at = 0.0  # when a place was last given or came back
        self._suspected = False
        self._queue: deque[tuple[float, asyncio.Future[int | None]]] = deque()
        self._empty_at = 0.0  # when the queue was last seen empty
        _UNDER_WAY.set_function(lambda: self._under_way + self._stuck)
        _WAITING.set_function(lambda: len(self._queue))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in ALWAYS_ANSWERED:
            await self.app(scope, receive, send)
            return
        if self._under_way >= self._at_once and self._is_full():
            await _shed(scope, send)
            return
        try:
            receive = await _whole(scope, receive, self._body_timeout_s)
        except TimeoutError:
            await _LATE.send(scope, send, [(b"connection", b"close")])
            return
        place = await self._enter()
        if place is None:
            await _shed(scope, send)
            return
        try:
            await self.app(scope, receive, send)
        finally:
            self._leave(place)

    async def _enter(self) -> int | None:
        """Take a place, waiting for one if need be; the round it is of. None when it took too long."""
        if self._under_way >= self._at_once and self._is_full():
            return None
        if self._under_way < self._at_once:
            return self._take()
        now = self._clock()
        if not self._queue:
            self._empty_at = now
        turn: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self._queue.append((now, turn))
        try:
            place = await turn
        except asyncio.CancelledError:
            given = turn.result() if turn.done() and not turn.cancelled() else None
            if given is not None:
                self._leave(given)  # the place came together with the end of whoever waited for it
            raise
        _WAITED.observe(self._clock() - now)
        return place

    def _take(self) -> int:
        self._under_way += 1
        self._moved_at = self._clock()
        return self._round

    def _leave(self, place: int) -> None:
        """Give the place back, to whoever has waited longest and not too long."""
        if place != self._round:
            self._stuck -= 1
            return
        self._under_way -= 1
        self._moved_at = self._clock()
        self._send_away()
        self._call_in()

    def _call_in(self) -> None:
        while self._queue and self._under_way < self._at_once:
            _, turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(self._take())

    def _is_full(self) -> bool:
        """Whether nobody can be taken on, nor wait."""
        now = self._clock()
        if now - self._moved_at > STUCK_S and self._stuck < STUCK_MAX and not self._suspected:
            self._suspected = True
            loop = asyncio.get_running_loop()
            loop.call_soon(loop.call_soon, self._renew, now)
        self._send_away()
        return len(self._queue) >= WAITING_MAX

    def _renew(self, suspected_at: float) -> None:
        """The event loop came round twice. If that was soon, and nothing moved, those under way only wait."""
        self._suspected = False
        if self._moved_at < suspected_at and self._clock() - suspected_at < STUCK_ROUND_S:
            self._round += 1
            self._stuck += self._under_way
            self._under_way = 0
            self._call_in()

    def _send_away(self) -> None:
        """Refuse those who have waited too long, whenever someone comes or goes."""
        now = self._clock()
        while self._queue:
            since, turn = self._queue[0]
            patience = STANDING_WAIT_S if now - self._empty_at > BURST_WAIT_S else BURST_WAIT_S
            if not turn.done():
                if now - since <= patience:
                    return
                turn.set_result(None)
            self._queue.popleft()
        self._empty_at = now


async def _whole(scope: Scope, receive: Receive, timeout_s: float) -> Receive:
    """Read the body, up to more than any route takes, and tell it again: no place is held for a slow sender, and
    nothing at all for one who is slower than this. Raises TimeoutError."""
    names = [name for name, _ in scope["headers"]]
    if b"content-length" not in names and b"transfer-encoding" not in names:
        return receive
    messages: deque[Message] = deque()
    read = 0
    async with asyncio.timeout(timeout_s):
        while read <= BATCH_BYTES_MAX:
            message = await receive()
            messages.append(message)
            read += len(message.get("body", b""))
            if not message.get("more_body"):
                break

    async def again() -> Any:
        return messages.popleft() if messages else await receive()

    return again


async def _shed(scope: Scope, send: Send) -> None:
    _SHED.inc()
    await _OVERLOADED.send(scope, send)
