"""Telling endpoints: what the feed says, one message after the other, until the receiver has taken it.

An endpoint's queue is the feed itself, and a cursor. So nothing waits in it that an erasure would have to look for, and
what cannot be told yet costs no room. An endpoint is told by one process, which holds its lease; it saves the cursor
after each message that was taken. A process that dies in between leaves the message to be sent once more, under the
same id. While a message is refused the next one waits, so order is kept; what was refused for a day is given up and
lies in the log, from where it can be asked for again, beside the order.
"""

import asyncio
import random
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from prometheus_client import Counter, Gauge, Histogram

from prefs import telemetry
from prefs.core.changes import Cursor, FeedEvent
from prefs.core.errors import PrefsError, Unavailable
from prefs.core.webhooks import (
    GIVES_UP,
    GONE,
    LOG_KEPT,
    Attempt,
    Delivery,
    Endpoint,
    Kind,
    Message,
    Progress,
    Standing,
    State,
    back_off_s,
    headers,
    named,
)
from prefs.ports import Clock, Courier, FeedRows, WebhookRows
from prefs.services.messages import Messages, event_fields, kind_of
from prefs.services.tellings import FEED_KEPT

PAGE = 100
REPLAYS_AT_ONCE = 10
POLL_S, IDLE_POLL_S = 1.0, 5.0
LEASE = timedelta(seconds=30)
LEASE_RENEWED = timedelta(seconds=20)  # when less of it is left
LEASE_LEFT = timedelta(seconds=15)  # no attempt is begun with less: it may take ten
SAVED_EVERY = timedelta(minutes=10)  # how far an endpoint has been told of nothing
TRIMMED_EVERY = timedelta(hours=1)
TRIMMED_AT_ONCE = 500

_log = telemetry.logger("webhooks")
_ATTEMPTS = Counter("guestprefs_webhook_attempts", "Messages sent to webhooks, by what came of it.", ["outcome"])
_SECONDS = Histogram("guestprefs_webhook_attempt_seconds", "Time that sending took.", buckets=(*telemetry.BUCKETS, 10))
_DEAD = Counter("guestprefs_webhook_dead_letters", "Messages that were given up.")
_HELD = Gauge("guestprefs_webhook_endpoints", "Endpoints that this process tells.")
_FAILING = Gauge(
    "guestprefs_webhook_failing_seconds", "For how long the endpoint has refused that has refused for longest."
)


