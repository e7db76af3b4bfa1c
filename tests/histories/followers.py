"""Who follows a guest whose consent comes and goes: the guest's own stream, one of the surface that the purpose
opens, and a client with a file of its own. Each is cut and comes back whatever is done to the workers.

What a stream may tell is judged by the stamps of the server: nothing whose reading began after a withdrawal was
acknowledged, and nothing that began to be sent after it, but where the worker was stopped in the very moment between
looking whether it may and sending. What was sent before may arrive later: it is followed by what takes it back.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field

import httpx2
from guestprefs_client import AsyncGuestPrefs, GuestPrefsError, SQLiteStore

from prefs.cache.local import DELTA_S
from prefs.core.callers import ALL_GUESTS, Role
from tests.chaos.stream import Stamp, StreamReader
from tests.histories.trio import WORKERS, Trio

SURFACE = "food"
SHOWN_S = 5.0  # by when they must have been told what was granted, or the round shows nothing of them
LET_GO_S = 30.0  # by when a client must have let go, which a dead worker holds up
AGAIN_S = 0.05

type Span = tuple[float, float]


class Followers:
    """Of one guest, for as long as `at_work` lasts. `forbid` when a withdrawal was acknowledged, `allow` before the
    next consent."""

    def __init__(self, trio: Trio, guest: str, secret: str, worker: int) -> None:
        self._trio, self.guest, self._secret, self._worker = trio, guest, secret, worker
        kitchen = trio.token(Role.SERVICE, SURFACE, "kitchen", permissions=[ALL_GUESTS])
        asked = {"guest": guest}
        self.readers = [StreamReader(trio.guest_token(guest), asked), StreamReader(kitchen, asked)]
        self._path = trio.folder / f"{guest}.sqlite3"
        self.spans: list[Span] = []  # in which it may not be told
        self.counts: Counter[str] = Counter()
        self.kept: list[str] = []
        self._since = 0.0

    # ------------------------------------------------------------ the round

    def allow(self) -> None:
        if self._since:
            self.spans.append((self._since, time.monotonic()))
            self._since = 0.0

    def forbid(self) -> None:
        self._since = time.monotonic()

    async def wait_until_shown(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SHOWN_S):
                while not (self._holds() and all(self._told_last(one) for one in self.readers)):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                self.counts["shown"] += 1

    async def wait_until_let_go(self) -> None:
        """What a client keeps is what a stream told it last: it lets go when it hears of the withdrawal."""
        try:
            async with asyncio.timeout(LET_GO_S):
                while self._holds() or any(self._told_last(one) for one in self.readers):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        except TimeoutError:
            self.kept.append(f"{self.guest}: a client or a stream still has it {LET_GO_S:g} s later")
        else:
            self.counts["cleared"] += 1

    def _told_last(self, reader: StreamReader) -> bool:
        return bool(reader.events) and self._secret in json.dumps(reader.events[-1])

    def _holds(self) -> bool:
        """Whether the client's file has it among its answers."""
        with contextlib.suppress(sqlite3.OperationalError), closing(sqlite3.connect(self._path)) as file:
            rows = file.execute("SELECT data FROM records WHERE kind = 'answer'").fetchall()
            return any(self._secret.encode() in bytes(data) for (data,) in rows)
        return False

    # ------------------------------------------------------------ following

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        tasks = [asyncio.ensure_future(self._read_on(reader, n)) for n, reader in enumerate(self.readers)]
        tasks.append(asyncio.ensure_future(self._watch()))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.allow()

    async def _read_on(self, reader: StreamReader, number: int) -> None:
        """With whichever worker is next."""
        while True:
            url = self._trio.workers[(self._worker + number) % WORKERS].url
            with contextlib.suppress(httpx2.TransportError):
                await reader.read(url)
            number += 1
            await asyncio.sleep(AGAIN_S)

    async def _watch(self) -> None:
        url, token = self._trio.workers[self._worker].url, self._trio.guest_token(self.guest)
        async with AsyncGuestPrefs(url, token, store=SQLiteStore(self._path)) as client:
            while True:
                with contextlib.suppress(GuestPrefsError):
                    async for _ in client.watch(self.guest):
                        self.counts["watched"] += 1
                await asyncio.sleep(AGAIN_S)

    # ------------------------------------------------------------ judging

    def told(self) -> list[Stamp]:
        """When what tells it was read, written and sent, by all streams."""
        return [
            stamp
            for reader in self.readers
            for event, stamp in zip(reader.events, reader.stamps, strict=True)
            if self._secret in json.dumps(event)
        ]


@dataclass(slots=True)
class Followed:
    """What became of all of them."""

    shown: int = 0  # rounds before whose end everybody had it
    cleared: int = 0  # rounds after which nobody had it
    watched: int = 0
    told: int = 0  # events that told it
    read_after: list[str] = field(default_factory=list)
    sent_after: list[tuple[str, Stamp]] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)

    def add(self, followers: Followers) -> None:
        self.shown += followers.counts["shown"]
        self.cleared += followers.counts["cleared"]
        self.watched += followers.counts["watched"]
        self.kept += followers.kept
        told = followers.told()
        self.told += len(told)
        for since, until in followers.spans:
            for stamp in told:
                read_at, _, sent_at = stamp
                if since < read_at < until:
                    self.read_after.append(f"{followers.guest}: read {read_at - since:.3f} s after it was withdrawn")
                elif read_at < since < sent_at < until:
                    self.sent_after.append((followers.guest, stamp))

    def faults(self, stops: Sequence[Span]) -> list[str]:
        """`stops`: when some worker was stopped, which may be between looking whether an event may be sent and sending
        it. Nothing else excuses what was sent after a withdrawal was acknowledged."""
        late = [
            f"{guest}: sent {sent_at - read_at:.3f} s after it was read, when it was withdrawn"
            for guest, (read_at, written_at, sent_at) in self.sent_after
            if written_at - read_at > DELTA_S
            or not any(begun < sent_at and written_at < ended for begun, ended in stops)
        ]
        return [*self.read_after, *late, *self.kept]
