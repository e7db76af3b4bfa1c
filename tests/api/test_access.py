"""Who may do what: every operation by every role, and that nobody learns of a guest they have no reason to see."""

from __future__ import annotations

from typing import Any

import pytest

from prefs.bootstrap import furnish
from prefs.core.callers import ALL_GUESTS
from prefs.store.memory import MemoryStore
from tests.api.front import PROPERTY, Front
from tests.api.samples import Operation, World, all_operations, body_of, make_world, params_of, path_of

# By operation: guest, staff, device, service, operator; both of the last with permission for all guests.
ROLES = ("guest", "staff", "device", "service", "operator")
EXPECTED: dict[str, tuple[int, int, int, int, int]] = {
    "get_preferences": (200, 200, 200, 200, 200),
    "edit_preferences": (200, 403, 403, 200, 403),
    "batch_preferences": (200, 200, 200, 200, 200),
    "create_guest": (403, 403, 403, 201, 201),
    "find_guest": (200, 200, 200, 200, 200),
    "get_guest": (200, 200, 200, 200, 200),
    "edit_guest": (200, 403, 403, 200, 200),
    "add_identifier": (403, 403, 403, 200, 200),
    "remove_identifier": (403, 403, 403, 404, 404),
    "grant_consent": (200, 403, 403, 200, 403),
    "withdraw_consent": (200, 403, 403, 200, 403),
    "get_history": (200, 200, 403, 200, 200),
    "get_access_log": (200, 403, 403, 403, 403),
    "revert_change": (200, 403, 403, 403, 403),
    "get_catalogue": (200, 200, 200, 200, 200),
    "put_definition": (403, 403, 403, 403, 200),
    "delete_definition": (403, 403, 403, 403, 404),
    "list_properties": (403, 200, 403, 200, 200),
    "get_property": (200, 200, 200, 200, 200),
    "put_property": (403, 403, 403, 403, 200),
    "delete_property": (403, 403, 403, 403, 409),
    "get_stay": (200, 200, 200, 200, 200),
    "put_stay": (403, 403, 403, 200, 200),
}


@pytest.fixture
def kind() -> str:
    return "memory"


@pytest.fixture
async def world(front: Front) -> World:
    return await make_world(front)


def operations_of(front: Front) -> list[Operation]:
    return [operation for operation in all_operations(front.app.openapi()) if operation.guarded]


async def ask(front: Front, operation: Operation, world: World, token: str | None, guest: str | None = None) -> Any:
    return await front.call(
        operation.method,
        path_of(operation, world, guest),
        token,
        body_of(operation, world),
        params=params_of(operation),
    )


def tokens(front: Front, world: World) -> dict[str, str]:
    return {
        "guest": front.guest(world.guest),
        "staff": front.staff(),
        "device": front.device("kiosk"),
        "service": front.service(),
        "operator": front.operator(),
    }


async def test_without_a_token_nothing_is_told(front: Front, world: World) -> None:
    for operation in operations_of(front):
        for headers in ({}, {"authorization": "Basic YTpi"}, {"authorization": "Bearer x.y.z"}):
            path = path_of(operation, world)
            response = await front.call(operation.method, path, None, body_of(operation, world), headers=headers)
            assert response.status_code == 401, (operation.id, headers, response.text)
            assert response.headers["www-authenticate"].startswith("Bearer")
            assert response.json()["code"] == "UNAUTHENTICATED"


@pytest.mark.parametrize("role", ROLES)
async def test_every_operation_by_every_role(front: Front, role: str) -> None:
    found: dict[str, int] = {}
    for operation in operations_of(front):
        # A house for each, since many of these change it.
        front.app.state.house = front.house = furnish(MemoryStore(front.clock), front.clock)
        world = await make_world(front)
        response = await ask(front, operation, world, tokens(front, world)[role])
        found[operation.id] = response.status_code
    assert found == {operation: row[ROLES.index(role)] for operation, row in EXPECTED.items()}


