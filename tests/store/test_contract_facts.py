"""The promises of `Store` about what a document does not hold: stays, live presses, properties, extensions."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from prefs.core.entries import Identifier
from prefs.core.errors import KeyReused, NotFound, Refused, StayTaken
from prefs.core.stays import Stay, StayStatus
from prefs.ports import Found, Lodging, Lookup, Once, Record, Store
from tests.store.conftest import Place
from tests.store.samples import NOW, born, consent, entry, identify, name, put, stay

BODY = {"name": "Hotel ☕ \0", "time_zone": "Asia/Vientiane", "rooms": {"z": 1.5, "a": [True, None]}}


async def booked(store: Store, **more: object) -> Stay:
    """A stay of a new guest at a new property."""
    property_id = name("htl")
    await store.put_property(property_id, BODY)
    return (await store.put_stay(stay(name("sty"), await born(store), property_id, **more))).value


# ---------------------------------------------------------------- stays


@pytest.mark.parametrize("bare", [False, True])
async def test_a_stay_is_read_back_whole(store: Store, bare: bool) -> None:
    put = await booked(store, **({"party": None, "room": "", "trip": ""} if bare else {}))

    assert put.version == 1
    assert await store.stay(put.id) == put
    assert put == stay(put.id, put.guest, put.property, version=1, room=put.room, trip=put.trip, party=put.party)
    assert await store.stay("sty_nobody") is None
    assert await store.stay("\0") is None


async def test_a_stay_rises_in_version_only_when_it_changed(store: Store) -> None:
    first = await booked(store)

    assert (await store.put_stay(replace(first, version=0))).value == first
    moved = (await store.put_stay(replace(first, status=StayStatus.IN_HOUSE, departure=NOW + timedelta(days=4)))).value
    assert (moved.version, moved.status) == (2, StayStatus.IN_HOUSE)
    assert await store.stay(first.id) == moved


async def test_a_stay_needs_its_guest_and_property(store: Store) -> None:
    known = await booked(store)

    for wrong in (
        replace(known, id=name("sty"), guest="gst_nobody"),
        replace(known, id=name("sty"), property="htl_no"),
    ):
        with pytest.raises(NotFound):
            await store.put_stay(wrong)
        assert await store.stay(wrong.id) is None
    with pytest.raises(NotFound):
        await store.put_stay(replace(known, guest="\0"))


async def test_a_stay_cannot_change_hands(store: Store) -> None:
    known, other = await booked(store), await booked(store)

    for taken in (replace(known, guest=other.guest), replace(known, property=other.property)):
        with pytest.raises(StayTaken):
            await store.put_stay(taken)
    assert await store.stay(known.id) == known


async def test_stays_of_guests_come_by_arrival(store: Store) -> None:
    first = await booked(store)
    later = (await store.put_stay(replace(first, id=name("sty"), arrival=NOW + timedelta(days=1)))).value
    sooner = (await store.put_stay(replace(first, id=name("sty"), arrival=NOW - timedelta(days=1)))).value
    other, idle = await booked(store), await born(store)

    found = await store.stays_of([first.guest, idle, other.guest, "gst_nobody", "\0"])

    assert found == {
        first.guest: [sooner, first, later],
        idle: [],
        other.guest: [other],
        "gst_nobody": [],
        "\0": [],
    }
    assert await store.stays_of([]) == {}


async def test_a_repeated_stay_answers_the_same(store: Store) -> None:
    known, once = await booked(store), Once("caller", name("key"), "f")
    moved = (await store.put_stay(replace(known, room="7"), once)).value
    await store.put_stay(replace(known, room="8"))

    assert (await store.put_stay(replace(known, room="7"), once)).value == moved
    with pytest.raises(KeyReused):
        await store.put_stay(known, replace(once, fingerprint="g"))
    now = await store.stay(known.id)
    assert now is not None and (now.room, now.version) == ("8", 3)


async def test_one_stay_put_by_many_at_once_is_made_once(place: Place) -> None:
    stores = [await place.open(), await place.open()]
    known = await booked(stores[0])
    fresh = replace(known, id=name("sty"))

    put = await asyncio.gather(*(stores[n % 2].put_stay(fresh) for n in range(20)))

    assert {result.value.version for result in put} == {1}


# ---------------------------------------------------------------- live presses


async def test_live_presses_replace_their_keys_only(store: Store) -> None:
    known = await booked(store)
    warm = entry("prf_1", 2300, expires_at=NOW + timedelta(hours=4))
    dark = entry("prf_2", True, key="light.night")
    await store.put_live(known, [warm, dark])
    cool = entry("prf_3", 1900)
    await store.put_live(known, [cool])

    assert await store.live(known) == [cool, dark]
    await store.put_live(known, [], cleared=["light.night", "no.such.key"])
    assert await store.live(known) == [cool]
    for nobody in (replace(known, id="sty_nobody"), replace(known, id="\0"), replace(known, id="\0", guest="\0")):
        assert await store.live(nobody) == []


async def test_nobody_presses_in_a_room_that_is_not_theirs(store: Store) -> None:
    known, other = await booked(store), await booked(store)

    for nowhere in (replace(known, id="sty_nobody"), replace(known, id="\0"), replace(known, guest=other.guest)):
        with pytest.raises(NotFound):
            await store.put_live(nowhere, [entry("prf_1")])
    assert await store.live(known) == []


async def test_live_presses_of_many_stays_come_at_once(store: Store) -> None:
    pressed, quiet, other = await booked(store), await booked(store), await booked(store)
    await store.put_live(pressed, [entry("prf_2", True, key="light.night"), entry("prf_1")])
    await store.put_live(other, [entry("prf_3", [1, {"a": None}], expires_at=NOW)])

    wanted = [pressed.guest, quiet.guest, other.guest, "gst_nobody", "\0"]
    found = (await store.look_up(Lookup(stays=wanted))).lodgings

    assert found == {
        pressed.guest: Lodging((pressed,), {pressed.id: tuple(await store.live(pressed))}),
        quiet.guest: Lodging((quiet,)),
        other.guest: Lodging((other,), {other.id: tuple(await store.live(other))}),
        "gst_nobody": Lodging(),
        "\0": Lodging(),
    }


# ---------------------------------------------------------------- all of one moment


async def test_a_look_up_tells_what_the_single_questions_tell(store: Store) -> None:
    known, other = await booked(store), await booked(store)
    await store.put_stay(replace(known, id=name("sty"), arrival=NOW - timedelta(days=9), party=None))
    await store.put_live(known, [entry("prf_2", True, key="light.night"), entry("prf_1", {"a": [1.5, None, "\0"]})])
    await store.write(known.guest, identify(Identifier("pms", known.guest), Identifier("crs", known.guest)))
    await store.write(known.guest, consent("wellness", "food_safety"))
    for number, key in enumerate(("tv.volume", "bed.type", "bed.type")):
        await store.write(known.guest, put(f"prf_{number}", number, key=key))
    await store.put_extension("spa.salt", {"deleted": False})
    await store.put_extension("spa.oil", {"deleted": True})
    guests, properties = [known.guest, other.guest, "gst_nobody", "\0"], [known.property, "htl_nowhere", "\0"]

    found = await store.look_up(Lookup(guests, guests, properties, True))

    assert found.documents == await store.get_many(guests) and len(found.documents) == 2
    assert {guest: list(told.stays) for guest, told in found.lodgings.items()} == await store.stays_of(guests)
    assert list(found.lodgings[known.guest].live[known.id]) == await store.live(known)
    assert found.properties == {known.property: await store.property(known.property)}
    assert found.extensions == await store.extensions()
    read = found.documents[known.guest]
    assert [(e.key, e.id) for e in read.entries] == sorted((e.key, e.id) for e in read.entries)
    assert [c.purpose for c in read.consents] == ["food_safety", "wellness"]
    assert [i.system for i in read.identifiers] == ["crs", "pms"]


@pytest.mark.parametrize(
    "wanted",
    [
        Lookup(),
        Lookup(documents=["gst_nobody"]),
        Lookup(stays=["gst_nobody"]),
        Lookup(properties=["htl_nowhere"]),
        Lookup(documents=["\0"], stays=["\0"], properties=["\0"]),
    ],
)
async def test_a_look_up_of_nothing_tells_nothing(store: Store, wanted: Lookup) -> None:
    assert await store.look_up(wanted) == Found({}, dict.fromkeys(wanted.stays, Lodging()), {}, None)


async def test_the_extension_alone_can_be_looked_up(store: Store) -> None:
    assert (await store.look_up(Lookup(extensions=True))).extensions == (0, [])


async def test_another_room_drops_live_presses(store: Store) -> None:
    known = await booked(store)
    await store.put_live(known, [entry("prf_1")])

    known = (await store.put_stay(replace(known, trip="business"))).value
    assert len(await store.live(known)) == 1
    await store.put_stay(replace(known, room="1205"))
    assert await store.live(known) == []


async def test_two_panels_pressing_at_once_leave_one_press(place: Place) -> None:
    stores = [await place.open(), await place.open()]
    known = await booked(stores[0])

    await asyncio.gather(*(stores[n % 2].put_live(known, [entry(f"prf_{n}", n)]) for n in range(20)))

    assert len(await stores[0].live(known)) == 1


# ---------------------------------------------------------------- properties


async def test_a_property_is_kept_as_it_was_put(store: Store) -> None:
    property_id = name("htl")

    assert (await store.put_property(property_id, BODY)).value == Record(property_id, BODY, 1)
    found = await store.property(property_id)
    assert found == Record(property_id, BODY, 1)
    assert list(found.body["rooms"]) == ["z", "a"]
    assert (await store.put_property(property_id, dict(BODY))).value == found
    assert (await store.put_property(property_id, {"name": "New"})).value == Record(property_id, {"name": "New"}, 2)
    assert await store.property("htl_nobody") is None
    assert await store.property("\0") is None


async def test_properties_come_by_id_in_pages(store: Store) -> None:
    for property_id in ("b", "C", "a", "é"):
        await store.put_property(property_id, {})

    assert [record.id for record in await store.properties(2)] == ["C", "a"]
    assert [record.id for record in await store.properties(9, after="a")] == ["b", "é"]


async def test_a_property_with_open_stays_is_not_deleted(store: Store) -> None:
    known = await booked(store, status=StayStatus.IN_HOUSE)

    with pytest.raises(Refused):
        await store.delete_property(known.property)
    assert await store.property(known.property) is not None
    await store.put_stay(replace(known, status=StayStatus.CHECKED_OUT))
    assert (await store.delete_property(known.property)).value is True
    assert await store.property(known.property) is None
    assert (await store.delete_property(known.property)).value is False
    assert (await store.delete_property("\0")).value is False


async def test_many_puts_of_one_property_at_once_each_count(place: Place) -> None:
    stores = [await place.open(), await place.open()]

    put = await asyncio.gather(*(stores[n % 2].put_property("htl_1", {"n": n}) for n in range(20)))

    assert sorted(one.value.version for one in put) == list(range(1, 21))


# ---------------------------------------------------------------- catalogue extensions


async def test_extensions_share_one_version(store: Store) -> None:
    assert await store.extensions() == (0, [])

    assert (await store.put_extension("spa.oil", BODY)).value == 1
    assert (await store.put_extension("pool.lane", {"n": 1})).value == 2
    assert (await store.put_extension("spa.oil", BODY)).value == 2
    assert (await store.put_extension("spa.oil", {"n": 2})).value == 3

    assert await store.extensions() == (3, [Record("pool.lane", {"n": 1}, 2), Record("spa.oil", {"n": 2}, 3)])


async def test_extensions_put_at_once_all_count(place: Place) -> None:
    stores = [await place.open(), await place.open()]

    versions = await asyncio.gather(*(stores[n % 2].put_extension(f"spa.n{n % 4}", {"n": n}) for n in range(20)))

    assert sorted(one.value for one in versions) == list(range(1, 21))
    assert (await stores[1].extensions())[0] == 20
