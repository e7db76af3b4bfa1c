"""Endpoints and their log on every store: one holder at a time, secrets sealed, nothing left of who was erased."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from prefs.core.changes import Cursor
from prefs.core.erasure import Tombstone
from prefs.core.webhooks import Attempt, Delivery, Endpoint, Kind, Progress, Secret, Standing, State
from prefs.ports import Store
from prefs.store import webhooks as sql_webhooks
from prefs.store.sql import SqlStore
from tests.store.conftest import Place
from tests.store.samples import NOW, born, name
from tests.vaults import vault

LEASE = timedelta(seconds=40)


def endpoint(id: str = "pms", **more: Any) -> Endpoint:
    made = Endpoint(
        *(id, "https://pms.hotel.example/hook?token=s3same", "housekeeping", (Kind.CHANGED.value,), "", Standing.ON),
        *(NOW, 1, "salt", (Secret(b"k" * 32),), Progress(Cursor(1, 0, 2), NOW)),
    )
    return replace(made, **more)


def delivery(guest: str, id: str = "msg_1", **more: Any) -> Delivery:
    attempt = Attempt(NOW, 12, 500, "")
    made = Delivery("pms", id, Kind.CHANGED, State.DEAD, NOW, NOW, guest, version=2, attempts=(attempt,), tried=1)
    return replace(made, **more)


async def hold(store: Store, owner: str = "a") -> list[Endpoint]:
    now = NOW
    return await store.webhooks.lease(owner, now, now + LEASE, now + timedelta(seconds=20))


async def test_an_endpoint_is_what_it_was_put_as(store: Store) -> None:
    made = endpoint()
    assert await store.webhooks.add(made)
    assert not await store.webhooks.add(replace(made, surface="food"))
    found = await store.webhooks.get("pms")
    assert found is not None and replace(found, leased_until=None) == made
    assert [one.id for one in await store.webhooks.listed(10)] == ["pms"]
    await store.webhooks.change("pms", lambda one: one.rotated(b"n" * 32, NOW))
    found = await store.webhooks.get("pms")
    assert found is not None and found.version == 2
    assert found.signing(NOW) == [b"n" * 32, b"k" * 32]
    assert found.signing(NOW + timedelta(hours=24)) == [b"n" * 32]
    assert await store.webhooks.change("none", lambda one: one) is None
    assert await store.webhooks.get("\0") is None
    assert await store.webhooks.delete("pms") and not await store.webhooks.delete("pms")


async def test_one_holds_an_endpoint_until_the_lease_ends(place: Place) -> None:
    one, other = await place.open(), await place.open()
    await one.webhooks.add(endpoint())
    assert [held.id for held in await hold(one, "a")] == ["pms"]
    assert await hold(other, "b") == []
    assert await one.webhooks.keep("a", "pms", Progress(Cursor(5), NOW)) is True
    assert await other.webhooks.keep("b", "pms", Progress(Cursor(9), NOW)) is False, "it is not b's to say"
    later = NOW + LEASE
    taken = await other.webhooks.lease("b", later, later + LEASE, later)
    assert [held.progress.cursor for held in taken] == [Cursor(5)]
    assert await one.webhooks.keep("a", "pms", None) is False, "a was away for too long"
    await other.webhooks.release("b")
    assert [held.id for held in await one.webhooks.lease("a", later, later + LEASE, later)] == ["pms"]


async def test_of_many_who_want_a_lease_one_gets_it(sql_place: Place) -> None:
    stores = [await sql_place.open() for _ in range(4)]
    await stores[0].webhooks.add(endpoint())
    taken = await asyncio.gather(*(hold(store, f"owner {number}") for number, store in enumerate(stores)))
    assert sorted(len(one) for one in taken) == [0, 0, 0, 1]


async def test_nobody_holds_what_is_off(store: Store) -> None:
    await store.webhooks.add(endpoint(standing=Standing.OFF))
    assert await hold(store) == []


async def test_the_log_is_read_newest_first_by_state_and_page(store: Store) -> None:
    guest = await born(store)
    await store.webhooks.add(endpoint())
    await hold(store)
    for number in range(5):
        state = State.DEAD if number % 2 else State.DELIVERED
        kept = delivery(guest, f"msg_{number}", at=NOW + timedelta(seconds=number // 2), state=state)
        assert await store.webhooks.keep("a", "pms", None, kept)
    found = await store.webhooks.deliveries("pms", None, 3)
    assert [one.id for one in found] == ["msg_4", "msg_3", "msg_2"]
    rest = await store.webhooks.deliveries("pms", None, 3, (found[-1].at, found[-1].id))
    assert [one.id for one in rest] == ["msg_1", "msg_0"]
    dead = await store.webhooks.deliveries("pms", State.DEAD, 9)
    assert dead == [delivery(guest, "msg_3", at=NOW + timedelta(seconds=1)), delivery(guest, "msg_1")]
    assert (await store.webhooks.backlog()).dead == 2
    assert await store.webhooks.trim(NOW, 10) == 2
    assert len(await store.webhooks.deliveries("pms", None, 9)) == 3


async def test_what_is_asked_for_again_is_due_at_once_and_once(store: Store) -> None:
    guest = await born(store)
    await store.webhooks.add(endpoint())
    await hold(store)
    await store.webhooks.keep("a", "pms", None, delivery(guest))
    assert await store.webhooks.due("pms", NOW, 9) == []
    again = await store.webhooks.replay("pms", "msg_1", NOW)
    assert again is not None and (again.state, again.next_at) == (State.PENDING, NOW)
    assert await store.webhooks.replay("pms", "msg_1", NOW + LEASE) == again, "it is pending already"
    assert await store.webhooks.due("pms", NOW, 9) == [again]
    assert await store.webhooks.due("pms", NOW - LEASE, 9) == []
    assert await store.webhooks.replay("pms", "msg_none", NOW) is None


async def erased_with_a_log(store: Store) -> list[Delivery]:
    """What the log still says of a guest who was erased, also where it was about to be written at that moment."""
    guest = await born(store)
    await store.webhooks.add(endpoint())
    await hold(store)
    await store.webhooks.keep("a", "pms", None, delivery(guest))
    await store.webhooks.keep("a", "pms", None, delivery("", "msg_2", digest="d", kind=Kind.ERASED))
    buried = await store.erase(guest, Tombstone(name("digest"), NOW, "rcp_1"))
    assert buried is not None and buried.tombstone.places["webhook_delivery"] == 1
    assert await store.webhooks.keep("a", "pms", Progress(Cursor(7), NOW), delivery(guest, "msg_3"))
    found = await store.webhooks.get("pms")
    assert found is not None and found.progress.cursor == Cursor(7), "what is left out holds nothing up"
    return [one for one in await store.webhooks.deliveries("pms", None, 9) if one.guest]


async def test_the_log_does_not_outlive_the_guest(store: Store) -> None:
    assert await erased_with_a_log(store) == []


async def test_a_log_that_outlives_the_guest_is_noticed(sqlite_place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: the row is written whether or not the guest is still there, and no constraint takes it away."""
    store = await sqlite_place.open()
    assert isinstance(store, SqlStore)
    columns = sql_webhooks._log_columns
    monkeypatch.setattr(sql_webhooks, "_may_be_kept", lambda connection, delivery: True)
    monkeypatch.setattr(
        sql_webhooks, "_log_columns", lambda one: {**columns(one), "guest_id": None, "place": one.guest}
    )
    guest = await born(store)
    await store.webhooks.add(endpoint())
    await hold(store)
    await store.erase(guest, Tombstone(name("digest"), NOW, "rcp_1"))
    await store.webhooks.keep("a", "pms", None, delivery(guest))
    assert [one.place for one in await store.webhooks.deliveries("pms", None, 9)] == [guest]


