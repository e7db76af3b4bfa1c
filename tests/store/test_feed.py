"""The feed: whatever commits is told, a guest's changes in their order, in whatever order transactions commit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from prefs.core.changes import Cursor, EventKind, FeedEvent
from prefs.core.erasure import Tombstone
from prefs.core.stays import StayStatus
from prefs.ports import Store
from prefs.store.sql import SqlStore
from tests.store.conftest import Place
from tests.store.samples import NOW, TEMPERATURE, born, entry, name, put, rename, stay

BAR = {"name": "Bar", "time_zone": "UTC"}


async def told(
    store: Store, after: Cursor, limit: int = 500, guest: str | None = None
) -> tuple[list[FeedEvent], Cursor]:
    """All that the feed can tell now, page by page."""
    found: list[FeedEvent] = []
    while True:
        page = await store.feed.page(after, limit, guest)
        assert not page.lost
        found += page.events
        after = page.cursor
        if not page.more:
            return found, after


def versions(events: list[FeedEvent], guest: str) -> list[int]:
    return [event.version for event in events if event.guest == guest and event.kind is EventKind.CHANGE]


# ---------------------------------------------------------------- every store


@pytest.mark.parametrize("limit", [1, 2, 500])
async def test_it_tells_of_every_change_after_a_place_once(store: Store, limit: int) -> None:
    first = await born(store)
    start = await store.feed.end()
    second = await born(store)
    for number in range(3):
        await store.write(first, put("prf_a", 2000 + number))
        await store.write(second, rename(f"Bo {number}"))

    events, cursor = await told(store, start, limit)

    assert versions(events, first) == [2, 3, 4]
    assert versions(events, second) == [1, 2, 3, 4]
    assert {event.keys for event in events if event.guest == first} == {(TEMPERATURE,)}
    assert {event.action for event in events if event.guest == first} == {"edit"}
    assert (await told(store, cursor, limit))[0] == []
    halfway = events[3].cursor
    rest, _ = await told(store, halfway, limit)
    assert [(event.guest, event.version) for event in rest] == [(event.guest, event.version) for event in events[4:]]


async def test_it_tells_of_one_guest_alone(store: Store) -> None:
    start = await store.feed.end()
    guest, other = await born(store), await born(store)
    await store.write(other, put("prf_a", 2000))
    await store.write(guest, put("prf_a", 2000))

    events, cursor = await told(store, start, 1, guest)

    assert versions(events, guest) == [1, 2] and versions(events, other) == []
    assert (await told(store, cursor, 1, guest))[0] == []
    assert (await told(store, start, 1, "nobody\0"))[0] == []


async def test_a_write_that_changes_nothing_or_fails_is_not_told(store: Store) -> None:
    guest = await born(store)
    start = await store.feed.end()

    def fail(*_: Any) -> Any:
        raise LookupError

    with pytest.raises(LookupError):
        await store.write(guest, fail)

    assert (await told(store, start))[0] == []


async def test_it_tells_of_stays_presses_properties_and_the_catalogue(store: Store) -> None:
    guest = await born(store)
    start = await store.feed.end()
    await store.put_property("bar", BAR)
    await store.put_property("bar", BAR)
    lodging = (await store.put_stay(stay(name("sty"), guest, "bar"))).value
    await store.put_stay(lodging)
    await store.put_live(lodging, [entry("prf_live")])
    await store.put_extension("x.y", {"deleted": True})

    events, _ = await told(store, start)

    assert [(event.kind.value, event.guest, event.place) for event in events] == [
        ("property", "", "bar"),
        ("stay", guest, "bar"),
        ("press", guest, "bar"),
        ("catalogue", "", ""),
    ]


async def test_guests_at_a_property_are_listed_while_a_stay_is_open(store: Store) -> None:
    await store.put_property("bar", BAR)
    guests = sorted([await born(store) for _ in range(3)])
    stays = [(await store.put_stay(stay(name("sty"), guest, "bar"))).value for guest in guests]
    await store.put_stay(stay(stays[1].id, guests[1], "bar", status=StayStatus.CHECKED_OUT))

    assert await store.guests_at("bar", 10) == [guests[0], guests[2]]
    assert await store.guests_at("bar", 1) == [guests[0]]
    assert await store.guests_at("bar", 10, guests[0]) == [guests[2]]
    assert await store.guests_at("bar\0", 10) == await store.guests_at("foo", 10) == []


async def test_a_place_of_another_feed_is_told_as_lost(store: Store) -> None:
    await born(store)
    end = await store.feed.end()

    beyond = Cursor(end.since + 2**40 if end.since else 0, 0, end.position + 2**40 if end.position else 0)

    assert (await store.feed.page(beyond, 10)).lost


async def test_events_are_trimmed_and_changes_are_not(place: Place) -> None:
    store = await place.open()
    start = await store.feed.end()
    guest = await born(store)
    for name_of in ("bar", "foo", "baz"):
        await store.put_property(name_of, BAR)
    place.clock.move(timedelta(days=10))
    await store.put_property("new", BAR)

    assert await store.feed.trim(NOW + timedelta(days=5), 2) == 2
    events, _ = await told(store, start)

    assert versions(events, guest) == [1]
    assert [event.place for event in events if event.kind is EventKind.PROPERTY] == ["baz", "new"]


async def test_many_writers_and_readers_miss_nothing(place: Place) -> None:
    """Readers follow from where they are while writers of two stores interleave: every version comes, in order."""
    stores = [await place.open(), await place.open()]
    guests = [await born(stores[0]) for _ in range(6)]
    start = await stores[0].feed.end()
    seen: list[FeedEvent] = []
    done = asyncio.Event()

    async def write(number: int) -> None:
        for turn in range(8):
            await stores[(number + turn) % 2].write(guests[number % 6], put(f"prf_{number}", turn))

    async def follow() -> None:
        cursor = start
        while True:
            last = done.is_set()
            page = await stores[1].feed.page(cursor, 7)
            seen.extend(page.events)
            cursor = page.cursor
            await asyncio.sleep(0)
            if last and not page.more:
                return

    following = asyncio.ensure_future(follow())
    await asyncio.gather(*(write(number) for number in range(12)))
    done.set()
    await following

    for guest in guests:
        came = list(dict.fromkeys(versions(seen, guest)))
        assert came == list(range(2, 18))


async def test_whoever_follows_is_woken_by_every_write_and_by_no_read(sql_place: Place) -> None:
    store = await sql_place.open()
    assert isinstance(store, SqlStore)
    rung: list[int] = []
    store.on_write(lambda: rung.append(1))

    guest = await born(store)
    after_birth = len(rung)
    await store.write(guest, put("prf_a", 1))
    after_edit = len(rung)
    await store.put_property("bar", BAR)
    after_all = len(rung)
    await store.get(guest)
    await store.feed.page(Cursor(), 10)

    assert 0 < after_birth < after_edit < after_all == len(rung)


# ---------------------------------------------------------------- transactions that commit out of order


@asynccontextmanager
async def session(place: Place) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(place.url.replace("+asyncpg", ""))
    try:
        yield connection
    finally:
        await connection.close()


async def test_an_open_transaction_holds_the_feed_back_and_nothing_is_missed(postgres_place: Place) -> None:
    store = await postgres_place.open()
    slow, quick = await born(store), await born(store)
    start = await store.feed.end()
    async with session(postgres_place) as other:
        transaction = other.transaction()
        await transaction.start()
        await other.execute("UPDATE guest SET version = version + 1 WHERE id = $1", slow)
        await other.execute(
            "INSERT INTO change (guest_id, version, at, actor, role, surface, action, note, keys) "
            "VALUES ($1, 2, now(), 'a', 'guest', 'guest_app', 'edit', '', '[]')",
            slow,
        )
        for number in range(3):
            await store.write(quick, put("prf_a", number))

        held = await store.feed.page(start, 500)
        waiting = held.waiting_since
        blockers = await store.feed.blockers()
        assert list(held.events) == []
        assert waiting == NOW
        assert str(other.get_server_pid()) in {blocker.session for blocker in blockers}
        await transaction.commit()

    events, _ = await told(store, held.cursor)

    assert versions(events, slow) == [2]
    assert versions(events, quick) == [2, 3, 4]
    assert (await store.feed.page(held.cursor, 500)).waiting_since is None


async def test_reading_by_number_alone_would_miss_it(postgres_place: Place) -> None:
    """The planted fault: a reader that goes on after the highest number it saw misses what commits later below it."""
    store = await postgres_place.open()
    slow, quick = await born(store), await born(store)
    async with session(postgres_place) as other, session(postgres_place) as reader:
        transaction = other.transaction()
        await transaction.start()
        await other.execute(
            "INSERT INTO change (guest_id, version, at, actor, role, surface, action, note, keys) "
            "VALUES ($1, 2, now(), 'a', 'guest', 'guest_app', 'edit', '', '[]')",
            slow,
        )
        await store.write(quick, put("prf_a", 1))
        highest = await reader.fetchval("SELECT max(position) FROM change")
        await transaction.commit()
        missed = await reader.fetchval("SELECT position FROM change WHERE guest_id = $1 AND version = 2", slow)

    assert missed < highest


async def test_a_guests_changes_keep_their_order_though_their_transactions_do_not(postgres_place: Place) -> None:
    """Who waits for the guest's lock may be older than who holds it, and a third transaction lies between them: told by
    transactions alone version 3 would come without version 2."""
    store = await postgres_place.open()
    guest, third = await born(store), await born(store)
    start = await store.feed.end()
    write = (
        "INSERT INTO change (guest_id, version, at, actor, role, surface, action, note, keys) "
        "VALUES ($1, $2, now(), 'a', 'guest', 'guest_app', 'edit', '', '[]')"
    )
    async with session(postgres_place) as old, session(postgres_place) as open_, session(postgres_place) as young:
        older, between, younger = old.transaction(), open_.transaction(), young.transaction()
        await older.start()
        await old.execute("SELECT pg_current_xact_id()")
        await between.start()
        await open_.execute("UPDATE guest SET display_name = 'x' WHERE id = $1", third)
        await younger.start()
        await young.execute("UPDATE guest SET version = version + 1 WHERE id = $1", guest)
        await young.execute(write, guest, 2)
        await younger.commit()
        await old.execute("UPDATE guest SET version = version + 1 WHERE id = $1", guest)
        await old.execute(write, guest, 3)
        await older.commit()

        held, cursor = await told(store, start)
        await between.commit()

    rest, _ = await told(store, cursor)

    assert versions(held, guest) == [2, 3]
    assert versions(rest, guest) == [2], "once more, in its turn"


async def test_what_was_restored_from_another_cluster_is_history(postgres_place: Place) -> None:
    """Rows may name transactions that this cluster has not come to: they are neither told nor waited for."""
    store = await postgres_place.open()
    guest = await born(store)
    start = await store.feed.end()
    async with session(postgres_place) as other:
        await other.execute("UPDATE change SET xid = (xid::text::numeric + 1000000000)::text::xid8")
    await store.write(guest, put("prf_a", 1))

    page = await store.feed.page(start, 500)

    assert versions(list(page.events), guest) == [2]
    assert page.waiting_since is None


async def test_an_erasure_is_told_by_digest_and_its_number_is_not_given_again(place: Place) -> None:
    """The newest change goes with its guest; who stood there must still hear of what comes next."""
    store = await place.open()
    await store.put_property("bar", BAR)
    other, guest = await born(store), await born(store)
    await store.put_stay(stay(name("sty"), guest, "bar"))
    await store.write(guest, put("prf_a", 1))
    cursor = await store.feed.end()

    await store.erase(guest, Tombstone("digest", NOW, "rct_1"))
    await store.write(other, put("prf_a", 1))

    events, _ = await told(store, cursor)
    everything, _ = await told(store, Cursor())

    assert [(event.kind.value, event.guest, event.place) for event in events] == [
        ("erased", "digest", ""),
        ("erased", "digest", "bar"),
        ("change", other, ""),
    ]
    assert guest not in {event.guest for event in everything}
    assert [event.kind.value for event in (await told(store, cursor, guest=other))[0]] == ["erased", "erased", "change"]
