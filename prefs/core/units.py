"""Measured quantities in UCUM units, held as exact integers.

A quantity is stored as a whole number of its definition's *resolution* (0.01 Cel, 1 %, 0.1 cm): 22.22 Cel is 2222.
Conversions go through `Fraction`, so nothing drifts; rounding happens once, half away from zero. Devices speak other
scales (a Matter level, mireds, the inverted percent of a window covering): those are units here too, known only to
capabilities. Formulas: UCUM for Cel, [degF], [in_i]; Matter Level Control, Color Control and Window Covering clusters.
"""

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from math import floor

type Number = int | Fraction | Decimal
Scale = tuple[Callable[[Fraction], Fraction], Callable[[Fraction], Fraction]]

ENTERED_DIGITS_MAX = 12  # digits of an entered number we promise to echo; a float keeps 15


def _linear(factor: Fraction, offset: Fraction = Fraction(0)) -> Scale:
    return (lambda x: (x + offset) * factor, lambda x: x / factor - offset)


_SAME = _linear(Fraction(1))
_MIRED: Scale = (lambda x: Fraction(10**6) / x, lambda x: Fraction(10**6) / x)

# unit -> (base unit, (to base, from base)). The base unit of a dimension is the one the catalogue stores.
_UNITS: dict[str, tuple[str, Scale]] = {
    "Cel": ("Cel", _SAME),
    "[degF]": ("Cel", _linear(Fraction(5, 9), Fraction(-32))),
    "cm": ("cm", _SAME),
    "m": ("cm", _linear(Fraction(100))),
    "mm": ("cm", _linear(Fraction(1, 10))),
    "[in_i]": ("cm", _linear(Fraction(254, 100))),
    "%": ("%", _SAME),
    "K": ("K", _SAME),
    "mired": ("K", _MIRED),
    "matter.level": ("%", _linear(Fraction(100, 254))),
    "ha.level": ("%", _linear(Fraction(100, 255))),
    "matter.percent100ths": ("%", (lambda x: 100 - x / 100, lambda x: (100 - x) * 100)),
    "matter.centi": ("Cel", _linear(Fraction(1, 100))),
}
# Matter and Home Assistant reserve level 0 for "no level": the lowest lit level is 1.
_FLOOR = {"matter.level": 1, "ha.level": 1}


def known(unit: str) -> bool:
    return unit in _UNITS


def comparable(unit: str, other: str) -> bool:
    return unit in _UNITS and other in _UNITS and _UNITS[unit][0] == _UNITS[other][0]


def convert(number: Number, unit: str, to: str) -> Fraction:
    """Exact value of `number` `unit` expressed in `to`. Raises ValueError where the two do not measure the same."""
    if not comparable(unit, to):
        raise ValueError(f"{unit} cannot be converted to {to}")
    exact = Fraction(number)
    if unit == to:
        return exact
    if exact == 0 and "mired" in (unit, to):
        raise ValueError("a colour temperature of zero has no mired value")
    return _UNITS[to][1][1](_UNITS[unit][1][0](exact))


def round_half_away(number: Fraction) -> int:
    """Nearest whole number; a half goes away from zero, as people round."""
    return floor(number + Fraction(1, 2)) if number >= 0 else -floor(-number + Fraction(1, 2))


def canonical(number: Number, unit: str, to: str, resolution: Fraction) -> int:
    """Whole number of `resolution` steps of unit `to` nearest to the given quantity: 72 [degF] -> 2222 (0.01 Cel)."""
    return round_half_away(convert(number, unit, to) / resolution)


def device_level(number: Fraction, unit: str) -> int:
    """Whole device number for a scale without fractions, kept off the reserved zero where the scale has one."""
    return max(round_half_away(number), _FLOOR.get(unit, -(10**12)))


def parse_number(raw: object) -> Decimal:
    """The Decimal a caller entered, digit for digit. Raises ValueError for what is no finite number of <= 12 digits."""
    if isinstance(raw, bool) or not isinstance(raw, (int, float, str, Decimal)):
        raise ValueError("must be a number")
    if isinstance(raw, int) and abs(raw) >= 10**ENTERED_DIGITS_MAX:
        raise ValueError(f"must have at most {ENTERED_DIGITS_MAX} digits")
    try:
        number = raw if isinstance(raw, Decimal) else Decimal(str(raw))
    except InvalidOperation:
        raise ValueError("must be a number") from None
    if not number.is_finite():
        raise ValueError("must be a finite number")
    _, digits, exponent = number.as_tuple()
    if len(digits) > ENTERED_DIGITS_MAX or not -ENTERED_DIGITS_MAX <= int(exponent) <= ENTERED_DIGITS_MAX:
        raise ValueError(f"must have at most {ENTERED_DIGITS_MAX} digits")
    return number


def plain(number: Decimal) -> int | float:
    """The JSON number for an entered or canonical Decimal: 72 stays 72, 20.5 stays 20.5."""
    exponent = number.as_tuple().exponent
    return int(number) if isinstance(exponent, int) and exponent >= 0 else float(number)
