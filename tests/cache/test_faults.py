"""Redis refused, hung, slow, killed or cut off, and SQL gone: reads and writes go on or are refused, nothing lies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from prefs.cache.loader import LOADS_MAX, Freshness, Tier
from prefs.cache.metrics import Silence
from prefs.cache.read_through import CachedStore
from prefs.core.changes import Coherence
from prefs.core.errors import StoreUnavailable
from prefs.migrations import migrate
from prefs.store.memory import MemoryStore
from prefs.store.sql import SqlStore
from tests.cache.conftest import CachedPlace, OpenPlace
from tests.cache.watched import Watched, listening, newborn_guest, until
from tests.histories.proxy import Proxy
from tests.servers import PostgresServer, ValkeyServer, free_port
from tests.store.samples import SetClock, born, consent, document, entry, name, newborn, put
from tests.vaults import vault


class Notes(Silence):
    def __init__(self) -> None:
        self.states: list[str] = []
        self.fences: list[str] = []

    def breaker(self, state: str) -> None:
        self.states.append(state)

    def fenced(self, outcome: str) -> None:
        self.fences.append(outcome)


@pytest.fixture
def server() -> Iterator[ValkeyServer]:
    """A Valkey that this test may stop and kill."""
    with ValkeyServer() as server:
        yield server


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
async def place(open_place: OpenPlace, server: ValkeyServer) -> CachedPlace:
    return await open_place("memory", server.url())


@pytest.fixture
async def watched(place: CachedPlace) -> Watched:
    return Watched(MemoryStore(place.clock))


@pytest.fixture
async def store(place: CachedPlace, watched: Watched, notes: Notes) -> CachedStore:
    store = await place.open_at(Freshness.DEFAULT, metrics=notes, inner=watched)
    await listening(store)
    return store


@pytest.fixture
async def proxy(server: ValkeyServer) -> AsyncIterator[Proxy]:
    async with Proxy(server.port) as proxy:
        yield proxy


async def read(store: CachedStore, guest: str, level: Freshness = Freshness.SHARED) -> Tier:
    return (await store.read([guest], level))[guest].tier


# ---------------------------------------------------------------- no Redis


async def test_a_redis_that_never_was_costs_nothing_but_speed(open_place: OpenPlace) -> None:
    place = await open_place("memory", f"redis://127.0.0.1:{free_port()}/0")
    store = await place.open_at(Freshness.DEFAULT)
    guest = await born(store)
    committed = [await store.write(guest, put("prf_a", number)) for number in range(10)]

    assert [await read(store, guest) for _ in range(20)] == [Tier.STORE] * 20
    assert await read(store, guest, Freshness.DEFAULT) is Tier.STORE
    assert (await document(store, guest)).version == 11
    assert all(one.coherence is Coherence.DEGRADED for one in committed)


async def test_a_hung_redis_is_given_up_and_found_again(
    store: CachedStore, server: ValkeyServer, notes: Notes, watched: Watched
) -> None:
    guests = [await born(store) for _ in range(20)]
    await store.get_many(guests)
    server.freeze()
    found = [await store.reader(Freshness.SHARED).get(guest) for guest in guests * 5]

    assert [known.guest for known in found if known] == guests * 5
    assert "open" in notes.states, "nobody waits for it any more"
    server.thaw()
    await until_shared(store, guests[0])
    assert notes.states[-1] == "closed"


async def until_shared(store: CachedStore, guest: str) -> None:
    for _ in range(400):
        if await read(store, guest) is Tier.SHARED:
            return
        await asyncio.sleep(0.02)
    raise AssertionError("the shared tier never came back")


async def test_a_killed_redis_comes_back_empty_and_is_used_again(store: CachedStore, server: ValkeyServer) -> None:
    guest = await newborn_guest(store)
    await store.get(guest)
    await asyncio.to_thread(server.kill9)
    assert [await read(store, guest) for _ in range(10)] == [Tier.STORE] * 10
    await store.write(guest, put("prf_a", 1))
    await asyncio.to_thread(server.start)
    await until_shared(store, guest)

    assert (await store.read([guest], Freshness.SHARED))[guest].document.version == 2


async def test_a_hung_redis_does_not_flood_the_database(
    store: CachedStore, server: ValkeyServer, watched: Watched
) -> None:
    guests = [await born(store) for _ in range(100)]
    server.freeze()
    reads = []
    for guest in guests:
        reads.append(asyncio.ensure_future(store.get(guest)))
        await asyncio.sleep(0.001)
    await asyncio.gather(*reads)

    assert watched.most_running <= LOADS_MAX


@pytest.mark.parametrize("toxic", ["delay", "blackhole"])
async def test_a_slow_or_swallowing_network_is_contained(
    open_place: OpenPlace, proxy: Proxy, notes: Notes, toxic: str
) -> None:
    place = await open_place("memory", proxy.url)
    store = await place.open_at(Freshness.SHARED, metrics=notes)
    guest = await newborn_guest(store)
    await until_shared(store, guest)
    if toxic == "delay":
        proxy.delay_s = 0.03
    else:
        proxy.swallow = 0.2
    for _ in range(150):
        assert (await document(store, guest)).guest == guest
    assert "open" in notes.states

    proxy.heal()
    await until_shared(store, guest)


# ---------------------------------------------------------------- writes without Redis


async def test_a_write_that_was_told_only_afterwards_says_so(
    store: CachedStore, server: ValkeyServer, watched: Watched
) -> None:
    guest = await newborn_guest(store)
    await store.get(guest)
    server.freeze()
    watched.hold("write")
    writing = asyncio.ensure_future(store.write(guest, put("prf_a", 1)))
    await watched.reached.wait()
    server.thaw()
    await listening(store)
    watched.release()

    assert (await writing).coherence is Coherence.UNFENCED
    assert store._fences.waiting == 0


@pytest.mark.parametrize(("cut", "coherence"), [(1, Coherence.WHOLE), (2, Coherence.UNFENCED), (3, Coherence.DEGRADED)])
async def test_a_connection_that_ends_does_not_cost_the_fence(
    open_place: OpenPlace, proxy: Proxy, cut: int, coherence: Coherence
) -> None:
    """One that ended is made anew, once; what happens to a second one may be the server's fault."""
    store = await (await open_place("memory", proxy.url)).open_at(Freshness.SHARED)
    assert store._heartbeat is not None
    await asyncio.to_thread(store._heartbeat.stop)  # it talks through the proxy too
    guest = await newborn_guest_unheard(store)
    proxy.cut = cut

    assert (await store.write(guest, put("prf_a", 1))).coherence is coherence


