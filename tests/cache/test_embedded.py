"""SQLite with a local tier: a copy is served only while the file is as it was, whoever writes to it."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pysqlite3.dbapi2 as sqlite
import pytest

from prefs.cache.embedded import EmbeddedTier
from prefs.cache.loader import Freshness, Tier
from prefs.cache.read_through import CachedStore, embedded
from prefs.migrations import migrate
from prefs.store.sql import SqlStore
from tests.cache.watched import Watched
from tests.store.samples import SetClock, born, document, entry, name, newborn, put
from tests.vaults import vault

SHARED = {"check_same_thread": False}
ROOT = Path(__file__).resolve().parents[2]

WRITER = """
import asyncio, sys
from prefs.store.sql import SqlStore
from tests.store.samples import SetClock, put
from tests.vaults import vault

async def work():
    store = await SqlStore.open(sys.argv[1], SetClock(), vault())
    for line in sys.stdin:
        await store.write(sys.argv[2], put("prf_a", int(line)))
        print(line.strip(), flush=True)
    await store.close()

asyncio.run(work())
"""


@pytest.fixture
async def path(tmp_path: Path, sqlite_url: str) -> Path:
    await migrate(sqlite_url)
    return tmp_path / "guestprefs.sqlite3"


@pytest.fixture
async def watched(path: Path, sqlite_url: str) -> Watched:
    return Watched(await SqlStore.open(sqlite_url, SetClock(), vault()))


@pytest.fixture
async def store(watched: Watched, path: Path) -> AsyncIterator[CachedStore]:
    store = embedded(watched, SetClock(), path)  # type: ignore[arg-type]
    yield store
    await store.close()


async def test_copies_are_served_while_nothing_is_written(store: CachedStore, watched: Watched) -> None:
    guest = await born(store)
    first = (await store.read([guest]))[guest]
    again = [(await store.read([guest]))[guest] for _ in range(50)]

    assert first.tier is Tier.STORE
    assert {one.tier for one in again} == {Tier.LOCAL}
    assert watched.calls["look_up"] == 1
    assert (await store.read([guest], Freshness.SHARED))[guest].tier is Tier.STORE


async def test_its_own_writes_are_seen_at_once(store: CachedStore) -> None:
    guest = await born(store)
    for number in range(20):
        await store.get(guest)
        version = (await store.write(guest, put("prf_a", number))).document.version
        assert (await document(store, guest)).version == version


async def test_a_guest_created_after_a_miss_is_found(store: CachedStore, sqlite_url: str) -> None:
    other = await SqlStore.open(sqlite_url, SetClock(), vault())
    guest = name("gst")
    assert await store.get(guest) is None
    await other.create(newborn(guest, entry("prf_a")))

    assert (await document(store, guest)).version == 1
    await other.close()


async def test_a_write_of_another_process_is_in_the_next_read(store: CachedStore, sqlite_url: str) -> None:
    guest = await born(store)
    await store.put_property("htl_1", {"a": 1})
    command = [sys.executable, "-c", WRITER, sqlite_url, guest]
    pipes = {"stdin": asyncio.subprocess.PIPE, "stdout": asyncio.subprocess.PIPE}
    writer = await asyncio.create_subprocess_exec(*command, cwd=ROOT, **pipes)
    assert writer.stdin is not None and writer.stdout is not None
    for number in range(10):
        await store.get(guest)
        assert (await store.read([guest]))[guest].tier is Tier.LOCAL
        writer.stdin.write(b"%d\n" % number)
        await writer.stdin.drain()
        assert await writer.stdout.readline() == b"%d\n" % number
        found = await document(store, guest)
        assert (found.version, found.entries[0].value) == (number + 2, number)
    writer.stdin.close()

    assert await writer.wait() == 0


async def test_what_was_read_during_a_write_is_not_kept(store: CachedStore, watched: Watched, sqlite_url: str) -> None:
    other = await SqlStore.open(sqlite_url, SetClock(), vault())
    guest = await born(store)
    watched.hold("look_up")
    slow = asyncio.ensure_future(store.get(guest))
    await watched.reached.wait()
    await other.write(guest, put("prf_a", 1))
    watched.release()
    await slow

    assert (await document(store, guest)).version == 2
    await other.close()


async def test_one_look_serves_a_round_of_the_loop_and_no_other(store: CachedStore) -> None:
    guest, local = await born(store), store._local
    assert isinstance(local, EmbeddedTier)
    looks, ask = 0, local._ask

    def counted(statement: str) -> Any:
        nonlocal looks
        looks += 1
        return ask(statement)

    await store.get(guest)
    await asyncio.sleep(0)
    local._ask = counted
    for _ in range(50):
        assert store.prepared(guest, "kiosk") is None
    assert looks == 1
    await asyncio.sleep(0)
    store.prepared(guest, "kiosk")
    assert looks == 2


async def test_who_was_told_of_a_commit_never_hears_of_a_look_before_it(store: CachedStore, path: Path) -> None:
    """A thread commits and then puts a question into the loop's queue, while the loop is full of other questions."""
    guest, loop = await born(store), asyncio.get_running_loop()
    key, local, done = "g:" + guest, store._local, asyncio.Event()
    assert local is not None
    late, kept_again = list[int](), 0
    reading, writing = (sqlite.connect(str(path), isolation_level=None, timeout=10, **SHARED) for _ in range(2))

    def ask(committed: int) -> None:
        local.attend()
        kept = local.fresh(key)
        if kept is not None and int(kept.held) < committed:
            late.append(committed)

    def commit() -> None:
        for number in range(500):
            writing.execute("UPDATE guest SET display_name = ?", (str(number),))
            loop.call_soon_threadsafe(ask, number)
            time.sleep(random.random() / 1000)
        loop.call_soon_threadsafe(done.set)

    async def read() -> None:
        nonlocal kept_again
        while not done.is_set():
            local.attend()
            await asyncio.sleep(0)
            if random.random() > 0.1:
                continue  # mostly nobody loads, and what lies there is told
            local.attend()
            expected = local.expect(key)
            name = reading.execute("SELECT display_name FROM guest").fetchone()[0]
            number = int(name) if name.isdigit() else -1
            kept_again += local.keep(key, expected, b"%d" % number, 1, local.namespace) is not None
            await asyncio.sleep(0)

    writing.execute("UPDATE guest SET display_name = '-1'")
    await asyncio.gather(asyncio.to_thread(commit), read(), read(), read())
    reading.close()
    writing.close()
    assert late == [] and kept_again > 100
