"""The catalogue through its service: listed for an editor, extended by an operator, changed with a plan."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from prefs.core.callers import Caller, Role
from prefs.core.errors import CatalogueInUse, CatalogueInvalid, InvalidEdit, NotAllowed, NotFound
from prefs.ports import Put
from prefs.store.memory import MemoryStore
from tests.services.house import OPERATOR, WARMTH, House, guest

KEY = "spa.massage_pressure"
DEFINITION: dict[str, Any] = {
    "order": 1,
    "merge": "replace",
    "scopes": ["profile", "stay"],
    "contexts": ["trip"],
    "strengths": ["required", "preferred", "avoid", "unacceptable", "no_preference"],
    "sensitivity": "P0",
    "purpose": "service_delivery",
    "surfaces": {"guest_app": "value", "front_desk": "value"},
    "clamp": "nearest_choice",
    "fallbacks": {"firm": ["medium"]},
    "retention": "stated",
    "value": {"kind": "choice", "choices": ["light", "medium", "firm"]},
}
WORDS: dict[str, Any] = {
    "title": "Massage pressure",
    "help": "How firmly you like it.",
    "area": "Spa",
    "choices": {"light": "Light", "medium": "Medium", "firm": "Firm"},
}


def body(choices: str = "light medium firm", **changes: Any) -> dict[str, Any]:
    listed = choices.split()
    fallbacks = {"firm": ["medium"]} if {"firm", "medium"} <= set(listed) else {}
    definition = {**DEFINITION, "value": {"kind": "choice", "choices": listed}, "fallbacks": fallbacks}
    definition |= changes.pop("definition", {})
    words = {**WORDS, "choices": {one: one.title() for one in listed}}
    return {"area": "spa", "definition": definition, "labels": {"en": words}, **changes}


async def choices(house: House, guest_id: str) -> list[str]:
    """Values the guest has stated under the key, in order."""
    document = await house.store.get(guest_id)
    return [str(entry.value) for entry in document.of(KEY)] if document else []


async def test_the_listing_is_all_an_editor_needs(house: House) -> None:
    answer = await house.definitions.listing()
    listed = answer.body
    assert (listed["language"], listed["direction"], answer.version) == ("en", "ltr", listed["version"])
    assert len(listed["definitions"]) == 67
    assert [area["order"] for area in listed["areas"]] == sorted(area["order"] for area in listed["areas"])
    by_key = {one["key"]: one for one in listed["definitions"]}
    warmth = by_key[WARMTH]
    assert warmth["value"] == {
        **{"kind": "quantity", "unit": "Cel", "accepts": ["Cel", "[degF]"]},
        **{"step": 0.01, "min": 16.0, "max": 30.0},
    }
    assert (warmth["area"], warmth["order"], warmth["review"]) == ("climate", 1, "source")
    pillows = by_key["bed.pillow_type"]["value"]
    (kind, number) = pillows["items"]["fields"]
    assert (pillows["kind"], pillows["id"], kind["name"], number["value"]["max"]) == ("list", "type", "type", 6)
    assert all(choice["label"] for choice in kind["value"]["choices"])
    assert by_key["food.allergens"]["fixed_strength"] == "unacceptable"
    assert by_key["tv.captions"]["special_when"]["strengths"] == ["required"]
    assert by_key["climate.mode"]["default"] == "auto"
    assert listed["groups"][0]["max"] == 1


async def test_the_listing_speaks_the_callers_language(house: House) -> None:
    for accepted, language, direction in (
        ("lo", "lo", "ltr"),
        ("ar-EG, en;q=0.5", "ar", "rtl"),
        ("xx, th;q=0.2", "th", "ltr"),
        ("*", "en", "ltr"),
        ("", "en", "ltr"),
    ):
        listed = (await house.definitions.listing(accepted)).body
        assert (listed["language"], listed["direction"]) == (language, direction)


async def test_the_listing_of_a_surface_is_what_it_may_see(house: House) -> None:
    keys = {one["key"] for one in (await house.definitions.listing("en", "thermostat")).body["definitions"]}
    assert WARMTH in keys
    assert "bed.pillow_type" not in keys
    with pytest.raises(InvalidEdit):
        await house.definitions.listing("en", "lift")


async def test_an_operator_adds_a_key_that_works_at_once(house: House) -> None:
    ana = await house.guest()
    before = (await house.definitions.listing()).version
    put = await house.definitions.put(OPERATOR, KEY, body())
    assert put.version is not None
    assert before is not None
    assert put.version > before
    assert put.body["definition"]["title"] == "Massage pressure"
    listed = (await house.definitions.listing("lo")).body
    assert listed["areas"][-1] == {"id": "spa", "title": "Spa", "order": 9}
    assert listed["definitions"][-1]["title"] == "Massage pressure"
    await house.state(ana, {KEY: "firm"})
    told = (await house.seen(guest(ana), ana, keys=[KEY]))[KEY]
    assert (told["value"], told["status"]) == ("firm", "applied")


async def test_only_operators_change_the_catalogue(house: House) -> None:
    for role in (Role.GUEST, Role.STAFF, Role.DEVICE, Role.SERVICE):
        with pytest.raises(NotAllowed):
            await house.definitions.put(Caller("x", role, "guest_app"), KEY, body())
        with pytest.raises(NotAllowed):
            await house.definitions.delete(Caller("x", role, "guest_app"), WARMTH)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"definition": {"merge": "blend"}}, "merge"),
        ({"definition": {"colour": "red"}}, "colour"),
        ({"definition": {"stands_for": {"key": "no.key", "time_of_day": "sleep"}}}, "stands_for.key"),
        ({"deprecated_by": "no.key"}, "deprecated_by"),
        ({"area": None}, "area"),
        ({"labels": {}}, "labels"),
        ({"labels": {"en": "Massage"}}, "labels.en"),
        ({"labels": {"en": {**WORDS, "title": ""}}}, "labels.en.title"),
        ({"labels": {"en": {**WORDS, "choices": {"light": "Light"}}}}, "labels.en.choices.firm"),
        ({"labels": {"en": {**WORDS, "choices": {**WORDS["choices"], "hot": "Hot"}}}}, "labels.en.choices.hot"),
        ({"labels": {"en": {**WORDS, "emoji": "x"}}}, "labels.en.emoji"),
        ({"labels": {"en": {k: v for k, v in WORDS.items() if k != "area"}}}, "labels.en.area"),
        ({"labels": {"en": WORDS, "tlh": WORDS}}, "labels.tlh"),
        ({"definition": {"surfaces": {"guest_app": "value", "food": "action"}}}, "labels.en.actions._"),
        ({"definition": {"sensitivity": "SC", "purpose": "food_safety"}}, "purposes.front_desk"),
    ],
)
async def test_a_wrong_definition_names_its_field(house: House, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(CatalogueInvalid) as refused:
        await house.definitions.put(OPERATOR, KEY, body(**changes))
    assert (refused.value.key, refused.value.field) == (KEY, field)
    assert (await house.store.extensions())[0] == 0


async def test_a_key_that_was_put_before_that_was_refused_is_read_all_the_same(house: House) -> None:
    record = body(definition={"sensitivity": "SC", "purpose": "food_safety"}) | {"deleted": False}
    await house.store.put_extension(KEY, record)
    assert KEY in (await house.definitions.current()).definitions


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ([], ""),
        ({**body(), "colour": "red"}, "/colour"),
        ({**body(), "definition": "x"}, "/definition"),
        ({"area": "spa"}, "/labels"),
        ({**body(), "rename_from": 5}, "/rename_from"),
        ({**body(), "rename_from": "no.key"}, "/rename_from"),
        ({**body(), "rename_from": KEY}, "/rename_from"),
    ],
)
async def test_a_wrong_body_names_its_member(house: House, wrong: Any, where: str) -> None:
    with pytest.raises(InvalidEdit) as refused:
        await house.definitions.put(OPERATOR, KEY, wrong)
    assert where in {fault.pointer for fault in refused.value.faults}


async def test_a_key_name_that_is_none_is_refused(house: House) -> None:
    for key in ("Spa", "spa", "a.b.c.d", "spa.\0"):
        with pytest.raises(CatalogueInvalid):
            await house.definitions.put(OPERATOR, key, body())
        with pytest.raises(NotFound):
            await house.definitions.delete(OPERATOR, key)


# ---------------------------------------------------------------- changes of a key in use


async def test_narrowing_a_key_in_use_is_refused_planned_and_migrated(house: House) -> None:
    await house.definitions.put(OPERATOR, KEY, body())
    guests = [await house.guest(name) for name in ("Ana", "Ben", "Eva")]
    for guest_id, value in zip(guests, ("firm", "firm", "light"), strict=True):
        await house.state(guest_id, {KEY: value})
    narrow = body("light medium")
    with pytest.raises(CatalogueInUse) as used:
        await house.definitions.put(OPERATOR, KEY, narrow)
    assert used.value.counts == {"choice_removed": 2}
    planned = (await house.definitions.put(OPERATOR, KEY, narrow, plan=True)).body["plan"]
    (step,) = planned["steps"]
    assert (step["from"], step["to"], step["outcome"], step["count"]) == ("firm", "medium", "mapped", 2)
    assert [await choices(house, guest_id) for guest_id in guests] == [["firm"], ["firm"], ["light"]]
    done = (await house.definitions.put(OPERATOR, KEY, narrow, migrate=True)).body["migrated"]
    assert done == {"guests": 2, "counts": {"choice_removed": 2}}
    assert [await choices(house, guest_id) for guest_id in guests] == [["medium"], ["medium"], ["light"]]
    (newest, *_) = (await house.preferences.history(guest(guests[0]), guests[0])).body["changes"]
    assert (newest["action"], newest["actor"], newest["role"]) == ("catalogue", "ops", "operator")
    assert newest["keys"][0]["after"][0]["value"] == "medium"
    with pytest.raises(InvalidEdit):
        await house.state(guests[0], {KEY: "firm"})


async def test_widening_a_key_in_use_just_happens(house: House) -> None:
    await house.definitions.put(OPERATOR, KEY, body("light medium"))
    ana = await house.guest()
    await house.state(ana, {KEY: "light"})
    done = (await house.definitions.put(OPERATOR, KEY, body())).body["migrated"]
    assert done == {"guests": 0, "counts": {}}
    assert (await house.state(ana, {KEY: "firm"}))["preferences"][KEY]["value"] == "firm"


async def test_a_key_is_renamed_with_all_that_was_said_under_it(house: House) -> None:
    await house.definitions.put(OPERATOR, KEY, body())
    ana = await house.guest()
    await house.state(ana, {KEY: {"value": "firm", "strength": "required", "not": ["light"]}})
    renamed = body(rename_from=KEY)
    with pytest.raises(CatalogueInUse) as used:
        await house.definitions.put(OPERATOR, "spa.pressure", renamed)
    assert used.value.counts == {"renamed": 2}
    await house.definitions.put(OPERATOR, "spa.pressure", renamed, migrate=True)
    told = (await house.seen(guest(ana), ana, keys=["spa.pressure"]))["spa.pressure"]
    assert (told["value"], told["strength"], told["not"][0]["value"]) == ("firm", "required", "light")
    with pytest.raises(InvalidEdit):
        await house.seen(guest(ana), ana, keys=[KEY])


async def test_a_deprecated_key_hands_its_entries_to_its_successor(house: House) -> None:
    await house.definitions.put(OPERATOR, KEY, body())
    await house.definitions.put(OPERATOR, "spa.pressure", body("light medium"))
    ana = await house.guest()
    await house.state(ana, {KEY: "light"})
    old = body(deprecated_by="spa.pressure")
    with pytest.raises(CatalogueInUse) as used:
        await house.definitions.put(OPERATOR, KEY, old)
    assert used.value.counts == {"deprecated": 1}
    await house.definitions.put(OPERATOR, KEY, old, migrate=True)
    assert (await house.seen(guest(ana), ana, keys=["spa.pressure"]))["spa.pressure"]["value"] == "light"
    with pytest.raises(InvalidEdit, match=r"spa\.pressure"):
        await house.state(ana, {KEY: "light"})
    listed = (await house.definitions.listing()).body["definitions"]
    assert {one["key"]: one.get("deprecated_by") for one in listed}[KEY] == "spa.pressure"


async def test_a_key_is_deleted_with_its_entries_standard_ones_too(house: House) -> None:
    ana = await house.guest()
    await house.state(ana, {"bed.mattress": "firm", "room.quiet": True})
    with pytest.raises(CatalogueInUse):
        await house.definitions.delete(OPERATOR, "bed.mattress")
    planned = (await house.definitions.delete(OPERATOR, "bed.mattress", plan=True)).body["plan"]
    assert planned["counts"] == {"deleted": 1}
    await house.definitions.delete(OPERATOR, "bed.mattress", migrate=True)
    document = await house.store.get(ana)
    assert document is not None
    assert document.keys == {"room.quiet"}
    with pytest.raises(NotFound):
        await house.definitions.delete(OPERATOR, "bed.mattress")
    assert len((await house.definitions.listing()).body["definitions"]) == 66


async def test_a_key_others_point_at_is_not_deleted(house: House) -> None:
    with pytest.raises(CatalogueInvalid) as refused:
        await house.definitions.delete(OPERATOR, WARMTH)
    assert refused.value.key == "climate.temperature.sleep"


async def test_a_group_without_its_key_no_longer_refuses(house: House) -> None:
    ana = await house.guest()
    await house.consent(ana, "room_setup", "service_delivery")
    await house.state(ana, {"room.elevator_proximity": "near_stairs"})
    with pytest.raises(InvalidEdit):
        await house.state(ana, {"access.step_free_route": "full"})
    await house.definitions.delete(OPERATOR, "room.elevator_proximity", migrate=True)
    assert (await house.state(ana, {"access.step_free_route": "full"}))["version"] > 4
    groups = {group["id"] for group in (await house.definitions.listing()).body["groups"]}
    assert "stairs_or_step_free" not in groups


async def test_a_change_of_words_alone_writes_to_no_guest(house: House) -> None:
    await house.definitions.put(OPERATOR, KEY, body())
    ana = await house.guest()
    await house.state(ana, {KEY: "firm"})
    before = (await house.store.extensions())[0]
    reworded = body()
    reworded["labels"]["en"] = {**reworded["labels"]["en"], "title": "Pressure"}
    put = await house.definitions.put(OPERATOR, KEY, reworded, migrate=True)
    assert put.body["migrated"] == {"guests": 0, "counts": {}}
    assert put.body["definition"]["title"] == "Pressure"
    assert (await house.store.extensions())[0] == before + 1
    document = await house.store.get(ana)
    assert document is not None
    assert document.version == 2


class Interrupted(MemoryStore):
    """A store in which something happens just before a change of the catalogue lands."""

    meanwhile: Callable[[], Awaitable[Any]] | None = None

    async def put_extension(self, key: str, body: Mapping[str, Any]) -> Put[int]:
        if self.meanwhile:
            await self.meanwhile()
        return await super().put_extension(key, body)


async def test_a_write_between_plan_and_change_is_swept() -> None:
    house = await House(kind=Interrupted).open()
    await house.definitions.put(OPERATOR, KEY, body())
    ana, ben = await house.guest(), await house.guest("Ben")
    await house.state(ana, {KEY: "firm"})
    assert isinstance(house.store, Interrupted)
    house.store.meanwhile = lambda: house.state(ben, {KEY: "firm"})
    done = (await house.definitions.put(OPERATOR, KEY, body("light medium"), migrate=True)).body["migrated"]
    assert done["guests"] == 2
    assert (await choices(house, ana), await choices(house, ben)) == (["medium"], ["medium"])
