"""Kinds of value: what each takes, what it makes of it, and every fault at its place."""

from __future__ import annotations

from dataclasses import is_dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from prefs.core.errors import Fault
from prefs.core.values import (
    Choice,
    Flag,
    Integer,
    Kind,
    Object,
    Quantity,
    Sequence,
    Text,
    choices,
    element_ids,
    entered_number,
    escape,
    leaves,
    quantities,
)

WARMTH = Quantity("Cel", ("Cel", "[degF]"), Fraction(1, 100), 1600, 3000)
SHARE = Quantity("%", ("%",), Fraction(1), 0, 100)
COUNT = Integer(1, 6)
LEVEL = Choice(("low", "medium", "high"))
NAME = Text(8)
CLOCK = Text(5, "time")
TONGUE = Text(35, "language")
PILLOW = Object({"type": Choice(("feather", "foam", "wool")), "count": COUNT})
PILLOWS = Sequence(PILLOW, 3, "type", "list", (frozenset({"feather", "wool"}),))
MEALS = Sequence(Choice(("breakfast", "lunch", "dinner")), 3, None, "set")
HEIGHT = Object({"min": SHARE, "max": SHARE, "extra": Flag()}, frozenset({"extra"}))


def read(kind: Kind, raw: object, unit: str | None = None) -> tuple[Any, list[tuple[str, str]]]:
    faults: list[Fault] = []
    value = kind.check(raw, unit, "/k", faults)
    return value, [(fault.pointer, fault.code) for fault in faults]


