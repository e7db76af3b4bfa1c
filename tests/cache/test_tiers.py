"""Reads through all tiers: who answers at which level, how loads are shared, which facts are kept, what Redis sees."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from prefs.cache.loader import LOADS_MAX, Freshness, Tier
from prefs.cache.read_through import CachedStore
from prefs.core.entries import Document, Identifier
from prefs.core.stays import StayStatus
from prefs.ports import Lookup, Record
from prefs.store.memory import MemoryStore
from tests.cache.conftest import CachedPlace, OpenPlace
from tests.cache.test_shared import say
from tests.cache.watched import Counts, Watched, caught_up, listening, newborn_guest, tier, until
from tests.servers import ValkeyServer
from tests.store.samples import (
    TEMPERATURE,
    born,
    consent,
    document,
    entry,
    identify,
    name,
    newborn,
    put,
    stay,
)


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


# ---------------------------------------------------------------- levels


async def test_the_nearest_tier_that_may_answer_does(store: CachedStore, watched: Watched) -> None:
    guest = await newborn_guest(store)

    assert await tier(store, guest) is Tier.STORE
    assert await tier(store, guest) is Tier.LOCAL
    await until(lambda: not store._loader._flights, "the fill")
    assert await tier(store, guest, Freshness.SHARED) is Tier.SHARED
    assert await tier(store, guest, Freshness.STORE) is Tier.STORE
    assert watched.calls["look_up"] == 2


async def test_a_reader_tells_the_farthest_tier(store: CachedStore) -> None:
    guest = await newborn_guest(store)
    await store.get(guest)
    near, far = store.reader(), store.reader(Freshness.STORE)
    await near.get(guest)
    assert near.tier is Tier.LOCAL
    await near.stays_of([guest])
    assert near.tier is Tier.STORE
    await far.get(guest)
    assert (far.tier, far.age_s) == (Tier.STORE, 0)


async def test_a_prepared_answer_holds_as_long_as_every_value_it_was_made_from(store: CachedStore) -> None:
    guest = await newborn_guest(store)
    made, other = store.reading(), store.reading()
    await made.get(guest)
    await made.stays_of([guest])
    store.prepare(made, guest, "kiosk", b"answer", 6)
    assert store.prepared(guest, "kiosk", 1) == b"answer"
    assert store.prepared(guest, "tv") is None
    assert store.prepared(guest, "kiosk", 2) is None, "a caller who knows of a newer version is not told of this one"

    await other.get(guest)
    await store.put_property("elsewhere", {})
    await store.write(guest, put("prf_a", 1))
    assert store.prepared(guest, "kiosk") is None
    store.prepare(other, guest, "kiosk", b"of the version before", 21)
    await store.get(guest)
    assert store.prepared(guest, "kiosk") is None


async def test_a_token_goes_past_older_copies_and_removes_them(place: CachedPlace, store: CachedStore) -> None:
    """The copies here are older than the store because it was written behind their back, as lost messages would do."""
    guest = await newborn_guest(store)
    await store.get(guest)
    await until(lambda: not store._loader._flights, "the fill")
    await store.inner.write(guest, put("prf_a", 1))

    assert (await store.read([guest], min_version=1))[guest].tier is Tier.LOCAL
    assert (await store.read([guest], min_version=2))[guest].document.version == 2
    assert (await store.read([guest], Freshness.SHARED))[guest].document.version == 2
    assert (await store.get(guest) or Document(guest, 0)).version == 2


async def test_a_store_behind_the_token_is_told(store: CachedStore) -> None:
    guest = await newborn_guest(store)
    reading = (await store.read([guest], min_version=9))[guest]

    assert (reading.regressed, reading.document.version) == (True, 1)
    assert not (await store.read([guest], min_version=1))[guest].regressed


async def test_an_unknown_guest_is_remembered_until_created(store: CachedStore, watched: Watched) -> None:
    guest = name("gst")
    assert [await store.get(guest) for _ in range(5)] == [None] * 5
    assert watched.calls["look_up"] == 1

    await store.create(newborn(guest))

    assert (await document(store, guest)).version == 1


@pytest.mark.parametrize("guest", ["", "gst_\0", "gst_\ud800", "gst {x}"])
async def test_ids_that_cannot_be_are_asked_of_the_store_and_not_kept(
    store: CachedStore, watched: Watched, guest: str, valkey_server: ValkeyServer
) -> None:
    assert [await store.get(guest) for _ in range(2)] == [None, None]
    assert watched.calls["look_up"] == 2
    assert say(valkey_server, "DBSIZE") == ":0"


# ---------------------------------------------------------------- loads shared


async def test_what_is_wanted_in_one_tick_is_one_load(store: CachedStore, watched: Watched, counts: Counts) -> None:
    guests = [await born(store) for _ in range(5)]
    found = await asyncio.gather(*(store.get(guest) for guest in guests * 100))

    assert [known.guest for known in found if known] == guests * 100
    assert watched.calls["look_up"] == 1
    assert counts.flights == [(5, 500)]


async def test_a_batch_is_one_question_to_each_tier(
    place: CachedPlace, store: CachedStore, watched: Watched, valkey_server: ValkeyServer
) -> None:
    guests = [name("gst") for _ in range(1000)]
    for guest in guests:
        await watched.inner.create(newborn(guest, entry("prf_a")))
    say(valkey_server, "CONFIG", "RESETSTAT")
    first = await store.get_many([*guests, "gst_nobody"])
    await until(lambda: not store._loader._flights, "the fills")
    shared = await store.reader(Freshness.SHARED).get_many([*guests, "gst_nobody"])
    local = await store.get_many([*guests, "gst_nobody"])

    assert list(first) == list(shared) == list(local) == guests
    assert watched.calls["look_up"] == 1
    assert "cmdstat_mget:calls=2," in say(valkey_server, "INFO", "commandstats")


async def test_documents_and_facts_of_one_tick_are_one_flight(
    store: CachedStore, watched: Watched, counts: Counts
) -> None:
    guest = await newborn_guest(store)
    await store.put_property("htl_1", {"a": 1})
    known = (await store.put_stay(stay(name("sty"), guest, "htl_1"))).value

    found = await asyncio.gather(
        store.get(guest),
        store.stays_of([guest]),
        store.live(known),
        store.property("htl_1"),
        store.extensions(),
    )

    assert found[1:3] == [{guest: [known]}, []]
    assert counts.flights == [(4, 5)]
    assert watched.calls["look_up"] == 1


async def test_a_flight_begins_after_every_request_that_it_serves(store: CachedStore, watched: Watched) -> None:
    """Who asks while a load is under way must not be given what it read: a write may have been told in between."""
    guest = await newborn_guest(store)
    watched.hold("look_up")
    early = asyncio.ensure_future(store.get(guest))
    await watched.reached.wait()
    await store.inner.write(guest, put("prf_a", 1))
    late = asyncio.ensure_future(store.read([guest], Freshness.STORE))
    await asyncio.sleep(0.01)
    watched.release()

    assert (await early or Document(guest, 0)).version == 1
    assert (await late)[guest].document.version == 2


async def test_many_who_miss_at_different_moments_load_once(store: CachedStore, watched: Watched) -> None:
    guest = await newborn_guest(store)
    watched.hold("look_up")
    waiting = []
    for _ in range(200):
        waiting.append(asyncio.ensure_future(store.get(guest)))
        await asyncio.sleep(0)
    await watched.reached.wait()
    watched.release()
    await asyncio.gather(*waiting)

    assert watched.calls["look_up"] == 1


async def test_a_caller_that_leaves_takes_nobody_along(store: CachedStore, watched: Watched) -> None:
    guest = await newborn_guest(store)
    watched.hold("look_up")
    leaving, staying = (asyncio.ensure_future(store.get(guest)) for _ in range(2))
    await watched.reached.wait()
    leaving.cancel()
    watched.release()

    assert (await staying or Document(guest, 0)).version == 1
    with pytest.raises(asyncio.CancelledError):
        await leaving


async def test_three_processes_refill_with_one_load_a_lease(
    place: CachedPlace, watched: Watched, valkey_server: ValkeyServer
) -> None:
    counts = Counts()
    stores = [await place.open_at(Freshness.SHARED, metrics=counts, inner=watched) for _ in range(3)]
    guest = await born(stores[0])
    before = watched.calls["look_up"]
    await asyncio.gather(*(stores[number % 3].get(guest) for number in range(500)))

    assert watched.calls["look_up"] - before <= 3
    assert counts.leases.count("granted") == 1


async def test_misses_queue_before_the_database(place: CachedPlace, watched: Watched) -> None:
    """With nothing cached and nothing shared between them, loads are still few at a time."""
    store = CachedStore(watched, None, None, place.clock)
    guests = [await born(store) for _ in range(50)]
    watched.hold("look_up")
    reading = []
    for guest in guests:
        reading.append(asyncio.ensure_future(store.get(guest)))
        await asyncio.sleep(0)
    looking = asyncio.ensure_future(store.tombstones())
    await asyncio.sleep(0.01)
    assert watched.calls["tombstones"] == 0, "who was erased is asked in turn"
    watched.release()
    found = await asyncio.gather(*reading)

    assert [known.guest for known in found if known] == guests
    assert await looking == []
    assert watched.most_running == LOADS_MAX


# ---------------------------------------------------------------- facts


async def test_facts_are_cached_and_follow_their_writes(store: CachedStore, watched: Watched) -> None:
    guest = await newborn_guest(store)
    await store.put_property("htl_1", {"a": 1})
    known = (await store.put_stay(stay(name("sty"), guest, "htl_1", room="1"))).value
    await store.put_live(known, [entry("prf_l")])
    await store.put_extension("spa.oil", {"deleted": False})
    await caught_up(store)

    async def facts() -> tuple[object, list[str], Record | None, int]:
        return (
            (await store.stays_of([guest]))[guest],
            [press.id for press in await store.live(known)],
            await store.property("htl_1"),
            (await store.extensions())[0],
        )

    first = await facts()
    before = sum(watched.calls.values())
    assert await facts() == first
    assert sum(watched.calls.values()) == before

    moved = (await store.put_stay(replace(known, room="2"))).value
    await store.put_property("htl_1", {"a": 2})
    await store.put_extension("spa.salt", {"deleted": False})
    stays, presses, record, version = await facts()

    assert stays == [moved]
    assert presses == [], "a new room drops the live presses, and their copies"
    assert record is not None and (record.body, record.version) == ({"a": 2}, 2)
    assert version == 2
    await store.put_stay(replace(moved, status=StayStatus.CHECKED_OUT))
    assert (await store.delete_property("htl_1")).value
    assert await store.property("htl_1") is None


async def test_a_press_is_seen_through_every_tier_of_another_process(place: CachedPlace, watched: Watched) -> None:
    """Presses lie with the stays of their guest: whoever presses drops them both, and nobody keeps what was before."""
    one, other = [await place.open_at(Freshness.DEFAULT, inner=watched) for _ in range(2)]
    await listening(one, other)
    guest = await newborn_guest(one, other)
    await one.put_property("htl_1", {"a": 1})
    known = (await one.put_stay(stay(name("sty"), guest, "htl_1", room="1"))).value
    await caught_up(one, other)
    for number in range(3):
        for _ in range(2):
            before = [await store.live(known) for store in (one, other)]
            await until(lambda: not one._loader._flights and not other._loader._flights, "the fills")
        assert [len(live) for live in before] == [min(number, 1)] * 2
        await one.put_live(known, [entry(f"prf_{number}", number)])
        assert [press.value for press in await one.live(known)] == [number], "a process sees its own writes at once"
        assert [press.value for press in await other.reader(Freshness.SHARED).live(known)] == [number]
        await caught_up(other)
        assert [press.value for press in await other.live(known)] == [number]
        assert (await other.look_up(Lookup(stays=[guest]))).lodgings[guest].stays == (known,)


async def test_what_is_handed_out_can_be_changed_without_harm(store: CachedStore) -> None:
    guest = await newborn_guest(store)
    (await store.stays_of([guest]))[guest].append(stay("sty_x", guest, "htl_1"))
    (await store.extensions())[1].clear()

    assert await store.stays_of([guest]) == {guest: []}


# ---------------------------------------------------------------- secrecy


async def test_nothing_that_a_guest_said_can_be_read_in_redis(store: CachedStore, valkey_server: ValkeyServer) -> None:
    guest = name("gst")
    canaries = ["canary-value", "canary-name", "canary-purpose", "canary-pms", "canary-room", "canary-brand", "1207"]
    await store.create(newborn(guest, entry("prf_a", "canary-value"), display_name="canary-name"))
    await store.write(guest, consent("canary-purpose"))
    await store.write(guest, identify(Identifier("canary-pms", "1")))
    await store.put_property("htl_1", {"brand": "canary-brand"})
    known = (await store.put_stay(stay(name("sty"), guest, "htl_1", room="canary-room"))).value
    await store.put_live(known, [entry("prf_l", 1207)])
    await store.get(guest)
    await store.stays_of([guest])
    await store.live(known)
    await store.property("htl_1")
    await until(lambda: not store._loader._flights, "the fills")

    held = say(valkey_server, "KEYS", "*")
    entries = [line for line in held.split() if line.startswith("c:")]
    values = "".join(say(valkey_server, "GET", key) for key in entries if key.endswith(":e"))

    assert len(entries) == 3 and len(values) > 400
    assert [canary for canary in [*canaries, TEMPERATURE] if canary in held + values] == []
