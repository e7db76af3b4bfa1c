"""What hotels and stays declare: read whole, refused with every fault, and remembered though the catalogue moves on."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import Any

import pytest

from prefs.core.bookings import parse_stay, show_stay
from prefs.core.catalogue import Catalogue
from prefs.core.declarations import parse_property, recall_property
from prefs.core.entries import Context
from prefs.core.errors import InvalidEdit
from prefs.core.rooms import Basis, Channel, Choices, Force, PolicyLevel, Range
from prefs.core.stays import Party, StayStatus
from prefs.definitions import load_standard
from tests.core import builders

DALLAS: dict[str, Any] = {
    "name": "The Dallas House",
    "brand": "house",
    "time_zone": "America/Chicago",
    "warm_months": [4, 5, 6, 7, 8, 9, 10],
    "capabilities": {
        "thermostat.setpoint": {
            "min": 16,
            "max": 30,
            "step": Decimal("0.5"),
            "unit": "Cel",
            "deadband": Decimal("2.5"),
        },
        "bed.type": {"choices": ["king", "twin"]},
    },
    "rooms": {"1204": {"capabilities": {"lights.brightness": {"min": 1, "max": 254, "unit": "matter.level"}}}},
    "lineup": [{"network_id": "espn", "number": 35, "genre": "sports", "call_sign": "ESPN"}],
    "policies": [
        {
            "id": "cool-floor",
            "key": "climate.temperature.occupied",
            "level": "property",
            "force": "mandatory",
            "basis": "energy",
            "context": {"season": "warm"},
            "min": 68,
            "unit": "[degF]",
            "name": "Not below 20",
        },
        {
            "id": "sea",
            "key": "room.view",
            "level": "brand",
            "force": "recommended",
            "basis": "comfort",
            "value": ["sea"],
        },
        {"id": "no-smoke", "key": "room.smoking", "force": "mandatory", "basis": "law", "forbidden": ["smoking"]},
    ],
}
STAY: dict[str, Any] = {
    "guest": "gst_a",
    "property": "dallas",
    "room": "1204",
    "arrival": "2026-07-01T15:00:00-05:00",
    "departure": "2026-07-03T11:00:00-05:00",
    "trip": "leisure",
    "party": {"adults": 2, "children": 1},
    "status": "in_house",
}


@cache
def standard() -> Catalogue:
    return load_standard()


def faults(body: Any, property_id: str = "dallas") -> set[tuple[str, str]]:
    with pytest.raises(InvalidEdit) as refused:
        parse_property(property_id, body, standard())
    return {(fault.pointer, fault.code) for fault in refused.value.faults}


def test_a_property_is_read_whole() -> None:
    place = parse_property("dallas", DALLAS, standard(), 3)
    assert (place.id, place.brand, place.time_zone, place.version) == ("dallas", "house", "America/Chicago", 3)
    assert place.warm_months == frozenset(range(4, 11))
    half = Fraction(1, 2)
    assert place.capabilities["thermostat.setpoint"] == Range(Fraction(16), Fraction(30), "Cel", half, Fraction(5, 2))
    assert place.capabilities["bed.type"] == Choices(("king", "twin"))
    assert place.rooms["1204"]["lights.brightness"] == Range(Fraction(1), Fraction(254), "matter.level")
    assert place.lineup == (Channel("espn", 35, "sports", "ESPN"),)
    floor, sea, smoke = place.policies
    assert (floor.minimum, floor.maximum, floor.force, floor.basis) == (2000, None, Force.MANDATORY, Basis.ENERGY)
    assert floor.context == Context(season="warm")
    assert (sea.level, sea.force, sea.value) == (PolicyLevel.BRAND, Force.RECOMMENDED, ["sea"])
    assert smoke.forbidden == ("smoking",)


def test_the_least_a_property_says_is_its_name_and_clock() -> None:
    place = parse_property("h", {"name": "H", "time_zone": "UTC"}, standard())
    assert (place.lineup, place.policies, dict(place.capabilities)) == (None, (), {})


@pytest.mark.parametrize(
    ("change", "where", "code"),
    [
        ({"name": None}, "/name", "MISSING_FIELD"),
        ({"name": 5}, "/name", "WRONG_TYPE"),
        ({"name": "x" * 121}, "/name", "WRONG_LENGTH"),
        ({"name": "a\0b"}, "/name", "BAD_TEXT"),
        ({"brand": "no spaces"}, "/brand", "BAD_ID"),
        ({"time_zone": "Mars/Olympus"}, "/time_zone", "UNKNOWN_TIME_ZONE"),
        ({"time_zone": "../etc/passwd"}, "/time_zone", "UNKNOWN_TIME_ZONE"),
        ({"time_zone": "America"}, "/time_zone", "UNKNOWN_TIME_ZONE"),
        ({"warm_months": [0]}, "/warm_months", "OUT_OF_RANGE"),
        ({"warm_months": [4, 4]}, "/warm_months", "OUT_OF_RANGE"),
        ({"warm_months": 4}, "/warm_months", "WRONG_TYPE"),
        ({"stars": 5}, "/stars", "UNKNOWN_FIELD"),
        ({"capabilities": []}, "/capabilities", "WRONG_TYPE"),
        ({"capabilities": {"pool.depth": {"min": 1}}}, "/capabilities/pool.depth", "UNKNOWN_CAPABILITY"),
        ({"rooms": {"1": {"capabilities": {"a/b": {}}}}}, "/rooms/1/capabilities/a~1b", "UNKNOWN_CAPABILITY"),
        ({"rooms": {"1": {"beds": 2}}}, "/rooms/1/beds", "UNKNOWN_FIELD"),
        ({"rooms": {"x" * 21: {}}}, f"/rooms/{'x' * 21}", "WRONG_LENGTH"),
        ({"lineup": [{"network_id": "espn"}]}, "/lineup/0/number", "OUT_OF_RANGE"),
        ({"lineup": [{"number": 3}]}, "/lineup/0/network_id", "MISSING_FIELD"),
        ({"lineup": ["espn"]}, "/lineup/0", "WRONG_TYPE"),
        ({"policies": {}}, "/policies", "WRONG_TYPE"),
        ({"policies": [{"id": "p"}]}, "/policies/0/key", "MISSING_FIELD"),
    ],
)
def test_what_a_property_says_wrongly_is_named(change: dict[str, Any], where: str, code: str) -> None:
    assert (where, code) in faults({**DALLAS, **change})


@pytest.mark.parametrize(
    ("capability", "where", "code"),
    [
        ({"min": 16, "max": 30}, "unit", "MISSING_FIELD"),
        ({"min": 16, "max": 30, "unit": "cm"}, "unit", "WRONG_UNIT"),
        ({"max": 30, "unit": "Cel"}, "min", "MISSING_FIELD"),
        ({"min": 31, "max": 30, "unit": "Cel"}, "min", "OUT_OF_RANGE"),
        ({"min": 16, "max": 30, "unit": "Cel", "step": 0}, "step", "OUT_OF_RANGE"),
        ({"min": 16, "max": 30, "unit": "Cel", "deadband": -1}, "deadband", "OUT_OF_RANGE"),
        ({"min": "warm", "max": 30, "unit": "Cel"}, "min", "WRONG_TYPE"),
        ({"min": 16, "max": 30, "unit": "Cel", "noise": 1}, "noise", "UNKNOWN_FIELD"),
    ],
)
def test_what_a_range_says_wrongly_is_named(capability: dict[str, Any], where: str, code: str) -> None:
    found = faults({**DALLAS, "capabilities": {"thermostat.setpoint": capability}})
    assert (f"/capabilities/thermostat.setpoint/{where}", code) in found


def test_choices_are_those_of_the_keys_held_against_them() -> None:
    found = faults({**DALLAS, "capabilities": {"bed.type": {"choices": ["king", "hammock"]}, "bed.view": {}}})
    assert ("/capabilities/bed.type/choices/1", "UNKNOWN_CHOICE") in found
    assert ("/capabilities/bed.type/choices", "MISSING_FIELD") in faults(
        {**DALLAS, "capabilities": {"bed.type": {"min": 1, "max": 2}}}
    )
    flags = {**DALLAS, "capabilities": {"room.quiet": {"choices": ["true", "maybe"]}}}
    assert faults(flags) == {("/capabilities/room.quiet/choices/1", "UNKNOWN_CHOICE")}


@pytest.mark.parametrize(
    ("change", "where", "code"),
    [
        ({"key": "no.key"}, "key", "UNKNOWN_KEY"),
        ({"force": "gentle"}, "force", "UNKNOWN_CHOICE"),
        ({"basis": None}, "basis", "WRONG_TYPE"),
        ({"context": {"moon": "full"}}, "context/moon", "UNKNOWN_FIELD"),
        ({"context": {"season": "wet"}}, "context/season", "UNKNOWN_CHOICE"),
        ({"value": 20}, "value", "VALUE_NOT_ALLOWED"),
        ({"max": 60}, "min", "OUT_OF_RANGE"),
        ({"unit": "cm"}, "unit", "WRONG_UNIT"),
        ({"min": None}, "force", "MISSING_FIELD"),
        ({"force": "recommended"}, "min", "VALUE_NOT_ALLOWED"),
        ({"force": "recommended", "min": None}, "value", "MISSING_FIELD"),
        ({"force": "recommended", "min": None, "value": 99}, "value", "OUT_OF_RANGE"),
        ({"key": "room.smoking", "unit": None}, "min", "VALUE_NOT_ALLOWED"),
        ({"key": "room.smoking", "unit": None, "min": None, "allowed": ["pipes"]}, "allowed/0", "UNKNOWN_CHOICE"),
        ({"colour": "red"}, "colour", "UNKNOWN_FIELD"),
    ],
)
def test_what_a_policy_says_wrongly_is_named(change: dict[str, Any], where: str, code: str) -> None:
    policy = {**DALLAS["policies"][0], **change}
    found = faults({**DALLAS, "policies": [policy]})
    assert (f"/policies/0/{where}", code) in found


def test_ids_and_numbers_are_not_given_twice() -> None:
    twice = {**DALLAS, "lineup": DALLAS["lineup"] * 2, "policies": [DALLAS["policies"][2]] * 2}
    assert faults(twice) == {("/lineup/1/number", "DUPLICATE"), ("/policies/1/id", "DUPLICATE")}
    assert ("property", "BAD_ID") in faults(DALLAS, "the dallas")
    assert ("", "WRONG_TYPE") in faults([])


def test_a_stored_property_outlives_a_change_of_the_catalogue() -> None:
    tiny = builders.catalogue(builders.choice("room.smoking", "smoking none"))
    place = recall_property("dallas", DALLAS, tiny, 4)
    assert dict(place.capabilities) == {}
    assert [policy.id for policy in place.policies] == ["no-smoke"]
    assert place.lineup is not None


# ---------------------------------------------------------------- stays


def test_a_stay_is_read_and_shown_again() -> None:
    stay = parse_stay("s1", STAY)
    assert stay.arrival == datetime(2026, 7, 1, 20, tzinfo=UTC)
    assert (stay.party, stay.status, stay.room) == (Party(2, 1), StayStatus.IN_HOUSE, "1204")
    shown = show_stay(stay)
    assert shown == {
        **STAY,
        "id": "s1",
        "arrival": "2026-07-01T20:00:00Z",
        "departure": "2026-07-03T16:00:00Z",
        "version": 0,
    }
    least = parse_stay("s1", {name: STAY[name] for name in ("guest", "property", "arrival", "departure")})
    assert (least.status, least.party, least.trip) == (StayStatus.BOOKED, None, "")


@pytest.mark.parametrize(
    ("change", "where", "code"),
    [
        ({"guest": None}, "/guest", "MISSING_FIELD"),
        ({"property": "a b"}, "/property", "BAD_ID"),
        ({"arrival": "2026-07-01"}, "/arrival", "BAD_TIME"),
        ({"arrival": "2026-13-01T00:00:00Z"}, "/arrival", "BAD_TIME"),
        ({"departure": "2026-07-01T15:00:00-05:00"}, "/departure", "OUT_OF_RANGE"),
        ({"trip": "honeymoon"}, "/trip", "UNKNOWN_CHOICE"),
        ({"party": 2}, "/party", "WRONG_TYPE"),
        ({"party": {"adults": -1}}, "/party/adults", "OUT_OF_RANGE"),
        ({"party": {"pets": 1}}, "/party/pets", "UNKNOWN_FIELD"),
        ({"status": "lost"}, "/status", "UNKNOWN_CHOICE"),
        ({"room": "x" * 21}, "/room", "WRONG_LENGTH"),
        ({"minibar": True}, "/minibar", "UNKNOWN_FIELD"),
    ],
)
def test_what_a_stay_says_wrongly_is_named(change: dict[str, Any], where: str, code: str) -> None:
    with pytest.raises(InvalidEdit) as refused:
        parse_stay("s1", {**STAY, **change})
    assert (where, code) in {(fault.pointer, fault.code) for fault in refused.value.faults}


def test_a_stay_that_is_no_object_or_has_no_id_is_refused() -> None:
    for stay_id, body in (("s1", "stay"), ("s 1", STAY)):
        with pytest.raises(InvalidEdit):
            parse_stay(stay_id, body)