async def test_foreign_absent_and_malformed_guests_look_the_same(front: Front, world: World) -> None:
    absent = "gst_" + "f" * 32
    strangers = {
        "guest": (front.guest(world.guest), world.elsewhere),
        "staff": (front.staff(), world.elsewhere),
        "staff elsewhere": (front.staff(property="cleveland"), world.guest),
        "device": (front.device("kiosk"), world.elsewhere),
        "device of another stay": (front.device("kiosk", stay="stay-2"), world.guest),
        "service": (front.token("service", "front_desk", "pms"), world.guest),
        "operator": (front.token("operator", "front_desk", "ops"), world.guest),
    }
    compared = 0
    for operation in operations_of(front):
        if not operation.of_a_guest:
            continue
        for who, (token, foreign) in strangers.items():
            answers = []
            for guest in (foreign, absent, "gst_1", "no id at all", "..%5C..", "%00", "gst_" + "F" * 32):
                response = await ask(front, operation, world, token, guest)
                body = response.json()
                assert body.pop("request_id") == response.headers["x-request-id"]
                headers = {name: value for name, value in response.headers.items() if name != "x-request-id"}
                answers.append((response.status_code, body, headers))
            assert answers[0][0] in (403, 404), (operation.id, who, answers[0])
            assert all(answer == answers[0] for answer in answers), (operation.id, who, answers)
            compared += 1
    assert compared == 11 * len(strangers)


async def test_a_batch_tells_no_stranger_apart(front: Front, world: World) -> None:
    asked = [world.elsewhere, "gst_" + "f" * 32, "nobody", world.guest]
    body = {"guests": asked, "property": PROPERTY}
    answer = await front.ok("POST", "/v1/preferences/batch", front.staff(), body)

    items = answer["items"]
    assert [item["guest"] for item in items] == asked
    assert [item.get("problem", {}).get("status") for item in items] == [404, 404, 404, None]
    assert items[0]["problem"] == items[1]["problem"] == items[2]["problem"]
    assert "climate.temperature.occupied" in items[3]["preferences"]


async def test_a_role_keeps_to_its_surfaces(front: Front, world: World) -> None:
    allowed = {
        ("guest", "guest_app"),
        ("guest", "kiosk"),
        *(("device", surface) for surface in ("thermostat", "lights", "tv", "kiosk")),
        *(("staff", surface) for surface in ("housekeeping", "front_desk", "food", "engineering")),
    }
    surfaces = {surface for _, surface in allowed} | {"elsewhere"}
    for role in ("guest", "device", "staff"):
        for surface in surfaces:
            token = front.token(role, surface, world.guest, [PROPERTY], [ALL_GUESTS])
            response = await front.call("GET", "/v1/catalogue", token)
            assert response.status_code == (200 if (role, surface) in allowed else 401), (role, surface)


async def test_surfaces_see_their_own_keys_only(front: Front, world: World) -> None:
    shown = {
        surface: set((await front.read(world.guest, front.device(surface)))["preferences"])
        for surface in ("thermostat", "lights", "tv")
    }
    assert "climate.temperature.occupied" in shown["thermostat"]
    assert "climate.temperature.occupied" not in shown["lights"] | shown["tv"]
    assert all("room.quiet" not in keys for keys in shown.values())


async def test_special_values_need_consent(front: Front, world: World) -> None:
    guest, key = world.guest, "food.allergens"
    path = f"/v1/guests/{guest}/preferences"
    token = front.guest(guest)
    listing = await front.ok("GET", "/v1/catalogue", token)
    assert any(definition["key"] == key for definition in listing["definitions"])
    peanuts = {key: [{"code": "peanuts"}]}

    refused = await front.call("PATCH", path, token, peanuts)
    assert (refused.status_code, refused.json()["code"]) == (422, "CONSENT_REQUIRED")
    assert refused.json()["errors"][0]["pointer"] == f"/{key}"
    assert key not in (await front.ok("GET", f"/v1/guests/{guest}", token))["entries"].get("profile", {})

    await front.ok("PUT", f"/v1/guests/{guest}/consents/food_safety", token)
    await front.ok("PATCH", path, token, peanuts)
    kitchen = await front.read(guest, front.staff("food"))
    assert "peanut" in str(kitchen["preferences"][key]).lower()

    await front.ok("DELETE", f"/v1/guests/{guest}/consents/food_safety", token)
    own = (await front.read(guest))["preferences"][key]
    assert own["status"] == "withheld_no_consent"
    assert "peanut" not in str(own).lower()
    for surface in ("food", "front_desk", "housekeeping"):
        assert key not in (await front.read(guest, front.staff(surface), keys=key))["preferences"]
    for path in (f"/v1/guests/{guest}", f"/v1/guests/{guest}/history"):
        for reader in (token, front.staff("food")):
            assert "peanut" not in str(await front.ok("GET", path, reader)).lower()
