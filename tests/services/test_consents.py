"""Consents as the guest lives with them: receipts, an end, erasure at withdrawal; invitations; imports that wait."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from prefs.core.callers import Caller
from prefs.core.consents import Terms
from prefs.core.errors import InvalidEdit, NotAllowed, NotFound, Refused
from prefs.ports import Once
from tests.services.house import SERVICE, WARMTH, House, StandingClock, guest, staff

ALLERGENS, FOOD = "food.allergens", "food_safety"
PEANUTS = {ALLERGENS: [{"code": "peanuts", "cross_contact": True}], "food.diet": ["vegan"]}

# At the desk nobody is told that there is something which a guest must not eat.
DESK = Caller("desk", SERVICE.role, "front_desk", permissions=SERVICE.permissions)


async def consenting(house: House) -> str:
    ana = await house.guest()
    await house.stay(ana)
    await house.consent(ana, FOOD)
    return ana


async def receipt(house: House, ana: str, version: int | None = None) -> Any:
    return (await house.consents.receipt(guest(ana), ana, FOOD, version)).body


async def everything(house: House, ana: str) -> str:
    """All that anybody could be told of a guest, as text."""
    told = [
        await house.guests.document(caller, ana) for caller in (guest(ana), guest(ana, "kiosk"), SERVICE, staff("food"))
    ]
    told += [await house.preferences.history(caller, ana) for caller in (guest(ana), SERVICE, staff("food"))]
    for caller in (guest(ana), SERVICE, staff("food"), staff("front_desk"), staff("housekeeping")):
        told.append(await house.preferences.effective(caller, ana, explain=caller.surface == "guest_app"))
    return str([answer.body for answer in told]).lower()


# ---------------------------------------------------------------- receipts


async def test_each_event_leaves_a_receipt_and_none_is_changed(house: House) -> None:
    ana = await consenting(house)
    await house.state(ana, PEANUTS)
    first = await receipt(house, ana)
    assert (first["version"], first["event"]["status"], first["pii_principal_id"]) == (1, "granted", ana)
    assert first["event"]["expires_at"] == "2028-06-30T12:00:00Z"
    assert {"food.allergens", "food.diet"} <= set(first["processing"]["keys"])
    assert "food" in first["processing"]["recipients"]
    house.clock.pass_by(timedelta(hours=1))
    await house.consents.withdraw(guest(ana), ana, FOOD)
    second = await receipt(house, ana)
    assert (second["version"], second["event"]["status"]) == (2, "withdrawn")
    assert second["event"]["erased_keys"] == 2
    assert second["record_id"] == first["record_id"]
    assert "peanut" not in str(second)
    await house.consent(ana, FOOD)
    assert [(await receipt(house, ana, n))["event"]["status"] for n in (1, 2, 3)] == ["granted", "withdrawn", "granted"]
    assert await receipt(house, ana, 1) == first
    with pytest.raises(NotFound):
        await receipt(house, ana, 4)


async def test_who_says_how_a_consent_came(house: House) -> None:
    ana = await house.guest()
    await house.stay(ana)
    for wrong in ({}, {"method": "paper"}, {"method": "app", "reference": "x"}):
        with pytest.raises(NotAllowed):
            await house.consents.give(staff(), ana, FOOD, wrong)
    with pytest.raises(NotAllowed):
        await house.consents.give(staff("food"), ana, FOOD, {"method": "paper", "reference": "form 7"})
    with pytest.raises(InvalidEdit) as refused:
        await house.consents.give(guest(ana), ana, FOOD, {"method": "paper", "notice_version": "0.9"})
    assert [(f.pointer, f.code) for f in refused.value.faults] == [
        ("/method", "VALUE_NOT_ALLOWED"),
        ("/notice_version", "NOTICE_OUTDATED"),
    ]
    assert "1.0" in refused.value.faults[1].detail
    await house.consents.give(staff(), ana, FOOD, {"method": "paper", "reference": "form 7"})
    event = (await receipt(house, ana))["event"]
    assert (event["method"], event["source"], event["reference"]) == ("paper", "staff", "form 7")
    with pytest.raises(NotAllowed):
        await house.consents.withdraw(staff(), ana, FOOD)
    answer = await house.consents.withdraw(staff(), ana, FOOD, reference="form 8")
    assert "erased" not in answer.body
    assert (await receipt(house, ana))["event"]["reference"] == "form 8"


async def test_giving_again_says_something_only_when_it_is_due() -> None:
    house = await House().open()
    ana = await house.guest()
    await house.consent(ana, FOOD)
    assert (await house.consents.give(guest(ana), ana, FOOD)).version == 2
    house.clock.pass_by(house.terms.term / 2)
    assert (await house.consents.give(guest(ana), ana, FOOD)).version == 3
    renewed = await receipt(house, ana)
    assert (renewed["version"], renewed["event"]["status"]) == (2, "renewed")
    house.consents.terms = Terms(notice_version="2.0")
    state = (await house.consents.state(guest(ana), ana, FOOD)).body
    assert (state["status"], state["ask_again"], state["notice_version"]) == ("granted", True, "1.0")
    await house.consents.give(guest(ana), ana, FOOD)
    state = (await house.consents.state(guest(ana), ana, FOOD)).body
    assert (state["ask_again"], state["notice_version"], state["receipts"]) == (False, "2.0", [1, 2, 3])


# ---------------------------------------------------------------- an end


async def test_a_consent_past_its_end_counts_as_none_everywhere(house: House) -> None:
    ana = await consenting(house)
    await house.state(ana, PEANUTS)
    house.clock.pass_by(house.terms.term - timedelta(hours=1))
    await house.stay(ana)
    before = await house.preferences.effective(guest(ana), ana)
    ends = house.clock.now() + timedelta(hours=1)
    assert "peanut" in str(before.body)
    assert before.holds_until is not None and before.holds_until <= ends
    house.clock.pass_by(timedelta(hours=1))
    assert "peanut" not in await everything(house, ana)
    past = await house.preferences.effective(guest(ana), ana, at=ends - timedelta(days=1))
    assert past.body["preferences"][ALLERGENS]["status"] == "withheld_no_consent"
    assert (await house.guests.document(guest(ana), ana)).body["consents"] == []
    with pytest.raises(InvalidEdit, match="consent"):
        await house.state(ana, {ALLERGENS: [{"code": "milk"}]})
    assert (await house.consents.state(guest(ana), ana, FOOD)).body["status"] == "expired"
    await house.consent(ana, FOOD)
    assert "peanut" in await everything(house, ana)


async def test_a_repeat_past_the_end_hears_the_rest(house: House) -> None:
    """For a day after it the answer that was kept still holds what may not be told any more."""
    ana = await consenting(house)
    once, again = Once("guest:ana", "k", "f"), Once("guest:ana", "undo", "g")
    house.clock.pass_by(house.terms.term - timedelta(hours=1))
    first = await house.state(ana, {**PEANUTS, WARMTH: 21}, once=once)
    undone = await house.preferences.revert(guest(ana), ana, first["version"], once=again)
    assert "peanut" in str(await house.state(ana, {**PEANUTS, WARMTH: 21}, once=once)).lower()

    house.clock.pass_by(timedelta(hours=1))

    repeated = await house.state(ana, {**PEANUTS, WARMTH: 21}, once=once)
    assert repeated["version"] == first["version"]
    assert repeated["preferences"].keys() == first["preferences"].keys() - set(PEANUTS)
    assert "peanut" not in str(repeated).lower()
    told = await house.preferences.revert(guest(ana), ana, first["version"], once=again)
    assert told.replayed and told.body["version"] == undone.body["version"]
    assert not set(PEANUTS) & told.body["preferences"].keys()


async def test_an_answer_about_a_later_moment_heeds_the_end(house: House) -> None:
    ana = await consenting(house)
    await house.state(ana, PEANUTS)
    later = house.clock.now() + house.terms.term
    for at, shown in ((later - timedelta(minutes=1), True), (later, False)):
        answer = await house.preferences.effective(guest(ana), ana, at=at)
        assert ("peanut" in str(answer.body)) is shown
        assert answer.valid_until is not None and (answer.valid_until <= later) is shown


# ---------------------------------------------------------------- withdrawal


async def test_a_withdrawal_erases_the_values_of_its_purpose_and_says_so_before(house: House) -> None:
    ana = await consenting(house)
    await house.consent(ana, "service_delivery")
    once = Once("guest:ana", "k", "f")
    await house.state(ana, {**PEANUTS, WARMTH: 21}, once=once)
    await house.state(ana, {ALLERGENS: [{"code": "milk"}], "access.step_free_route": "full"})
    before = (await house.consents.state(guest(ana), ana, FOOD)).body["withdrawal"]
    assert before == {"keys": [ALLERGENS, "food.diet"], "entries": 2, "final": True}
    for caller, keys in ((guest(ana, "kiosk"), before["keys"]), (SERVICE, before["keys"]), (DESK, [])):
        assert (await house.consents.state(caller, ana, FOOD)).body["withdrawal"]["keys"] == keys
    answer = await house.consents.withdraw(guest(ana), ana, FOOD)
    assert answer.body["erased"] == {
        "purpose": FOOD,
        "keys": [ALLERGENS, "food.diet"],
        "entries": 2,
        "waiting": 0,
        "receipt": 2,
    }
    document = await house.store.get(ana)
    assert document is not None
    assert document.keys == {WARMTH, "access.step_free_route"}
    stored = str([await house.store.history(ana, 100), document]).lower()
    assert not any(word in stored for word in ("peanut", "milk", "vegan"))
    changes = (await house.preferences.history(guest(ana), ana)).body["changes"]
    assert changes[0]["note"] == "withdrew food_safety, 2 keys"
    assert [key["key"] for change in changes for key in change["keys"]] == ["access.step_free_route", WARMTH]
    again = await house.state(ana, {**PEANUTS, WARMTH: 21}, once=once)
    assert (WARMTH in again["preferences"], ALLERGENS in again["preferences"]) == (True, False)
    await house.consent(ana, FOOD)
    assert "peanut" not in await everything(house, ana)


async def test_what_was_erased_cannot_be_undone(house: House) -> None:
    ana = await consenting(house)
    version = (await house.state(ana, PEANUTS))["version"]
    await house.consents.withdraw(guest(ana), ana, FOOD)
    await house.consent(ana, FOOD)
    with pytest.raises(NotAllowed, match="erased"):
        await house.preferences.revert(guest(ana), ana, version)
    assert "peanut" not in await everything(house, ana)


async def test_a_purpose_of_one_surface_keeps_what_rests_on_another(house: House) -> None:
    """Withdrawn for the kiosk alone, a need is withheld there and kept for whom it was given to."""
    ana = await house.guest()
    await house.stay(ana)
    await house.consent(ana, "service_delivery", "ui_adaptation")
    await house.state(ana, {"access.vision_formats": ["large_print_14pt"]})
    await house.consents.withdraw(guest(ana), ana, "ui_adaptation")
    document = await house.store.get(ana)
    assert document is not None and document.keys == {"access.vision_formats"}
    assert "access.vision_formats" not in await house.seen(guest(ana, "kiosk"), ana)


async def test_a_repeat_does_not_tell_a_surface_what_it_may_not_see_any_more(house: House) -> None:
    """The value stays, for whom it was given to; the answer that the kiosk was given once holds it no longer."""
    ana = await house.guest()
    await house.consent(ana, "service_delivery", "ui_adaptation")
    kiosk, once = guest(ana, "kiosk"), Once("guest:ana:kiosk", "k", "f")
    said = {"access.vision_formats": ["large_print_14pt"], WARMTH: 21}
    first = await house.preferences.patch(kiosk, ana, "profile", said, once=once)
    assert "large_print" in str(first.body)
    await house.consents.withdraw(guest(ana), ana, "ui_adaptation")
    again = await house.preferences.patch(kiosk, ana, "profile", said, once=once)
    assert again.replayed and WARMTH in str(again.body)
    assert "large_print" not in str(again.body)


# ---------------------------------------------------------------- invitations


async def test_staff_without_consent_are_refused_and_may_invite(house: House) -> None:
    ana = await house.guest()
    stay = await house.stay(ana)
    with pytest.raises(InvalidEdit) as refused:
        await house.preferences.patch(staff(), ana, f"stay:{stay}", {**PEANUTS, WARMTH: 20})
    assert refused.value.code == "CONSENT_REQUIRED"
    ((offered),) = refused.value.invitable
    assert (offered.guest, offered.purpose, set(offered.keys)) == (ana, FOOD, set(PEANUTS))
    made = (await house.invitations.invite(staff(), ana, offered.purpose, [ALLERGENS])).body
    assert (made["keys"], made["property"], made["status"]) == ([ALLERGENS], "dallas", "open")
    more = (await house.invitations.invite(staff(), ana, FOOD, ["food.diet"])).body
    assert (more["id"], more["keys"]) == (made["id"], [ALLERGENS, "food.diet"])
    (seen,) = (await house.invitations.listing(guest(ana), ana)).body["invitations"]
    assert seen == more
    await house.invitations.reply(guest(ana), ana, made["id"], True)
    with pytest.raises(Refused):
        await house.invitations.reply(guest(ana), ana, made["id"], True)
    with pytest.raises(Refused, match="already"):
        await house.invitations.invite(staff(), ana, FOOD, [ALLERGENS])
    await house.preferences.patch(staff(), ana, f"stay:{stay}", PEANUTS)
    assert "peanut" in str(await house.seen(staff("food"), ana)).lower()


async def test_an_invitation_is_declined_on_the_record_or_ends(house: House) -> None:
    ana = await house.guest()
    await house.stay(ana)
    first = (await house.invitations.invite(staff(), ana, FOOD, [ALLERGENS])).body["id"]
    await house.invitations.reply(guest(ana), ana, first, False)
    assert (await receipt(house, ana))["event"]["status"] == "denied"
    assert (await house.consents.state(guest(ana), ana, FOOD)).body["status"] == "denied"
    second = (await house.invitations.invite(staff(), ana, FOOD, [ALLERGENS])).body["id"]
    house.clock.pass_by(timedelta(days=14))
    with pytest.raises(Refused):
        await house.invitations.reply(guest(ana), ana, second, True)
    listed = (await house.invitations.listing(guest(ana), ana)).body["invitations"]
    assert [one["status"] for one in listed] == ["declined", "expired"]
    document = await house.store.get(ana)
    assert document is not None and document.consents == ()


async def test_an_invitation_names_keys_that_need_the_consent_and_stays_at_its_property(house: House) -> None:
    ana = await house.guest()
    await house.stay(ana)
    with pytest.raises(InvalidEdit) as refused:
        await house.invitations.invite(staff(), ana, FOOD, [ALLERGENS, WARMTH, "no.such"])
    assert [fault.pointer for fault in refused.value.faults] == ["/keys/1", "/keys/2"]
    await house.invitations.invite(staff(), ana, FOOD, [ALLERGENS])
    await house.stay(ana, "paris")
    assert (await house.invitations.listing(staff("front_desk", "paris"), ana)).body["invitations"] == []


# ---------------------------------------------------------------- imports that wait


async def imported(house: House) -> str:
    ana = await house.guest()
    await house.stay(ana)
    answer = await house.preferences.patch(SERVICE, ana, "profile", {**PEANUTS, WARMTH: 21})
    assert answer.body["waiting_for_consent"] == sorted(PEANUTS)
    assert list(answer.body["preferences"]) == [WARMTH]
    return ana


async def test_imported_special_values_wait_unread_until_the_guest_consents(house: House) -> None:
    ana = await imported(house)
    told = await everything(house, ana)
    assert "peanut" not in told and "vegan" not in told
    items = (await house.consents.waiting(guest(ana), ana)).body["items"]
    assert [(i["key"], i["purpose"], i["source"], i["expires_at"]) for i in items] == [
        (ALLERGENS, FOOD, "pms", "2026-07-31T12:00:00Z"),
        ("food.diet", FOOD, "pms", "2026-07-31T12:00:00Z"),
    ]
    assert items[0]["value"] == PEANUTS[ALLERGENS]
    for other in (guest(ana, "kiosk"), SERVICE):
        assert "value" not in (await house.consents.waiting(other, ana)).body["items"][0]
    another = Caller("crm", SERVICE.role, "", permissions=SERVICE.permissions)
    assert (await house.consents.waiting(another, ana)).body["items"] == []
    house.clock.pass_by(timedelta(days=2))
    given = await house.consents.give(guest(ana), ana, FOOD)
    assert given.body["imported"] == {"keys": [ALLERGENS, "food.diet"], "dropped": []}
    (entry,) = given.body["entries"]["profile"][ALLERGENS]
    assert entry["provenance"] == {"kind": "imported", "actor": "pms", "surface": "", "at": "2026-07-01T12:00:00Z"}
    assert (await house.consents.waiting(guest(ana), ana)).body["items"] == []
    (change, *_) = (await house.preferences.history(guest(ana), ana)).body["changes"]
    assert (change["note"], [key["key"] for key in change["keys"]]) == (
        "granted food_safety, 2 imported",
        [ALLERGENS, "food.diet"],
    )
    assert entry["version"] == change["version"] == given.version


async def test_what_waits_is_declined_replaced_or_over_after_thirty_days(house: House) -> None:
    ana = await imported(house)
    version = (await house.preferences.patch(SERVICE, ana, "profile", {"food.diet": None})).version
    await house.preferences.patch(SERVICE, ana, "profile", {ALLERGENS: [{"code": "milk"}]})
    items = (await house.consents.waiting(guest(ana), ana)).body["items"]
    assert [item["value"] for item in items] == [[{"code": "milk"}]]
    assert (await house.consents.decline_waiting(guest(ana), ana, FOOD)).body["declined"] == 1
    assert (await house.consents.decline_waiting(guest(ana), ana, FOOD)).version == version
    await house.preferences.patch(SERVICE, ana, "profile", PEANUTS)
    assert await house.store.drop_waiting(house.clock.now(), 10) == 0
    house.clock.pass_by(timedelta(days=30))
    assert (await house.consents.waiting(guest(ana), ana)).body["items"] == []
    given = await house.consents.give(guest(ana), ana, FOOD)
    assert given.body["entries"].get("profile", {}).keys() == {WARMTH}
    await house.consents.withdraw(guest(ana), ana, FOOD)
    await house.preferences.patch(SERVICE, ana, "profile", PEANUTS)
    house.clock.pass_by(timedelta(days=30))
    assert await house.store.drop_waiting(house.clock.now(), 1) == 1
    assert await house.store.drop_waiting(house.clock.now(), 10) == 1
    assert (await house.store.papers(ana)).waiting == ()


async def test_a_wrong_import_is_refused_like_any_other(house: House) -> None:
    ana = await house.guest()
    with pytest.raises(InvalidEdit):
        await house.preferences.patch(SERVICE, ana, "profile", {ALLERGENS: [{"code": "no such thing"}]})
    assert (await house.store.papers(ana)).waiting == ()


async def test_terms_stand_in_the_receipt() -> None:
    terms = Terms("Lumen Hotels", "privacy@lumen.example", "lumen", "3.1", "https://lumen.example/p", "EU")
    house = await House(StandingClock(), terms=terms).open()
    ana = await house.guest()
    await house.consents.give(guest(ana), ana, FOOD, {"language": "th", "notice_version": "3.1"})
    found = await receipt(house, ana)
    assert found["controller"] == {"name": "Lumen Hotels", "contact": "privacy@lumen.example"}
    assert found["notice"] == {"id": "lumen", "version": "3.1", "url": "https://lumen.example/p"}
    assert (found["jurisdiction"], found["language"]) == ("EU", "th")
