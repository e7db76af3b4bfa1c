"""The promises of `Credentials`: kept, listed, changed under a lock, forgotten, revoked, on every kind of store."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from prefs.core.enrolment import Changes, Credential, Kind
from prefs.core.revocations import Revocable, Revocation
from prefs.ports import Store
from tests.store.conftest import Place
from tests.store.samples import NOW, born, name

DAY = timedelta(days=1)


def device(property: str = "htl", **more: object) -> Credential:
    return replace(Credential(Kind.DEVICE, name("dev"), {"a": [1, None, "é\0"]}, NOW + DAY, property), **more)  # type: ignore[arg-type]


async def test_one_is_kept_whole_and_its_id_is_taken(store: Store) -> None:
    kept = store.credentials
    guest = await born(store)
    link = device(kind=Kind.LINK, guest=guest)
    assert await kept.add(link, NOW)
    assert not await kept.add(replace(link, body={}), NOW)
    assert await kept.get(Kind.LINK, link.id) == link
    assert await kept.get(Kind.DEVICE, link.id) is None
    assert await kept.get(Kind.LINK, "\0") is None


async def test_those_of_a_property_come_by_id_in_pages(store: Store) -> None:
    house, kept = name("htl"), store.credentials
    mine = [device(house) for _ in range(5)]
    for one in [*reversed(mine), device(house, kind=Kind.LINK), device("other"), device(house, expires_at=NOW)]:
        await kept.add(one, NOW - DAY)
    assert await kept.of_property(Kind.DEVICE, house, NOW, 3) == mine[:3]
    assert await kept.of_property(Kind.DEVICE, house, NOW, 3, after=mine[2].id) == mine[3:]


async def test_a_change_is_one_transaction(store: Store) -> None:
    kept, first, second = store.credentials, device(), device()
    gone = Revocation(Revocable.DEVICE, first.id, NOW, NOW + DAY)
    await kept.add(first, NOW)
    told = await kept.change(
        Kind.DEVICE, first.id, lambda found: Changes(found, [second], [(Kind.DEVICE, first.id)], [gone])
    )
    assert told == first
    assert await kept.get(Kind.DEVICE, first.id) is None
    assert await kept.get(Kind.DEVICE, second.id) == second
    assert gone in await kept.revocations(NOW)

    def refuse(found: Credential | None) -> Changes[None]:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await kept.change(Kind.DEVICE, second.id, refuse)
    assert await kept.change(Kind.DEVICE, "nobody", lambda found: Changes(found)) is None


async def test_one_of_many_that_come_at_once_is_first(store: Store) -> None:
    kept, link = store.credentials, device(kind=Kind.LINK, body={"used": 0})
    await kept.add(link, NOW)

    def use(found: Credential | None) -> Changes[bool]:
        assert found is not None
        return Changes(not found.body["used"], [replace(found, body={"used": 1})])

    told = await asyncio.gather(*(kept.change(Kind.LINK, link.id, use) for _ in range(8)))
    assert sorted(told) == [False] * 7 + [True]


async def test_what_has_expired_is_cleared_away_by_the_next(store: Store) -> None:
    kept, old = store.credentials, device(expires_at=NOW)
    await kept.add(old, NOW - DAY)
    assert await kept.get(Kind.DEVICE, old.id) == old
    await kept.add(device(), NOW)
    assert await kept.get(Kind.DEVICE, old.id) is None


async def test_revocations_are_kept_as_long_as_they_matter(store: Store) -> None:
    kept = store.credentials
    short = Revocation(Revocable.TOKEN, name("jti"), NOW, NOW + timedelta(minutes=1))
    long = Revocation(Revocable.SUBJECT, name("sub"), NOW, NOW + DAY)
    await kept.revoke([short, long], NOW)
    later = replace(long, at=NOW + timedelta(minutes=2), until=NOW + 2 * DAY)
    assert {short, long} <= set(await kept.revocations(NOW))
    await kept.revoke([later], NOW + timedelta(minutes=2))
    found = await kept.revocations(NOW + timedelta(minutes=2))
    assert later in found and short not in found and long not in found


async def test_two_processes_see_the_same(place: Place) -> None:
    one, other = await place.open(), await place.open()
    entry = Revocation(Revocable.LINK, name("lnk"), NOW, NOW + DAY)
    await one.credentials.revoke([entry], NOW)
    assert entry in await other.credentials.revocations(NOW)
