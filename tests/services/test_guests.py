"""Guests as such: created, found, named, known elsewhere, consenting; and the document as each caller may see it."""

from __future__ import annotations

from typing import Any

import pytest

from prefs.core.callers import Caller, Role
from prefs.core.errors import IdentifierTaken, InvalidEdit, KeyReused, NotFound, VersionMoved
from prefs.ports import Once
from tests.services.house import OPERATOR, SERVICE, WARMTH, House, device, guest, staff

FRONT_DESK_SERVICE = Caller("pms", Role.SERVICE, "front_desk", permissions=SERVICE.permissions)


async def test_a_guest_is_created_once_and_found_by_identifier(house: House) -> None:
    once = Once("pms", "k", "f")
    made = await house.guests.create(SERVICE, "Ana Souza", [{"system": "loyalty", "id": "A-1"}], once=once)
    again = await house.guests.create(SERVICE, "Ana Souza", [{"system": "loyalty", "id": "A-1"}], once=once)
    assert (again.body, again.replayed) == (made.body, True)
    assert made.body["identifiers"] == [{"system": "loyalty", "id": "A-1"}]
    assert made.version == 1
    found = await house.guests.find(SERVICE, "loyalty", "A-1")
    assert found.body == made.body
    for system, external in (("loyalty", "A-2"), ("LOYALTY", "A-1"), ("loyalty", ""), ("loyalty", "\0")):
        with pytest.raises(NotFound):
            await house.guests.find(SERVICE, system, external)
    with pytest.raises(KeyReused):
        await house.guests.create(SERVICE, "Ben", once=Once("pms", "k", "other"))


async def test_a_taken_identifier_names_nobody(house: House) -> None:
    ana = await house.guest()
    ben = await house.guest("Ben")
    await house.guests.add_identifier(SERVICE, ana, "pms", "7")
    with pytest.raises(IdentifierTaken) as taken:
        await house.guests.add_identifier(SERVICE, ben, "pms", "7")
    assert (taken.value.system, taken.value.external_id) == ("pms", "7")
    assert ana not in str(taken.value)
    with pytest.raises(IdentifierTaken):
        await house.guests.create(SERVICE, "Eva", [{"system": "pms", "id": "7"}])
    await house.guests.remove_identifier(SERVICE, ana, "pms", "7")
    moved = await house.guests.add_identifier(SERVICE, ben, "pms", "7")
    assert moved.body["identifiers"] == [{"system": "pms", "id": "7"}]
    with pytest.raises(NotFound):
        await house.guests.remove_identifier(SERVICE, ana, "pms", "7")


async def test_adding_what_is_there_changes_nothing(house: House) -> None:
    ana = await house.guest()
    first = await house.guests.add_identifier(OPERATOR, ana, "pms", "7")
    again = await house.guests.add_identifier(OPERATOR, ana, "pms", "7")
    assert (first.version, again.version) == (2, 2)


@pytest.mark.parametrize(
    ("name", "identifiers", "where", "code"),
    [
        (5, [], "/display_name", "WRONG_TYPE"),
        ("x" * 121, [], "/display_name", "WRONG_LENGTH"),
        (" ", [], "/display_name", "WRONG_LENGTH"),
        ("a\x00b", [], "/display_name", "BAD_TEXT"),
        ("Ana", "pms", "/identifiers", "WRONG_TYPE"),
        ("Ana", [{"system": "pms", "id": str(n)} for n in range(21)], "/identifiers", "TOO_MANY"),
        ("Ana", ["pms"], "/identifiers/0", "WRONG_TYPE"),
        ("Ana", [{"system": "PMS", "id": "1"}], "/identifiers/0/system", "BAD_ID"),
        ("Ana", [{"system": "pms"}], "/identifiers/0/id", "MISSING_FIELD"),
        ("Ana", [{"system": "pms", "id": "1", "x": 1}], "/identifiers/0/x", "UNKNOWN_FIELD"),
    ],
)
async def test_what_is_wrong_with_a_new_guest_is_named(
    house: House, name: Any, identifiers: Any, where: str, code: str
) -> None:
    with pytest.raises(InvalidEdit) as refused:
        await house.guests.create(SERVICE, name, identifiers)
    assert (where, code) in {(fault.pointer, fault.code) for fault in refused.value.faults}
    assert await house.store.guests(10) == []


async def test_parameters_that_are_wrong_are_named_as_such(house: House) -> None:
    ana = await house.guest()
    with pytest.raises(InvalidEdit) as refused:
        await house.guests.add_identifier(SERVICE, ana, "P M S", "1")
    assert [fault.pointer for fault in refused.value.faults] == ["system"]
    with pytest.raises(InvalidEdit):
        await house.consents.give(guest(ana), ana, "marketing")


async def test_a_guest_is_renamed_under_a_precondition(house: House) -> None:
    ana = await house.guest()
    renamed = await house.guests.rename(guest(ana), ana, "Ana M. Souza", if_match=1)
    assert (renamed.version, renamed.body["display_name"]) == (2, "Ana M. Souza")
    with pytest.raises(VersionMoved):
        await house.guests.rename(guest(ana), ana, "Ana", if_match=1)
    assert (await house.guests.rename(guest(ana), ana, "Ana M. Souza")).version == 2
    (newest, *_) = (await house.preferences.history(guest(ana), ana)).body["changes"]
    assert (newest["action"], newest["note"], newest["keys"]) == ("profile", "display name", [])


