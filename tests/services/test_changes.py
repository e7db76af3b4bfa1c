"""Streams: a snapshot, then whatever changes, as far as the same caller would be told by a read."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from prefs.services.changes import Stream
from prefs.services.readings import Reading
from prefs.services.tellings import HEARTBEAT_S
from tests.services.house import DALLAS, OPERATOR, SERVICE, WARMTH, House, device, guest, staff
from tests.services.streaming import ALLERGENS, PEANUTS, QUIET, Streams, a_stay, data

# ---------------------------------------------------------------- one guest


async def test_a_snapshot_then_the_change_with_values_and_keys(house: House, streams: Streams) -> None:
    ana = await house.guest()
    await house.state(ana, {WARMTH: 21, QUIET: True})

    async with streams.open(guest(ana), guest=ana) as reader:
        first = data(await reader.next())
        await house.state(ana, {WARMTH: 19})
        change = await reader.next()

    assert first["complete"] is True
    assert first["items"][0]["preferences"] == await house.seen(guest(ana), ana) | {
        WARMTH: first["items"][0]["preferences"][WARMTH]
    }
    assert change is not None and change.kind == "change"
    assert data(change)["changed"] == [WARMTH]
    assert data(change)["version"] == 3
    assert data(change)["preferences"] == await house.seen(guest(ana), ana)


async def test_what_a_surface_does_not_see_is_not_told(house: House, streams: Streams) -> None:
    """A thermostat hears of the temperature and of nothing else, not even that something changed."""
    ana = await house.guest()
    await house.consent(ana, "food_safety")
    await house.stay(ana)

    async with streams.open(device(), guest=ana) as reader:
        await reader.next()
        await house.state(ana, PEANUTS)
        await house.state(ana, {QUIET: True})
        await house.state(ana, {WARMTH: 19})
        told = await reader.next()

    assert data(told)["changed"] == [WARMTH]
    assert reader.said == ["snapshot", "change"], "not a byte came for what it may not know"
    assert told is not None and told.place, "a reader who is cut now goes on after this change"
    assert "peanuts" not in repr(told) and ALLERGENS not in repr(told) and QUIET not in repr(told)


async def test_a_wish_that_stands_for_another_key_is_told_under_that_key(house: House, streams: Streams) -> None:
    house.clock.pass_by(timedelta(hours=14))  # two in the morning, UTC
    ana = await house.guest()
    await house.state(ana, {WARMTH: 21})

    async with streams.open(guest(ana), guest=ana) as reader:
        await reader.next()
        await house.state(ana, {"climate.temperature.sleep": 18})
        told = await reader.next()

    assert set(data(told)["changed"]) == {WARMTH, "climate.temperature.sleep"}


async def test_presses_stays_and_what_a_property_declares_are_told(house: House, streams: Streams) -> None:
    ana = await house.guest()
    await house.state(ana, {WARMTH: 25})
    stay = await house.stay(ana)

    async with streams.open(device(), guest=ana) as reader:
        await reader.next()
        await house.preferences.patch(device(), ana, "room", {WARMTH: 22})
        pressed = data(await reader.next())
        await house.stays.put(OPERATOR, stay, {**a_stay(house, ana), "room": "1301"})
        moved = data(await reader.next())
        narrow = {"thermostat.setpoint": {"min": 18, "max": 23, "step": 1, "unit": "Cel"}}
        await house.properties.put(OPERATOR, "dallas", {**DALLAS, "capabilities": narrow})
        declared = data(await reader.next())

    values = [one["preferences"][WARMTH]["value"] for one in (pressed, moved, declared)]
    assert values == [22, 25, 23]
    assert [one["changed"] for one in (pressed, moved, declared)] == [[WARMTH]] * 3


async def test_a_withdrawn_consent_is_told_to_whom_it_concerns(house: House, streams: Streams) -> None:
    ana = await house.guest()
    await house.consent(ana, "food_safety")
    await house.state(ana, PEANUTS)
    await house.stay(ana)

    async with streams.open(staff("food"), guest=ana) as kitchen, streams.open(device("tv"), guest=ana) as tv:
        before = data(await kitchen.next())["items"][0]["preferences"]
        await tv.next()
        await house.consents.withdraw(guest(ana), ana, "food_safety")
        await house.state(ana, {"tv.volume_default": 20})
        withdrawn, other = await kitchen.next(), await tv.next()

    assert ALLERGENS in before
    assert withdrawn is not None and withdrawn.kind == "consent_withdrawn"
    assert data(withdrawn)["purposes"] == ["food_safety"]
    assert ALLERGENS in data(withdrawn)["changed"]
    assert "peanuts" not in repr(withdrawn)
    assert other is not None and other.kind == "change" and "food" not in repr(other)


async def test_special_data_is_told_only_once_it_is_on_record(house: House, streams: Streams) -> None:
    ana = await house.guest()
    await house.consent(ana, "food_safety")
    await house.stay(ana)

    async with streams.open(staff("food"), guest=ana) as reader:
        await reader.next()
        before = len(await house.ledger.listed(100))
        await house.state(ana, PEANUTS)
        told = data(await reader.next())
        records = await house.ledger.listed(100)

    assert "peanuts" in repr(told)
    assert len(records) == before + 1 and records[0].access.keys == (ALLERGENS,)


async def test_who_leaves_is_told_as_gone_and_the_stream_ends(house: House, streams: Streams) -> None:
    ana = await house.guest()
    stay = await house.stay(ana)

    async with streams.open(device(), guest=ana) as reader:
        await reader.next()
        await house.stays.put(OPERATOR, stay, {**a_stay(house, ana), "status": "checked_out"})
        rest = await reader.rest()

    assert [(told.kind, told.data) for told in rest] == [("gone", {"guest": ana})]


async def test_the_clock_alone_changes_what_is_told(house: House, streams: Streams) -> None:
    """A consent ends, the night begins: nobody wrote anything, and what was told is no longer so."""
    ana = await house.guest()
    await house.state(ana, {"climate.temperature.sleep": 18, WARMTH: 21})

    async with streams.open(guest(ana), guest=ana) as reader:
        first = data(await reader.next())["items"][0]
        house.clock.pass_by(timedelta(hours=14))
        told = data(await reader.next())

    assert first["preferences"][WARMTH]["value"] == 21
    assert told["preferences"][WARMTH]["value"] == 18 and told["changed"] == [WARMTH]


async def test_a_heartbeat_comes_in_its_time_however_much_happens_that_is_not_told(
    house: House, streams: Streams
) -> None:
    ana = await house.guest()
    await house.stay(ana)

    async with streams.open(device(), guest=ana) as reader:
        await reader.next()
        first = reader.place
        for quiet in (True, False, True):
            house.clock.pass_by(timedelta(seconds=HEARTBEAT_S / 3))
            await house.state(ana, {QUIET: quiet})
        kind, moved = await reader.beat()

    assert kind == "here" and moved != first and reader.said == ["snapshot", "here"]


# ---------------------------------------------------------------- a property


async def test_a_property_tells_of_whoever_is_there_or_about_to_be(house: House, streams: Streams) -> None:
    ana, bo, elsewhere = [await house.guest(name) for name in ("Ana", "Bo", "Cy")]
    for one in (ana, bo, elsewhere):
        await house.state(one, {WARMTH: 21})
    await house.stay(ana)
    await house.stay(elsewhere, "paris")

    async with streams.open(device(), property="dallas") as reader:
        first = data(await reader.next())
        await house.state(elsewhere, {WARMTH: 19})
        await house.state(bo, {WARMTH: 19})
        stay = await house.stay(bo)
        came = await reader.next()
        await house.state(ana, {WARMTH: 20})
        changed = await reader.next()
        await house.stays.put(OPERATOR, stay, {**a_stay(house, bo), "status": "checked_out"})
        left = await reader.next()

    assert [item["guest"] for item in first["items"]] == [ana] and first["complete"]
    assert [(one.kind, data(one)["guest"]) for one in (came, changed, left) if one] == [
        ("change", bo),
        ("change", ana),
        ("gone", bo),
    ]


async def test_a_device_of_one_stay_hears_of_that_guest_alone(house: House, streams: Streams) -> None:
    ana, bo = await house.guest("Ana"), await house.guest("Bo")
    stay = await house.stay(ana)
    other = await house.stay(bo)

    async with streams.open(device(stay=stay), property="dallas") as reader:
        first = data(await reader.next())
        await house.state(bo, {WARMTH: 19})
        await house.stays.put(OPERATOR, other, {**a_stay(house, bo), "status": "checked_out"})
        await house.state(ana, {WARMTH: 19})
        told = await reader.next()

    assert [item["guest"] for item in first["items"]] == [ana]
    assert data(told)["guest"] == ana


async def test_a_large_property_comes_in_several_pages(
    house: House, streams: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prefs.services.changes.SNAPSHOT_PAGE", 2)
    guests = sorted([await house.guest(f"Guest {number}") for number in range(5)])
    for one in guests:
        await house.stay(one)

    async with streams.open(SERVICE, property="dallas", follow=False) as reader:
        pages = [data(told) for told in await reader.rest()]

    assert [page["complete"] for page in pages] == [False, False, True]
    assert sorted(item["guest"] for page in pages for item in page["items"]) == guests


async def test_each_is_told_before_the_next_is_read(
    house: House, streams: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waited for another guest could be withdrawn meanwhile, and would be told all the same."""
    guests = [await house.guest(name) for name in ("Ana", "Bo")]
    for one in guests:
        await house.stay(one)
    read, reads = Stream._read, list[str]()

    async def noted(self: Stream, guest: str, *asked: Any) -> Reading:
        reads.append(guest)
        return await read(self, guest, *asked)

    async with streams.open(SERVICE, property="dallas") as reader:
        await reader.next()
        before = reader.place
        monkeypatch.setattr(Stream, "_read", noted)
        for one in guests:
            await house.state(one, {WARMTH: 19})
        first = data(await reader.next())
        assert reads == [first["guest"]]
        second = data(await reader.next())
        assert reader.place == before, "who is cut now is told both again"
        where, place = await reader.beat()

    assert [first["guest"], second["guest"]] == reads == guests
    assert where == "here" and place != before
