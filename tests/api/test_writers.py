"""Who writes what over HTTP: the guest, the desk for the guest, an observer, a device in the room, another system."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import httpx2

from tests.api.front import PROPERTY, Front
from tests.api.samples import World, make_world

WARMTH, PILLOWS = "climate.temperature.occupied", "bed.pillow_type"


async def write(front: Front, world: World, token: str, patch: dict[str, Any], **params: str) -> httpx2.Response:
    return await front.call("PATCH", f"/v1/guests/{world.guest}/preferences", token, patch, params=params)


async def test_the_desk_states_for_the_stay_only(front: Front) -> None:
    world = await make_world(front)
    desk = front.staff("front_desk")
    stated = await write(front, world, desk, {WARMTH: 19}, scope="stay:stay-1")
    assert stated.status_code == 200, stated.text
    assert stated.json()["preferences"][WARMTH]["layer"] == "stated_via_staff/stay"
    for scope in ("profile", "brand:lumen", f"property:{PROPERTY}", "room"):
        assert (await write(front, world, desk, {WARMTH: 18}, scope=scope)).status_code == 403, scope
    assert (await write(front, world, desk, {WARMTH: 18}, scope="stay:stay-9")).status_code == 404
    own = (await front.read(world.guest, property=PROPERTY))["preferences"][WARMTH]
    assert (own["value"], own["layer"]) == (19.0, "stated_via_staff/stay")


async def test_an_observation_stays_below_what_was_said(front: Front) -> None:
    world = await make_world(front)
    housekeeper = front.staff("housekeeping")
    observed = {"scope": f"property:{PROPERTY}", "provenance": "observed"}
    first = await write(front, world, housekeeper, {PILLOWS: [{"type": "foam", "count": 2}]}, **observed)
    assert first.status_code == 200, first.text
    assert (await write(front, world, housekeeper, {WARMTH: 25}, **observed)).status_code == 200
    here = (await front.read(world.guest, property=PROPERTY))["preferences"]
    assert here[PILLOWS]["layer"] == "observed/property"
    assert (here[WARMTH]["value"], here[WARMTH]["layer"]) == (21.0, "stated/profile")

    await front.prefer(world.guest, {"privacy.observation_opt_out": True})
    refused = await write(front, world, housekeeper, {PILLOWS: [{"type": "foam", "count": 1}]}, **observed)
    assert refused.status_code == 403


async def test_a_press_in_the_room_holds_for_a_while_and_is_nobodys(front: Front) -> None:
    world = await make_world(front)
    panel = front.device("thermostat", stay=world.stay)
    pressed = await write(front, world, panel, {WARMTH: 24.5}, scope="room")
    assert pressed.status_code == 200, pressed.text
    assert (pressed.json()["version"], pressed.json()["preferences"][WARMTH]["layer"]) == (2, "live/room")
    assert (await front.read(world.guest, property=PROPERTY))["preferences"][WARMTH]["value"] == 24.5
    assert (
        WARMTH in (await front.ok("GET", f"/v1/guests/{world.guest}", front.guest(world.guest)))["entries"]["profile"]
    )

    front.clock.pass_by(timedelta(hours=6))  # past the start of the evening
    assert (await front.read(world.guest, property=PROPERTY))["preferences"][WARMTH]["value"] == 21.0
    assert (await write(front, world, panel, {PILLOWS: []}, scope="room")).status_code == 422
    assert (await write(front, world, panel, {WARMTH: 20}, scope="profile")).status_code == 403


async def test_an_import_stays_below_what_was_said(front: Front) -> None:
    world = await make_world(front)
    imported = await write(front, world, front.service(), {WARMTH: 18, PILLOWS: [{"type": "foam", "count": 1}]})
    assert imported.status_code == 200, imported.text
    shown = (await front.read(world.guest))["preferences"]
    assert (shown[WARMTH]["layer"], shown[PILLOWS]["layer"]) == ("stated/profile", "imported/profile")


async def test_a_taken_identifier_is_named_and_its_guest_is_not(front: Front) -> None:
    world = await make_world(front)
    path = f"/v1/guests/{world.guest}/identifiers"
    taken = await front.call("PUT", f"{path}/loyalty/882", front.service())
    assert (taken.status_code, taken.json()["identifier"]) == (409, {"system": "loyalty", "id": "882"})
    assert world.elsewhere not in taken.text
    body = {"identifiers": [{"system": "loyalty", "id": "882"}]}
    again = await front.call("POST", "/v1/guests", front.service(), body)
    assert (again.status_code, again.json()["code"]) == (409, "IDENTIFIER_TAKEN")
    assert world.elsewhere not in again.text

    await front.ok("PUT", f"{path}/pms/é 7", front.service())
    found = await front.ok("GET", "/v1/guests", front.service(), params={"system": "pms", "id": "é 7"})
    assert found["guest"] == world.guest
    await front.ok("DELETE", f"{path}/pms/é 7", front.service())
    gone = await front.call("GET", "/v1/guests", front.service(), params={"system": "pms", "id": "é 7"})
    assert gone.status_code == 404


async def test_an_operator_extends_the_catalogue(front: Front) -> None:
    world = await make_world(front)
    from_document = front.app.openapi()["paths"]["/v1/catalogue/{key}"]["put"]["requestBody"]["content"]
    body = from_document["application/json"]["example"]
    key, path = "lumen.arrival.drink", "/v1/catalogue/lumen.arrival.drink"
    made = await front.ok("PUT", path, front.operator(), body)
    assert made["definition"]["title"] == "Welcome drink"
    await front.prefer(world.guest, {key: "water"})
    assert (await front.read(world.guest))["preferences"][key]["value"] == "water"

    narrowed = json.loads(json.dumps(body))
    narrowed["definition"]["value"]["choices"].remove("water")
    del narrowed["labels"]["en"]["choices"]["water"]
    refused = await front.call("PUT", path, front.operator(), narrowed)
    assert (refused.status_code, refused.json()["code"]) == (409, "CATALOGUE_IN_USE")
    assert sum(refused.json()["counts"].values()) == 1
    planned = await front.ok("PUT", path, front.operator(), narrowed, params={"plan": "true"})
    assert planned["plan"]["counts"] == refused.json()["counts"]
    migrated = await front.ok("DELETE", path, front.operator(), params={"migrate": "true"})
    assert migrated["migrated"]["guests"] == 1
    assert key not in (await front.read(world.guest))["preferences"]
    assert (await front.call("DELETE", path, front.operator())).status_code == 404


async def test_properties_are_put_listed_and_deleted(front: Front) -> None:
    for name in ("a", "b", "c"):
        await front.new_property(name)
    first = await front.ok("GET", "/v1/properties", front.operator(), params={"limit": 2})
    assert ([item["id"] for item in first["items"]], first["next_cursor"]) == (["a", "b"], "b")
    rest = await front.ok("GET", "/v1/properties", front.operator(), params={"limit": 2, "cursor": "b"})
    assert ([item["id"] for item in rest["items"]], rest["next_cursor"]) == (["c"], None)
    again = await front.call("DELETE", "/v1/properties/a", front.operator())
    assert (again.status_code, again.content) == (204, b"")
    assert (await front.call("GET", "/v1/properties/a", front.operator())).status_code == 404

    guest = await front.new_guest()
    await front.new_stay(guest, "stay-b", "b")
    assert (await front.call("DELETE", "/v1/properties/b", front.operator())).status_code == 409


async def test_a_stay_is_put_again_without_effect(front: Front) -> None:
    guest = await front.new_guest()
    await front.new_property(PROPERTY)
    await front.new_stay(guest)
    await front.new_stay(guest)
    assert (await front.ok("GET", "/v1/stays/stay-1", front.service()))["version"] == 1
    await front.new_stay(guest, room="1205")
    assert (await front.ok("GET", "/v1/stays/stay-1", front.staff()))["version"] == 2
    other = await front.new_guest()
    body = {
        "guest": other,
        "property": PROPERTY,
        "arrival": "2026-07-01T12:00:00Z",
        "departure": "2026-07-02T12:00:00Z",
    }
    taken = await front.call("PUT", "/v1/stays/stay-1", front.service(), body)
    assert (taken.status_code, taken.json()["code"]) == (409, "STAY_TAKEN")
    assert (await front.call("GET", "/v1/stays/stay-1", front.staff(property="cleveland"))).status_code == 404