async def test_consent_is_granted_and_withdrawn_on_the_record(house: House) -> None:
    ana = await house.guest()
    given = await house.consents.give(guest(ana), ana, "food_safety")
    assert given.body["consents"] == [
        {
            "purpose": "food_safety",
            "granted_at": "2026-07-01T12:00:00Z",
            "actor": ana,
            "surface": "guest_app",
            "expires_at": "2028-06-30T12:00:00Z",
            "receipt": 1,
        }
    ]
    assert (await house.consents.give(SERVICE, ana, "food_safety")).version == given.version
    await house.consents.give(SERVICE, ana, "room_setup")
    await house.consents.withdraw(guest(ana), ana, "food_safety")
    assert (await house.consents.withdraw(guest(ana), ana, "food_safety")).version == 4
    changes = (await house.preferences.history(guest(ana), ana)).body["changes"]
    notes = [(change["action"], change["note"], change["actor"]) for change in changes[:3]]
    assert notes == [
        ("consent", "withdrew food_safety", ana),
        ("consent", "granted room_setup", "pms"),
        ("consent", "granted food_safety", ana),
    ]


# ---------------------------------------------------------------- the document


async def test_the_guest_sees_all_of_their_own_by_scope(house: House) -> None:
    ana = await house.guest()
    stay = await house.stay(ana)
    await house.consent(ana, "food_safety")
    await house.state(ana, {WARMTH: {"value": 72, "unit": "[degF]"}, "food.allergens": [{"code": "peanuts"}]})
    await house.state(ana, {WARMTH: {"value": 21, "context": {"trip": "business"}}}, f"stay:{stay}")
    body = (await house.guests.document(guest(ana), ana)).body
    assert list(body["entries"]) == ["profile", f"stay:{stay}"]
    (warmth,) = body["entries"]["profile"][WARMTH]
    assert (warmth["value"], warmth["unit"]) == (22.22, "Cel")
    assert warmth["entered"] == {"value": 72, "unit": "[degF]"}
    assert warmth["provenance"]["kind"] == "stated"
    assert body["entries"][f"stay:{stay}"][WARMTH][0]["context"] == {"trip": "business"}
    assert body["entries"]["profile"]["food.allergens"][0]["strength"] == "unacceptable"
    assert [one["purpose"] for one in body["consents"]] == ["food_safety"]


async def test_without_consent_an_entry_keeps_its_place_and_loses_its_value(house: House) -> None:
    ana = await house.guest()
    await house.consent(ana, "food_safety")
    await house.state(ana, {"food.allergens": [{"code": "peanuts"}]})
    house.clock.pass_by(house.terms.term)
    body = (await house.guests.document(guest(ana), ana)).body
    (told,) = body["entries"]["profile"]["food.allergens"]
    assert told["status"] == "withheld_no_consent"
    assert "peanuts" not in str(body)


async def test_staff_and_devices_get_a_document_cut_to_their_surface(house: House) -> None:
    ana = await house.guest()
    await house.stay(ana)
    await house.consent(ana, "food_safety", "service_delivery")
    said = {WARMTH: 20, "food.allergens": [{"code": "peanuts"}], "access.step_free_route": "full", "room.quiet": True}
    await house.state(ana, said)
    desk = (await house.guests.document(staff(), ana)).body
    assert set(desk["entries"]["profile"]) == {WARMTH, "room.quiet"}
    assert not {"identifiers", "consents"} & set(desk)
    assert (await house.guests.document(staff("food"), ana)).body["entries"] == {}
    assert set((await house.guests.document(device(), ana)).body["entries"]["profile"]) == {WARMTH}
    pms = (await house.guests.document(FRONT_DESK_SERVICE, ana)).body
    assert set(pms["entries"]["profile"]) == {WARMTH, "room.quiet"}
    assert pms["display_name"] == "Ana Souza"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ({}, "Ana"),  # the catalogue's default: first name only
        ({"privacy.name_display": "full"}, "Ana Souza"),
        ({"privacy.name_display": "none"}, None),
        ({"privacy.name_display": "alias", "comms.addressed_as": {"name": "Captain"}}, "Captain"),
        ({"privacy.name_display": "alias"}, "Ana"),
    ],
)
async def test_a_name_is_shown_as_the_guest_allows(house: House, said: dict[str, Any], shown: str | None) -> None:
    ana = await house.guest()
    await house.stay(ana)
    await house.state(ana, said)
    for caller in (device("tv"), staff(), guest(ana, "kiosk")):
        assert (await house.guests.document(caller, ana)).body["display_name"] == shown
    for caller in (guest(ana), SERVICE):
        assert (await house.guests.document(caller, ana)).body["display_name"] == "Ana Souza"


async def test_a_stricter_layer_hides_a_name_at_its_place_only(house: House) -> None:
    ana = await house.guest()
    await house.stay(ana)
    await house.state(ana, {"privacy.name_display": "full"})
    await house.state(ana, {"privacy.name_display": "none"}, "property:dallas")
    assert (await house.guests.document(device("tv"), ana)).body["display_name"] is None
    renamed = await house.guests.rename(guest(ana, "kiosk"), ana, "Ana")
    assert renamed.body["display_name"] == "Ana"
