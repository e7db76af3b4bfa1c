"""The written form of kinds of value: a table that names its `kind` in, a checked `Kind` out."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from prefs.core import units, values
from prefs.core.values import Choice, Flag, Integer, Kind, Object, Quantity, Sequence, Text
from prefs.core.written import Where, read_integer, read_number, read_table, read_text, read_texts

NAME = re.compile(r"[a-z0-9_]{1,40}")
RESERVED_FIELDS = ("value", "unit", "not")
DEPTH_MAX = 4


def parse_kind(where: Where, field: str, raw: Any, exclusive: tuple[frozenset[str], ...] = (), depth: int = 0) -> Kind:
    """One kind of value out of its written form. Raises CatalogueInvalid."""
    table = read_table(where, field, raw)
    if depth > DEPTH_MAX:
        raise where.refuse(field, f"nests more than {DEPTH_MAX} kinds")
    name = table.get("kind")
    if not isinstance(name, str) or name not in _KINDS:
        raise where.refuse(f"{field}.kind", "must be one of " + ", ".join(_KINDS))
    allowed, build = _KINDS[name]
    for unknown in sorted(set(table) - allowed - {"kind", "optional"}):
        raise where.refuse(f"{field}.{unknown}", f"is not a field of kind {name}")
    return build(where, field, table, exclusive, depth)


def _quantity(where: Where, field: str, table: Mapping[str, Any], exclusive: Any, depth: int) -> Kind:
    unit = read_text(where, f"{field}.unit", table.get("unit", ""))
    accepts = read_texts(where, f"{field}.accepts", table.get("accepts", [unit]))
    for accepted in (unit, *accepts):
        if not units.comparable(unit, accepted):
            raise where.refuse(f"{field}.unit", f"{accepted or 'nothing'} is not a known unit comparable with {unit}")
    if unit not in accepts:
        raise where.refuse(f"{field}.accepts", f"must contain the canonical unit {unit}")
    resolution = read_number(where, f"{field}.resolution", table.get("resolution", "1"))
    if resolution <= 0:
        raise where.refuse(f"{field}.resolution", "must be above 0")
    bounds = [read_number(where, f"{field}.{side}", table.get(side)) / resolution for side in ("min", "max")]
    if any(bound.denominator != 1 for bound in bounds):
        raise where.refuse(f"{field}.min", "min and max must be whole multiples of the resolution")
    if bounds[0] > bounds[1]:
        raise where.refuse(f"{field}.min", "must not be above max")
    return Quantity(unit, accepts, resolution, int(bounds[0]), int(bounds[1]))


def _integer_kind(where: Where, field: str, table: Mapping[str, Any], exclusive: Any, depth: int) -> Kind:
    low = read_integer(where, f"{field}.min", table.get("min"))
    high = read_integer(where, f"{field}.max", table.get("max"))
    if low > high:
        raise where.refuse(f"{field}.min", "must not be above max")
    return Integer(low, high)


def _flag(where: Where, field: str, table: Mapping[str, Any], exclusive: Any, depth: int) -> Kind:
    return Flag()


def _choice(where: Where, field: str, table: Mapping[str, Any], exclusive: Any, depth: int) -> Kind:
    choices = read_texts(where, f"{field}.choices", table.get("choices", []))
    if not choices:
        raise where.refuse(f"{field}.choices", "must name at least one choice")
    for choice in choices:
        if not NAME.fullmatch(choice):
            raise where.refuse(f"{field}.choices", f"{choice[:60]} must be lower-case letters, digits and _")
    if len(set(choices)) < len(choices):
        raise where.refuse(f"{field}.choices", "names a choice twice")
    return Choice(choices)


def _text_kind(where: Where, field: str, table: Mapping[str, Any], exclusive: Any, depth: int) -> Kind:
    length = read_integer(where, f"{field}.max_length", table.get("max_length"))
    if not 1 <= length <= 500:
        raise where.refuse(f"{field}.max_length", "must be between 1 and 500")
    return Text(length)


def _time(where: Where, field: str, table: Mapping[str, Any], exclusive: Any, depth: int) -> Kind:
    return Text(5, "time")


def _language(where: Where, field: str, table: Mapping[str, Any], exclusive: Any, depth: int) -> Kind:
    return Text(values.LANGUAGE_MAX, "language")


def _object(where: Where, field: str, table: Mapping[str, Any], exclusive: Any, depth: int) -> Kind:
    parts = read_table(where, f"{field}.fields", table.get("fields", {}))
    if not parts:
        raise where.refuse(f"{field}.fields", "must name at least one field")
    kinds: dict[str, Kind] = {}
    for name, part in parts.items():
        if name in RESERVED_FIELDS or not NAME.fullmatch(name):
            raise where.refuse(f"{field}.fields.{name}", "is not a usable field name (value, unit and not are taken)")
        kinds[name] = parse_kind(where, f"{field}.fields.{name}", part, (), depth + 1)
    optional = frozenset(n for n, part in parts.items() if part.get("optional") is True)
    minutes = read_integer(where, f"{field}.min_minutes", table.get("min_minutes", 0))
    if minutes and not {"start", "end"} <= kinds.keys() - optional:
        raise where.refuse(f"{field}.min_minutes", "needs the fields start and end")
    return Object(kinds, optional, min_minutes=minutes)


def _sequence(where: Where, field: str, table: Mapping[str, Any], exclusive: Any, depth: int) -> Kind:
    items = parse_kind(where, f"{field}.items", table.get("items"), (), depth + 1)
    most = read_integer(where, f"{field}.max_items", table.get("max_items"))
    if not 1 <= most <= 100:
        raise where.refuse(f"{field}.max_items", "must be between 1 and 100")
    id_field = table.get("id")
    if id_field is not None and not (isinstance(items, Object) and id_field in list(items.fields)):
        raise where.refuse(f"{field}.id", "must name a field of the items")
    if table["kind"] == "set" and not isinstance(items, Choice):
        raise where.refuse(f"{field}.items", "a set holds choices; use a list for anything else")
    return Sequence(items, most, id_field, table["kind"], exclusive)


_Builder = Callable[[Where, str, Mapping[str, Any], Any, int], Kind]
_KINDS: dict[str, tuple[frozenset[str], _Builder]] = {
    "quantity": (frozenset({"unit", "accepts", "resolution", "min", "max"}), _quantity),
    "integer": (frozenset({"min", "max"}), _integer_kind),
    "flag": (frozenset(), _flag),
    "choice": (frozenset({"choices"}), _choice),
    "text": (frozenset({"max_length"}), _text_kind),
    "time": (frozenset(), _time),
    "language": (frozenset(), _language),
    "object": (frozenset({"fields", "min_minutes"}), _object),
    "list": (frozenset({"items", "id", "max_items"}), _sequence),
    "set": (frozenset({"items", "max_items"}), _sequence),
}
