"""What a device with a range makes of a quantity: convert to its unit, clamp, snap to a step inside the range, and
for thermostats the pair of setpoints that keeps the deadband.

The clamp and the snap are computed exactly in the device's own unit; whether they changed anything is decided on
canonical integers, so 72 [degF] on a thermostat of whole degrees Fahrenheit is no change at all.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from typing import Any

from prefs.core import units
from prefs.core.catalogue import CapabilityNeed
from prefs.core.resolved import Step
from prefs.core.restrictions import Bounds
from prefs.core.rooms import Range
from prefs.core.values import Kind, Object, Quantity

CAPABILITY_MIN = "CAPABILITY_MIN"
CAPABILITY_MAX = "CAPABILITY_MAX"
CAPABILITY_STEP = "CAPABILITY_STEP"
# Scales that devices count in whole numbers even where no step is declared.
WHOLE_UNITS = frozenset({"mired", "matter.level", "ha.level", "matter.percent100ths", "matter.centi"})


@dataclass(frozen=True, slots=True)
class Driven:
    """A canonical value as the device can have it, and the device's own number for it. `code` is empty where the
    range altered nothing; rounding to a step is in `steps` but alters nothing."""

    value: Any
    device_value: Any
    code: str = ""
    limit: int | None = None
    steps: tuple[Step, ...] = ()


def drive(kind: Kind, value: Any, device: Range, bounds: Bounds) -> Driven | None:
    """A quantity, or every quantity of an object, fitted to the device; None where the two do not measure the same."""
    if isinstance(kind, Quantity):
        return _drive_one(kind, value, device, bounds)
    if not isinstance(kind, Object):
        return None
    driven = {
        name: _drive_one(part, value[name], device, bounds)
        for name, part in kind.fields.items()
        if isinstance(part, Quantity) and name in value
    }
    done = {name: one for name, one in driven.items() if one is not None}
    if not done or len(done) < len(driven):
        return None
    clamped = value | {n: next((s.after for s in d.steps if s.code == d.code), value[n]) for n, d in done.items()}
    final = value | {n: d.value for n, d in done.items()}
    altered = next((d for d in done.values() if d.code), None)
    steps = [Step(altered.code, value, clamped)] if altered else []
    if final != clamped:
        steps.append(Step(CAPABILITY_STEP, clamped, final))
    code, limit = (altered.code, altered.limit) if altered else ("", None)
    return Driven(final, {n: d.device_value for n, d in done.items()}, code, limit, tuple(steps))


def _drive_one(kind: Quantity, value: int, device: Range, bounds: Bounds) -> Driven | None:
    try:
        exact = units.convert(kind.exact(value), kind.unit, device.unit)
    except ValueError:
        return None

    def canonical(number: Fraction) -> int:
        return units.canonical(number, device.unit, kind.unit, kind.resolution)

    inside = min(max(exact, device.minimum), device.maximum)
    clamped = value if inside == exact else canonical(inside)
    steps: list[Step] = []
    code, limit = "", None
    if clamped != value:
        # In the guest's terms: a mired scale runs the other way round.
        code, limit = (CAPABILITY_MIN if clamped > value else CAPABILITY_MAX), clamped
        steps.append(Step(code, value, clamped))
    snapped = _snap(inside, device, _in_device(kind, bounds, device), lambda n: bounds.hold(canonical(n)))
    final = clamped if snapped == inside else canonical(snapped)
    if final != clamped:
        steps.append(Step(CAPABILITY_STEP, clamped, final))
    return Driven(final, _number(snapped, device, _pair(snapped, device)), code, limit, tuple(steps))


def _step(device: Range) -> Fraction | None:
    return device.step or (Fraction(1) if device.unit in WHOLE_UNITS else None)


def _in_device(kind: Quantity, bounds: Bounds, device: Range) -> tuple[Fraction, Fraction]:
    """The policies' range in the device's unit, cut to the device's range. Half a canonical unit wider, since what
    rounds to a canonical bound is at the bound."""
    if bounds.low is None and bounds.high is None:
        return device.minimum, device.maximum
    half = Fraction(1, 2)
    ends = [device.minimum, device.maximum]
    low = None if bounds.low is None else _convert(kind, bounds.low - half, device)
    high = None if bounds.high is None else _convert(kind, bounds.high + half, device)
    if _runs_backwards(kind, device):
        low, high = high, low
    return max(ends[0], ends[0] if low is None else low), min(ends[1], ends[1] if high is None else high)


def _convert(kind: Quantity, canonical: Fraction, device: Range) -> Fraction | None:
    try:
        return units.convert(canonical * kind.resolution, kind.unit, device.unit)
    except ValueError:  # zero kelvin has no mired value: no bound
        return None


def _runs_backwards(kind: Quantity, device: Range) -> bool:
    low, high = (units.convert(number, device.unit, kind.unit) for number in (Fraction(1), Fraction(2)))
    return low > high


def _snap(
    inside: Fraction, device: Range, common: tuple[Fraction, Fraction], allowed: Callable[[Fraction], bool]
) -> Fraction:
    """The nearest multiple of the step in the common range, else in the device's; a tie goes to the lower one."""
    step = _step(device)
    if step is None:
        return inside
    nearest = ceil(inside / step - Fraction(1, 2))
    first, last = ceil(common[0] / step), floor(common[1] / step)
    if common != (device.minimum, device.maximum):
        first, last = first + (not allowed(first * step)), last - (not allowed(last * step))
    if first > last:
        first, last = ceil(device.minimum / step), floor(device.maximum / step)
    return min(max(nearest, first), last) * step if first <= last else inside


