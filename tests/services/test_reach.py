"""Which role may do what, and that a guest one may not see looks exactly like one that is not there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from prefs.core.callers import Caller, Role
from prefs.core.errors import InvalidEdit, KeyConflict, NotAllowed, NotFound
from prefs.services.ids import NOBODY
from tests.services.house import DALLAS, LIMITED, OPERATOR, SERVICE, WARMTH, House, device, guest, staff

type Operation = Callable[[House, Caller, str, str], Awaitable[Any]]

BODY = {"area": "climate", "definition": {}, "labels": {}}
KEY = "room.colour"
STAY_BODY = {"property": "dallas", "arrival": "2026-07-01T12:00:00Z", "departure": "2026-07-02T12:00:00Z"}

OPERATIONS: dict[str, Operation] = {
    "read": lambda h, c, g, s: h.preferences.effective(c, g),
    "batch": lambda h, c, g, s: h.preferences.batch(c, [g]),
    "history": lambda h, c, g, s: h.preferences.history(c, g),
    "document": lambda h, c, g, s: h.guests.document(c, g),
    "write profile": lambda h, c, g, s: h.preferences.patch(c, g, "profile", {WARMTH: 20}),
    "write stay": lambda h, c, g, s: h.preferences.patch(c, g, f"stay:{s}", {WARMTH: 20}),
    "write room": lambda h, c, g, s: h.preferences.patch(c, g, "room", {WARMTH: 20}),
    "observe": lambda h, c, g, s: h.preferences.patch(c, g, "property:dallas", {WARMTH: 20}, provenance="observed"),
    "undo": lambda h, c, g, s: h.preferences.revert(c, g, 2),
    "rename": lambda h, c, g, s: h.guests.rename(c, g, "New Name"),
    "add identifier": lambda h, c, g, s: h.guests.add_identifier(c, g, "pms", "77"),
    "remove identifier": lambda h, c, g, s: h.guests.remove_identifier(c, g, "pms", "1"),
    "grant": lambda h, c, g, s: h.consents.give(c, g, "room_setup"),
    "withdraw": lambda h, c, g, s: h.consents.withdraw(c, g, "room_setup"),
    "consents": lambda h, c, g, s: h.consents.states(c, g),
    "receipt": lambda h, c, g, s: h.consents.receipt(c, g, "ui_adaptation"),
    "invite": lambda h, c, g, s: h.invitations.invite(c, g, "food_safety", ["food.diet"]),
    "invitations": lambda h, c, g, s: h.invitations.listing(c, g),
    "answer": lambda h, c, g, s: h.invitations.reply(c, g, "inv_1", True),
    "waiting": lambda h, c, g, s: h.consents.waiting(c, g),
    "decline waiting": lambda h, c, g, s: h.consents.decline_waiting(c, g, "food_safety"),
    "create guest": lambda h, c, g, s: h.guests.create(c, "Someone"),
    "find guest": lambda h, c, g, s: h.guests.find(c, "pms", "1"),
    "put stay": lambda h, c, g, s: h.stays.put(c, "s9", {**STAY_BODY, "guest": g}),
    "get stay": lambda h, c, g, s: h.stays.get(c, s),
    "put property": lambda h, c, g, s: h.properties.put(c, "rome", dict(DALLAS)),
    "get property": lambda h, c, g, s: h.properties.get(c, "dallas"),
    "list properties": lambda h, c, g, s: h.properties.list(c),
    "delete property": lambda h, c, g, s: h.properties.delete(c, "paris"),
    "put definition": lambda h, c, g, s: h.definitions.put(c, KEY, BODY),
    "delete definition": lambda h, c, g, s: h.definitions.delete(c, "bed.mattress"),
}
CALLERS: dict[str, Callable[[str], Caller]] = {
    "guest": guest,
    "other guest": lambda g: guest(NOBODY),
    "staff": lambda g: staff(),
    "foreign staff": lambda g: staff("front_desk", "paris"),
    "device": lambda g: device(),
    "service": lambda g: SERVICE,
    "limited service": lambda g: LIMITED,
    "operator": lambda g: OPERATOR,
}
# y: done; -: not allowed for the role; .: not found, as if nobody were there. Columns as in CALLERS.
MATRIX = {
    "read": "y.y.yy.y",
    "batch": "yyyyyyyy",  # tells per guest who was not found
    "history": "y.y.-y.y",
    "document": "y.y.yy.y",
    "write profile": "y.---y.-",
    "write stay": "y.y.-y.-",
    "write room": "----y---",
    "observe": "--y.----",
    "undo": "y.-.-y.-",
    "rename": "y.---y.y",
    "add identifier": "-----y-y",
    "remove identifier": "-----y-y",
    "grant": "y.---y.-",
    "withdraw": "y.---y.-",
    "consents": "y.---y.y",
    "receipt": "y.---y.y",
    "invite": "--y.-y.-",
    "invitations": "y.y.-y.-",
    "answer": "..------",  # there is no such invitation
    "waiting": "y.---y.-",
    "decline waiting": "y.------",
    "create guest": "-----y-y",
    "find guest": "y.y.yy.y",
    "put stay": "-----y-y",
    "get stay": "y.y.yy.y",
    "put property": "-------y",
    "get property": "yyy.yyyy",
    "list properties": "--yy-yyy",
    "delete property": "-------y",
    "put definition": "-------!",  # allowed, and then the empty definition is refused
    "delete definition": "-------y",
}


async def outcome(doing: Awaitable[Any]) -> str:
    try:
        await doing
    except NotFound:
        return "."
    except NotAllowed:
        return "-"
    except Exception as error:  # noqa: BLE001 - the matrix tells any other refusal apart by its place
        return "!" if type(error).__name__ == "CatalogueInvalid" else repr(error)
    return "y"


@pytest.mark.parametrize("operation", MATRIX)
async def test_every_role_may_do_exactly_this(operation: str) -> None:
    found = ""
    for make in CALLERS.values():
        house = await House().open()
        answer = await house.guests.create(SERVICE, "Ana Souza", [{"system": "pms", "id": "1"}])
        ana = str(answer.body["guest"])
        stay = await house.stay(ana)
        await house.preferences.patch(SERVICE, ana, "profile", {"room.quiet": True})  # version 2, to be undone
        await house.consent(ana, "ui_adaptation")
        if operation == "undo" and make(ana).role is Role.STAFF and "dallas" in make(ana).properties:
            assert await outcome(OPERATIONS[operation](house, make(ana), ana, stay)) == "-"  # not what staff did
            found += "-"
            continue
        found += await outcome(OPERATIONS[operation](house, make(ana), ana, stay))
    assert found == MATRIX[operation]


def test_every_operation_has_its_row() -> None:
    assert OPERATIONS.keys() == MATRIX.keys()


@pytest.mark.parametrize("who", ["other guest", "foreign staff", "limited service"])
@pytest.mark.parametrize("operation", ["read", "document", "history", "write profile", "grant", "rename"])
async def test_foreign_absent_and_malformed_guests_look_the_same(house: House, who: str, operation: str) -> None:
    ana = await house.guest()
    stay = await house.stay(ana)
    caller = CALLERS[who](ana)
    told = set()
    for asked in (ana, "gst_" + "a" * 32, "nobody", "", "\0", "gst_" + "A" * 32):
        try:
            await OPERATIONS[operation](house, caller, asked, stay)
        except (NotFound, NotAllowed) as error:
            told.add((type(error).__name__, error.code, str(error)))
    assert len(told) == 1


async def test_absent_and_malformed_look_the_same_to_whoever_may_see_everyone(house: House) -> None:
    told = set()
    for asked in ("gst_" + "a" * 32, "nobody", "\0"):
        with pytest.raises(NotFound) as missing:
            await house.preferences.effective(SERVICE, asked)
        told.add(str(missing.value))
    assert len(told) == 1


async def test_staff_and_devices_reach_a_guest_only_around_the_stay(house: House) -> None:
    ana = await house.guest()
    arrival = house.clock.now() + timedelta(days=8)
    span = {"arrival": arrival.isoformat(), "departure": (arrival + timedelta(days=1)).isoformat()}
    stay = await house.stay(ana, status="booked", **span)
    with pytest.raises(NotFound):
        await house.seen(staff(), ana)
    house.clock.pass_by(timedelta(days=1))
    assert "room.quiet" not in await house.seen(staff(), ana)
    with pytest.raises(NotFound):
        await house.seen(device(stay="s99"), ana)
    await house.stays.put(
        OPERATOR, stay, {"guest": ana, "property": "dallas", "room": "1204", **span, "status": "checked_out"}
    )
    with pytest.raises(NotFound):
        await house.seen(device(), ana)


async def test_staff_and_devices_are_somewhere(house: House) -> None:
    ana = await house.guest()
    await house.stay(ana)
    nowhere = Caller("lost", Role.STAFF, "front_desk")
    with pytest.raises(NotAllowed):
        await house.seen(nowhere, ana)
    with pytest.raises(NotAllowed):
        await house.preferences.batch(nowhere, [ana])
    both = staff("front_desk", "dallas", "paris")
    assert await house.seen(both, ana) == await house.seen(staff(), ana)
    with pytest.raises(NotFound):
        await house.seen(staff(), ana, property="paris")
    second = await house.stay(ana, "paris")
    with pytest.raises(InvalidEdit, match="which one"):
        await house.seen(both, ana)
    with pytest.raises(NotFound):
        await house.seen(staff(), ana, stay=second)
    with pytest.raises(NotFound):
        await house.preferences.patch(staff(), ana, f"stay:{second}", {WARMTH: 20})
    with pytest.raises(NotFound):
        await house.preferences.patch(staff(), ana, "property:paris", {WARMTH: 20}, provenance="observed")


@pytest.mark.parametrize(
    ("caller", "scope", "provenance"),
    [
        (staff(), "profile", None),
        (staff(), "property:dallas", None),
        (staff(), "profile", "observed"),
        (staff(), "stay:s1", "stated"),
        (guest(NOBODY), "profile", "imported"),
        (guest(NOBODY), "room", None),
        (SERVICE, "profile", "observed"),
        (OPERATOR, "profile", None),
        (device(), "profile", None),
    ],
)
async def test_a_role_gives_the_provenance_and_the_scope(
    house: House, caller: Caller, scope: str, provenance: str | None
) -> None:
    with pytest.raises(NotAllowed):
        await house.preferences.patch(caller, NOBODY, scope, {WARMTH: 20}, provenance=provenance)


async def test_what_holds_at_another_property_is_told_to_nobody_here(house: House) -> None:
    ana = await house.guest()
    here, there = await house.stay(ana), await house.stay(ana, "paris")
    for scope in ("profile", "brand:house", "property:dallas", "property:paris", f"stay:{here}", f"stay:{there}"):
        await house.state(ana, {"room.quiet": True}, scope)
    document = (await house.guests.document(staff(), ana)).body
    assert set(document["entries"]) == {"profile", "brand:house", "property:dallas", f"stay:{here}"}
    told = (await house.preferences.history(staff(), ana)).body["changes"]
    seen = {entry["scope"] for change in told for key in change["keys"] for entry in key["after"]}
    assert seen == set(document["entries"])
    with pytest.raises(KeyConflict) as conflict:
        await house.preferences.patch(staff(), ana, f"stay:{here}", {"room.quiet": False}, base_version=1)
    assert {entry["scope"] for entry in conflict.value.conflicts[0].theirs} == seen


async def test_a_reason_at_one_property_is_none_at_another(house: House) -> None:
    ana = await house.guest()
    await house.stay(ana)
    both = staff("front_desk", "dallas", "paris")
    assert await house.seen(both, ana, property="dallas") is not None
    with pytest.raises(NotFound):
        await house.seen(both, ana, property="paris")
    with pytest.raises(NotFound):
        await house.preferences.patch(both, ana, "property:paris", {WARMTH: 20}, provenance="observed")
    (item,) = await house.preferences.batch(both, [ana], property="paris")
    assert item.problem["code"] == "NOT_FOUND"
    (item,) = await house.preferences.batch(both, [ana], property="dallas")
    assert "preferences" in item.body