async def newborn_guest_unheard(store: CachedStore) -> str:
    guest = await born(store)
    await until_shared(store, guest)
    return guest


async def test_a_write_that_nobody_could_be_told_of_says_so_and_is_told_later(
    place: CachedPlace, store: CachedStore, server: ValkeyServer, notes: Notes
) -> None:
    guest = await newborn_guest(store)
    await store.get(guest)
    server.freeze()
    committed = await store.write(guest, put("prf_a", 1))
    assert committed.coherence is Coherence.DEGRADED
    assert store._fences.waiting == 1

    server.thaw()
    await until(lambda: not store._fences.waiting, "the repair")
    other = await place.open_at(Freshness.SHARED, inner=store.inner)
    assert (await document(other, guest)).version == 2
    assert notes.fences[-1] == "repaired"
    assert (await store.write(guest, put("prf_a", 2))).coherence is Coherence.WHOLE


async def test_a_strict_write_without_redis_writes_nothing(
    store: CachedStore, server: ValkeyServer, watched: Watched
) -> None:
    guest = await newborn_guest(store)
    server.freeze()
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            await store.write(guest, consent(), strict=True)
    assert watched.calls["write"] == 0
    server.thaw()
    await until_shared(store, guest)

    assert (await store.write(guest, consent(), strict=True)).document.version == 2


async def test_a_withdrawal_without_redis_is_committed_and_says_by_when_it_holds(
    store: CachedStore, server: ValkeyServer
) -> None:
    guest = await newborn_guest(store)
    server.freeze()
    committed = await store.withdraw(guest, consent())

    assert committed.written.document.version == 2
    assert committed.degraded
    server.thaw()


# ---------------------------------------------------------------- cut subscriptions