async def test_address_and_secrets_rest_sealed(sql_place: Place) -> None:
    store = await sql_place.open()
    assert isinstance(store, SqlStore)
    await store.webhooks.add(endpoint())
    rows = await store._runner.look(lambda connection: connection.execute(text("SELECT * FROM webhook")).all())
    told = b" ".join(one if isinstance(one, bytes) else str(one).encode() for one in rows[0])
    assert b"s3same" not in told and b"kkkk" not in told and b"a2tra2tra" not in told


async def test_a_rotation_of_wrapping_keys_takes_endpoints_along(sql_place: Place) -> None:
    first = await SqlStore.open(sql_place.url, sql_place.clock, vault("kek_old"))
    sql_place.close_later(first)
    await first.webhooks.add(endpoint())
    both = await SqlStore.open(sql_place.url, sql_place.clock, vault("kek_new", "kek_old"))
    sql_place.close_later(both)
    assert await both.custody.wrapped() == {"kek_new": 0, "kek_old": 1}
    assert await both.custody.retire() == [], "it still wraps the endpoint's key"
    assert await both.custody.rewrap_some() == 1
    assert await both.custody.rewrap_some() == 0
    assert await both.custody.retire() == ["kek_old"]
    after = await SqlStore.open(sql_place.url, sql_place.clock, vault("kek_new"))
    sql_place.close_later(after)
    found = await after.webhooks.get("pms")
    assert found is not None and found.secrets == (Secret(b"k" * 32),)
