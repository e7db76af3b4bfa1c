"""Follows the feed, once a process, for everybody in it who listens.

It looks at the store when the bell rings, which an invalidation from Redis or a write of this process does, and without
a bell at pauses that grow while nothing comes, up to less than a second: what a lost message hid is found by then. It
looks only while somebody listens. Each listener has a short queue of thin events; whoever does not empty it is cut, and
comes back with the place where it stopped.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime

from prometheus_client import Counter, Gauge

from prefs import telemetry
from prefs.core.changes import Cursor, EventKind, FeedEvent, FeedPage
from prefs.core.errors import Unavailable
from prefs.core.stays import Stay
from prefs.ports import Clock, FeedRows, Store

PAGE = 500
QUEUE_MAX = 256  # events that a listener may be behind
PAUSE_MIN_S, PAUSE_MAX_S = 0.02, 0.8
GROWTH = 1.5
REPEATS_S = 0.005  # the oldest open transaction is mostly another write that is about to end

_log = telemetry.logger("feed")
_STALLED = Gauge(
    "guestprefs_feed_stalled_seconds",
    "For how long the oldest committed change waits for an older transaction to end; looked at while streams are open.",
)
_LISTENERS = Gauge("guestprefs_feed_listeners", "Streams that hear the feed in this process.")
_EVENTS = Counter("guestprefs_feed_events", "Events heard from the feed.", ["kind"])
_CUT = Counter("guestprefs_feed_listeners_cut", "Listeners that were cut because they fell behind.")


class Bell:
    """Rung from any thread when something may have changed; heard by one event loop. Ringing twice is ringing once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._heard: asyncio.Event | None = None
        self._rung = False

    def ring(self) -> None:
        with self._lock:
            if self._loop is None or self._rung:
                return
            self._rung = True
            with suppress(RuntimeError):  # the loop is closed: nobody is left to hear
                self._loop.call_soon_threadsafe(self._strike)

    def _strike(self) -> None:
        self._rung = False
        if self._heard is not None:
            self._heard.set()

    def attend(self) -> asyncio.Event:
        """What is set whenever it rings, for the loop that runs now."""
        with self._lock:
            self._loop, self._heard, self._rung = asyncio.get_running_loop(), asyncio.Event(), False
            return self._heard

    def leave(self) -> None:
        with self._lock:
            self._loop, self._heard, self._rung = None, None, False


class Ear:
    """One listener: what it has not taken yet."""

    def __init__(self, tail: "Tail", guest: str | None, place: str | None, since: Cursor) -> None:
        self._tail, self.guest, self.place, self._taken = tail, guest, place, since
        self.cut = False
        self._queue: deque[FeedEvent] = deque()
        self._something = asyncio.Event()

    @property
    def here(self) -> Cursor:
        return self._taken

    @property
    def drained(self) -> bool:
        return self._tail.draining

    async def take(self, timeout_s: float) -> list[FeedEvent]:
        """What came, in order; nothing when the time is over, the ear was cut, or all are asked to leave."""
        if not self._queue and not self.cut and not self.drained:
            with suppress(TimeoutError):
                async with asyncio.timeout(max(timeout_s, 0)):
                    await self._something.wait()
        self._something.clear()
        if self.cut:
            return []
        taken = list(self._queue)
        self._queue.clear()
        self._taken = taken[-1].cursor if taken else self._tail.cursor or self._taken
        return taken

    def put(self, event: FeedEvent) -> None:
        if self.cut:
            return
        if len(self._queue) >= QUEUE_MAX:
            self.cut_off()
            return
        self._queue.append(event)
        self._something.set()

    def cut_off(self) -> None:
        self.cut = True
        self._queue.clear()
        self._something.set()
        _CUT.inc()

    def rouse(self) -> None:
        self._something.set()

    def close(self) -> None:
        self._tail.drop(self)


