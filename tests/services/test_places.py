"""Properties and stays through their services: put, read, listed, deleted, and what the store refuses."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from prefs.core.errors import InvalidEdit, NotFound, Refused, StayTaken
from prefs.ports import Once
from prefs.services.ids import NOBODY
from tests.services.house import DALLAS, OPERATOR, SERVICE, WARMTH, House, device, guest, staff


async def test_a_property_is_kept_as_it_was_put(house: House) -> None:
    kept = await house.properties.get(staff(), "dallas")
    assert kept.version == 1
    assert kept.body["capabilities"]["thermostat.setpoint"]["step"] == 0.5
    assert (kept.body["id"], kept.body["version"], kept.body["name"]) == ("dallas", 1, "The Dallas House")
    assert (await house.properties.put(OPERATOR, "dallas", dict(DALLAS))).version == 1
    assert (await house.properties.put(OPERATOR, "dallas", {**DALLAS, "name": "Dallas"})).version == 2


async def test_a_wrong_property_is_not_put(house: House) -> None:
    wrong: list[tuple[str, Any]] = [
        ("rome", {"name": "Rome"}),
        ("a b", dict(DALLAS)),
        ("rome", []),
        ("\0", dict(DALLAS)),
    ]
    for property_id, body in wrong:
        with pytest.raises(InvalidEdit):
            await house.properties.put(OPERATOR, property_id, body)
    assert [record.id for record in await house.store.properties(10)] == ["dallas", "paris"]


async def test_properties_are_listed_in_pages_and_staff_see_their_own(house: House) -> None:
    first = (await house.properties.list(OPERATOR, 1)).body
    assert [item["id"] for item in first["items"]] == ["dallas"]
    second = (await house.properties.list(OPERATOR, 1, first["next_cursor"])).body
    assert ([item["id"] for item in second["items"]], second["next_cursor"]) == (["paris"], None)
    own = (await house.properties.list(staff("front_desk", "paris", "closed"))).body
    assert ([item["id"] for item in own["items"]], own["next_cursor"]) == (["paris"], None)
    for limit in (0, 201):
        with pytest.raises(InvalidEdit):
            await house.properties.list(OPERATOR, limit)
    with pytest.raises(InvalidEdit):
        await house.properties.list(OPERATOR, cursor="\0")


async def test_a_property_with_open_stays_is_not_deleted(house: House) -> None:
    ana = await house.guest()
    stay = await house.stay(ana)
    with pytest.raises(Refused):
        await house.properties.delete(OPERATOR, "dallas")
    body = (await house.stays.get(OPERATOR, stay)).body
    gone = {name: body[name] for name in ("guest", "property", "arrival", "departure")} | {"status": "checked_out"}
    await house.stays.put(OPERATOR, stay, gone)
    await house.properties.delete(OPERATOR, "dallas")
    for property_id in ("dallas", "nowhere", "\0"):
        with pytest.raises(NotFound):
            await house.properties.delete(OPERATOR, property_id)


async def test_a_stay_is_put_whole_and_read_by_who_has_a_reason(house: House) -> None:
    ana = await house.guest()
    stay = await house.stay(ana, party={"adults": 2, "children": 1}, trip="leisure")
    for caller in (guest(ana), staff(), device(), SERVICE):
        assert (await house.stays.get(caller, stay)).body["party"] == {"adults": 2, "children": 1}
    body = (await house.stays.get(SERVICE, stay)).body
    assert (body["id"], body["guest"], body["trip"], body["status"], body["version"]) == (
        *(stay, ana, "leisure"),
        *("in_house", 1),
    )
    for caller in (guest(NOBODY), staff("front_desk", "paris"), device(stay="s99")):
        with pytest.raises(NotFound):
            await house.stays.get(caller, stay)
    for missing in ("nothing", "\0"):
        with pytest.raises(NotFound):
            await house.stays.get(SERVICE, missing)


async def test_a_stay_belongs_to_one_guest_and_one_property(house: House) -> None:
    ana, ben = await house.guest(), await house.guest("Ben")
    stay = await house.stay(ana)
    kept = (await house.stays.get(SERVICE, stay)).body
    body = {name: kept[name] for name in ("guest", "property", "room", "arrival", "departure", "status")}
    once = Once("pms", "k", "f")
    assert (await house.stays.put(SERVICE, stay, body, once=once)).version == 1
    assert (await house.stays.put(SERVICE, stay, body, once=once)).version == 1
    for other in ({"guest": ben}, {"property": "paris"}):
        with pytest.raises(StayTaken):
            await house.stays.put(SERVICE, stay, {**body, **other})
    for missing in ({"guest": NOBODY}, {"guest": "\0x"}, {"property": "nowhere"}):
        with pytest.raises((NotFound, InvalidEdit)):
            await house.stays.put(SERVICE, "s77", {**body, **missing})


async def test_another_room_ends_what_was_pressed_in_the_first(house: House) -> None:
    ana = await house.guest()
    stay = await house.stay(ana)
    await house.preferences.patch(device(), ana, "room", {WARMTH: 24})
    kept = (await house.stays.get(SERVICE, stay)).body
    body = {name: kept[name] for name in ("guest", "property", "arrival", "departure", "status")}
    await house.stays.put(SERVICE, stay, {**body, "room": "1205"})
    assert await house.live(stay) == []
    assert WARMTH not in await house.seen(device(), ana)


async def test_a_press_after_checkout_finds_nobody(house: House) -> None:
    ana = await house.guest()
    await house.stay(ana)
    house.clock.pass_by(timedelta(days=3))
    with pytest.raises(NotFound):
        await house.preferences.patch(device(), ana, "room", {WARMTH: 24})
