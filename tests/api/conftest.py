"""The app over each kind of store, with a clock that stands still and a key of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import httpx2
import pytest
from sqlalchemy import event

from api.app import create_app
from api.auth import load_keys, make_key, save_keys
from prefs import telemetry
from prefs.bootstrap import House, cache_key, furnish, open_house
from prefs.cache.metrics import PrometheusMetrics
from prefs.cache.read_through import cached
from prefs.migrations import migrate
from prefs.settings import Settings
from prefs.store.sql import SqlStore
from tests.api.front import Front, StandingClock
from tests.vaults import vault

# What these tests provoke is asserted on the answers; its traces would bury a failure.
telemetry.configure("critical")

KINDS = ("memory", "sqlite", "postgresql")


@asynccontextmanager
async def opened(settings: Settings, clock: StandingClock, house: House | None = None) -> AsyncIterator[Front]:
    """The app over this database: opened, driven, closed again. A second opening is a restart."""
    own = house or await open_house(settings, clock)
    app = create_app(settings, own)
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    try:
        async with (
            app.router.lifespan_context(app),
            httpx2.AsyncClient(transport=transport, base_url="http://test") as http,
        ):
            yield Front(app, http, load_keys(settings.keys)[0], clock, own)
    finally:
        if house is None:
            await own.close()


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock()


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def settings(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings of one database of this kind, migrated; memory needs none of that."""
    keys = tmp_path / "keys.json"
    keys.write_text(save_keys([make_key()]), encoding="utf-8")
    url = "memory://"
    if kind != "memory":
        url = request.getfixturevalue("sqlite_url" if kind == "sqlite" else "postgres_url")
        await migrate(url)
    return Settings(data=tmp_path, database_url=url, keys=keys)


@pytest.fixture
async def front(settings: Settings, clock: StandingClock) -> AsyncIterator[Front]:
    async with opened(settings, clock) as front:
        yield front


class Statements:
    """What a store said to its database."""

    def __init__(self, store: SqlStore) -> None:
        self.said: list[str] = []
        engine: Any = store._runner
        event.listen(engine._engine.sync_engine, "before_cursor_execute", self._hear)

    def _hear(self, _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        self.said.append(statement)


class OpenFront(Protocol):
    async def __call__(self, redis_url: str = ...) -> tuple[Front, Statements]: ...


@pytest.fixture
async def open_front(settings: Settings, clock: StandingClock, valkey_url: str) -> AsyncIterator[OpenFront]:
    """Opens another process's worth of house: local tier, shared tier and SQL."""
    async with AsyncExitStack() as stack:

        async def open_one(redis_url: str = valkey_url) -> tuple[Front, Statements]:
            sql = await SqlStore.open(settings.database_url, clock, vault())
            statements = Statements(sql)
            key, metrics = cache_key(settings.cache_key), PrometheusMetrics()
            store = cached(sql, clock, redis_url, key, metrics=metrics, cold_guard_s=0)
            stack.push_async_callback(store.close)
            return await stack.enter_async_context(opened(settings, clock, furnish(store, clock))), statements

        yield open_one
