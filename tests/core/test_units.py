"""Units: exact conversion, one rounding, and what is no number at all."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest

from prefs.core import units

CENTI, TENTH, WHOLE = Fraction(1, 100), Fraction(1, 10), Fraction(1)


@pytest.mark.parametrize(
    ("number", "unit", "to", "expected"),
    [
        (32, "[degF]", "Cel", Fraction(0)),
        (212, "[degF]", "Cel", Fraction(100)),
        (-40, "[degF]", "Cel", Fraction(-40)),
        (72, "[degF]", "Cel", Fraction(200, 9)),
        (20, "Cel", "[degF]", Fraction(68)),
        (1, "[in_i]", "cm", Fraction(254, 100)),
        (1, "m", "cm", Fraction(100)),
        (813, "mm", "cm", Fraction(813, 10)),
        (90, "cm", "m", Fraction(9, 10)),
        (4000, "K", "mired", Fraction(250)),
        (250, "mired", "K", Fraction(4000)),
        (254, "matter.level", "%", Fraction(100)),
        (255, "ha.level", "%", Fraction(100)),
        (0, "matter.percent100ths", "%", Fraction(100)),
        (10000, "matter.percent100ths", "%", Fraction(0)),
        (25, "%", "matter.percent100ths", Fraction(7500)),
        (2150, "matter.centi", "Cel", Fraction(43, 2)),
        (Decimal("20.3"), "Cel", "Cel", Fraction(203, 10)),
    ],
)
def test_conversion_is_exact(number: units.Number, unit: str, to: str, expected: Fraction) -> None:
    assert units.convert(number, unit, to) == expected


@pytest.mark.parametrize(("unit", "to"), [("Cel", "K"), ("cm", "%"), ("lm", "lm"), ("Cel", ""), ("K", "[degF]")])
def test_what_does_not_measure_the_same_is_refused(unit: str, to: str) -> None:
    """Kelvin is a colour temperature here: nobody states the warmth of a room in it."""
    assert not units.comparable(unit, to)
    with pytest.raises(ValueError, match="cannot be converted"):
        units.convert(1, unit, to)


@pytest.mark.parametrize(("unit", "to"), [("mired", "K"), ("K", "mired")])
def test_zero_has_no_mired_value(unit: str, to: str) -> None:
    with pytest.raises(ValueError, match="zero"):
        units.convert(0, unit, to)


@pytest.mark.parametrize(
    ("number", "expected"),
    [("0.5", 1), ("0.49", 0), ("-0.5", -1), ("-0.49", 0), ("1.5", 2), ("2.5", 3), ("-2.5", -3), ("7", 7)],
)
def test_a_half_is_rounded_away_from_zero(number: str, expected: int) -> None:
    assert units.round_half_away(Fraction(number)) == expected


@pytest.mark.parametrize(
    ("number", "unit", "to", "resolution", "expected"),
    [
        ("72", "[degF]", "Cel", CENTI, 2222),
        ("65", "[degF]", "Cel", CENTI, 1833),
        ("86", "[degF]", "Cel", CENTI, 3000),
        ("20.005", "Cel", "Cel", CENTI, 2001),
        ("36", "[in_i]", "cm", TENTH, 914),
        ("32", "[in_i]", "cm", TENTH, 813),
        ("102", "matter.level", "%", WHOLE, 40),
    ],
)
def test_canonical_numbers_are_whole_and_rounded_once(
    number: str, unit: str, to: str, resolution: Fraction, expected: int
) -> None:
    assert units.canonical(Decimal(number), unit, to, resolution) == expected


@pytest.mark.parametrize(
    ("number", "unit", "expected"),
    [("101.6", "matter.level", 102), ("0", "matter.level", 1), ("0", "ha.level", 1), ("0", "matter.percent100ths", 0)],
)
def test_a_lamp_is_never_sent_the_level_that_means_none(number: str, unit: str, expected: int) -> None:
    assert units.device_level(Fraction(number), unit) == expected


@pytest.mark.parametrize("raw", [72, "72", 72.0, Decimal("72.0"), -3, 0.1, "1e3", 10**12 - 1])
def test_numbers_are_read(raw: object) -> None:
    assert units.parse_number(raw) == Decimal(str(raw))


@pytest.mark.parametrize(
    "raw",
    [
        True,
        None,
        [],
        {},
        "",
        "twenty",
        "1,5",
        float("nan"),
        float("inf"),
        Decimal("NaN"),
        Decimal("-Infinity"),
        10**12,
        -(10**400),
        Decimal("1e13"),
        Decimal("1e-13"),
        Decimal("1.000000000001"),
        "9" * 5000,
    ],
    ids=lambda raw: f"{type(raw).__name__} {str(raw)[:12]}" if not isinstance(raw, int) else f"int {raw.bit_length()}",
)
def test_what_is_no_number_of_twelve_digits_is_refused(raw: object) -> None:
    with pytest.raises(ValueError, match="must"):
        units.parse_number(raw)


@pytest.mark.parametrize(
    ("text", "shown"), [("72", 72), ("20.5", 20.5), ("20.0", 20.0), ("1E+2", 100), ("-0.25", -0.25)]
)
def test_a_number_is_shown_as_it_was_typed(text: str, shown: int | float) -> None:
    plain = units.plain(Decimal(text))
    assert plain == shown
    assert isinstance(plain, type(shown))
