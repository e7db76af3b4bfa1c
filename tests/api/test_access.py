"""Roles keep to their surfaces and surfaces to their keys; the whole of who may do what is in test_matrix.py."""

from __future__ import annotations

import pytest

from prefs.core.callers import ALL_GUESTS
from tests.api.front import PROPERTY, Front
from tests.api.samples import World, make_world


@pytest.fixture
def kind() -> str:
    return "memory"


@pytest.fixture
async def world(front: Front) -> World:
    return await make_world(front)


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
    assert "peanut" not in str(await front.read(guest)).lower()
    for surface in ("food", "front_desk", "housekeeping"):
        assert "peanut" not in str(await front.read(guest, front.staff(surface), keys=key)).lower()
    for path in (f"/v1/guests/{guest}", f"/v1/guests/{guest}/history"):
        for reader in (token, front.staff("food")):
            assert "peanut" not in str(await front.ok("GET", path, reader)).lower()
