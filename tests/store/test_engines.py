"""What the engines promise beyond the queries: durability, a database that is gone, old schemas, restarts."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pysqlite3.dbapi2 as pysqlite
import pytest
from sqlalchemy import text
from sqlalchemy.pool import NullPool

from prefs.core.entries import Identifier
from prefs.core.errors import Refused, SchemaOutdated, StoreUnavailable
from prefs.migrations import migrate
from prefs.ports import Credentials, FeedRows, Once, Store
from prefs.store.engines import Outcome, parse, sqlite_engine, wal_safe
from prefs.store.runners import PATIENCE_SLICES
from prefs.store.sql import PURGE_EVERY, SqlStore
from prefs.store.waiting import SLICE_S
from tests.servers import PostgresServer
from tests.store.calls import ALL, Call
from tests.store.conftest import Place
from tests.store.samples import SetClock, born, document, identify, name, put
from tests.vaults import vault


def test_every_method_of_the_port_is_tried() -> None:
    ports = {"": Store, "credentials.": Credentials, "feed.": FeedRows}
    found = {at + name for at, port in ports.items() for name, one in vars(port).items() if callable(one)}
    methods = {name for name in found if not name.rpartition(".")[2].startswith("_")}
    assert set(ALL) | {"held", "forget", "close", "feed.blockers"} == methods


async def every_call_is_unavailable(store: Store, calls: dict[str, Call] = ALL) -> None:
    results = await asyncio.gather(*(call(store) for call in calls.values()), return_exceptions=True)

    assert {call: type(result) for call, result in zip(calls, results, strict=True)} == dict.fromkeys(
        calls, StoreUnavailable
    )


# ---------------------------------------------------------------- PostgreSQL that goes away


@pytest.fixture(scope="module")
def own_server() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


@pytest.fixture
async def own(own_server: PostgresServer) -> AsyncIterator[SqlStore]:
    """A store on a server that this test may stop."""
    url = own_server.create_database()
    await migrate(url)
    store = await SqlStore.open(url, SetClock(), vault())
    yield store
    own_server.start()
    await store.close()


async def test_a_stopped_server_is_reported_by_every_method_and_forgotten_when_back(
    own: SqlStore, own_server: PostgresServer
) -> None:
    guest = await born(own)
    before = await document(own, guest)
    own_server.stop()

    await every_call_is_unavailable(own)
    own_server.start()

    assert await document(own, guest) == before
    assert (await own.write(guest, put("prf_b", 1))).document.version == 2


async def test_a_killed_server_keeps_what_was_acknowledged(own: SqlStore, own_server: PostgresServer) -> None:
    guest = await born(own)
    told = [await own.write(guest, put("prf_a", value)) for value in range(5)]
    own_server.kill9()
    own_server.start()

    # The pool is full of dead connections: one is tried, found dead, and replaced without the caller noticing.
    assert await document(own, guest) == told[-1].document
    assert (await own.write(guest, put("prf_a", 9))).document.version == 7


async def test_a_frozen_server_is_reported_without_waiting_for_it(own: SqlStore, own_server: PostgresServer) -> None:
    guest = await born(own)
    own_server.freeze()
    try:
        await every_call_is_unavailable(own)
        still_stuck = own._runner._waiter.in_flight  # type: ignore[attr-defined]
    finally:
        own_server.thaw()

    # The callers had their answer while the driver was still waiting for the server.
    assert still_stuck > 0
    assert PATIENCE_SLICES * SLICE_S < 1
    await eventually(own, lambda store: store.get(guest))


async def test_a_write_given_up_on_is_not_saved_later(own: SqlStore, own_server: PostgresServer) -> None:
    guest = await born(own)
    own_server.freeze()
    try:
        with pytest.raises(StoreUnavailable):
            await own.write(guest, put("prf_a", 1))
    finally:
        own_server.thaw()
    await eventually(own, lambda store: store.get(guest))
    await own.close()

    later = await SqlStore.open(own_server.url(database_of(own)), SetClock(), vault())
    assert (await document(later, guest)).version == 1
    await later.close()


def database_of(store: SqlStore) -> str:
    return str(store._runner._engine.url.database)  # type: ignore[attr-defined]


async def eventually(store: Store, call: Call) -> object:
    """The first answer of a database that is coming back."""
    for _ in range(100):
        try:
            return await call(store)
        except StoreUnavailable:
            await asyncio.sleep(0.1)
    raise AssertionError("the store never came back")


async def test_a_server_that_turned_read_only_is_connected_to_anew(own: SqlStore, own_server: PostgresServer) -> None:
    guest = await born(own)
    database = database_of(own)
    own_server.execute(f'ALTER DATABASE "{database}" SET default_transaction_read_only = on')
    fresh = await SqlStore.open(own_server.url(database), SetClock(), vault())
    with pytest.raises(StoreUnavailable):
        await fresh.write(guest, put("prf_a", 1))
    own_server.execute(f'ALTER DATABASE "{database}" RESET default_transaction_read_only')

    # A setting of new sessions only: the write succeeds because the old ones are gone.
    assert (await fresh.write(guest, put("prf_a", 1))).document.version == 2
    await fresh.close()


async def test_a_server_that_was_never_there_is_unavailable(own_server: PostgresServer) -> None:
    own_server.stop()
    try:
        with pytest.raises(StoreUnavailable):
            await SqlStore.open(own_server.url("any"), SetClock(), vault())
        with pytest.raises(StoreUnavailable):
            await migrate(own_server.url("any"))
    finally:
        own_server.start()


async def test_no_connection_stays_out_when_callers_leave(own: SqlStore) -> None:
    guest = await born(own)
    for delay in range(30):
        call = asyncio.create_task(own.write(guest, put("prf_a", delay)))
        await asyncio.sleep(delay / 5000)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
    runner = own._runner
    for _ in range(100):  # what was left behind finishes by itself
        if runner._waiter.in_flight == 0:  # type: ignore[attr-defined]
            break
        await asyncio.sleep(0.05)
    made = await own.write(guest, put("prf_a", 100))
    assert runner._engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    assert [past.version for past in await own.history(guest, 100)] == list(range(made.document.version, 0, -1))


# ---------------------------------------------------------------- SQLite that cannot be used


async def test_a_closed_store_is_unavailable(sqlite_place: Place) -> None:
    store = await sqlite_place.open()
    await store.close()

    await every_call_is_unavailable(store)


async def test_writers_do_not_wait_for_ever_for_another_process(sqlite_place: Place) -> None:
    store = await sqlite_place.open()
    guest = await born(store)
    other = pysqlite.connect(sqlite_place.url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(StoreUnavailable, match="locked"):
        await store.write(guest, put("prf_a", 1))
    assert (await document(store, guest)).version == 1

    other.execute("ROLLBACK")
    other.close()
    assert (await store.write(guest, put("prf_a", 1))).document.version == 2


async def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    path = tmp_path / "letter.db"
    path.write_text("Dear guest, " * 100)

    with pytest.raises(StoreUnavailable):
        await SqlStore.open(f"sqlite:///{path}", SetClock(), vault())


async def test_missing_tables_are_unavailable_for_every_method(sqlite_place: Place) -> None:
    store = await sqlite_place.open()
    other = pysqlite.connect(sqlite_place.url.removeprefix("sqlite:///"), isolation_level=None)
    tables = other.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'alembic_version'"
    ).fetchall()
    for (table,) in tables:
        other.execute(f'DROP TABLE "{table}"')
    other.close()

    await every_call_is_unavailable(store, {call: ALL[call] for call in ALL if call != "ping"})


async def test_text_that_no_database_takes_is_refused(sql_place: Place) -> None:
    store = await sql_place.open()
    guest = await born(store)

    with pytest.raises(Refused):
        await store.write(guest, identify(Identifier("pms", "\ud800")))
    assert (await document(store, guest)).version == 1


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://localhost/x"])
async def test_other_engines_are_refused_in_words(url: str) -> None:
    with pytest.raises(ValueError, match="database URL"):
        await SqlStore.open(url, SetClock(), vault())


# ---------------------------------------------------------------- durability


async def test_sqlite_acknowledges_only_what_is_on_disk(sqlite_place: Place) -> None:
    store = await sqlite_place.open()
    names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")

    found = await store._runner.run(  # type: ignore[attr-defined]
        lambda connection: Outcome([connection.execute(text(f"PRAGMA {name}")).scalar() for name in names], keep=False)
    )

    assert dict(zip(names, found, strict=True)) == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "busy_timeout": 2000,
    }


@pytest.mark.parametrize(("server", "session"), [("on", "on"), ("off", "on"), ("remote_apply", "remote_apply")])
async def test_postgresql_acknowledges_only_what_is_on_disk(
    postgres_server: PostgresServer, postgres_place: Place, server: str, session: str
) -> None:
    database = postgres_place.url.rpartition("/")[2]
    postgres_server.execute(f'ALTER DATABASE "{database}" SET synchronous_commit = {server}')
    store = await postgres_place.open()
    names = ("synchronous_commit", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")

    found = await store._runner.run(  # type: ignore[attr-defined]
        lambda connection: Outcome([connection.execute(text(f"SHOW {name}")).scalar() for name in names], keep=False)
    )

    assert dict(zip(names, found, strict=True)) == dict.fromkeys(names, "2s") | {"synchronous_commit": session}


@pytest.mark.parametrize(
    ("version", "safe"),
    [
        ((3, 40, 1), False),
        ((3, 44, 5), False),
        ((3, 44, 6), True),
        ((3, 45, 0), False),
        ((3, 50, 6), False),
        ((3, 50, 7), True),
        ((3, 51, 1), False),
        ((3, 51, 2), False),
        ((3, 51, 3), True),
        ((3, 53, 4), True),
    ],
)
def test_wal_needs_a_sqlite_with_the_reset_fix(version: tuple[int, ...], safe: bool) -> None:
    assert wal_safe(version) is safe


# ---------------------------------------------------------------- what stays and what goes


async def test_answers_outlive_the_process(place: Place) -> None:
    store = await place.open()
    guest, once = await born(store), Once("caller", name("key"), "f")
    first = await store.write(guest, put("prf_a", 1), once)
    await store.close()

    again = await (await place.open()).write(guest, put("prf_a", 1), once)

    assert (again.replayed, again.answer) == (True, first.answer)


async def test_old_answers_are_cleared_as_new_ones_come(sqlite_place: Place) -> None:
    store = await sqlite_place.open()
    assert isinstance(store, SqlStore)
    guest = await born(store)
    await store.write(guest, put("prf_a", 1), Once("caller", "old", "f"))
    sqlite_place.clock.time = sqlite_place.clock.time.replace(year=2027)
    store._claims = PURGE_EVERY - 1
    await store.write(guest, put("prf_a", 2), Once("caller", "new", "f"))

    keys = await store._runner.look(
        lambda connection: connection.execute(text("SELECT key FROM idempotency")).scalars().all()
    )

    assert keys == ["new"]


async def test_an_empty_database_is_not_opened(sqlite_url: str, postgres_url: str, tmp_path: Path) -> None:
    for url in (sqlite_url, postgres_url):
        with pytest.raises(SchemaOutdated, match="guestprefs migrate"):
            await SqlStore.open(url, SetClock(), vault())
    assert await asyncio.to_thread(os.listdir, tmp_path) == []


def test_many_may_open_a_new_sqlite_file_at_once(tmp_path: Path) -> None:
    """Turning a new file to WAL is a lock that SQLite does not always wait for: one opening of 300 was refused."""
    opening = threading.Barrier(8)

    def open_one(url: str) -> str:
        engine = sqlite_engine(parse(url), begin="BEGIN IMMEDIATE", poolclass=NullPool)
        opening.wait()
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS probe (id INTEGER)")
            return str(connection.exec_driver_sql("PRAGMA journal_mode").scalar())

    with ThreadPoolExecutor(8) as threads:
        modes = {
            mode
            for attempt in range(200)
            for mode in threads.map(open_one, [f"sqlite:///{tmp_path}/new-{attempt}.db"] * 8)
        }

    assert modes == {"wal"}