class Tail:
    """Keeps the promises of `Feed`."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        bell: Bell | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._rows, self._clock, self._bell = store, store.feed, clock, bell or Bell()
        self._monotonic = monotonic
        self.draining = False
        self.cursor: Cursor | None = None  # what comes before it was put before everybody
        self._by_guest: dict[str, set[Ear]] = {}
        self._by_place: dict[str, set[Ear]] = {}
        self._following: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._looked_at = 0.0

    @property
    def rows(self) -> FeedRows:
        return self._rows

    async def listen(self, guest: str | None = None, place: str | None = None) -> Ear:
        """Hear of one guest, or of everybody at a property. Raises StoreUnavailable. The ear must be closed."""
        async with self._starting:
            if self.cursor is None:
                self.cursor = await self._rows.end()
            ear = Ear(self, guest, place, self.cursor)
            index, key = (self._by_guest, guest) if guest is not None else (self._by_place, place or "")
            index.setdefault(key or "", set()).add(ear)
            _LISTENERS.inc()
            if self._following is None or self._following.done():
                self._following = asyncio.ensure_future(self._follow())
                self._following.add_done_callback(self._ended)
        return ear

    def _ended(self, following: "asyncio.Task[None]") -> None:
        """Whatever ended it, nobody may wait for what will not come: they are cut, and whoever comes back begins it
        anew."""
        if following.cancelled() or (failure := following.exception()) is None:
            return
        _log.error("following the feed ended", exc_info=failure)
        for ear in self._ears():
            ear.cut_off()

    def drop(self, ear: Ear) -> None:
        index, key = (self._by_guest, ear.guest) if ear.guest is not None else (self._by_place, ear.place)
        ears = index.get(key or "", set())
        if ear in ears:
            ears.discard(ear)
            _LISTENERS.dec()
        if not ears:
            index.pop(key or "", None)
        if not self._by_guest and not self._by_place and self._following is not None:
            self._following.cancel()
            self._following, self.cursor = None, None
            self._bell.leave()
            _STALLED.set(0)

    def drain(self) -> None:
        """Ask every listener to leave, for this process is about to stop."""
        self.draining = True
        for ear in self._ears():
            ear.rouse()

    async def close(self) -> None:
        self.drain()
        if self._following is not None:
            self._following.cancel()
            await asyncio.wait((self._following,))
            self._following = None

    def _ears(self) -> list[Ear]:
        return [ear for index in (self._by_guest, self._by_place) for ears in index.values() for ear in ears]

    # ------------------------------------------------------------ following

    async def _follow(self) -> None:
        heard, pause = self._bell.attend(), PAUSE_MIN_S
        self._looked_at = self._monotonic()
        while True:
            heard.clear()
            page = await self._look()
            if page is not None:
                await self._share(page.events)
                self.cursor = page.cursor
                if page.more:
                    continue
            came = page is not None and bool(page.events)
            pause = PAUSE_MIN_S if came else min(PAUSE_MAX_S, pause * GROWTH)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await heard.wait()
                    pause = PAUSE_MIN_S
                    if page is not None and page.waiting_since is not None:
                        await asyncio.sleep(REPEATS_S)  # a flood of bells must not be a flood of looks

    async def _look(self) -> FeedPage | None:
        """The next page; None where the store does not answer, or the place is none of its feed any more."""
        assert self.cursor is not None
        try:
            page = await self._rows.page(self.cursor, PAGE)
            if page.lost:
                self.cursor = await self._rows.end()
        except Unavailable:
            _STALLED.set(self._monotonic() - self._looked_at)
            return None
        self._looked_at = self._monotonic()
        _STALLED.set(self._stalled_s(page.waiting_since))
        if page.lost:
            _log.warning("the feed is another one now; streams begin anew")
            for ear in self._ears():
                ear.cut_off()
            return None
        return page

    def _stalled_s(self, waiting_since: datetime | None) -> float:
        return max(0.0, (self._clock.now() - waiting_since).total_seconds()) if waiting_since else 0.0

    async def _share(self, events: Sequence[FeedEvent]) -> None:
        stays = await self._stays_of(events) if self._by_place else {}
        for event in events:
            _EVENTS.labels(event.kind.value).inc()
            for ear in self._hearers(event, stays):
                ear.put(event)

    async def _stays_of(self, events: Sequence[FeedEvent]) -> Mapping[str, Iterable[Stay]]:
        """Where the guests are of whom it is not said; without the store, everybody at every property hears of them."""
        guests = list(dict.fromkeys(event.guest for event in events if event.kind is EventKind.CHANGE))
        try:
            return await self._store.stays_of(guests) if guests else {}
        except Unavailable:
            return {}

    def _hearers(self, event: FeedEvent, stays: Mapping[str, Iterable[Stay]]) -> list[Ear]:
        if event.kind is EventKind.CATALOGUE:
            return self._ears()
        if event.kind is EventKind.PROPERTY:
            of_guests = [ear for ears in self._by_guest.values() for ear in ears]
            return [*of_guests, *self._by_place.get(event.place, ())]
        if event.kind is EventKind.ERASED:  # who that was is for each to see
            return [ear for ear in self._ears() if ear.place == (event.place or None)]
        hearers = list(self._by_guest.get(event.guest, ()))
        if event.place:
            return [*hearers, *self._by_place.get(event.place, ())]
        known = stays.get(event.guest)
        if known is None:
            return [*hearers, *(ear for ears in self._by_place.values() for ear in ears)]
        places = {stay.property for stay in known}
        return [*hearers, *(ear for place in places for ear in self._by_place.get(place, ()))]
