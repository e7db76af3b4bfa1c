"""Writes that share a commit on SQLite: each falls alone, nobody hears before the commit, no commit means none."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pysqlite3.dbapi2 as pysqlite
import pytest
from sqlalchemy import Connection, text

from prefs.core.changes import Written
from prefs.core.entries import Document
from prefs.core.errors import Refused, StoreUnavailable
from prefs.ports import Past
from prefs.store.engines import Outcome, Unit
from prefs.store.groups import TOGETHER_MAX, GroupWriter
from prefs.store.runners import SqliteRunner
from prefs.store.sql import SqlStore
from tests.store.conftest import Place
from tests.store.samples import born, document, put, rename

MANY = 12


class Gate:
    """Holds the writer inside one write until the others have queued up behind it."""

    def __init__(self) -> None:
        self.entered, self.opened = threading.Event(), threading.Event()

    def work(self, connection: Connection) -> Outcome[str]:
        self.entered.set()
        assert self.opened.wait(10)
        return Outcome("gate", keep=False)


@contextmanager
def noted(store: SqlStore) -> Iterator[list[str]]:
    """The statements that begin and end transactions, as the writer's connection runs them."""
    said: list[str] = []
    connection = writer_of(store)._open()
    driver: Any = connection.connection.driver_connection
    words = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")
    driver.set_trace_callback(lambda statement: said.append(statement) if statement.startswith(words) else None)
    yield said
    driver.set_trace_callback(None)


def writer_of(store: SqlStore) -> GroupWriter:
    assert isinstance(store._runner, SqliteRunner)
    return store._runner._writer


async def opened(place: Place) -> SqlStore:
    store = await place.open()
    assert isinstance(store, SqlStore)
    return store


async def behind(store: SqlStore, *calls: Any) -> list[Any]:
    """What calls come to that all wait while the writer is busy, and are then taken together."""
    gate = Gate()
    held = asyncio.create_task(store._runner.run(gate.work))
    await asyncio.to_thread(gate.entered.wait, 10)
    waiting = [asyncio.create_task(call) for call in calls]
    while writer_of(store)._queue.qsize() < len(calls):  # noqa: ASYNC110 - the queue is the thread's and has no event
        await asyncio.sleep(0)
    gate.opened.set()
    await held
    return await asyncio.gather(*waiting, return_exceptions=True)


def refusing(found: Document, past: Past) -> Written:
    raise Refused("not this one")


def broken(found: Document, past: Past) -> Written:
    raise ZeroDivisionError


async def test_writes_that_wait_share_one_commit(sqlite_place: Place) -> None:
    store = await opened(sqlite_place)
    guests = [await born(store) for _ in range(MANY)]
    with noted(store) as said:
        told = await behind(store, *(store.write(guest, put("prf_a", n)) for n, guest in enumerate(guests)))

    assert [one.document.version for one in told] == [2] * MANY
    assert [said.count(word) for word in ("COMMIT", "SAVEPOINT own", "RELEASE own")] == [1, MANY, MANY]
    assert [(await document(store, guest)).entries[0].value for guest in guests] == list(range(MANY))


async def test_a_write_that_fails_among_others_falls_alone(sqlite_place: Place) -> None:
    store = await opened(sqlite_place)
    guests = [await born(store) for _ in range(5)]
    applied = [put("prf_a", 1), refusing, put("prf_a", 3), broken, identify_badly]

    told = await behind(store, *(store.write(guest, one) for guest, one in zip(guests, applied, strict=True)))

    assert [type(one) for one in told] == [Written, Refused, Written, ZeroDivisionError, Refused]
    versions = [(await document(store, guest)).version for guest in guests]
    assert versions == [2, 1, 2, 1, 1]
    assert [len(await store.history(guest, 10)) for guest in guests] == versions


def identify_badly(found: Document, past: Past) -> Written:
    """What the database refuses after half of the write was done."""
    return rename("\ud800")(found, past)


async def test_writes_of_one_guest_in_one_commit_follow_each_other(sqlite_place: Place) -> None:
    store = await opened(sqlite_place)
    guest = await born(store)

    told = await behind(store, *(store.write(guest, put("prf_a", n)) for n in range(TOGETHER_MAX)))

    assert [one.document.version for one in told] == list(range(2, TOGETHER_MAX + 2))
    history = await store.history(guest, 100)
    assert [change.version for change in history] == list(range(TOGETHER_MAX + 1, 0, -1))
    assert (await document(store, guest)).entries[0].value == TOGETHER_MAX - 1


async def seen_at_answers(store: SqlStore, url: str) -> list[int]:
    """The version that another connection sees of each guest at the moment its write is answered."""
    guests = [await born(store) for _ in range(MANY)]
    other = pysqlite.connect(url.removeprefix("sqlite:///"))
    seen: list[int] = []

    async def write(guest: str) -> None:
        await store.write(guest, put("prf_a", 1))
        seen.append(other.execute("SELECT version FROM guest WHERE id = ?", (guest,)).fetchone()[0])

    await behind(store, *(write(guest) for guest in guests))
    other.close()
    return seen


async def test_nobody_is_told_before_the_commit_that_all_share(sqlite_place: Place) -> None:
    assert await seen_at_answers(await opened(sqlite_place), sqlite_place.url) == [2] * MANY


