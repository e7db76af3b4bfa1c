"""Kinds of value a preference may have: check what a caller sent, bring it to canonical form, show it again.

Canonical values are plain JSON data (None, bool, int, str, list, dict) with every quantity as an integer of its
resolution, sets in the order of their choices, and object fields in the order of the definition, so that two equal
wishes are equal data. A `Kind` is a frozen tree; `check` walks it with the JSON pointer of where it stands and
collects faults instead of stopping at the first.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any, Protocol

from prefs.core import units
from prefs.core.errors import Fault

type Json = None | bool | int | float | str | list[Any] | dict[str, Any]

TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d", re.ASCII)
LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z]{4})?(-([A-Za-z]{2}|\d{3}))?(-[A-Za-z0-9]{2,8})*", re.ASCII)
LANGUAGE_MAX = 35


class Kind(Protocol):
    """One kind of value. `check` returns the canonical value and adds to `faults`; after a fault it may return None."""

    @property
    def name(self) -> str: ...
    def check(self, raw: object, unit: str | None, pointer: str, faults: list[Fault]) -> Json: ...
    def show(self, value: Any) -> Json: ...


def _fault(faults: list[Fault], pointer: str, code: str, detail: str) -> None:
    faults.append(Fault(pointer, code, detail))


def clean_text(text: str) -> bool:
    """False for NUL, other control characters and lone surrogates: no database or device takes them."""
    return not any(ord(c) < 32 or ord(c) == 127 or 0xD800 <= ord(c) <= 0xDFFF for c in text)


@dataclass(frozen=True, slots=True)
class Quantity:
    """Canonical integer; `unit`s in `accepts` are converted, the range is judged on the canonical integer."""

    unit: str
    accepts: tuple[str, ...]
    resolution: Fraction
    minimum: int
    maximum: int
    name: str = "quantity"

    def check(self, raw: object, unit: str | None, pointer: str, faults: list[Fault]) -> Json:
        given = unit or self.unit
        if given not in self.accepts:
            _fault(faults, pointer, "WRONG_UNIT", f"unit must be one of {', '.join(self.accepts)}")
            return None
        try:
            number = units.parse_number(None if isinstance(raw, str) else raw)  # "20" is a text in JSON
        except ValueError as error:
            _fault(faults, pointer, "WRONG_TYPE", str(error))
            return None
        value = units.canonical(number, given, self.unit, self.resolution)
        if not self.minimum <= value <= self.maximum:
            low, high = (units.convert(self.exact(b), self.unit, given) for b in (self.minimum, self.maximum))
            _fault(faults, pointer, "OUT_OF_RANGE", f"must be between {_short(low)} and {_short(high)} {given}")
        return value

    def exact(self, value: int) -> Fraction:
        return value * self.resolution

    def show(self, value: Any) -> Json:
        return float(self.exact(value)) if self.resolution < 1 else int(self.exact(value))


def _short(number: Fraction) -> str:
    return f"{float(number):.2f}".rstrip("0").rstrip(".")


@dataclass(frozen=True, slots=True)
class Integer:
    minimum: int
    maximum: int
    name: str = "integer"

    def check(self, raw: object, unit: str | None, pointer: str, faults: list[Fault]) -> Json:
        if isinstance(raw, bool) or not isinstance(raw, int):
            _fault(faults, pointer, "WRONG_TYPE", "must be a whole number")
            return None
        if not self.minimum <= raw <= self.maximum:
            _fault(faults, pointer, "OUT_OF_RANGE", f"must be between {self.minimum} and {self.maximum}")
        return raw

    def show(self, value: Any) -> Json:
        return int(value)


@dataclass(frozen=True, slots=True)
class Flag:
    name: str = "flag"

    def check(self, raw: object, unit: str | None, pointer: str, faults: list[Fault]) -> Json:
        if not isinstance(raw, bool):
            _fault(faults, pointer, "WRONG_TYPE", "must be true or false")
            return None
        return raw

    def show(self, value: Any) -> Json:
        return bool(value)


@dataclass(frozen=True, slots=True)
class Choice:
    choices: tuple[str, ...]
    name: str = "choice"

    def check(self, raw: object, unit: str | None, pointer: str, faults: list[Fault]) -> Json:
        if not isinstance(raw, str):
            _fault(faults, pointer, "WRONG_TYPE", "must be one of " + ", ".join(self.choices))
        elif raw not in self.choices:
            _fault(faults, pointer, "UNKNOWN_CHOICE", "must be one of " + ", ".join(self.choices))
        return raw if isinstance(raw, str) else None

    def show(self, value: Any) -> Json:
        return str(value)


@dataclass(frozen=True, slots=True)
class Text:
    """Free text, a local time (`time`) or a BCP 47 tag (`language`): strings told apart by their pattern."""

    max_length: int
    name: str = "text"

    def check(self, raw: object, unit: str | None, pointer: str, faults: list[Fault]) -> Json:
        if not isinstance(raw, str):
            _fault(faults, pointer, "WRONG_TYPE", "must be a text")
            return None
        if not raw.strip() or len(raw) > self.max_length:
            _fault(faults, pointer, "WRONG_LENGTH", f"must have 1 to {self.max_length} characters")
        elif not clean_text(raw):
            _fault(faults, pointer, "BAD_TEXT", "must not contain control characters or broken Unicode")
        elif self.name == "time" and not TIME.fullmatch(raw):
            _fault(faults, pointer, "BAD_TIME", "must be a local time as HH:MM")
        elif self.name == "language":
            return self._language(raw, pointer, faults)
        return raw

    def _language(self, raw: str, pointer: str, faults: list[Fault]) -> Json:
        if not LANGUAGE.fullmatch(raw):
            _fault(faults, pointer, "BAD_LANGUAGE", "must be a BCP 47 language tag such as es-MX")
            return raw
        parts = raw.split("-")
        cased = [parts[0].lower()] + [
            p.upper() if len(p) == 2 else p.title() if len(p) == 4 and p.isalpha() else p.lower() for p in parts[1:]
        ]
        return "-".join(cased)

    def show(self, value: Any) -> Json:
        return str(value)


@dataclass(frozen=True, slots=True)
class Object:
    """Named parts. With `start` and `end` times, `min_minutes` is the least length of the interval between them."""

    fields: Mapping[str, Kind]
    optional: frozenset[str] = frozenset()
    name: str = "object"
    min_minutes: int = 0

    def check(self, raw: object, unit: str | None, pointer: str, faults: list[Fault]) -> Json:
        if not isinstance(raw, dict):
            _fault(faults, pointer, "WRONG_TYPE", "must be an object with " + ", ".join(self.fields))
            return None
        if not raw:
            _fault(faults, pointer, "MISSING_FIELD", "must have at least one of " + ", ".join(self.fields))
        for unknown in raw.keys() - self.fields.keys():
            where = f"{pointer}/{escape(str(unknown))}"
            _fault(faults, where, "UNKNOWN_FIELD", "is not a field; known: " + ", ".join(self.fields))
        checked: dict[str, Any] = {}
        for name, kind in self.fields.items():
            if raw.get(name) is not None:
                checked[name] = kind.check(raw[name], unit, f"{pointer}/{name}", faults)
            elif name not in self.optional:
                _fault(faults, f"{pointer}/{name}", "MISSING_FIELD", "is required")
        low, high = checked.get("min"), checked.get("max")
        if isinstance(low, int) and isinstance(high, int) and low > high:
            _fault(faults, f"{pointer}/min", "OUT_OF_RANGE", "must not be above max")
        if self.min_minutes and not faults and _minutes(checked["start"], checked["end"]) < self.min_minutes:
            _fault(faults, f"{pointer}/end", "TOO_SHORT", f"must be at least {self.min_minutes} minutes after start")
        return checked

    def show(self, value: Any) -> Json:
        return {name: kind.show(value[name]) for name, kind in self.fields.items() if name in value}


def _minutes(start: str, end: str) -> int:
    """Length of a local-time interval; one that ends before it starts runs past midnight."""
    first, last = (60 * int(time[:2]) + int(time[3:]) for time in (start, end))
    return (last - first) % (24 * 60)


@dataclass(frozen=True, slots=True)
class Sequence:
    """A `list` (order is rank) or a `set` (order is the definition's); elements are unique by `id_field` or whole."""

    items: Kind
    max_items: int
    id_field: str | None = None
    name: str = "list"
    exclusive: tuple[frozenset[str], ...] = field(default=())

    def check(self, raw: object, unit: str | None, pointer: str, faults: list[Fault]) -> Json:
        if not isinstance(raw, list):
            _fault(faults, pointer, "WRONG_TYPE", "must be a list")
            return None
        if len(raw) > self.max_items:
            _fault(faults, pointer, "TOO_MANY", f"must have at most {self.max_items} elements")
            return None
        checked = [self.items.check(item, unit, f"{pointer}/{i}", faults) for i, item in enumerate(raw)]
        ids = [self.element_id(item) for item in checked]
        for i, element in enumerate(ids):
            if element in ids[:i]:
                _fault(faults, f"{pointer}/{i}", "DUPLICATE", "stands in the list twice")
        for group in self.exclusive:
            both = sorted(e for e in set(ids) if e in group)
            if len(both) > 1:
                _fault(faults, pointer, "EXCLUSIVE", " and ".join(both) + " cannot stand together")
        if self.name == "set" and isinstance(self.items, Choice):
            order = {choice: rank for rank, choice in enumerate(self.items.choices)}
            checked.sort(key=lambda item: order.get(str(item), len(order)))
        return checked

    def element_id(self, item: Any) -> str:
        """What makes two elements the same one: the id field, or the whole element written out."""
        if self.id_field and isinstance(item, dict):
            return str(item.get(self.id_field))
        return item if isinstance(item, str) else repr(item)

    def show(self, value: Any) -> Json:
        return [self.items.show(item) for item in value]


def escape(member: str) -> str:
    """A member name as a JSON pointer token (RFC 6901), shortened so that an attack does not echo back whole."""
    return member[:80].replace("~", "~0").replace("/", "~1").encode("utf-8", "replace").decode()


def quantities(kind: Kind) -> Iterator[Quantity]:
    """Every quantity inside a kind, in order."""
    if isinstance(kind, Quantity):
        yield kind
    elif isinstance(kind, Object):
        for part in kind.fields.values():
            yield from quantities(part)
    elif isinstance(kind, Sequence):
        yield from quantities(kind.items)


def unit_of(kind: Kind) -> str:
    """The canonical unit of a quantity, or of the quantities inside; empty where there are none."""
    first = next(quantities(kind), None)
    return first.unit if first else ""


def choices(kind: Kind) -> Iterator[tuple[str, str]]:
    """Every (path, choice id) inside a kind; the path of a scalar choice is empty."""
    if isinstance(kind, Choice):
        yield from (("", choice) for choice in kind.choices)
    elif isinstance(kind, Object):
        for name, part in kind.fields.items():
            yield from ((f"{name}.{path}".rstrip("."), choice) for path, choice in choices(part))
    elif isinstance(kind, Sequence):
        yield from choices(kind.items)


def leaves(value: Any) -> Iterator[Any]:
    """Every scalar inside a canonical value."""
    if isinstance(value, dict):
        for part in value.values():
            yield from leaves(part)
    elif isinstance(value, list):
        for part in value:
            yield from leaves(part)
    else:
        yield value


def element_ids(kind: Kind, value: Any) -> tuple[str, ...]:
    """Ids of the elements of a list or set; a scalar choice or flag counts as its own single element."""
    if isinstance(kind, Sequence):
        return tuple(kind.element_id(item) for item in value)
    return (str(value).lower() if isinstance(value, bool) else str(value),)


def entered_number(raw: object) -> Json:
    """What the caller typed, as JSON that shows the same digits again."""
    if isinstance(raw, Decimal):
        return units.plain(raw)
    if isinstance(raw, dict):
        return {str(name): entered_number(part) for name, part in raw.items()}
    if isinstance(raw, list):
        return [entered_number(part) for part in raw]
    if raw is None or isinstance(raw, (bool, int, float, str)):
        return raw
    raise TypeError(f"not JSON: {type(raw).__name__}")