def _pair(target: Fraction, device: Range) -> tuple[Fraction, Fraction] | None:
    """Heating and cooling setpoints around the target, at least the deadband apart, inside the range (rule 22)."""
    if not device.deadband:
        return None
    zero, apart = (units.convert(number, "Cel", device.unit) for number in (Fraction(0), device.deadband))
    deadband, step = apart - zero, _step(device)
    heat, cool = target - deadband / 2, target + deadband / 2
    if step is not None:
        heat = floor(heat / step) * step
        cool = ceil((heat + deadband) / step) * step
    shift = Fraction(0)
    if heat < device.minimum:
        shift = device.minimum - heat
        shift = shift if step is None else ceil(shift / step) * step
    elif cool > device.maximum:
        shift = device.maximum - cool
        shift = shift if step is None else floor(shift / step) * step
    return heat + shift, cool + shift


def _number(target: Fraction, device: Range, pair: tuple[Fraction, Fraction] | None) -> Any:
    if pair is not None:
        return {"heat": _plain(pair[0], device), "cool": _plain(pair[1], device)}
    return _plain(target, device)


def _plain(number: Fraction, device: Range) -> int | float:
    if device.unit in WHOLE_UNITS:
        return units.device_level(number, device.unit)
    if number.denominator == 1 and (device.step is None or device.step.denominator == 1):
        return int(number)
    return round(float(number), 6)


def shortage(kind: Kind, value: Any, device: Range, need: CapabilityNeed) -> int | None:
    """By how much, canonically, the device or room falls short of what was asked; 0 where it does not, None where the
    two do not measure the same."""
    sizes = [kind] if isinstance(kind, Quantity) else list(_quantities(kind).values())
    if not sizes or not units.comparable(sizes[0].unit, device.unit):
        return None
    size = sizes[0]
    ends = [units.canonical(end, device.unit, size.unit, size.resolution) for end in (device.minimum, device.maximum)]
    low, high = min(ends), max(ends)
    numbers: list[int] = [value] if isinstance(kind, Quantity) else [value[n] for n in _quantities(kind) if n in value]
    below, above = max(low - number for number in numbers), max(number - high for number in numbers)
    if need.match == "at_least":
        below = 0
    elif need.match == "overlap" and isinstance(value, dict):
        below, above = low - int(value.get("max", low)), int(value.get("min", high)) - high
    return max(0, below, above)


def _quantities(kind: Kind) -> dict[str, Quantity]:
    fields = kind.fields if isinstance(kind, Object) else {}
    return {name: part for name, part in fields.items() if isinstance(part, Quantity)}
