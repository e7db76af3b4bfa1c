"""The written form of definitions, groups and labels: plain data (from TOML or JSON) in, checked core types out.

Both the standard catalogue and an operator's extension are read here, so both are held to the same rules. Whatever is
wrong raises `CatalogueInvalid` naming the file, the key, the field and the reason.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from prefs.core import units, values
from prefs.core.catalogue import (
    PURPOSES,
    SURFACES,
    CapabilityNeed,
    Clamp,
    Definition,
    Group,
    Merge,
    Sensitivity,
    Showing,
    SpecialWhen,
    StandsFor,
)
from prefs.core.entries import AXES, TIMES_OF_DAY, ScopeKind, Strength
from prefs.core.errors import CatalogueInvalid, Fault
from prefs.core.values import Choice, Flag, Integer, Kind, Object, Quantity, Sequence, Text

KEY = re.compile(r"[a-z][a-z_]*(\.[a-z_]+){1,2}")
NAME = re.compile(r"[a-z0-9_]{1,40}")
RESERVED_FIELDS = ("value", "unit", "not")
RETENTIONS = ("stated", "special", "observed", "inferred", "stay", "live")
DEPTH_MAX = 4
FIELDS = frozenset(
    "order merge scopes contexts strengths sensitivity purpose surfaces clamp retention value purposes strictest_order"
    " fixed_strength special_when capability want fallbacks default stands_for exclusive codes choice_codes genres"
    " deprecated_by reasons".split()
)
REQUIRED = "order merge scopes contexts strengths sensitivity purpose surfaces clamp retention value".split()


@dataclass(frozen=True, slots=True)
class Where:
    """Where in the written form we are; every refusal starts from here."""

    file: str
    key: str

    def refuse(self, field: str, reason: str) -> CatalogueInvalid:
        return CatalogueInvalid(self.file, self.key, field, reason)


def parse_definition(file: str, key: str, area: str, raw: Mapping[str, Any]) -> Definition:
    """One definition out of its written form. Raises CatalogueInvalid."""
    where = Where(file, key)
    if not KEY.fullmatch(key):
        raise where.refuse("key", "must be lower-case words joined by one or two dots, such as climate.mode")
    if not isinstance(raw, Mapping):
        raise where.refuse("", "must be a table")
    for unknown in sorted(set(raw) - FIELDS):
        raise where.refuse(str(unknown)[:80], "is not a field of a definition")
    for missing in REQUIRED:
        if missing not in raw:
            raise where.refuse(missing, "is missing")
    exclusive = _groups_of_ids(where, raw)
    kind = parse_kind(where, "value", raw["value"], exclusive)
    definition = Definition(
        key=key,
        area=area,
        order=_integer(where, "order", raw["order"]),
        kind=kind,
        merge=_enum(where, "merge", raw["merge"], Merge),
        scopes=frozenset(_enums(where, "scopes", raw["scopes"], ScopeKind)),
        contexts=_words(where, "contexts", raw["contexts"], AXES),
        strengths=frozenset(_enums(where, "strengths", raw["strengths"], Strength)),
        sensitivity=_enum(where, "sensitivity", raw["sensitivity"], Sensitivity),
        purpose=_word(where, "purpose", raw["purpose"], PURPOSES),
        surfaces=_surfaces(where, raw["surfaces"]),
        clamp=_enum(where, "clamp", raw["clamp"], Clamp),
        retention=_word(where, "retention", raw["retention"], RETENTIONS),
        purposes=_purposes(where, raw.get("purposes", {})),
        strictest_order=tuple(_list(where, "strictest_order", raw.get("strictest_order", []))),
        fixed_strength=_enum(where, "fixed_strength", raw["fixed_strength"], Strength)
        if "fixed_strength" in raw
        else None,
        special_when=_special_when(where, raw.get("special_when")),
        capability=_capability(where, kind, raw.get("capability")),
        want_all=_word(where, "want", raw.get("want", "all"), ("all", "first")) == "all",
        fallbacks=_fallbacks(where, kind, raw.get("fallbacks", {})),
        default=_default(where, kind, raw.get("default")),
        stands_for=_stands_for(where, raw.get("stands_for")),
        codes=_texts(where, "codes", raw.get("codes", [])),
        choice_codes=_choice_codes(where, kind, raw.get("choice_codes", {})),
        genres={k: _text(where, "genres", v) for k, v in _table(where, "genres", raw.get("genres", {})).items()},
        deprecated_by=_text(where, "deprecated_by", raw.get("deprecated_by", "")),
        raw=raw,
    )
    _check_whole(where, definition)
    return definition


def parse_kind(where: Where, field: str, raw: Any, exclusive: tuple[frozenset[str], ...] = (), depth: int = 0) -> Kind:
    """One kind of value out of its written form. Raises CatalogueInvalid."""
    table = _table(where, field, raw)
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
    unit = _text(where, f"{field}.unit", table.get("unit", ""))
    accepts = _texts(where, f"{field}.accepts", table.get("accepts", [unit]))
    for accepted in (unit, *accepts):
        if not units.comparable(unit, accepted):
            raise where.refuse(f"{field}.unit", f"{accepted or 'nothing'} is not a known unit comparable with {unit}")
    if unit not in accepts:
        raise where.refuse(f"{field}.accepts", f"must contain the canonical unit {unit}")
    resolution = _number(where, f"{field}.resolution", table.get("resolution", "1"))
    if resolution <= 0:
        raise where.refuse(f"{field}.resolution", "must be above 0")
    bounds = [_number(where, f"{field}.{side}", table.get(side)) / resolution for side in ("min", "max")]
    if any(bound.denominator != 1 for bound in bounds):
        raise where.refuse(f"{field}.min", "min and max must be whole multiples of the resolution")
    if bounds[0] > bounds[1]:
        raise where.refuse(f"{field}.min", "must not be above max")
    return Quantity(unit, accepts, resolution, int(bounds[0]), int(bounds[1]))


def _integer_kind(where: Where, field: str, table: Mapping[str, Any], exclusive: Any, depth: int) -> Kind:
    low = _integer(where, f"{field}.min", table.get("min"))
    high = _integer(where, f"{field}.max", table.get("max"))
    if low > high:
        raise where.refuse(f"{field}.min", "must not be above max")
    return Integer(low, high)


def _flag(where: Where, field: str, table: Mapping[str, Any], exclusive: Any, depth: int) -> Kind:
    return Flag()


def _choice(where: Where, field: str, table: Mapping[str, Any], exclusive: Any, depth: int) -> Kind:
    choices = _texts(where, f"{field}.choices", table.get("choices", []))
    if not choices:
        raise where.refuse(f"{field}.choices", "must name at least one choice")
    for choice in choices:
        if not NAME.fullmatch(choice):
            raise where.refuse(f"{field}.choices", f"{choice[:60]} must be lower-case letters, digits and _")
    if len(set(choices)) < len(choices):
        raise where.refuse(f"{field}.choices", "names a choice twice")
    return Choice(choices)


def _text_kind(where: Where, field: str, table: Mapping[str, Any], exclusive: Any, depth: int) -> Kind:
    length = _integer(where, f"{field}.max_length", table.get("max_length"))
    if not 1 <= length <= 500:
        raise where.refuse(f"{field}.max_length", "must be between 1 and 500")
    return Text(length)


def _time(where: Where, field: str, table: Mapping[str, Any], exclusive: Any, depth: int) -> Kind:
    return Text(5, "time")


def _language(where: Where, field: str, table: Mapping[str, Any], exclusive: Any, depth: int) -> Kind:
    return Text(values.LANGUAGE_MAX, "language")


def _object(where: Where, field: str, table: Mapping[str, Any], exclusive: Any, depth: int) -> Kind:
    parts = _table(where, f"{field}.fields", table.get("fields", {}))
    if not parts:
        raise where.refuse(f"{field}.fields", "must name at least one field")
    kinds: dict[str, Kind] = {}
    for name, part in parts.items():
        if name in RESERVED_FIELDS or not NAME.fullmatch(name):
            raise where.refuse(f"{field}.fields.{name}", "is not a usable field name (value, unit and not are taken)")
        kinds[name] = parse_kind(where, f"{field}.fields.{name}", part, (), depth + 1)
    optional = frozenset(n for n, part in parts.items() if part.get("optional") is True)
    minutes = _integer(where, f"{field}.min_minutes", table.get("min_minutes", 0))
    if minutes and not {"start", "end"} <= kinds.keys() - optional:
        raise where.refuse(f"{field}.min_minutes", "needs the fields start and end")
    return Object(kinds, optional, min_minutes=minutes)


def _sequence(where: Where, field: str, table: Mapping[str, Any], exclusive: Any, depth: int) -> Kind:
    items = parse_kind(where, f"{field}.items", table.get("items"), (), depth + 1)
    most = _integer(where, f"{field}.max_items", table.get("max_items"))
    if not 1 <= most <= 100:
        raise where.refuse(f"{field}.max_items", "must be between 1 and 100")
    id_field = table.get("id")
    if id_field is not None and not (isinstance(items, Object) and id_field in items.fields):
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


def _check_whole(where: Where, d: Definition) -> None:
    """Rules that need more than one field."""
    negatives = {s for s in d.strengths if s.is_negative} - {d.fixed_strength}
    if negatives and not isinstance(d.kind, (Choice, Sequence)):
        raise where.refuse("strengths", "avoid and unacceptable go only with choices, sets and lists")
    if d.fixed_strength and d.strengths != {d.fixed_strength}:
        raise where.refuse("strengths", "must hold just the fixed strength")
    if d.merge is Merge.OBJECT and not isinstance(d.kind, Object):
        raise where.refuse("merge", "object goes only with objects")
    if d.merge is Merge.UNION and not isinstance(d.kind, (Sequence, Choice, Flag, Quantity, Object)):
        raise where.refuse("merge", "union goes only with safety keys")
    scalar_strictest = d.merge is Merge.STRICTEST and isinstance(d.kind, (Choice, Flag))
    expected: set[Any] = {False, True} if isinstance(d.kind, Flag) else set(getattr(d.kind, "choices", ()))
    if scalar_strictest and (set(d.strictest_order) != expected or len(d.strictest_order) != len(expected)):
        raise where.refuse("strictest_order", "must list every choice once, weakest first")
    if ScopeKind.ROOM in d.scopes and (d.capability is None or d.capability.source != "room"):
        raise where.refuse("scopes", "room is only for keys with a room capability")
    if d.capability and d.clamp is Clamp.NEAREST_IN_RANGE and not any(values.quantities(d.kind)):
        raise where.refuse("clamp", "nearest_in_range needs a quantity")
    if d.sensitivity is not Sensitivity.P0 and "guest_app" not in d.surfaces:
        raise where.refuse("surfaces", "the guest must see what is kept about them: add guest_app")


def _special_when(where: Where, raw: Any) -> SpecialWhen | None:
    if raw is None:
        return None
    table = _table(where, "special_when", raw)
    strengths = _enums(where, "special_when.strengths", table.get("strengths", []), Strength)
    return SpecialWhen(frozenset(strengths), frozenset(_texts(where, "special_when.values", table.get("values", []))))


def _capability(where: Where, kind: Kind, raw: Any) -> CapabilityNeed | None:
    if raw is None:
        return None
    table = _table(where, "capability", raw)
    for unknown in sorted(set(table) - {"name", "source", "field", "match", "lineup"}):
        raise where.refuse(f"capability.{unknown}", "is not a field of a capability")
    inner = _text(where, "capability.field", table.get("field", ""))
    if inner and not (isinstance(kind, Object) and inner in kind.fields):
        raise where.refuse("capability.field", "must name a field of the value")
    name = _text(where, "capability.name", table.get("name", ""))
    if not name:
        raise where.refuse("capability.name", "is missing")
    return CapabilityNeed(
        name,
        _word(where, "capability.source", table.get("source", "room"), ("room", "property")),
        inner,
        _word(where, "capability.match", table.get("match", "within"), ("within", "at_least", "overlap")),
        table.get("lineup") is True,
    )


def _fallbacks(where: Where, kind: Kind, raw: Any) -> dict[str, tuple[str, ...]]:
    known = {choice for _, choice in values.choices(kind)}
    table = {k: _texts(where, f"fallbacks.{k}", v) for k, v in _table(where, "fallbacks", raw).items()}
    for choice, others in table.items():
        for other in (choice, *others):
            if other not in known:
                raise where.refuse(f"fallbacks.{choice}", f"{other} is not a choice of this key")
        if choice in others:
            raise where.refuse(f"fallbacks.{choice}", "cannot fall back to itself")
    return table


def _choice_codes(where: Where, kind: Kind, raw: Any) -> dict[str, tuple[str, ...]]:
    known = {choice for _, choice in values.choices(kind)} | {"true", "false"}
    table = {k: _texts(where, f"choice_codes.{k}", v) for k, v in _table(where, "choice_codes", raw).items()}
    for choice in sorted(set(table) - known):
        raise where.refuse(f"choice_codes.{choice}", "is not a choice of this key")
    return table


def _default(where: Where, kind: Kind, raw: Any) -> Any:
    if raw is None:
        return None
    faults: list[Fault] = []
    value = kind.check(raw, None, "default", faults)
    if faults:
        raise where.refuse(faults[0].pointer.replace("/", "."), faults[0].detail)
    return value


def _stands_for(where: Where, raw: Any) -> StandsFor | None:
    if raw is None:
        return None
    table = _table(where, "stands_for", raw)
    key = _text(where, "stands_for.key", table.get("key", ""))
    return StandsFor(key, _word(where, "stands_for.time_of_day", table.get("time_of_day"), TIMES_OF_DAY))


def _surfaces(where: Where, raw: Any) -> dict[str, Showing]:
    table = _table(where, "surfaces", raw)
    return {
        _word(where, "surfaces", surface, SURFACES): _enum(where, f"surfaces.{surface}", how, Showing)
        for surface, how in table.items()
    }


def _purposes(where: Where, raw: Any) -> dict[str, str]:
    return {
        _word(where, "purposes", surface, SURFACES): _word(where, f"purposes.{surface}", purpose, PURPOSES)
        for surface, purpose in _table(where, "purposes", raw).items()
    }


def _groups_of_ids(where: Where, raw: Mapping[str, Any]) -> tuple[frozenset[str], ...]:
    groups = _list(where, "exclusive", raw.get("exclusive", []))
    return tuple(frozenset(_texts(where, "exclusive", group)) for group in groups)


def parse_groups(file: str, raw: Mapping[str, Any], definitions: Mapping[str, Definition]) -> tuple[Group, ...]:
    """Exclusive groups across keys. Raises CatalogueInvalid for a member that is no key or no choice of its key."""
    groups = []
    for table in _list(Where(file, ""), "groups", raw.get("groups", [])):
        where = Where(file, str(table.get("id", "")))
        members = _texts(where, "members", table.get("members", []))
        for member in members:
            key, _, choice = member.partition("=")
            if key not in definitions:
                raise where.refuse("members", f"{key} is not a key")
            if choice and choice not in {c for _, c in values.choices(definitions[key].kind)}:
                raise where.refuse("members", f"{choice} is not a choice of {key}")
        maximum = _integer(where, "max", table.get("max", 1))
        if not 1 <= maximum < len(members):
            raise where.refuse("max", "must be at least 1 and below the number of members")
        groups.append(Group(where.key, members, maximum, _text(where, "reason", table.get("reason", ""))))
    return tuple(groups)


def check_references(file: str, definitions: Iterable[Definition]) -> None:
    """References from one definition to another. Raises CatalogueInvalid."""
    by_key = {d.key: d for d in definitions}
    for d in by_key.values():
        where = Where(file, d.key)
        if d.stands_for and d.stands_for.key not in by_key:
            raise where.refuse("stands_for.key", f"{d.stands_for.key} is not a key")
        if d.stands_for and by_key[d.stands_for.key].stands_for:
            raise where.refuse("stands_for.key", "standing for a key does not chain")
        if d.deprecated_by and d.deprecated_by not in by_key:
            raise where.refuse("deprecated_by", f"{d.deprecated_by} is not a key")


def _table(where: Where, field: str, raw: Any) -> Mapping[str, Any]:
    if not isinstance(raw, Mapping):
        raise where.refuse(field, "must be a table")
    return raw


def _list(where: Where, field: str, raw: Any) -> list[Any]:
    if not isinstance(raw, (list, tuple)):
        raise where.refuse(field, "must be a list")
    return list(raw)


def _text(where: Where, field: str, raw: Any) -> str:
    if not isinstance(raw, str):
        raise where.refuse(field, "must be a text")
    return raw


def _texts(where: Where, field: str, raw: Any) -> tuple[str, ...]:
    return tuple(_text(where, field, item) for item in _list(where, field, raw))


def _integer(where: Where, field: str, raw: Any) -> int:
    if isinstance(raw, bool) or not isinstance(raw, int) or abs(raw) > 10**9:
        raise where.refuse(field, "must be a whole number")
    return raw


def _number(where: Where, field: str, raw: Any) -> Fraction:
    try:
        return Fraction(units.parse_number(raw))
    except ValueError as error:
        raise where.refuse(field, str(error)) from None


def _word(where: Where, field: str, raw: Any, known: Iterable[str]) -> str:
    if not isinstance(raw, str) or raw not in set(known):
        raise where.refuse(field, "must be one of " + ", ".join(known))
    return raw


def _words(where: Where, field: str, raw: Any, known: Iterable[str]) -> tuple[str, ...]:
    return tuple(_word(where, field, item, known) for item in _list(where, field, raw))


def _enum[E: (Merge, ScopeKind, Strength, Sensitivity, Clamp, Showing)](
    where: Where, field: str, raw: Any, kind: type[E]
) -> E:
    return kind(_word(where, field, raw, [member.value for member in kind]))


def _enums[E: (Merge, ScopeKind, Strength, Sensitivity, Clamp, Showing)](
    where: Where, field: str, raw: Any, kind: type[E]
) -> list[E]:
    return [_enum(where, field, item, kind) for item in _list(where, field, raw)]
