"""Stores under tiers: a place whose every store is wrapped, of each kind of store, over a real Valkey."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from prefs.cache.loader import Freshness
from prefs.cache.metrics import SILENCE, CacheMetrics
from prefs.cache.read_through import CachedStore, cached
from prefs.migrations import migrate
from prefs.ports import Store
from tests.servers import PostgresServer
from tests.store.conftest import Place

SEAL_KEY = bytes(range(32))


class CachedPlace(Place):
    """A place of stores under tiers; each call opens another, with a local tier of its own, as a process would have."""

    def __init__(self, kind: str, url: str, redis_url: str) -> None:
        super().__init__(kind, url)
        self.redis_url = redis_url
        self._wrapped: list[CachedStore] = []

    async def inner(self) -> Store:
        """A bare store on this place."""
        return await super().open()

    async def open_at(
        self, level: Freshness, *, metrics: CacheMetrics = SILENCE, inner: Store | None = None
    ) -> CachedStore:
        store = cached(
            inner or await self.inner(),
            self.clock,
            self.redis_url,
            SEAL_KEY,
            level=level,
            metrics=metrics,
            cold_guard_s=0,  # the test's server has just started
        )
        self._wrapped.append(store)
        return store

    async def open(self) -> Store:
        """Several stores on one place must agree at once: that is the promise of the shared level."""
        return await self.open_at(Freshness.SHARED)

    async def close(self) -> None:
        for store in self._wrapped:
            await store.close()


type OpenPlace = Callable[[str, str], Awaitable[CachedPlace]]


@pytest.fixture
async def open_place(
    postgres_server: PostgresServer, migrated_postgres: str, sqlite_url: str, tmp_path: Path
) -> AsyncIterator[OpenPlace]:
    """Makes a place of a kind over a Redis; closed after the test."""
    places: list[CachedPlace] = []
    database = f"cached_{abs(hash(tmp_path)):x}"

    async def make(kind: str, redis_url: str) -> CachedPlace:
        url = ""
        if kind == "sqlite":
            url = sqlite_url
            await migrate(url)
        elif kind == "postgresql":
            postgres_server.execute(f'CREATE DATABASE "{database}" TEMPLATE "{migrated_postgres}"')
            url = postgres_server.url(database)
        places.append(CachedPlace(kind, url, redis_url))
        return places[-1]

    yield make
    for place in places:
        await place.close()
    postgres_server.drop_database(database)


@pytest.fixture(params=["memory", "sqlite", "postgresql"], ids="cached({})".format)
async def place(request: pytest.FixtureRequest, open_place: OpenPlace, valkey_url: str) -> CachedPlace:
    return await open_place(request.param, valkey_url)


@pytest.fixture
async def store(place: CachedPlace) -> Store:
    """One store alone on its place, so that what its local tier says is exact."""
    return await place.open_at(Freshness.DEFAULT)