class Deliveries:
    """Of one process. `chance` spreads what is tried again; `owner` is what its leases are known by."""

    def __init__(
        self,
        rows: WebhookRows,
        feed: FeedRows,
        messages: Messages,
        courier: Courier,
        clock: Clock,
        chance: Callable[[], float] = random.random,
        owner: str = "",
    ) -> None:
        self.rows, self.feed, self.messages, self.courier, self.clock = rows, feed, messages, courier, clock
        self.chance, self.owner = chance, owner or secrets.token_hex(8)
        self._telling: dict[str, asyncio.Task[None]] = {}
        self._held = 0
        self._trimmed_at: datetime | None = None

    # ------------------------------------------------------------ the life of the process

    async def run(self) -> None:
        """Until it is cancelled."""
        try:
            while True:
                await asyncio.sleep(POLL_S if self._held else IDLE_POLL_S)
                with suppress(Unavailable):  # it is looked again
                    await self.look()
        finally:
            await self.close()

    async def look(self) -> None:
        """Take what leases there are, and begin telling whoever is not being told. Raises Unavailable."""
        now = self.clock.now()
        held = await self.rows.lease(self.owner, now, now + LEASE, now + LEASE_RENEWED)
        self._held = len(held)
        _HELD.set(len(held))
        since = [one.progress.failing_since for one in held if one.progress.failing_since]
        _FAILING.set((now - min(since)).total_seconds() if since else 0)
        for endpoint in held:
            if endpoint.id not in self._telling:
                task = self._telling[endpoint.id] = asyncio.create_task(self._tell(endpoint))
                task.add_done_callback(partial(self._told, endpoint.id))
        if held and (self._trimmed_at is None or now - self._trimmed_at > TRIMMED_EVERY):
            self._trimmed_at = now
            await self.trim()

    def _told(self, id: str, _: asyncio.Task[None]) -> None:
        self._telling.pop(id, None)

    async def settle(self) -> None:
        """Look, and return once everything that was begun has ended."""
        await self.look()
        await asyncio.gather(*self._telling.values(), return_exceptions=True)

    async def trim(self) -> None:
        """Let go of what has lain in the log long enough."""
        while await self.rows.trim(self.clock.now() - LOG_KEPT, TRIMMED_AT_ONCE) == TRIMMED_AT_ONCE:
            pass

    async def close(self) -> None:
        tasks = list(self._telling.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._held:
            with suppress(Unavailable):  # then the leases end by themselves
                await self.rows.release(self.owner)
            self._held = 0

    # ------------------------------------------------------------ one endpoint

    async def _tell(self, endpoint: Endpoint) -> None:
        try:
            await Telling(self, endpoint).run()
        except Unavailable as gone:
            _log.warning("an endpoint could not be told", reason=type(gone).__name__)
        except PrefsError as error:
            _log.error("an endpoint could not be told", exc_info=error)

    async def attempt(self, endpoint: Endpoint, id: str, message: Message) -> Attempt:
        """Send it once."""
        at = self.clock.now()
        body = message.body(at)
        posted = await self.courier.post(endpoint.url, headers(endpoint, id, at, body), body)
        attempt = posted.attempt(at)
        _ATTEMPTS.labels("taken" if attempt.taken else attempt.error.lower() or "refused").inc()
        _SECONDS.observe(attempt.took_ms / 1000)
        return attempt


class Lost(Exception):
    """The lease is somebody else's, or ends: this process tells the endpoint no more for now."""


class Telling:
    """One endpoint, for as long as there is something to tell and the lease lasts."""

    def __init__(self, house: Deliveries, endpoint: Endpoint) -> None:
        self._house, self._endpoint, self._progress = house, endpoint, endpoint.progress

    async def run(self) -> None:
        """Raises Unavailable."""
        with suppress(Lost):
            await self._again()
            now = self._house.clock.now()
            if self._progress.next_at is not None and now < self._progress.next_at:
                return
            if now - self._progress.at > FEED_KEPT:
                await self._miss()
            if self._progress.resync and not await self._resync():
                return
            await self._follow()

    async def _follow(self) -> None:
        while True:
            page = await self._house.feed.page(self._progress.cursor, PAGE)
            if page.lost:
                await self._miss()
                if not await self._resync():
                    return
                continue
            for event in page.events:
                if not await self._tell(event):
                    return
            now = self._house.clock.now()
            moved = page.cursor != self._progress.cursor
            self._progress = replace(self._progress, cursor=page.cursor, at=now)
            # Where nothing but the place moved, it is written down now and then: what is looked at twice costs little.
            if moved and (page.events or now - self._endpoint.progress.at > SAVED_EVERY):
                await self._save(None)
            if not page.more:
                return

    async def _miss(self) -> None:
        """What the endpoint was not told yet cannot be told any more; it goes on from the end, and has to know."""
        cursor = await self._house.feed.end()
        self._progress = replace(self._progress, cursor=cursor, at=self._house.clock.now(), resync=True)
        await self._save(None)

    async def _resync(self) -> bool:
        id = self._name(Kind.RESYNC, self._progress.at)
        fresh = self._fresh(id, Kind.RESYNC)
        done = await self._send(fresh, Message(Kind.RESYNC, {}), self._progress.cursor)
        return done

    async def _tell(self, event: FeedEvent) -> bool:
        """False where the rest has to wait."""
        kind = kind_of(event)
        message = await self._house.messages.of_event(self._endpoint, event) if kind else None
        if kind is None or message is None:
            self._progress = replace(self._progress, cursor=event.cursor)
            return True
        id = self._name(kind, event.guest, event.version, event.cursor.position)
        known = await self._house.rows.delivery(self._endpoint.id, id)
        if known is not None and known.state is not State.PENDING:
            self._progress = replace(self._progress, cursor=event.cursor)  # told early, as the feed may do
            return True
        return await self._send(known or self._fresh(id, kind, **event_fields(event, kind)), message, event.cursor)

    def _name(self, *parts: object) -> str:
        return f"msg_{named(self._endpoint, *parts)}"

    def _fresh(self, id: str, kind: Kind, **about: Any) -> Delivery:
        now = self._house.clock.now()
        return Delivery(self._endpoint.id, id, kind, State.PENDING, now, now, **about)

    async def _send(self, delivery: Delivery, message: Message, then: Cursor) -> bool:
        """Whether it is done with; then the endpoint has been told up to `then`."""
        attempt = await self._attempt(delivery.id, message)
        if attempt.taken:
            self._progress = Progress(then, self._progress.at)
            await self._save(delivery.after(attempt, State.DELIVERED))
            return True
        failures, since = self._progress.failures + 1, self._progress.failing_since or attempt.at
        wait_s = back_off_s(failures, self._house.chance(), attempt.retry_after_s)
        refused = replace(self._progress, failures=failures, failing_since=since)
        self._progress = replace(refused, next_at=attempt.at + timedelta(seconds=wait_s))
        if attempt.at - since < GIVES_UP:
            await self._save(delivery.after(attempt, State.PENDING))
        else:
            _DEAD.inc()
            self._progress = replace(self._progress, cursor=then, resync=False)
            await self._save(delivery.after(attempt, State.DEAD))
        if attempt.status == GONE:
            await self._house.rows.change(self._endpoint.id, lambda one: replace(one, standing=Standing.GONE))
        return False

    async def _attempt(self, id: str, message: Message) -> Attempt:
        until = self._endpoint.leased_until
        if until is not None and until - self._house.clock.now() < LEASE_LEFT:
            raise Lost
        return await self._house.attempt(self._endpoint, id, message)

    async def _save(self, delivery: Delivery | None, *, progress: bool = True) -> None:
        saved = self._progress if progress else None
        if not await self._house.rows.keep(self._house.owner, self._endpoint.id, saved, delivery):
            raise Lost

    # ------------------------------------------------------------ asked for again

    async def _again(self) -> None:
        """What somebody asked for again goes beside the order, and waits for nobody."""
        due = await self._house.rows.due(self._endpoint.id, self._house.clock.now(), REPLAYS_AT_ONCE)
        for delivery in due:
            message = await self._house.messages.of_delivery(self._endpoint, delivery)
            if message is None:
                await self._save(replace(delivery, state=State.DROPPED, next_at=None), progress=False)
                continue
            attempt = await self._attempt(delivery.id, message)
            if attempt.taken:
                await self._save(delivery.after(attempt, State.DELIVERED), progress=False)
                continue
            since = delivery.since or attempt.at
            over = attempt.at - since >= GIVES_UP
            tried = sum(one.at >= since for one in delivery.attempts) + 1
            wait = timedelta(seconds=back_off_s(tried, self._house.chance(), attempt.retry_after_s))
            next_at = None if over else attempt.at + wait
            await self._save(delivery.after(attempt, State.DEAD if over else State.PENDING, next_at), progress=False)
