"""Planted faults, served like the real thing: the product with one part of its protocol taken out. The live checker
must catch them, or its silence about the product would say nothing.

Each fault is a function of this module; `tests.cli.launch` serves it.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from fastapi import FastAPI
from redis.asyncio import Redis

from api.app import create_app
from prefs.bootstrap import SystemClock, cache_key, furnish
from prefs.cache.breaker import Breaker
from prefs.cache.heartbeat import Heartbeat
from prefs.cache.lines import Lines
from prefs.cache.local import Expectation, LocalTier
from prefs.cache.metrics import PrometheusMetrics
from prefs.cache.read_through import CachedStore
from prefs.cache.sealing import Seal
from prefs.cache.shared import SharedTier
from prefs.ports import Apply, Clock, Committed, Once, Store
from prefs.services.changes import Stream
from prefs.services.tellings import Told
from prefs.settings import Settings
from prefs.store.sql import SqlStore
from tests.cache.classic import Classic
from tests.chaos import stamped
from tests.cli.launch import launching
from tests.vaults import vault

type Wrap = Callable[[Store, Settings, Clock], Store]


def launch(fault: str) -> tuple[str, ...]:
    return launching(f"tests.histories.planted:{fault}")


# ---------------------------------------------------------------- the faults


class Unfenced(SharedTier):
    """Writers raise no fence. What they do after the commit is as it was."""

    async def fence(self, writer: str, keys: Sequence[str], *, purge: bool) -> None:
        return


class WithoutPlaceholder(LocalTier):
    """Keeps whatever was loaded, also when an invalidation came while it was being loaded."""

    def keep(self, key: str, expected: Expectation, *told: Any, **more: Any) -> Any:
        return super().keep(key, self.expect(key), *told, **more)


class Deaf(LocalTier):
    """Believes its heartbeat and does nothing about invalidations."""

    def hear(self, key: str, version: int, *, purge: bool = False) -> None:
        return


class Hasty(CachedStore):
    """Answers a withdrawal when it is committed and told, before the others have had time to hear of it."""

    async def withdraw(self, guest: str, apply: Apply, once: Once | None = None) -> Committed:
        written = await self.write(guest, apply, once)
        return Committed(written, False, SystemClock().now() - SystemClock().now())


def _tiered(
    sql: Store,
    settings: Settings,
    clock: Clock,
    local: type[LocalTier] = LocalTier,
    shared: type[SharedTier] = SharedTier,
    store: type[CachedStore] = CachedStore,
) -> Store:
    """As `prefs.cache.read_through.cached` does it, with other parts."""
    metrics = PrometheusMetrics()
    near = local(settings.cache_mib * 2**20, metrics)
    lines = Lines(settings.redis_url, Breaker(time.monotonic, metrics), metrics)
    far = shared(lines, Seal(cache_key(settings.cache_key)), metrics)
    return store(sql, far, near, clock, heartbeat=Heartbeat(settings.redis_url, near), metrics=metrics).start()


def _served(wrap: Wrap) -> FastAPI:
    settings = Settings()
    app = create_app(settings)
    life = app.router.lifespan_context

    @asynccontextmanager
    async def planted_life(inner: FastAPI) -> AsyncIterator[Any]:
        async with life(inner) as state:
            clock = SystemClock()
            sql = await SqlStore.open(settings.database_url, clock, vault())
            inner.state.house = furnish(wrap(sql, settings, clock), clock)
            yield state

    app.router.lifespan_context = planted_life
    return app


def classic() -> FastAPI:
    """Cache-aside with delete after commit."""
    return _served(lambda sql, settings, _: Classic(sql, Redis.from_url(settings.redis_url)))


def no_fence() -> FastAPI:
    return _served(lambda sql, settings, clock: _tiered(sql, settings, clock, shared=Unfenced))


def no_placeholder() -> FastAPI:
    return _served(lambda sql, settings, clock: _tiered(sql, settings, clock, local=WithoutPlaceholder))


def deaf() -> FastAPI:
    return _served(lambda sql, settings, clock: _tiered(sql, settings, clock, local=Deaf))


def hasty() -> FastAPI:
    return _served(lambda sql, settings, clock: _tiered(sql, settings, clock, store=Hasty))


def none() -> FastAPI:
    """No fault: what this module builds is the product, and must pass."""
    return _served(_tiered)


# ---------------------------------------------------------------- streams

HELD_S = 1.0  # longer than a withdrawal waits for everybody


def repeated() -> FastAPI:
    """A stream tells the last answer once more as it tells of a withdrawal."""
    tell, last = Stream._told, dict[tuple[int, str], dict[str, Any]]()

    async def tell_again(self: Stream, guest: str, *due: Any) -> Told | None:
        told = await tell(self, guest, *due)
        if told is not None and told.data is not None:
            before = last.get((id(self), guest), {})
            last[id(self), guest] = told.data
            if told.kind == "consent_withdrawn":
                return replace(told, data={**told.data, **before})
        return told

    Stream._told = tell_again  # type: ignore[method-assign]
    return stamped.create_app()


def held() -> FastAPI:
    """A stream tells what it read a while ago, and does not read it again."""
    tell = Stream._told

    async def tell_later(self: Stream, *asked: Any) -> Told | None:
        told = await tell(self, *asked)
        if told is not None and told.kind == "change":
            await asyncio.sleep(HELD_S)
            return replace(told, until=math.inf)
        return told

    Stream._told = tell_later  # type: ignore[method-assign]
    return stamped.create_app()
