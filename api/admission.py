"""How much is worked on at once. Beyond it a request waits for a moment, and then is told 503 OVERLOADED.

A process that takes on more than it can do does all of it late, until callers give up and what it does is for nobody.
So requests that are whole get a place, one of few; the others queue, first come, first served, and not for long. A
burst may make a long queue, but when the event loop is busy and somebody came in vain it is no burst: that is overload,
until nobody was refused for a while. Then a long queue would only make everybody late, so it is kept short, and who
comes to a full one is refused before his body is read, from bytes that were made before.

In overload few places keep the rounds of the event loop short, for a refusal waits for its turn in them. Whoever has a
place may only wait for a database. So while somebody queues, a timer looks how late it comes itself: in time, and the
event loop has little to do, then one more is called in, up to a higher number. Rounds are short, though, long after
all time is taken, and then grow at once: so in overload the time that the process worked counts too, its other
threads' included, since they take it from the event loop, and some of it is kept for refusals. When even so no place
comes back for a while, whoever has one waits for something that does not answer. That is no overload: the others, who
may not need it, get places of their own.

A place is taken only when the body has come, so that whoever sends slowly waits on his own time. What operators ask is
always answered. The hot read is answered before this: it costs less than a refusal.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from time import monotonic, process_time
from typing import Any

from prometheus_client import Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.middleware import BATCH_BYTES_MAX, Refusal
from prefs import telemetry

STREAMS = frozenset(("/v1/changes",))  # answers that go on for hours: they have a place until they begin
ALWAYS_ANSWERED = frozenset(("/livez", "/readyz", "/metrics"))
AT_ONCE = 16  # writes that come together share a transaction
AT_ONCE_IN_OVERLOAD = 2  # more would not be done sooner, and the rounds of the event loop would be longer
AT_ONCE_MAX = 64  # while the event loop is not busy; one more each time that is seen
LOOK_S = 0.001  # between two looks at how busy it is
LATE_S = 0.002  # beyond this, it is busy
BUSY = 0.7  # and so it is in overload while this share of its time is taken
BUSY_S = 0.02  # lately
BURST_WAIT_S = 1.0  # how long a request may queue that came when nobody was refused for a while
WAIT_S = 0.2  # and how long one that came in overload
BURST = 64  # how many may: once nobody doubts that it is overload, they have to be done first
QUEUE = 16  # and how many in overload: what one core does in a tenth of that
OVERLOAD_S = 1.0  # how long after a refusal nothing is taken for a burst
STUCK_S = 0.1  # without one place coming back
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
        worked: Callable[[], float] = process_time,
        body_timeout_s: float = BODY_TIMEOUT_S,
        later: Callable[[float, Callable[[float], None], float], object] | None = None,
    ) -> None:
        self.app = app
        self._body_timeout_s = body_timeout_s
        self._at_once, self._few = at_once, min(at_once, AT_ONCE_IN_OVERLOAD)
        self._clock, self._worked = clock, worked  # seconds that went by, and what of them the process worked
        self._later = later  # the event loop's own way to call something later, unless given
        self._under_way = 0
        self._round = 0  # of places; those of an earlier round do not come back
        self._stuck = 0  # requests of earlier rounds
        self._moved_at = 0.0  # when a place last came back, or the first of all was given
        self._refused_at = -OVERLOAD_S  # in overload
        self._looking = False
        self._looked_at, self._worked_then = clock(), worked()
        self._busy = 0.0  # the share of one core that was taken lately
        self._queue: deque[tuple[float, asyncio.Future[int | None]]] = deque()
        _UNDER_WAY.set_function(lambda: self._under_way + self._stuck)
        _WAITING.set_function(lambda: len(self._queue))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in ALWAYS_ANSWERED:
            await self.app(scope, receive, send)
            return
        if self._under_way >= self._places() and self._is_full():
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
        if scope["path"] in STREAMS:
            await self._stream(place, scope, receive, send)
            return
        try:
            await self.app(scope, receive, send)
        finally:
            self._leave(place)

    async def _stream(self, place: int, scope: Scope, receive: Receive, send: Send) -> None:
        """What a stream costs before it begins is work like any other; afterwards it mostly waits."""
        left = False

        def leave() -> None:
            nonlocal left
            if not left:
                left = True
                self._leave(place)

        async def begun(message: Message) -> None:
            leave()
            await send(message)

        try:
            await self.app(scope, receive, begun)
        finally:
            leave()

    async def _enter(self) -> int | None:
        """Take a place, waiting for one if need be; the round it is of. None when it took too long."""
        if self._under_way < self._places():
            return self._take()
        if self._is_full():
            return None
        now = self._clock()
        turn: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self._queue.append((now + (WAIT_S if self._is_overload(now) else BURST_WAIT_S), turn))
        self._look_again()
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
        if not self._under_way and not self._stuck:
            self._moved_at = self._clock()
        self._under_way += 1
        return self._round

    def _leave(self, place: int) -> None:
        """Give the place back, to whoever has waited longest and not too long."""
        self._moved_at = self._clock()
        if place != self._round:
            self._stuck -= 1
            return
        self._under_way -= 1
        self._send_away()
        self._call_in(self._places())

    def _call_in(self, at_once: int) -> None:
        while self._queue and self._under_way < at_once:
            _, turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(self._take())

    def _look_again(self) -> None:
        if not self._looking and self._queue:
            self._looking = True
            later = self._later or asyncio.get_running_loop().call_later
            later(LOOK_S, self._look, self._clock() + LOOK_S)

    def _look(self, due: float) -> None:
        """Whether those who have places only wait; as long as somebody queues for one."""
        self._looking = False
        now = self._clock()
        self._weigh(now)
        self._send_away()
        if now - due < LATE_S:
            if now - self._moved_at > STUCK_S and self._stuck < STUCK_MAX:
                self._round += 1
                self._stuck += self._under_way
                self._under_way = 0
                self._call_in(self._places())
            elif self._under_way < AT_ONCE_MAX and not (self._busy >= BUSY and self._is_overload(now)):
                self._call_in(self._under_way + 1)
        self._look_again()

    def _weigh(self, now: float) -> None:
        """How much of its time the event loop worked lately; what was longer ago counts less."""
        worked, lasted = self._worked(), now - self._looked_at
        if lasted > 0:
            share = (worked - self._worked_then) / lasted
            self._busy += (share - self._busy) * lasted / (lasted + BUSY_S)
        self._looked_at, self._worked_then = now, worked

    def _places(self) -> int:
        return self._few if self._is_overload(self._clock()) else self._at_once

    def _is_overload(self, now: float) -> bool:
        return now - self._refused_at < OVERLOAD_S

    def _in_vain(self, now: float) -> None:
        """Somebody is refused; while the event loop has time, that is somebody else's fault."""
        if self._busy >= BUSY or self._is_overload(now):
            self._refused_at = now

    def _is_full(self) -> bool:
        """Whether nobody can be taken on, nor wait."""
        self._send_away()
        now = self._clock()
        full = len(self._queue) >= (QUEUE if self._is_overload(now) else BURST)
        if full:
            self._in_vain(now)
        return full

    def _send_away(self) -> None:
        """Refuse those who have waited too long, whenever someone comes or goes."""
        now = self._clock()
        while self._queue:
            until, turn = self._queue[0]
            if not turn.done():
                if now <= until:
                    return
                turn.set_result(None)
                self._in_vain(now)
            self._queue.popleft()


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
