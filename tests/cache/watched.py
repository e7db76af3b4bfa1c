"""A store in front of a real one that counts what is asked, can be held after it has read, and can be gone."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from prefs.cache.loader import Freshness, Tier
from prefs.cache.metrics import Silence
from prefs.cache.read_through import CachedStore
from prefs.core.errors import StoreUnavailable
from prefs.ports import Store
from tests.store.samples import born


class Watched:
    """Answers for the store inside. A method that is held has done its work and waits for `release` to tell; held
    `before`, it has not even begun."""

    def __init__(self, inner: Store) -> None:
        self.inner = inner
        self.credentials = inner.credentials
        self.calls: Counter[str] = Counter()
        self.asked: list[tuple[str, Any]] = []
        self.gone = False
        self.held = ""
        self.held_before = False
        self.reached = asyncio.Event()
        self._release = asyncio.Event()
        self.running = 0
        self.most_running = 0

    def hold(self, method: str, *, before: bool = False) -> None:
        self.held, self.held_before = method, before
        self.reached.clear()
        self._release.clear()

    def release(self) -> None:
        self.held = ""
        self._release.set()

    async def _wait(self) -> None:
        self.reached.set()
        await self._release.wait()

    def __getattr__(self, method: str) -> Callable[..., Awaitable[Any]]:
        inner = getattr(self.inner, method)

        async def call(*arguments: Any) -> Any:
            self.calls[method] += 1
            self.asked.append((method, arguments[0] if arguments else None))
            if self.gone and method != "close":
                raise StoreUnavailable("gone")
            self.running += 1
            self.most_running = max(self.most_running, self.running)
            try:
                if self.held == method and self.held_before:
                    await self._wait()
                answer = await inner(*arguments)
                if self.held == method:
                    await self._wait()
                return answer
            finally:
                self.running -= 1

        return call


class Counts(Silence):
    """Notes what the tiers tell of leases, fences and flights."""

    def __init__(self) -> None:
        self.leases: list[str] = []
        self.fences: list[str] = []
        self.flights: list[tuple[int, int]] = []

    def leased(self, outcome: str) -> None:
        self.leases.append(outcome)

    def fenced(self, outcome: str) -> None:
        self.fences.append(outcome)

    def flight(self, keys: int, requests: int) -> None:
        self.flights.append((keys, requests))


async def until(condition: Callable[[], bool], what: str, patience_s: float = 20.0) -> None:
    """Wait for something that must come about; the patience only ends a test that has already failed."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience_s
    while not condition():
        assert loop.time() < deadline, f"waited in vain: {what}"
        await asyncio.sleep(0.005)


async def listening(*stores: CachedStore) -> None:
    for store in stores:
        local = store._local
        assert local is not None
        await until(local.trusted, "the first heartbeat")


async def caught_up(*stores: CachedStore) -> None:
    """Wait until each has heard all that was published so far: messages of a write come a moment after its answer."""
    for store in stores:
        await _heartbeat_after(store, time.monotonic())


async def _heartbeat_after(store: CachedStore, moment: float) -> None:
    local = store._local
    assert local is not None
    await until(lambda: local._vouched_at >= moment, "the next heartbeat")


async def newborn_guest(store: CachedStore, *others: CachedStore, **more: Any) -> str:
    """A guest of whose creation all have heard."""
    guest = await born(store, **more)
    await caught_up(store, *others)
    return guest


async def tier(store: CachedStore, guest: str, level: Freshness = Freshness.DEFAULT) -> Tier:
    return (await store.read([guest], level))[guest].tier