@pytest.mark.parametrize(
    ("kind", "raw", "unit", "expected"),
    [
        (WARMTH, 20, None, 2000),
        (WARMTH, Decimal("20.5"), "Cel", 2050),
        (WARMTH, 72, "[degF]", 2222),
        (WARMTH, Decimal("60.8"), "[degF]", 1600),
        (WARMTH, 86, "[degF]", 3000),
        (SHARE, Decimal("40.0"), None, 40),
        (SHARE, Decimal("39.5"), None, 40),
        (COUNT, 6, None, 6),
        (Flag(), False, None, False),
        (LEVEL, "high", None, "high"),
        (NAME, "Ana", None, "Ana"),
        (NAME, "ສົມຈິດ", None, "ສົມຈິດ"),
        (CLOCK, "06:30", None, "06:30"),
        (TONGUE, "ES-mx", None, "es-MX"),
        (TONGUE, "zh-hant-tw", None, "zh-Hant-TW"),
        (TONGUE, "lo", None, "lo"),
        (PILLOW, {"count": 2, "type": "foam"}, None, {"type": "foam", "count": 2}),
        (PILLOWS, [{"type": "foam", "count": 2}], None, [{"type": "foam", "count": 2}]),
        (PILLOWS, [], None, []),
        (MEALS, ["dinner", "breakfast"], None, ["breakfast", "dinner"]),
        (HEIGHT, {"min": 10, "max": 20}, None, {"min": 10, "max": 20}),
        (HEIGHT, {"min": 10, "max": 10, "extra": None}, None, {"min": 10, "max": 10}),
    ],
    ids=lambda part: (
        f"{part.name} kind" if is_dataclass(part) else str(part)[:60]
    ),  # a set would be written anew each run
)
def test_what_a_kind_takes(kind: Kind, raw: object, unit: str | None, expected: Any) -> None:
    value, faults = read(kind, raw, unit)
    assert faults == []
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("kind", "raw", "unit", "faults"),
    [
        (WARMTH, Decimal("15.99"), None, [("/k", "OUT_OF_RANGE")]),
        (WARMTH, Decimal("30.01"), None, [("/k", "OUT_OF_RANGE")]),
        (WARMTH, 100, "[degF]", [("/k", "OUT_OF_RANGE")]),
        (WARMTH, 20, "K", [("/k", "WRONG_UNIT")]),
        (WARMTH, 20, "x" * 5000, [("/k", "WRONG_UNIT")]),
        (WARMTH, "warm", None, [("/k", "WRONG_TYPE")]),
        (WARMTH, "20", None, [("/k", "WRONG_TYPE")]),
        (WARMTH, True, None, [("/k", "WRONG_TYPE")]),
        (WARMTH, None, None, [("/k", "WRONG_TYPE")]),
        (WARMTH, float("nan"), None, [("/k", "WRONG_TYPE")]),
        (WARMTH, 10**400, None, [("/k", "WRONG_TYPE")]),
        (COUNT, 0, None, [("/k", "OUT_OF_RANGE")]),
        (COUNT, 7, None, [("/k", "OUT_OF_RANGE")]),
        (COUNT, Decimal("2.5"), None, [("/k", "WRONG_TYPE")]),
        (COUNT, True, None, [("/k", "WRONG_TYPE")]),
        (Flag(), 1, None, [("/k", "WRONG_TYPE")]),
        (Flag(), "true", None, [("/k", "WRONG_TYPE")]),
        (LEVEL, "highest", None, [("/k", "UNKNOWN_CHOICE")]),
        (LEVEL, 1, None, [("/k", "WRONG_TYPE")]),
        (LEVEL, ["low"], None, [("/k", "WRONG_TYPE")]),
        (NAME, "", None, [("/k", "WRONG_LENGTH")]),
        (NAME, "   ", None, [("/k", "WRONG_LENGTH")]),
        (NAME, "nine char", None, [("/k", "WRONG_LENGTH")]),
        (NAME, "a\x00b", None, [("/k", "BAD_TEXT")]),
        (NAME, "a\nb", None, [("/k", "BAD_TEXT")]),
        (NAME, "a\ud800", None, [("/k", "BAD_TEXT")]),
        (NAME, 5, None, [("/k", "WRONG_TYPE")]),
        (CLOCK, "24:00", None, [("/k", "BAD_TIME")]),
        (CLOCK, "6:30", None, [("/k", "BAD_TIME")]),
        (CLOCK, "0٦:3٠", None, [("/k", "BAD_TIME")]),
        (CLOCK, "06:30\n", None, [("/k", "WRONG_LENGTH")]),
        (TONGUE, "english please", None, [("/k", "BAD_LANGUAGE")]),
        (TONGUE, "es_MX", None, [("/k", "BAD_LANGUAGE")]),
        (TONGUE, "es-٤١٩", None, [("/k", "BAD_LANGUAGE")]),
        (PILLOW, "foam", None, [("/k", "WRONG_TYPE")]),
        (PILLOW, {"type": "foam"}, None, [("/k/count", "MISSING_FIELD")]),
        (PILLOW, {"type": "straw", "count": 9}, None, [("/k/type", "UNKNOWN_CHOICE"), ("/k/count", "OUT_OF_RANGE")]),
        (PILLOW, {"type": "foam", "count": 1, "a/b~c": 1}, None, [("/k/a~1b~0c", "UNKNOWN_FIELD")]),
        (HEIGHT, {"min": 20, "max": 10}, None, [("/k/min", "OUT_OF_RANGE")]),
        (PILLOWS, "foam", None, [("/k", "WRONG_TYPE")]),
        (PILLOWS, [{"type": "foam", "count": 1}] * 4, None, [("/k", "TOO_MANY")]),
        (PILLOWS, [{"type": "foam", "count": 1}, {"type": "foam", "count": 2}], None, [("/k/1", "DUPLICATE")]),
        (PILLOWS, [{"type": "foam", "count": 0}, 7], None, [("/k/0/count", "OUT_OF_RANGE"), ("/k/1", "WRONG_TYPE")]),
        (PILLOWS, [{"type": "wool", "count": 1}, {"type": "feather", "count": 1}], None, [("/k", "EXCLUSIVE")]),
        (MEALS, ["lunch", "lunch"], None, [("/k/1", "DUPLICATE")]),
        (MEALS, ["tea"], None, [("/k/0", "UNKNOWN_CHOICE")]),
    ],
    ids=lambda part: str(part)[:40].encode("ascii", "backslashreplace").decode(),
)
def test_what_a_kind_refuses_and_where(
    kind: Kind, raw: object, unit: str | None, faults: list[tuple[str, str]]
) -> None:
    assert read(kind, raw, unit)[1] == faults