async def test_one_who_is_told_earlier_is_noticed(sqlite_place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted fault: each is told when its own part is done."""
    store = await opened(sqlite_place)
    writer, loop = writer_of(store), asyncio.get_running_loop()
    one = writer._one

    def hasty(job: Any, *rest: Any, **more: Any) -> None:
        one(job, *rest, **more)
        loop.call_soon_threadsafe(job.tell)
        time.sleep(0.02)

    monkeypatch.setattr(writer, "_one", hasty)

    assert 1 in await seen_at_answers(store, sqlite_place.url)


async def test_a_commit_that_fails_is_told_to_all_and_leaves_nothing(sqlite_place: Place) -> None:
    """A foreign key that is looked at only by COMMIT lets each write succeed and their commit fail."""
    store = await opened(sqlite_place)
    guests = [await born(store) for _ in range(4)]

    def dangling(connection: Connection) -> Outcome[None]:
        connection.execute(text("PRAGMA defer_foreign_keys = ON"))
        connection.execute(text("INSERT INTO identifier (guest_id, system, id) VALUES ('gst_nobody', 'pms', '1')"))
        return Outcome(None)

    calls = [store.write(guest, put("prf_a", 1)) for guest in guests]
    told = await behind(store, *calls[:2], store._runner.run(dangling), *calls[2:], store.write(guests[0], refusing))

    # Even the refusal: it was decided on what was never committed.
    assert [type(one) for one in told] == [StoreUnavailable] * 6
    assert [(await document(store, guest)).version for guest in guests] == [1] * 4
    assert (await store.write(guests[0], put("prf_a", 7))).document.version == 2


async def test_one_that_nobody_waits_for_is_undone_and_the_others_done_again(sqlite_place: Place) -> None:
    store = await opened(sqlite_place)
    guests = [await born(store) for _ in range(2)]
    left = Unit()

    def gives_up_late(found: Document, past: Past) -> Written:
        left.abandoned = True  # by now the other write of this commit is done
        return put("prf_a", 1)(found, past)

    abandoned = store._runner.run(lambda connection: renaming(connection, guests[0]), left)
    told = await behind(store, abandoned, store.write(guests[1], gives_up_late))

    assert [type(one) for one in told] == [StoreUnavailable, Written]
    assert (await document(store, guests[0])).display_name == "Ann"
    assert (await document(store, guests[1])).version == 2


def renaming(connection: Connection, guest: str) -> Outcome[None]:
    connection.execute(text("UPDATE guest SET display_name = 'left' WHERE id = :guest"), {"guest": guest})
    return Outcome(None)


async def test_what_was_queued_is_done_before_the_store_closes(sqlite_place: Place) -> None:
    store = await opened(sqlite_place)
    guests = [await born(store) for _ in range(MANY)]
    writing = [asyncio.create_task(store.write(guest, put("prf_a", 1))) for guest in guests]
    await asyncio.sleep(0)
    await store.close()

    assert {(await one).document.version for one in writing} == {2}


async def test_a_write_without_its_savepoint_is_noticed(sqlite_place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted fault: what failed halfway is committed with the others."""
    store = await opened(sqlite_place)
    guest = await born(store)

    def unguarded(job: Any, connection: Connection, run: Any, alone: bool) -> None:
        try:
            job.outcome = job.work(connection)
        except Refused as refused:
            job.failure = refused

    def half(connection: Connection) -> Outcome[None]:
        renaming(connection, guest)
        raise Refused("after half of it")

    for mutant in (False, True):
        if mutant:
            monkeypatch.setattr(writer_of(store), "_one", unguarded)
        await behind(store, store._runner.run(half), store._runner.run(lambda _: Outcome(None)))
        assert (await document(store, guest)).display_name == ("left" if mutant else "Ann")


async def test_connections_are_begun_anew_between_writes_that_are_on_their_way(sqlite_place: Place) -> None:
    store = await opened(sqlite_place)
    guests = [await born(store) for _ in range(MANY)]
    before = {id(one) for one in connections(store)}
    kept = connections(store)  # so that no new one can be taken for an old one
    for value in range(3):
        writing = [asyncio.create_task(store.write(guest, put("prf_a", value))) for guest in guests]
        reading = [asyncio.create_task(document(store, guest)) for guest in guests]
        await store.renew()
        assert {(await one).document.version for one in writing} == {value + 2}
        assert {(await one).display_name for one in reading} == {"Ann"}
    await document(store, guests[0])
    assert before and not before & {id(one) for one in connections(store)}
    assert all(closed(one) for one in kept)


def connections(store: SqlStore) -> list[Any]:
    """Those that lie ready for readers, and the writer's."""
    assert isinstance(store._runner, SqliteRunner)
    readers = list(store._runner._reading.pool._pool.queue)  # type: ignore[attr-defined]
    writer = store._runner._writer._connection
    return [one.dbapi_connection for one in readers] + ([writer.connection.driver_connection] if writer else [])


def closed(connection: Any) -> bool:
    try:
        connection.execute("SELECT 1")
    except pysqlite.ProgrammingError:
        return True
    return False