async def test_a_cut_subscription_ends_trust_at_once(store: CachedStore, server: ValkeyServer) -> None:
    guest = await newborn_guest(store)
    await store.get(guest)
    assert await read(store, guest, Freshness.DEFAULT) is Tier.LOCAL
    server.ask(b"CLIENT KILL TYPE pubsub\r\n")
    local = store._local
    assert local is not None
    await until(lambda: not local.trusted(), "distrust")
    await listening(store)

    assert await read(store, guest, Freshness.DEFAULT) is Tier.SHARED
    assert await read(store, guest, Freshness.DEFAULT) is Tier.LOCAL


# ---------------------------------------------------------------- SQL gone


async def test_known_guests_are_read_while_the_database_is_gone(
    store: CachedStore, server: ValkeyServer, watched: Watched
) -> None:
    guest = await newborn_guest(store)
    await store.get(guest)
    server.freeze()  # the local tier is not trusted either: nothing is left but stale copies
    watched.gone = True
    local = store._local
    assert local is not None
    await until(lambda: not local.trusted(), "distrust")
    reading = (await store.read([guest], stale=True))[guest]
    reader = store.reader(stale=True)

    assert (reading.tier, reading.document.version) == (Tier.STALE, 1)
    assert 0 < reading.age_s < 60
    assert (await reader.get(guest), reader.tier) == (reading.document, Tier.STALE)
    with pytest.raises(StoreUnavailable):
        await store.get(guest)
    with pytest.raises(StoreUnavailable):
        await store.read([guest], min_version=2, stale=True)
    with pytest.raises(StoreUnavailable):
        await store.read([guest, "gst_never_seen"], stale=True)
    server.thaw()


async def test_a_gone_database_is_not_asked_by_everyone(store: CachedStore, watched: Watched) -> None:
    guests = [name("gst") for _ in range(100)]
    await store.create(newborn(guests[0], entry("prf_a")))
    watched.gone = True
    before = watched.calls["look_up"]
    for guest in guests:
        with pytest.raises(StoreUnavailable):
            await store.get(guest)

    assert watched.calls["look_up"] - before < 20
    watched.gone = False
    for _ in range(200):
        try:
            assert (await document(store, guests[0])).version == 1
            break
        except StoreUnavailable:
            await asyncio.sleep(0.02)
    else:
        raise AssertionError("the store was never asked again")


async def test_failed_writes_leave_stale_copies_but_a_withdrawal_does_not(
    store: CachedStore, server: ValkeyServer, watched: Watched
) -> None:
    guest, other = await newborn_guest(store), await newborn_guest(store)
    await store.get_many([guest, other])
    watched.gone = True
    with pytest.raises(StoreUnavailable):
        await store.write(guest, put("prf_a", 1))
    with pytest.raises(StoreUnavailable):
        await store.withdraw(other, consent())

    assert (await store.read([guest], stale=True))[guest].tier is Tier.STALE
    with pytest.raises(StoreUnavailable):
        await store.read([other], stale=True)


async def test_a_stopped_postgresql_leaves_known_guests_readable_and_comes_back(
    open_place: OpenPlace, server: ValkeyServer
) -> None:
    with PostgresServer() as postgres:
        url = postgres.create_database()
        await migrate(url)
        inner = await SqlStore.open(url, SetClock(), vault())
        place = await open_place("memory", server.url())
        store = await place.open_at(Freshness.DEFAULT, inner=inner)
        await listening(store)
        guest, unknown = await newborn_guest(store), name("gst")
        await store.get(guest)
        postgres.freeze()
        near = [await read(store, guest, Freshness.DEFAULT) for _ in range(100)]
        with pytest.raises(StoreUnavailable):
            await store.write(guest, put("prf_a", 1))
        known = (await store.read([guest], stale=True))[guest]
        with pytest.raises(StoreUnavailable):
            await store.read([unknown], stale=True)
        assert set(near) == {Tier.LOCAL}
        assert (known.tier, known.document.version) == (Tier.STALE, 1)

        postgres.thaw()
        for _ in range(200):
            try:
                version = (await store.write(guest, put("prf_a", 2))).document.version
                found = (await store.read([guest], min_version=version))[guest]
                break
            except StoreUnavailable:
                await asyncio.sleep(0.05)
        else:
            raise AssertionError("the database never came back")
        assert found.document.entries[0].value == 2
