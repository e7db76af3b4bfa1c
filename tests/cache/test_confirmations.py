"""Answers that lie ready, told to those who want no copy: only while every entry they were made from still stands."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from prefs.cache.confirmations import IN_THE_AIR_MAX
from prefs.cache.keys import entry_name
from prefs.cache.loader import Freshness
from prefs.cache.read_through import CachedStore
from prefs.ports import Lookup
from prefs.store.memory import MemoryStore
from tests.cache.conftest import CachedPlace, OpenPlace
from tests.cache.test_shared import say
from tests.cache.watched import Counts, Watched, listening, newborn_guest, until
from tests.servers import ValkeyServer
from tests.store.samples import put


@pytest.fixture
async def place(open_place: OpenPlace, valkey_url: str) -> CachedPlace:
    return await open_place("memory", valkey_url)


@pytest.fixture
async def watched(place: CachedPlace) -> Watched:
    return Watched(MemoryStore(place.clock))


@pytest.fixture
async def store(place: CachedPlace, watched: Watched) -> CachedStore:
    return await place.open_at(Freshness.DEFAULT, metrics=Counts(), inner=watched)


@pytest.fixture
async def elsewhere(place: CachedPlace, watched: Watched, store: CachedStore) -> CachedStore:
    """Another process's tiers over the same store."""
    other = await place.open_at(Freshness.DEFAULT, inner=watched)
    await listening(store, other)
    return other


async def ready(store: CachedStore, guest: str, answer: bytes = b"answer") -> None:
    """Lay down an answer made of a document, stays and the catalogue, all of them entries of the shared tier by now."""
    reads = store.reading()
    await reads.look_up(Lookup([guest], [guest], extensions=True))
    await until(lambda: not store._loader._flights, "the fills")
    store.prepare(reads, guest, "kiosk", answer, len(answer))


def looks(server: ValkeyServer) -> int:
    found = re.search(r"cmdstat_mget:calls=(\d+)", server.ask(b"INFO commandstats\r\n").decode())
    return int(found[1]) if found else 0


async def test_what_stands_is_told_without_loading(
    store: CachedStore, elsewhere: CachedStore, watched: Watched
) -> None:
    guest = await newborn_guest(store)
    assert await store.confirmed(guest, "kiosk") is None, "nothing lies ready"
    await ready(store, guest)
    calls = watched.calls.total()

    assert await store.confirmed(guest, "kiosk") == b"answer"
    assert await store.confirmed(guest, "kiosk", 1) == b"answer"
    assert await store.confirmed(guest, "kiosk", 2) is None, "a caller who knows of a newer version"
    assert await store.confirmed(guest, "tv") is None
    assert watched.calls.total() == calls


async def test_a_write_elsewhere_ends_it_though_nobody_told(
    store: CachedStore, elsewhere: CachedStore, watched: Watched
) -> None:
    """The local copy is in doubt at most; what counts is that its entry does not stand."""
    guest = await newborn_guest(store, elsewhere)
    await ready(store, guest)
    assert store._heartbeat is not None
    await asyncio.to_thread(store._heartbeat.stop)
    await elsewhere.write(guest, put("prf_a", 1))
    assert await store.confirmed(guest, "kiosk") is None

    found = await elsewhere.reading(linearizable=True).get(guest)
    await until(lambda: not elsewhere._loader._flights, "the fill")
    assert found is not None and found.version == 2
    assert await store.confirmed(guest, "kiosk") is None, "another entry stands there now"


async def test_a_write_under_way_ends_it(store: CachedStore, elsewhere: CachedStore, watched: Watched) -> None:
    guest = await newborn_guest(store, elsewhere)
    await ready(store, guest)
    watched.hold("write", before=True)
    writing = asyncio.ensure_future(elsewhere.write(guest, put("prf_a", 1)))
    await watched.reached.wait()
    assert await store.confirmed(guest, "kiosk") is None
    watched.release()
    await writing