def test_a_refusal_says_the_range_in_the_unit_that_was_used() -> None:
    faults: list[Fault] = []
    WARMTH.check(100, "[degF]", "", faults)
    assert faults[0].detail == "must be between 60.8 and 86 [degF]"


def test_a_long_wrong_unit_does_not_come_back_whole() -> None:
    faults: list[Fault] = []
    WARMTH.check(20, "x" * 5000, "", faults)
    assert len(faults[0].detail) < 120


@pytest.mark.parametrize(
    ("kind", "value", "shown"),
    [
        (WARMTH, 2222, 22.22),
        (WARMTH, 2000, 20.0),
        (SHARE, 40, 40),
        (COUNT, 3, 3),
        (Flag(), True, True),
        (LEVEL, "low", "low"),
        (HEIGHT, {"min": 1, "max": 2}, {"min": 1, "max": 2}),
        (PILLOWS, [{"type": "foam", "count": 2}], [{"type": "foam", "count": 2}]),
    ],
    ids=lambda part: (
        f"{part.name} kind" if is_dataclass(part) else str(part)[:60]
    ),  # a set would be written anew each run
)
def test_how_a_value_is_shown(kind: Kind, value: Any, shown: Any) -> None:
    assert kind.show(value) == shown
    assert type(kind.show(value)) is type(shown)


def test_a_fraction_of_a_unit_is_shown_as_a_decimal_number() -> None:
    """20.0 rather than 20: a client sees that the key is not of whole degrees."""
    assert isinstance(WARMTH.show(2000), float)
    assert isinstance(SHARE.show(40), int)


def test_set_order_is_the_order_of_the_choices_and_list_order_is_rank() -> None:
    ranked = Sequence(MEALS.items, 3)
    assert read(MEALS, ["dinner", "lunch"])[0] == ["lunch", "dinner"]
    assert read(ranked, ["dinner", "lunch"])[0] == ["dinner", "lunch"]


def test_choices_and_quantities_are_found_wherever_they_are() -> None:
    assert list(choices(PILLOWS)) == [("type", "feather"), ("type", "foam"), ("type", "wool")]
    assert list(choices(LEVEL)) == [("", "low"), ("", "medium"), ("", "high")]
    assert list(quantities(HEIGHT)) == [SHARE, SHARE]
    assert list(quantities(PILLOWS)) == []


def test_leaves_and_element_ids() -> None:
    assert list(leaves([{"type": "foam", "count": 2}, "x"])) == ["foam", 2, "x"]
    assert element_ids(PILLOWS, [{"type": "foam", "count": 2}]) == ("foam",)
    assert element_ids(LEVEL, "low") == ("low",)
    assert element_ids(Flag(), True) == ("true",)


def test_elements_without_an_id_are_told_apart_by_all_they_say() -> None:
    windows = Sequence(Object({"start": CLOCK, "end": CLOCK}), 3)
    one, other = {"start": "09:00", "end": "10:00"}, {"start": "09:00", "end": "11:00"}
    assert read(windows, [one, other])[1] == []
    assert read(windows, [one, dict(one)])[1] == [("/k/1", "DUPLICATE")]


@pytest.mark.parametrize(
    ("member", "token"),
    [("plain", "plain"), ("a/b", "a~1b"), ("a~b", "a~0b"), ("~1", "~01"), ("x" * 200, "x" * 80), ("\ud800", "?")],
)
def test_a_member_name_becomes_a_json_pointer_token(member: str, token: str) -> None:
    assert escape(member) == token


def test_what_was_entered_is_kept_digit_for_digit() -> None:
    raw = {"min": Decimal("17.0"), "list": [Decimal("20.25"), 3, None, True, "x"]}
    assert entered_number(raw) == {"min": 17.0, "list": [20.25, 3, None, True, "x"]}
    with pytest.raises(TypeError, match="not JSON"):
        entered_number({1, 2})
