"""Acceptance scenarios S1, S2 and S6 over HTTP with their exact values, on the databases that will be used."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from tests.api.front import Front

DATABASES = ("sqlite", "postgresql")
THERMOSTAT = {"min": 16, "max": 30, "step": 0.5, "unit": "Cel"}


@pytest.fixture(params=DATABASES)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def members(shown: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: shown.get(name) for name in names}


DALLAS: dict[str, Any] = {
    "name": "Dallas",
    "brand": "northstar",
    "time_zone": "America/Chicago",
    "capabilities": {"ui.language": {"choices": ["en", "es"]}},
    "rooms": {
        "1204": {
            "capabilities": {
                "thermostat.setpoint": THERMOSTAT,
                "lights.brightness": {"min": 1, "max": 254, "step": 1, "unit": "matter.level"},
                "lights.scene": {"choices": ["welcome", "relax", "off"]},
            }
        }
    },
    "lineup": [
        {"network_id": "espn", "number": 35, "genre": "sports"},
        {"network_id": "local_news", "number": 42, "genre": "news"},
    ],
}


async def test_s1_tell_once_travel_twice(front: Front) -> None:
    front.clock.at = at("2026-07-01T16:00:00-05:00")
    await front.new_property("dallas", **DALLAS)
    guest = await front.new_guest()
    await front.prefer(
        guest,
        {
            "climate.temperature.occupied": {"value": 68, "unit": "[degF]"},
            "climate.temperature.sleep": {"value": 65, "unit": "[degF]"},
            "tv.favorite_channels": [{"network_id": "espn"}, {"network_id": "cnn"}],
            "lighting.arrival_scene": "relax",
            "lighting.brightness": 40,
            "locale.language": ["es-MX"],
        },
    )
    await front.new_stay(
        guest,
        "stay-dallas",
        "dallas",
        arrival="2026-07-01T17:00:00-05:00",
        departure="2026-07-04T11:00:00-05:00",
        status="booked",
    )
    before_arrival = {"property": "dallas", "at": "2026-07-01T22:00:00Z"}  # 17:00 in Dallas

    thermostat = (await front.read(guest, front.device("thermostat"), **before_arrival))["preferences"]
    occupied = thermostat["climate.temperature.occupied"]
    assert members(occupied, "value", "unit", "status", "layer", "device_value", "entered") == {
        "value": 20.0,
        "unit": "Cel",
        "status": "applied",
        "layer": "stated/profile",
        "device_value": 20.0,
        "entered": {"value": 68, "unit": "[degF]"},
    }

    lights = (await front.read(guest, front.device("lights"), **before_arrival))["preferences"]
    assert members(lights["lighting.brightness"], "value", "status", "device_value") == {
        "value": 40,
        "status": "applied",
        "device_value": 102,
    }
    assert members(lights["lighting.arrival_scene"], "value", "status") == {"value": "relax", "status": "applied"}

    screen = (await front.read(guest, front.device("tv"), **before_arrival))["preferences"]
    assert members(screen["locale.language"], "value", "status") == {"value": ["es"], "status": "applied"}
    assert members(screen["tv.favorite_channels"], "status", "device_value") == {
        "status": "substituted",
        "device_value": [{"network_id": "espn", "number": 35}, {"network_id": "local_news", "number": 42}],
    }

    at_ten = {"property": "dallas", "at": "2026-07-02T03:00:00Z"}  # 22:00 in Dallas
    night = (await front.read(guest, front.device("thermostat"), **at_ten))["preferences"]
    assert members(night["climate.temperature.occupied"], "value", "status") == {"value": 18.5, "status": "applied"}
    assert night["climate.temperature.occupied"]["reason"]["code"] == "CAPABILITY_STEP"

    app = (await front.read(guest, **at_ten))["preferences"]
    assert app["climate.temperature.sleep"]["entered"] == {"value": 65, "unit": "[degF]"}
    assert app["climate.temperature.occupied"]["entered"] == {"value": 65, "unit": "[degF]"}


async def test_s2_clamp_and_explain(front: Front) -> None:
    front.clock.at = at("2026-07-01T12:00:00+00:00")
    room_a = {"thermostat.setpoint": {"min": 18.0, "max": 26.0, "step": 0.5, "unit": "Cel"}}
    rooms = {"A": {"capabilities": room_a}, "B": {"capabilities": {"thermostat.setpoint": THERMOSTAT}}}
    await front.new_property("dallas", rooms=rooms)
    guest = await front.new_guest()
    stored = (await front.prefer(guest, {"climate.temperature.occupied": 17.0}))["version"]
    await front.new_stay(
        guest, "week-1", "dallas", room="A", arrival="2026-06-30T12:00:00Z", departure="2026-07-05T12:00:00Z"
    )

    in_a = (await front.read(guest, front.device("thermostat")))["preferences"]["climate.temperature.occupied"]
    assert members(in_a, "value", "status", "device_value") == {
        "value": 18.0,
        "status": "clamped",
        "device_value": 18.0,
    }
    on_app = (await front.read(guest, property="dallas"))["preferences"]["climate.temperature.occupied"]
    assert members(on_app["reason"], "code", "requested") == {"code": "CAPABILITY_MIN", "requested": 17.0}
    assert "18" in on_app["reason"]["text"]

    front.clock.at = at("2026-07-08T12:00:00+00:00")
    await front.new_stay(
        guest, "week-2", "dallas", room="B", arrival="2026-07-06T12:00:00Z", departure="2026-07-10T12:00:00Z"
    )
    answer = await front.read(guest, property="dallas")
    in_b = answer["preferences"]["climate.temperature.occupied"]
    assert members(in_b, "value", "status", "reason") == {"value": 17.0, "status": "applied", "reason": None}
    assert answer["version"] == stored

    rule = {
        "id": "cool-floor",
        "key": "climate.temperature.occupied",
        "level": "property",
        "force": "mandatory",
        "basis": "energy",
        "min": 20,
        "name": "Cool no lower than 20",
    }
    await front.new_property("dallas", rooms=rooms, policies=[rule])
    ruled = (await front.read(guest, property="dallas"))["preferences"]["climate.temperature.occupied"]
    assert members(ruled, "value", "status") == {"value": 20.0, "status": "suppressed_by_policy"}
    assert ruled["reason"]["policy"] == "cool-floor"
    assert "Cool no lower than 20" in ruled["reason"]["text"]
    assert (await front.read(guest))["version"] == stored


async def test_s2_seventy_two_fahrenheit_on_a_kiosk(front: Front) -> None:
    guest = await front.new_guest()
    kiosk = front.guest(guest, "kiosk")
    said = {"climate.temperature.occupied": {"value": 72, "unit": "[degF]"}}
    await front.ok("PATCH", f"/v1/guests/{guest}/preferences", kiosk, said)

    for token in (kiosk, front.guest(guest)):
        shown = (await front.read(guest, token))["preferences"]["climate.temperature.occupied"]
        assert members(shown, "value", "unit", "entered") == {
            "value": 22.22,
            "unit": "Cel",
            "entered": {"value": 72, "unit": "[degF]"},
        }


async def test_s6_purpose_and_season(front: Front) -> None:
    front.clock.at = at("2026-07-02T12:00:00+00:00")
    await front.new_property("madrid", time_zone="Europe/Madrid", warm_months=[4, 5, 6, 7, 8, 9], brand="northstar")
    guest = await front.new_guest()
    business, family = {"trip": "business"}, {"trip": "leisure", "party": "children"}
    wake_up = [{"days": ["mon", "tue", "wed", "thu", "fri"], "time": "06:30", "method": "phone"}]
    await front.prefer(
        guest,
        {
            "room.floor_level": {"value": "high", "context": business},
            "room.quiet": {"value": True, "context": business},
            "wake_up.schedule": {"value": wake_up, "context": business},
            "climate.temperature.occupied": {"value": 21.0, "context": {"season": "warm"}},
        },
    )
    stored = await front.prefer(
        guest,
        {
            "room.connecting": {"value": "connecting", "context": family},
            "room.floor_level": {"value": "low", "context": family},
            "housekeeping.time_window": {"value": [{"start": "11:00", "end": "13:00"}], "context": family},
            "climate.temperature.occupied": {"value": 22.5, "context": {"season": "cool"}},
        },
    )
    booking = {"arrival": "2026-07-01T13:00:00Z", "departure": "2026-07-08T10:00:00Z", "room": None}
    party = {"adults": 2, "children": 2}
    await front.new_stay(guest, "stay-madrid", "madrid", **booking, trip="leisure", party=party)

    leisure = (await front.read(guest, property="madrid"))["preferences"]
    assert {key: leisure[key]["value"] for key in leisure if leisure[key]["status"] == "applied"} == {
        "climate.temperature.occupied": 21.0,
        "room.floor_level": "low",
        "room.connecting": "connecting",
        "housekeeping.time_window": [{"start": "11:00", "end": "13:00"}],
    }
    assert "wake_up.schedule" not in leisure

    await front.new_stay(guest, "stay-madrid", "madrid", **booking, trip="business", party=party)
    answer = await front.read(guest, property="madrid", explain="true")
    work = answer["preferences"]
    assert work["room.floor_level"]["value"] == "high"
    assert work["room.quiet"]["value"] is True
    assert work["wake_up.schedule"]["value"] == wake_up
    assert "room.connecting" not in work or work["room.connecting"]["status"] != "applied"
    considered = work["room.floor_level"]["considered"]
    assert [(c["value"], c["code"]) for c in considered] == [("low", "CONTEXT_MISMATCH")]
    assert answer["version"] == stored["version"]
