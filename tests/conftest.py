"""Fixtures that every test may use: real servers, one of each kind a process, and an empty database in them a test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from prefs.migrations import migrate
from tests.servers import PostgresServer, ValkeyServer, run_anywhere
from tests.turns import turn


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Outside of everything, so that waiting for the machine is on nobody's clock."""
    with turn(alone=item.get_closest_marker("alone") is not None):
        return (yield)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The shared PostgreSQL. A test that stops or kills a server makes a `PostgresServer` of its own."""
    server = PostgresServer()
    server.start()
    yield server
    server.close()


@pytest.fixture(scope="session")
def migrated_postgres(postgres_server: PostgresServer) -> Iterator[str]:
    """A database with the schema, to copy: much quicker than migrating for every test."""
    url = postgres_server.create_database("migrated")
    run_anywhere(lambda: migrate(url))
    yield "migrated"
    postgres_server.drop_database("migrated")


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of an empty database that is this test's alone."""
    url = postgres_server.create_database()
    yield url
    postgres_server.drop_database(url.rpartition("/")[2])


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[ValkeyServer]:
    """The shared Valkey. A test that stops or kills a server makes a `ValkeyServer` of its own."""
    server = ValkeyServer()
    server.start()
    yield server
    server.close()


@pytest.fixture
def valkey_url(valkey_server: ValkeyServer) -> str:
    """The URL of the shared Valkey, emptied for this test."""
    valkey_server.ask(b"FLUSHALL\r\n")
    return valkey_server.url()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of a SQLite file that is not there yet, in the test's own folder."""
    return f"sqlite:///{tmp_path / 'guestprefs.sqlite3'}"