@pytest.mark.parametrize("part", ["g:{guest}", "s:{guest}", "x:all"])
async def test_every_entry_has_to_stand(
    store: CachedStore, elsewhere: CachedStore, valkey_server: ValkeyServer, part: str
) -> None:
    guest = await newborn_guest(store)
    await ready(store, guest)
    assert await store.confirmed(guest, "kiosk") == b"answer"
    namespace = store._local.namespace if store._local else None
    assert namespace
    assert say(valkey_server, "DEL", entry_name(namespace, part.format(guest=guest))) == ":1"
    assert await store.confirmed(guest, "kiosk") is None


async def test_what_is_filled_again_unchanged_stands_under_its_new_seal(
    store: CachedStore, elsewhere: CachedStore, valkey_server: ValkeyServer
) -> None:
    guest = await newborn_guest(store)
    await ready(store, guest)
    say(valkey_server, "FLUSHALL")
    await store.reading(linearizable=True).look_up(Lookup([guest], [guest], extensions=True))
    await until(lambda: not store._loader._flights, "the fills")

    assert await store.confirmed(guest, "kiosk") == b"answer", "the same copies, so the answer still lies beside them"


async def test_copies_of_no_known_entry_are_not_confirmed(store: CachedStore, elsewhere: CachedStore) -> None:
    """Where nothing could be filled no seal is known, and none standing must not be taken for the same."""
    guest = await newborn_guest(store)
    await ready(store, guest)
    for kept in store._local._kept.values() if store._local else ():
        kept.seal = b""
    assert await store.confirmed(guest, "kiosk") is None


async def test_no_entry_is_not_the_entry_of_a_copy_that_lost_its_seal(
    store: CachedStore, elsewhere: CachedStore, valkey_server: ValkeyServer
) -> None:
    """A fill that a write refuses may end just while somebody looks: then neither side has a seal."""
    guest = await newborn_guest(store)
    await ready(store, guest)
    say(valkey_server, "FLUSHALL")
    asked = asyncio.ensure_future(store.confirmed(guest, "kiosk"))
    await asyncio.sleep(0)
    for kept in store._local._kept.values() if store._local else ():
        kept.seal = b""
    assert await asked is None


async def test_without_redis_nothing_is_confirmed(place: CachedPlace, watched: Watched) -> None:
    with ValkeyServer() as server:
        place.redis_url = server.url()
        store = await place.open_at(Freshness.DEFAULT, inner=watched)
        await listening(store)
        guest = await newborn_guest(store)
        await ready(store, guest)
        assert await store.confirmed(guest, "kiosk") == b"answer"
        await asyncio.to_thread(server.kill9)
        assert await store.confirmed(guest, "kiosk") is None


async def test_who_asks_at_about_the_same_time_shares_a_look(
    store: CachedStore, elsewhere: CachedStore, valkey_server: ValkeyServer
) -> None:
    guests = [await newborn_guest(store) for _ in range(20)]
    for guest in guests:
        await ready(store, guest)
    before = looks(valkey_server)
    found: list[Any] = await asyncio.gather(*(store.confirmed(guest, "kiosk") for guest in guests * 10))

    assert found == [b"answer"] * 200
    assert 1 <= looks(valkey_server) - before <= IN_THE_AIR_MAX


async def test_a_look_that_was_under_way_answers_nobody_who_came_later(
    store: CachedStore, elsewhere: CachedStore, valkey_server: ValkeyServer
) -> None:
    """Whoever asks after a write was acknowledged must not hear of a look before it."""
    guest = await newborn_guest(store, elsewhere)
    for number in range(2, 40):
        await ready(store, guest, b"%d" % (number - 1))
        early = [asyncio.ensure_future(store.confirmed(guest, "kiosk")) for _ in range(3)]
        await elsewhere.write(guest, put("prf_a", number))
        assert await store.confirmed(guest, "kiosk") is None
        await asyncio.gather(*early)


async def test_a_caller_who_leaves_takes_nobody_with_him(store: CachedStore, elsewhere: CachedStore) -> None:
    guest = await newborn_guest(store)
    await ready(store, guest)
    asked = [asyncio.ensure_future(store.confirmed(guest, "kiosk")) for _ in range(5)]
    await asyncio.sleep(0)
    asked[0].cancel()
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(found[0], asyncio.CancelledError)
    assert found[1:] == [b"answer"] * 4
