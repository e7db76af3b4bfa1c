"""SQLite with a local tier: a copy is served only while the file is as it was, whoever writes to it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from prefs.cache.loader import Freshness, Tier
from prefs.cache.read_through import CachedStore, embedded
from prefs.migrations import migrate
from prefs.store.sql import SqlStore
from tests.cache.watched import Watched
from tests.store.samples import SetClock, born, document, entry, name, newborn, put

ROOT = Path(__file__).resolve().parents[2]

WRITER = """
import asyncio, sys
from prefs.store.sql import SqlStore
from tests.store.samples import SetClock, put

async def work():
    store = await SqlStore.open(sys.argv[1], SetClock())
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
    return Watched(await SqlStore.open(sqlite_url, SetClock()))


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
    other = await SqlStore.open(sqlite_url, SetClock())
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
    other = await SqlStore.open(sqlite_url, SetClock())
    guest = await born(store)
    watched.hold("look_up")
    slow = asyncio.ensure_future(store.get(guest))
    await watched.reached.wait()
    await other.write(guest, put("prf_a", 1))
    watched.release()
    await slow

    assert (await document(store, guest)).version == 2
    await other.close()
