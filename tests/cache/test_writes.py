"""Writes through the tiers: what is fenced, what nobody may remember, what goes on when its caller has left."""

from __future__ import annotations

import asyncio

import pytest

from prefs.cache.loader import Freshness, Tier
from prefs.cache.read_through import CachedStore
from prefs.core.entries import Document, Identifier
from prefs.core.errors import IdentifierTaken, NotFound, StoreUnavailable
from prefs.store.memory import MemoryStore
from tests.cache.conftest import CachedPlace, OpenPlace
from tests.cache.watched import Counts, Watched, caught_up, listening, newborn_guest, tier, until
from tests.store.samples import document, identify, name, nothing, put


@pytest.fixture
async def place(open_place: OpenPlace, valkey_url: str) -> CachedPlace:
    return await open_place("memory", valkey_url)


@pytest.fixture
def counts() -> Counts:
    return Counts()


@pytest.fixture
async def watched(place: CachedPlace) -> Watched:
    return Watched(MemoryStore(place.clock))


@pytest.fixture
async def store(place: CachedPlace, watched: Watched, counts: Counts) -> CachedStore:
    store = await place.open_at(Freshness.DEFAULT, metrics=counts, inner=watched)
    await listening(store)
    return store


async def test_nothing_read_before_a_write_is_remembered_after_it(store: CachedStore, watched: Watched) -> None:
    """The reader has read the old version and stalls; the write is told; only then the reader would remember."""
    guest = await newborn_guest(store)
    watched.hold("look_up")
    slow = asyncio.ensure_future(store.get(guest))
    await watched.reached.wait()
    await store.write(guest, put("prf_a", 7))
    watched.release()

    assert (await slow or Document(guest, 0)).version == 1, "it asked before"
    assert (await document(store, guest)).version == 2
    assert (await store.read([guest], Freshness.SHARED))[guest].document.version == 2


async def test_while_a_write_is_under_way_nobody_remembers(store: CachedStore, watched: Watched) -> None:
    guest = await newborn_guest(store)
    await store.get(guest)
    watched.hold("write")
    writing = asyncio.ensure_future(store.write(guest, put("prf_a", 7)))
    await watched.reached.wait()
    tiers = [await tier(store, guest, level) for level in (Freshness.DEFAULT, Freshness.SHARED) * 2]
    watched.release()
    await writing
    await caught_up(store)

    assert tiers == [Tier.STORE] * 4
    assert await tier(store, guest) is Tier.STORE
    assert await tier(store, guest) is Tier.LOCAL


@pytest.mark.parametrize("refused", [NotFound, IdentifierTaken])
async def test_a_refused_write_lifts_its_fence(store: CachedStore, counts: Counts, refused: type[Exception]) -> None:
    other = await newborn_guest(store, identifiers=(Identifier("pms", name("x")),))
    guest = await newborn_guest(store) if refused is IdentifierTaken else name("gst")
    taken = (await document(store, other)).identifiers
    counts.fences.clear()
    with pytest.raises(refused):
        await store.write(guest, identify(*taken))

    assert counts.fences == ["raised", "lifted"]
    await store.get(guest)
    assert counts.leases[-1] == "granted"


async def test_a_write_of_unknown_outcome_leaves_its_fence(
    store: CachedStore, watched: Watched, counts: Counts
) -> None:
    """The commit may still land; what is filled before it would outlive it."""
    guest = await newborn_guest(store)
    await store.get(guest)
    watched.gone = True
    with pytest.raises(StoreUnavailable):
        await store.write(guest, put("prf_a", 7))
    watched.gone = False
    counts.leases.clear()
    await until_answered(store, guest)

    assert set(counts.leases) == {"fenced"}
    assert await tier(store, guest) is Tier.STORE


async def until_answered(store: CachedStore, guest: str) -> None:
    for _ in range(200):
        try:
            await store.get(guest)
            return
        except StoreUnavailable:
            await asyncio.sleep(0.02)


async def test_a_caller_that_leaves_does_not_stop_its_write(store: CachedStore, watched: Watched) -> None:
    guest = await newborn_guest(store)
    await store.get(guest)
    watched.hold("write", before=True)
    writing = asyncio.ensure_future(store.write(guest, put("prf_a", 7)))
    await watched.reached.wait()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    watched.release()
    await until(lambda: not store._fences._writes, "the write")
    await caught_up(store)

    assert (await document(store, guest)).version == 2
    assert await tier(store, guest) is Tier.LOCAL


async def test_a_write_that_changes_nothing_costs_the_next_reader_one_load(store: CachedStore) -> None:
    guest = await newborn_guest(store)
    written = await store.write(guest, nothing)

    assert (written.change, written.document.version) == (None, 1)
    assert (await document(store, guest)).version == 1


async def test_closing_lets_writes_end(place: CachedPlace, watched: Watched) -> None:
    store = await place.open_at(Freshness.DEFAULT, inner=watched)
    guest = await newborn_guest(store)
    watched.hold("write")
    writing = asyncio.ensure_future(store.write(guest, put("prf_a", 7)))
    await watched.reached.wait()
    closing = asyncio.ensure_future(store.close())
    await asyncio.sleep(0.01)
    assert not closing.done()
    watched.release()
    await closing

    assert (await writing).document.version == 2
