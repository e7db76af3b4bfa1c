"""Conversion vectors: what was entered, its canonical integer, and the number each device gets."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from prefs.core.entries import Entered
from prefs.core.labels import lookup, lookup_extended
from prefs.core.resolve import resolve
from prefs.core.resolved import Effective, Status
from prefs.core.rooms import Range
from prefs.core.units import canonical, convert
from prefs.definitions import load_standard
from tests.core.builders import degrees, document, entry, facts

STANDARD = load_standard()
HUNDREDTH = Fraction(1, 100)
CAPABILITIES = {
    "climate.temperature.occupied": "thermostat.setpoint",
    "lighting.brightness": "lights.brightness",
    "lighting.color_temperature": "lights.color_temperature",
    "lighting.shades_position": "shades.position",
}
FAHRENHEIT = degrees("61", "86", "1", "[degF]")
HALVES = degrees("16", "30", "0.5")


def driven(key: str, value: Any, device: Range, entered: Entered | None = None) -> Effective:
    room = {CAPABILITIES[key]: device}
    return resolve(STANDARD, document(entry(key, value, entered=entered)), facts(room=room), keys=[key]).effective[key]


@pytest.mark.parametrize(("entered", "stored"), [(72, 2222), (68, 2000), (75, 2389), (78, 2556), (65, 1833)])
def test_fahrenheit_is_stored_in_hundredths_of_a_degree_celsius(entered: int, stored: int) -> None:
    assert canonical(Decimal(entered), "[degF]", "Cel", HUNDREDTH) == stored


@pytest.mark.parametrize(
    ("stored", "device", "number", "value", "code"),
    [
        (2222, HALVES, 22.0, 2200, "CAPABILITY_STEP"),
        (2222, FAHRENHEIT, 72, 2222, None),
        (2000, FAHRENHEIT, 68, 2000, None),
        (1900, FAHRENHEIT, 66, 1889, "CAPABILITY_STEP"),
        (2025, HALVES, 20.0, 2000, "CAPABILITY_STEP"),  # a tie goes to the lower step
        (2026, HALVES, 20.5, 2050, "CAPABILITY_STEP"),
        (2050, degrees("1600", "3000", "10", "matter.centi"), 2050, 2050, None),
    ],
)
def test_temperatures(stored: int, device: Range, number: float, value: int, code: str | None) -> None:
    found = driven("climate.temperature.occupied", stored, device)

    assert (found.device_value, found.value, found.status) == (number, value, Status.APPLIED)
    assert (found.reason.code if found.reason else None) == code


@pytest.mark.parametrize(
    ("key", "stored", "unit", "device", "number"),
    [
        ("lighting.brightness", 40, "matter.level", ("1", "254"), 102),
        ("lighting.brightness", 40, "ha.level", ("1", "255"), 102),
        ("lighting.brightness", 0, "matter.level", ("1", "254"), 1),
        ("lighting.brightness", 100, "matter.level", ("1", "254"), 254),
        ("lighting.color_temperature", 2700, "mired", ("153", "500"), 370),
        ("lighting.color_temperature", 4000, "mired", ("153", "500"), 250),
    ],
)
def test_lights(key: str, stored: int, unit: str, device: tuple[str, str], number: int) -> None:
    found = driven(key, stored, degrees(*device, unit=unit))

    assert (found.device_value, found.status) == (number, Status.APPLIED)


def test_shades_of_a_window_covering_count_closed() -> None:
    found = driven(
        "lighting.shades_position", {"day": 25, "night": 0}, degrees("0", "10000", unit="matter.percent100ths")
    )

    assert found.device_value == {"day": 7500, "night": 10000}
    assert found.value == {"day": 25, "night": 0}


def test_a_scale_that_runs_backwards_still_names_the_end_the_guest_means() -> None:
    """A lamp that goes to 370 mired cannot be warmer than 2703 K: that is a least, not a most."""
    found = driven("lighting.color_temperature", 2000, degrees("153", "370", unit="mired"))

    assert (found.value, found.device_value, found.status) == (2703, 370, Status.CLAMPED)
    assert found.reason and (found.reason.code, found.reason.limit) == ("CAPABILITY_MIN", 2703)


def test_the_pair_of_setpoints_keeps_the_deadband() -> None:
    found = driven("climate.temperature.occupied", 2100, degrees("16", "30", "0.5", deadband="2.5"))

    assert (found.value, found.device_value) == (2100, {"heat": 19.5, "cool": 22.0})


@pytest.mark.parametrize(
    ("stored", "pair"), [(1600, {"heat": 16.0, "cool": 18.5}), (3000, {"heat": 27.5, "cool": 30.0})]
)
def test_a_pair_that_leaves_the_range_moves_by_whole_steps(stored: int, pair: dict[str, float]) -> None:
    found = driven("climate.temperature.occupied", stored, degrees("16", "30", "0.5", deadband="2.5"))

    assert (found.value, found.device_value) == (stored, pair)


def test_rounding_keeps_what_was_typed() -> None:
    found = driven("climate.temperature.occupied", 1833, HALVES, Entered(65, "[degF]"))

    assert (found.value, found.entered) == (1850, Entered(65, "[degF]"))


def test_another_region_of_a_language_is_found_before_the_next_wish() -> None:
    assert lookup_extended(["pt-BR", "en"], ["en", "pt-PT"]) == "pt-PT"
    assert lookup(["pt-BR", "en"], ["en", "pt-PT"]) == "en"


def test_mireds_go_there_and_back() -> None:
    assert convert(Fraction(370), "mired", "K") == Fraction(100000, 37)
