"""Reading, editing and pressing through the services: what each caller gets, and what a write answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from prefs.core.errors import (
    InvalidEdit,
    KeyConflict,
    KeyReused,
    NotAllowed,
    NotFound,
    VersionMoved,
)
from prefs.ports import Once
from prefs.services.ids import NOBODY
from tests.services.house import DALLAS, OPERATOR, SERVICE, WARMTH, House, device, guest, staff


async def test_a_guest_states_and_reads_back_with_the_reason(house: House) -> None:
    ana = await house.guest()
    await house.stay(ana)
    written = await house.state(ana, {WARMTH: {"value": 62, "unit": "[degF]"}, "room.quiet": True})
    assert written["version"] == 2
    assert set(written["preferences"]) == {WARMTH, "room.quiet"}
    assert written["preferences"][WARMTH]["entered"] == {"value": 62, "unit": "[degF]"}
    answer = await house.preferences.effective(guest(ana), ana, property="dallas", keys=[WARMTH])
    assert answer.version == 2
    told = answer.body["preferences"][WARMTH]
    assert (told["value"], told["status"], told["reason"]["code"]) == (18.0, "clamped", "CAPABILITY_MIN")
    assert answer.valid_until == datetime(2026, 7, 1, 14, tzinfo=UTC)
    assert answer.body["valid_until"] == "2026-07-01T14:00:00Z"
    assert (await house.seen(guest(ana), ana))[WARMTH]["value"] == 16.67


async def test_a_read_takes_the_stay_of_the_property_and_the_context_of_the_query(house: House) -> None:
    ana = await house.guest()
    stay = await house.stay(ana, trip="business")
    await house.state(ana, {WARMTH: {"value": 21, "context": {"trip": "business"}}})
    await house.state(ana, {WARMTH: {"value": 23, "context": {"trip": "leisure"}}})
    await house.state(ana, {"room.quiet": True}, f"stay:{stay}")
    here = await house.seen(guest(ana), ana, property="dallas")
    assert (here[WARMTH]["value"], here["room.quiet"]["layer"]) == (21.0, "stated/stay")
    assert (await house.seen(guest(ana), ana, stay=stay))[WARMTH]["value"] == 21.0
    assert (await house.seen(guest(ana), ana, property="dallas", trip="leisure"))[WARMTH]["value"] == 23.0
    elsewhere = await house.seen(guest(ana), ana, property="paris", keys=[WARMTH, "room.quiet"])
    assert [told["reason"]["code"] for told in elsewhere.values()] == ["NOTHING_KNOWN", "NOTHING_KNOWN"]
    assert WARMTH not in await house.seen(guest(ana), ana)
    narrowed = await house.seen(guest(ana, stay=stay), ana)
    assert narrowed[WARMTH]["value"] == 21.0


async def test_explain_lists_who_lost(house: House) -> None:
    ana = await house.guest()
    await house.state(ana, {WARMTH: 21})
    await house.state(ana, {WARMTH: 22}, "property:dallas")
    told = (await house.seen(guest(ana), ana, property="dallas", keys=[WARMTH], explain=True))[WARMTH]
    assert [(lost["value"], lost["code"]) for lost in told["considered"]] == [(21.0, "LOWER_SCOPE")]


async def test_words_come_in_the_callers_language(house: House) -> None:
    ana = await house.guest()
    texts = set()
    for language in ("en", "lo", "ar-EG, en;q=0.5", "xx"):
        told = await house.seen(guest(ana), ana, keys=[WARMTH], language=language)
        texts.add(told[WARMTH]["reason"]["text"])
    assert len(texts) == 3


@pytest.mark.parametrize(
    ("question", "parameter", "code"),
    [
        ({"keys": [WARMTH, "no.key"]}, "keys", "UNKNOWN_KEY"),
        ({"trip": "honeymoon"}, "trip", "UNKNOWN_CHOICE"),
        ({"party": "band"}, "party", "UNKNOWN_CHOICE"),
        ({"at": datetime(2026, 7, 1, 12)}, "at", "OUT_OF_RANGE"),  # noqa: DTZ001 - without a zone is the point
        ({"at": datetime(1, 1, 1, tzinfo=UTC)}, "at", "OUT_OF_RANGE"),
        ({"at": datetime(9999, 12, 31, tzinfo=UTC)}, "at", "OUT_OF_RANGE"),
    ],
)
async def test_a_question_that_makes_no_sense_names_the_parameter(
    house: House, question: dict[str, Any], parameter: str, code: str
) -> None:
    ana = await house.guest()
    with pytest.raises(InvalidEdit) as refused:
        await house.preferences.effective(guest(ana), ana, **question)
    assert [(fault.pointer, fault.code) for fault in refused.value.faults] == [(parameter, code)]


async def test_stays_and_properties_that_are_not_there_or_do_not_belong_together(house: House) -> None:
    ana, ben = await house.guest(), await house.guest("Ben")
    stay, other = await house.stay(ana), await house.stay(ben)
    foreign: list[dict[str, Any]] = [{"property": "nowhere"}, {"property": "\0"}, {"stay": other}, {"stay": "nothing"}]
    for question in foreign:
        with pytest.raises(NotFound):
            await house.preferences.effective(guest(ana), ana, **question)
    with pytest.raises(InvalidEdit):
        await house.preferences.effective(guest(ana), ana, stay=stay, property="paris")


# ---------------------------------------------------------------- surfaces and consent


async def test_each_surface_sees_its_own_and_never_the_reason(house: House) -> None:
    ana = await house.guest()
    await house.stay(ana)
    await house.consent(ana, "food_safety")
    await house.state(ana, {"food.allergens": [{"code": "peanuts"}], WARMTH: 21, "bed.pillow_type": {"not": ["foam"]}})
    kitchen = await house.seen(staff("food"), ana)
    assert "action" in kitchen["food.allergens"]
    assert not {"value", "reason", "layer", "entered"} & set(kitchen["food.allergens"])
    assert WARMTH not in kitchen
    thermostat = await house.seen(device(), ana)
    assert thermostat[WARMTH]["value"] == 21.0
    assert "food.allergens" not in thermostat


async def test_a_consent_that_ended_withholds_the_value_from_the_next_read_on(house: House) -> None:
    ana = await house.guest()
    await house.stay(ana)
    await house.consent(ana, "food_safety")
    await house.state(ana, {"food.allergens": [{"code": "peanuts"}]})
    house.clock.pass_by(house.terms.term)
    await house.stay(ana)
    own = (await house.seen(guest(ana), ana))["food.allergens"]
    assert (own["value"], own["status"]) == (None, "withheld_no_consent")
    assert "food.allergens" not in await house.seen(staff("food"), ana)
    assert await house.seen(staff("food"), ana, keys=["food.allergens"]) == {}


async def test_writing_without_consent_stores_nothing(house: House) -> None:
    ana = await house.guest()
    with pytest.raises(InvalidEdit) as refused:
        await house.state(ana, {"food.allergens": [{"code": "peanuts"}], WARMTH: 20})
    assert refused.value.code == "CONSENT_REQUIRED"
    document = await house.store.get(ana)
    assert document is not None
    assert (document.version, document.entries) == (1, ())


# ---------------------------------------------------------------- writing


async def test_what_a_role_writes_has_its_provenance(house: House) -> None:
    ana = await house.guest()
    stay = await house.stay(ana)
    await house.preferences.patch(staff(), ana, f"stay:{stay}", {WARMTH: 22})
    await house.preferences.patch(staff("housekeeping"), ana, "property:dallas", {WARMTH: 23}, provenance="observed")
    await house.preferences.patch(SERVICE, ana, "profile", {WARMTH: 24})
    document = await house.store.get(ana)
    assert document is not None
    kinds = {(str(e.scope), e.provenance.kind.value, e.provenance.actor) for e in document.entries}
    assert kinds == {
        (f"stay:{stay}", "stated_via_staff", "staff-front_desk"),
        ("property:dallas", "observed", "staff-housekeeping"),
        ("profile", "imported", "pms"),
    }


async def test_a_write_answers_touched_keys_at_the_place_it_is_for(house: House) -> None:
    ana = await house.guest()
    stay = await house.stay(ana)
    assert (await house.state(ana, {WARMTH: 17}))["preferences"][WARMTH]["value"] == 17.0
    assert (await house.state(ana, {WARMTH: 17}, property="dallas"))["preferences"][WARMTH]["value"] == 18.0
    assert (await house.state(ana, {WARMTH: 30}, "property:dallas"))["preferences"][WARMTH]["value"] == 26.0
    assert (await house.state(ana, {WARMTH: 29}, f"stay:{stay}"))["preferences"][WARMTH]["layer"] == "stated/stay"
    hidden = await house.preferences.patch(staff("food"), ana, f"stay:{stay}", {WARMTH: 20})
    assert hidden.body["preferences"] == {}


async def test_a_write_that_changes_nothing_keeps_the_version(house: House) -> None:
    ana = await house.guest()
    await house.state(ana, {WARMTH: 20})
    assert (await house.state(ana, {WARMTH: 20}))["version"] == 2
    assert len(await house.store.history(ana, 10)) == 2


async def test_warnings_name_the_entry_and_speak(house: House) -> None:
    ana = await house.guest()
    await house.state(ana, {"climate.mode": {"not": ["heat"]}})
    (warned,) = (await house.state(ana, {"climate.mode": "heat"}, "property:dallas"))["warnings"]
    assert (warned["key"], warned["code"]) == ("climate.mode", "REFUSED_ELSEWHERE")
    assert warned["entry"].startswith("prf_")
    label = house.catalogue.labels["en"].keys["climate.mode"].choices["heat"]
    assert label in warned["text"]


async def test_versions_and_idempotency_reach_the_store(house: House) -> None:
    ana = await house.guest()
    once = Once("app", "k1", "f1")
    first = await house.preferences.patch(guest(ana), ana, "profile", {WARMTH: 20}, once=once)
    again = await house.preferences.patch(guest(ana), ana, "profile", {WARMTH: 20}, once=once)
    assert (again.body, again.version, again.replayed) == (first.body, 2, True)
    with pytest.raises(KeyReused):
        await house.preferences.patch(guest(ana), ana, "profile", {WARMTH: 21}, once=Once("app", "k1", "f2"))
    with pytest.raises(VersionMoved):
        await house.state(ana, {WARMTH: 22}, if_match=1)
    with pytest.raises(KeyConflict):
        await house.state(ana, {WARMTH: 22}, base_version=1)
    assert (await house.state(ana, {"room.quiet": True}, base_version=1))["version"] == 3


@pytest.mark.parametrize("scope", ["property:nowhere", "stay:nothing"])
async def test_a_scope_that_is_not_there_is_not_found(house: House, scope: str) -> None:
    ana = await house.guest()
    with pytest.raises(NotFound):
        await house.state(ana, {WARMTH: 20}, scope)


# ---------------------------------------------------------------- presses in the room


async def test_a_press_wins_until_the_window_ends_and_touches_no_document(house: House) -> None:
    ana = await house.guest()
    stay = await house.stay(ana)
    await house.state(ana, {WARMTH: {"value": 20, "strength": "required"}})
    pressed = await house.preferences.patch(device(), ana, "room", {WARMTH: {"value": 75, "unit": "[degF]"}})
    assert pressed.version == 2
    assert pressed.body["preferences"][WARMTH]["layer"] == "live/room"
    assert (await house.seen(device(), ana))[WARMTH]["value"] == 24.0
    (entry,) = await house.live(stay)
    assert (entry.provenance.actor, entry.expires_at) == ("", datetime(2026, 7, 1, 14, tzinfo=UTC))
    document = await house.store.get(ana)
    assert document is not None
    assert document.version == 2
    house.clock.pass_by(timedelta(hours=2))
    assert (await house.seen(device(), ana))[WARMTH]["value"] == 20.0


async def test_a_press_ends_at_its_hold_time_at_checkout_and_when_it_is_cleared(house: House) -> None:
    ana = await house.guest()
    stay = await house.stay(ana, departure="2026-07-01T13:00:00Z")
    hold = {WARMTH: {"value": 22, "expires_at": "2026-07-01T12:30:00Z"}, "climate.fan_mode": "low"}
    await house.preferences.patch(device(), ana, "room", hold)
    ends = {entry.key: entry.expires_at for entry in await house.live(stay)}
    assert ends == {
        WARMTH: datetime(2026, 7, 1, 12, 30, tzinfo=UTC),
        "climate.fan_mode": datetime(2026, 7, 1, 13, tzinfo=UTC),
    }
    await house.preferences.patch(device(), ana, "room", {WARMTH: None})
    assert [entry.key for entry in await house.live(stay)] == ["climate.fan_mode"]


@pytest.mark.parametrize(
    ("patch", "where", "code"),
    [
        ({"room.quiet": True}, "/room.quiet", "SCOPE_NOT_ALLOWED"),
        ({"lighting.brightness": 40}, "/lighting.brightness", "NOT_ON_SURFACE"),
        ({WARMTH: {"value": 20, "strength": "required"}}, f"/{WARMTH}/strength", "STRENGTH_NOT_ALLOWED"),
        ({WARMTH: {"value": 20, "context": {"trip": "business"}}}, f"/{WARMTH}/context", "CONTEXT_NOT_ALLOWED"),
        ({"climate.mode": {"not": ["heat"]}}, "/climate.mode/not", "VALUE_NOT_ALLOWED"),
        ({WARMTH: 99}, f"/{WARMTH}", "OUT_OF_RANGE"),
        ({"no.key": 1}, "/no.key", "UNKNOWN_KEY"),
    ],
)
async def test_a_press_only_sets_a_value_its_device_controls(
    house: House, patch: dict[str, Any], where: str, code: str
) -> None:
    ana = await house.guest()
    stay = await house.stay(ana)
    with pytest.raises(InvalidEdit) as refused:
        await house.preferences.patch(device(), ana, "room", patch)
    assert [(fault.pointer, fault.code) for fault in refused.value.faults] == [(where, code)]
    assert await house.live(stay) == []


# ---------------------------------------------------------------- batch


async def test_a_batch_answers_in_order_and_a_guest_that_fails_does_not_fail_the_rest(house: House) -> None:
    ana, ben, eva = await house.guest(), await house.guest("Ben"), await house.guest("Eva")
    await house.stay(ana)
    await house.stay(ben)
    await house.state(ana, {WARMTH: 20})
    await house.state(ben, {WARMTH: 17})
    await house.preferences.patch(device(), ben, "room", {WARMTH: 25})
    asked = [ben, eva, "not an id", ana, NOBODY, ben]
    batch = await house.preferences.batch(device(), asked, property="dallas", keys=[WARMTH])
    items = [item.body for item in batch]
    assert [item["guest"] for item in items] == asked
    assert [item["preferences"][WARMTH]["value"] if "preferences" in item else None for item in items] == [
        *(25.0, None, None, 20.0),
        *(None, 25.0),
    ]
    assert len({str(item["problem"]) for item in items if "problem" in item}) == 1
    assert items[1]["problem"]["code"] == "NOT_FOUND"
    one = (await house.preferences.effective(device(), ana, keys=[WARMTH])).body
    assert items[3] == one


async def test_a_batch_as_a_whole_is_refused_where_it_makes_no_sense(house: House) -> None:
    ana = await house.guest()
    assert await house.preferences.batch(SERVICE, [], property="dallas") == []
    with pytest.raises(InvalidEdit):
        await house.preferences.batch(SERVICE, [ana] * 1001)
    with pytest.raises(InvalidEdit) as unknown:
        await house.preferences.batch(SERVICE, [ana], keys=["no.key"])
    with pytest.raises(InvalidEdit) as timeless:
        await house.preferences.batch(SERVICE, [ana], at=datetime(1999, 1, 1, tzinfo=UTC))
    assert [fault.pointer for raised in (unknown, timeless) for fault in raised.value.faults] == ["/keys", "/at"]
    with pytest.raises(NotFound):
        await house.preferences.batch(SERVICE, [ana], property="nowhere")
    with pytest.raises(NotFound):
        await house.preferences.batch(staff(), [ana], property="paris")
    with pytest.raises(InvalidEdit):
        await house.preferences.batch(staff("front_desk", "dallas", "paris"), [ana])


# ---------------------------------------------------------------- history and undo


async def test_history_tells_who_changed_what_in_pages(house: House) -> None:
    ana = await house.guest()
    for value in (20, 21, Decimal("21.5")):
        await house.state(ana, {WARMTH: value})
    first = (await house.preferences.history(guest(ana), ana, limit=2)).body
    newest = first["changes"][0]
    assert (newest["version"], newest["actor"], newest["surface"], newest["action"]) == (4, ana, "guest_app", "edit")
    (key,) = newest["keys"]
    assert (key["before"][0]["value"], key["after"][0]["value"]) == (21.0, 21.5)
    rest = (await house.preferences.history(guest(ana), ana, limit=2, cursor=first["next_cursor"])).body
    assert [change["version"] for change in rest["changes"]] == [2, 1]
    assert rest["next_cursor"] is None
    for wrong in ({"limit": 0}, {"limit": 201}, {"cursor": "x"}, {"cursor": "٣"}):
        with pytest.raises(InvalidEdit):
            await house.preferences.history(guest(ana), ana, **wrong)


async def test_history_shows_a_surface_its_values_and_withholds_without_consent(house: House) -> None:
    ana = await house.guest()
    await house.stay(ana)
    await house.consent(ana, "food_safety")
    await house.state(ana, {"food.allergens": [{"code": "peanuts"}], "room.quiet": True, "climate.mode": "cool"})
    desk = (await house.preferences.history(staff(), ana)).body["changes"]
    assert [[key["key"] for key in change["keys"]] for change in desk] == [["room.quiet"]]
    assert (await house.preferences.history(staff("food"), ana)).body["changes"] == []
    house.clock.pass_by(house.terms.term)
    own = (await house.preferences.history(guest(ana), ana)).body["changes"]
    (told,) = [k["after"][0] for change in own for k in change["keys"] if k["key"] == "food.allergens"]
    assert told["status"] == "withheld_no_consent"
    assert not {"value", "strength"} & set(told)


async def test_undo_answers_the_keys_as_they_are_again(house: House) -> None:
    ana = await house.guest()
    await house.state(ana, {WARMTH: 20})
    await house.state(ana, {WARMTH: 21})
    undone = await house.preferences.revert(guest(ana), ana, 3)
    assert (undone.version, undone.body["preferences"][WARMTH]["value"]) == (4, 20.0)
    with pytest.raises(KeyConflict):
        await house.preferences.revert(guest(ana), ana, 2)
    for version in (0, 99):
        with pytest.raises(NotFound):
            await house.preferences.revert(guest(ana), ana, version)


async def test_staff_undo_only_their_own(house: House) -> None:
    ana = await house.guest()
    stay = await house.stay(ana)
    await house.state(ana, {WARMTH: 20})
    await house.preferences.patch(staff(), ana, f"stay:{stay}", {WARMTH: 22})
    with pytest.raises(NotAllowed):
        await house.preferences.revert(staff(), ana, 2)
    assert (await house.preferences.revert(staff(), ana, 3)).version == 4
    with pytest.raises(NotAllowed):
        await house.preferences.revert(device(), ana, 3)
    with pytest.raises(NotAllowed):
        await house.preferences.revert(OPERATOR, ana, 3)


async def test_a_property_put_again_is_read_anew(house: House) -> None:
    ana = await house.guest()
    await house.stay(ana)
    await house.state(ana, {WARMTH: 17})
    assert (await house.seen(guest(ana), ana, property="dallas"))[WARMTH]["value"] == 18.0
    wider = {**DALLAS, "capabilities": {"thermostat.setpoint": {"min": 10, "max": 30, "unit": "Cel"}}}
    await house.properties.put(OPERATOR, "dallas", wider)
    assert (await house.seen(guest(ana), ana, property="dallas"))[WARMTH]["value"] == 17.0
