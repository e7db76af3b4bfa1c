"""The written form of definitions, groups and labels: plain data (from TOML or JSON) in, checked core types out.

Both the standard catalogue and an operator's extension are read here, so both are held to the same rules. Whatever is
wrong raises `CatalogueInvalid` naming the file, the key, the field and the reason.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from prefs.core import access, values
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
from prefs.core.errors import Fault
from prefs.core.kinds import parse_kind
from prefs.core.values import Choice, Flag, Kind, Object, Sequence
from prefs.core.written import (
    Where,
    read_enum,
    read_enums,
    read_integer,
    read_items,
    read_table,
    read_text,
    read_texts,
    read_word,
    read_words,
)

KEY = re.compile(r"[a-z][a-z_]*(\.[a-z_]+){1,2}")
RETENTIONS = ("stated", "special", "observed", "inferred", "stay", "live")
FIELDS = frozenset(
    "order merge scopes contexts strengths sensitivity purpose surfaces clamp retention value purposes strictest_order"
    " fixed_strength special_when capability want fallbacks default stands_for exclusive codes choice_codes genres"
    " deprecated_by reasons".split()
)
REQUIRED = "order merge scopes contexts strengths sensitivity purpose surfaces clamp retention value".split()


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
    if exclusive and not isinstance(kind, Sequence):
        raise where.refuse("exclusive", "goes only with lists and sets")
    definition = Definition(
        key=key,
        area=area,
        order=read_integer(where, "order", raw["order"]),
        kind=kind,
        merge=read_enum(where, "merge", raw["merge"], Merge),
        scopes=frozenset(read_enums(where, "scopes", raw["scopes"], ScopeKind)),
        contexts=read_words(where, "contexts", raw["contexts"], AXES),
        strengths=frozenset(read_enums(where, "strengths", raw["strengths"], Strength)),
        sensitivity=read_enum(where, "sensitivity", raw["sensitivity"], Sensitivity),
        purpose=read_word(where, "purpose", raw["purpose"], PURPOSES),
        surfaces=_surfaces(where, raw["surfaces"]),
        clamp=read_enum(where, "clamp", raw["clamp"], Clamp),
        retention=read_word(where, "retention", raw["retention"], RETENTIONS),
        purposes=_purposes(where, raw.get("purposes", {})),
        strictest_order=tuple(read_items(where, "strictest_order", raw.get("strictest_order", []))),
        fixed_strength=read_enum(where, "fixed_strength", raw["fixed_strength"], Strength)
        if "fixed_strength" in raw
        else None,
        special_when=_special_when(where, raw.get("special_when")),
        capability=_capability(where, kind, raw.get("capability")),
        want_all=read_word(where, "want", raw.get("want", "all"), ("all", "first")) == "all",
        fallbacks=_fallbacks(where, kind, raw.get("fallbacks", {})),
        default=_default(where, kind, raw.get("default")),
        stands_for=_stands_for(where, raw.get("stands_for")),
        codes=read_texts(where, "codes", raw.get("codes", [])),
        choice_codes=_choice_codes(where, kind, raw.get("choice_codes", {})),
        genres={
            k: read_text(where, "genres", v) for k, v in read_table(where, "genres", raw.get("genres", {})).items()
        },
        deprecated_by=read_text(where, "deprecated_by", raw.get("deprecated_by", "")),
        raw=raw,
    )
    _check_whole(where, definition)
    return definition


def _check_whole(where: Where, d: Definition) -> None:
    """Rules that need more than one field."""
    if not d.scopes or not d.strengths:
        raise where.refuse("strengths" if d.scopes else "scopes", "must name at least one")
    for surface in d.purposes.keys() - d.surfaces.keys():
        raise where.refuse(f"purposes.{surface}", "is not among the surfaces")
    _check_ids(where, d)
    negatives = {s for s in d.strengths if s.is_negative} - {d.fixed_strength}
    if negatives and not isinstance(d.kind, (Choice, Sequence)):
        raise where.refuse("strengths", "avoid and unacceptable go only with choices, sets and lists")
    if d.fixed_strength and d.strengths != {d.fixed_strength}:
        raise where.refuse("strengths", "must hold just the fixed strength")
    if d.merge is Merge.OBJECT and not isinstance(d.kind, Object):
        raise where.refuse("merge", "object goes only with objects")
    scalar_strictest = d.merge is Merge.STRICTEST and isinstance(d.kind, (Choice, Flag))
    expected: set[Any] = {False, True} if isinstance(d.kind, Flag) else set(getattr(d.kind, "choices", ()))
    ordered = [one for one in d.strictest_order if isinstance(one, (str, bool))]
    if scalar_strictest and (set(ordered) != expected or len(d.strictest_order) != len(expected)):
        raise where.refuse("strictest_order", "must list every choice once, weakest first")
    if ScopeKind.ROOM in d.scopes and (d.capability is None or d.capability.source != "room"):
        raise where.refuse("scopes", "room is only for keys with a room capability")
    if d.capability and d.clamp is Clamp.NEAREST_IN_RANGE and not any(values.quantities(d.kind)):
        raise where.refuse("clamp", "nearest_in_range needs a quantity")
    if d.sensitivity is not Sensitivity.P0 and "guest_app" not in d.surfaces:
        raise where.refuse("surfaces", "the guest must see what is kept about them: add guest_app")


def _check_ids(where: Where, d: Definition) -> None:
    """Ids named outside the value are choices of it; a list whose elements are free text may name any."""
    known = {choice for _, choice in values.choices(d.kind)}
    groups = d.kind.exclusive if isinstance(d.kind, Sequence) else ()
    named = {
        "exclusive": {member for group in groups for member in group},
        "special_when.values": set(d.special_when.values if d.special_when else ()),
        "genres": set(d.genres.values()),
    }
    for field, ids in named.items():
        for stranger in sorted(ids - known):
            raise where.refuse(field, f"{stranger[:60]} is not a choice of this key")


def _special_when(where: Where, raw: Any) -> SpecialWhen | None:
    if raw is None:
        return None
    table = read_table(where, "special_when", raw)
    strengths = read_enums(where, "special_when.strengths", table.get("strengths", []), Strength)
    return SpecialWhen(
        frozenset(strengths), frozenset(read_texts(where, "special_when.values", table.get("values", [])))
    )


def _capability(where: Where, kind: Kind, raw: Any) -> CapabilityNeed | None:
    if raw is None:
        return None
    table = read_table(where, "capability", raw)
    for unknown in sorted(set(table) - {"name", "source", "field", "match", "lineup"}):
        raise where.refuse(f"capability.{unknown}", "is not a field of a capability")
    inner = read_text(where, "capability.field", table.get("field", ""))
    if inner and not (isinstance(kind, Object) and inner in kind.fields):
        raise where.refuse("capability.field", "must name a field of the value")
    name = read_text(where, "capability.name", table.get("name", ""))
    if not name:
        raise where.refuse("capability.name", "is missing")
    return CapabilityNeed(
        name,
        read_word(where, "capability.source", table.get("source", "room"), ("room", "property")),
        inner,
        read_word(where, "capability.match", table.get("match", "within"), ("within", "at_least", "overlap")),
        table.get("lineup") is True,
    )


def _fallbacks(where: Where, kind: Kind, raw: Any) -> dict[str, tuple[str, ...]]:
    known = {choice for _, choice in values.choices(kind)}
    table = {k: read_texts(where, f"fallbacks.{k}", v) for k, v in read_table(where, "fallbacks", raw).items()}
    for choice, others in table.items():
        for other in (choice, *others):
            if other not in known:
                raise where.refuse(f"fallbacks.{choice}", f"{other} is not a choice of this key")
        if choice in others:
            raise where.refuse(f"fallbacks.{choice}", "cannot fall back to itself")
    return table


def _choice_codes(where: Where, kind: Kind, raw: Any) -> dict[str, tuple[str, ...]]:
    known = {choice for _, choice in values.choices(kind)} | {"true", "false"}
    table = {k: read_texts(where, f"choice_codes.{k}", v) for k, v in read_table(where, "choice_codes", raw).items()}
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
    table = read_table(where, "stands_for", raw)
    key = read_text(where, "stands_for.key", table.get("key", ""))
    return StandsFor(key, read_word(where, "stands_for.time_of_day", table.get("time_of_day"), TIMES_OF_DAY))


def _surfaces(where: Where, raw: Any) -> dict[str, Showing]:
    table = read_table(where, "surfaces", raw)
    return {
        read_word(where, "surfaces", surface, SURFACES): read_enum(where, f"surfaces.{surface}", how, Showing)
        for surface, how in table.items()
    }


def _purposes(where: Where, raw: Any) -> dict[str, str]:
    return {
        read_word(where, "purposes", surface, SURFACES): read_word(where, f"purposes.{surface}", purpose, PURPOSES)
        for surface, purpose in read_table(where, "purposes", raw).items()
    }


def _groups_of_ids(where: Where, raw: Mapping[str, Any]) -> tuple[frozenset[str], ...]:
    groups = read_items(where, "exclusive", raw.get("exclusive", []))
    return tuple(frozenset(read_texts(where, "exclusive", group)) for group in groups)


def parse_groups(file: str, raw: Mapping[str, Any], definitions: Mapping[str, Definition]) -> tuple[Group, ...]:
    """Exclusive groups across keys. Raises CatalogueInvalid for a member that is no key or no choice of its key."""
    groups = []
    for table in read_items(Where(file, ""), "groups", raw.get("groups", [])):
        where = Where(file, str(table.get("id", "")))
        members = read_texts(where, "members", table.get("members", []))
        for member in members:
            key, _, choice = member.partition("=")
            if key not in definitions:
                raise where.refuse("members", f"{key} is not a key")
            if choice and choice not in {c for _, c in values.choices(definitions[key].kind)}:
                raise where.refuse("members", f"{choice} is not a choice of {key}")
        maximum = read_integer(where, "max", table.get("max", 1))
        if not 1 <= maximum < len(members):
            raise where.refuse("max", "must be at least 1 and below the number of members")
        groups.append(Group(where.key, members, maximum, read_text(where, "reason", table.get("reason", ""))))
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
        if d.stands_for and by_key[d.stands_for.key].kind != d.kind:
            raise where.refuse("stands_for.key", f"{d.stands_for.key} holds another kind of value")
        if d.deprecated_by and d.deprecated_by not in by_key:
            raise where.refuse("deprecated_by", f"{d.deprecated_by} is not a key")


def check_pursuits(file: str, definition: Definition) -> None:
    """A surface that lists special-category data without a purpose for it would be shown nothing, and nobody be told:
    said where a definition is put, not where a stored one is read. Raises CatalogueInvalid."""
    special = definition.is_special_as_a_whole
    if not special and definition.special_when is None:
        return
    for surface in definition.surfaces:
        purpose, pursued = definition.purpose_at(surface), access.pursued(surface)
        if purpose in pursued:
            continue
        whose = "data of this key" if special else "what is special-category data under this key"
        known = ", ".join(one for one in PURPOSES if one in pursued)
        raise Where(file, definition.key).refuse(
            f"purposes.{surface}",
            f"{surface} may not use {whose} for {purpose}, so it would be shown nothing: name one of {known} there, or "
            "take it out of surfaces",
        )
