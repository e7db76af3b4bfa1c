"""A place for each kind of store: where it keeps things, and how to open it once or several times."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import pytest

from prefs.migrations import migrate
from prefs.ports import Store
from prefs.store.memory import MemoryStore
from prefs.store.sql import SqlStore
from tests.servers import PostgresServer
from tests.store.samples import SetClock
from tests.vaults import vault

KINDS = ("memory", "sqlite", "postgresql")


class Place:
    """One empty, migrated database. Every store opened in it is closed with it."""

    def __init__(self, kind: str, url: str) -> None:
        self.kind, self.url = kind, url
        self.clock = SetClock()
        self._opened: list[Store] = []
        self._memory = MemoryStore(self.clock)

    async def open(self) -> Store:
        """A store on this place; another call gives another store on the same data, as another process would have."""
        if self.kind == "memory":
            return self._memory
        store: Store = await SqlStore.open(self.url, self.clock, vault())
        self._opened.append(store)
        return store

    def close_later(self, store: Store) -> None:
        self._opened.append(store)

    async def close(self) -> None:
        for store in self._opened:
            await store.close()


@pytest.fixture
async def sqlite_place(sqlite_url: str) -> AsyncIterator[Place]:
    await migrate(sqlite_url)
    place = Place("sqlite", sqlite_url)
    yield place
    await place.close()


@pytest.fixture
async def postgres_place(postgres_server: PostgresServer, migrated_postgres: str) -> AsyncIterator[Place]:
    database = f"test_{uuid.uuid4().hex}"
    postgres_server.execute(f'CREATE DATABASE "{database}" TEMPLATE "{migrated_postgres}"')
    place = Place("postgresql", postgres_server.url(database))
    yield place
    await place.close()
    postgres_server.drop_database(database)


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest) -> Place:
    if request.param == "memory":
        return Place("memory", "")
    found: Place = request.getfixturevalue("sqlite_place" if request.param == "sqlite" else "postgres_place")
    return found


@pytest.fixture(params=KINDS[1:])
def sql_place(request: pytest.FixtureRequest) -> Place:
    """A place that other processes can open too."""
    found: Place = request.getfixturevalue("sqlite_place" if request.param == "sqlite" else "postgres_place")
    return found


@pytest.fixture
async def store(place: Place) -> Store:
    return await place.open()
