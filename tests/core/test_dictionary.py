"""Reading definitions, groups and references: what a right one becomes, and that a wrong one is refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import pytest

from prefs.core.catalogue import Clamp, Definition, Merge, Sensitivity, Showing
from prefs.core.dictionary import check_references, parse_definition, parse_groups
from prefs.core.entries import ScopeKind, Strength
from prefs.core.errors import CatalogueInvalid
from prefs.core.values import Choice, Flag, Integer, Object, Quantity, Sequence, Text

CHOICE: dict[str, Any] = {
    "order": 3,
    "merge": "replace",
    "scopes": ["profile", "stay", "room"],
    "contexts": ["trip"],
    "strengths": ["required", "preferred", "avoid", "unacceptable", "no_preference"],
    "sensitivity": "P0",
    "purpose": "room_setup",
    "surfaces": {"thermostat": "value", "engineering": "action", "guest_app": "value"},
    "purposes": {"engineering": "service_delivery"},
    "capability": {"name": "spa.mode", "source": "room"},
    "clamp": "nearest_choice",
    "fallbacks": {"hot": ["warm", "cool"]},
    "default": "warm",
    "codes": ["x:1"],
    "choice_codes": {"hot": ["x:2"]},
    "retention": "stated",
    "value": {"kind": "choice", "choices": ["hot", "warm", "cool"]},
    "reasons": {"scopes": "Because."},
}
NUMBER: dict[str, Any] = {
    **{name: part for name, part in CHOICE.items() if name not in ("fallbacks", "choice_codes", "default")},
    "strengths": ["required", "preferred", "no_preference"],
    "clamp": "nearest_in_range",
    "value": {
        "kind": "quantity",
        "unit": "Cel",
        "accepts": ["Cel", "[degF]"],
        "resolution": "0.01",
        "min": "16",
        "max": "30",
    },
}
ITEM = {
    "kind": "object",
    "fields": {"type": {"kind": "choice", "choices": ["a", "b"]}, "count": {"kind": "integer", "min": 1, "max": 3}},
}
LIST: dict[str, Any] = {
    **{name: part for name, part in CHOICE.items() if name not in ("fallbacks", "choice_codes", "default")},
    "want": "first",
    "exclusive": [["a", "b"]],
    "value": {"kind": "list", "id": "type", "max_items": 4, "items": ITEM},
}


def parsed(raw: Mapping[str, Any], key: str = "spa.mode") -> Definition:
    return parse_definition("spa.toml", key, "spa", raw)


def without(raw: Mapping[str, Any], field: str) -> dict[str, Any]:
    return {name: part for name, part in raw.items() if name != field}


def test_every_field_of_a_definition_is_read() -> None:
    definition = parsed(CHOICE)
    assert (definition.key, definition.area, definition.order) == ("spa.mode", "spa", 3)
    assert definition.kind == Choice(("hot", "warm", "cool"))
    assert definition.merge is Merge.REPLACE
    assert definition.scopes == {ScopeKind.PROFILE, ScopeKind.STAY, ScopeKind.ROOM}
    assert definition.contexts == ("trip",)
    assert definition.strengths == set(Strength)
    assert definition.sensitivity is Sensitivity.P0
    assert definition.surfaces == {
        "thermostat": Showing.VALUE,
        "engineering": Showing.ACTION,
        "guest_app": Showing.VALUE,
    }
    assert definition.purpose_at("engineering") == "service_delivery"
    assert definition.purpose_at("thermostat") == "room_setup"
    assert definition.capability is not None
    assert (definition.capability.name, definition.capability.source) == ("spa.mode", "room")
    assert definition.clamp is Clamp.NEAREST_CHOICE
    assert definition.fallbacks == {"hot": ("warm", "cool")}
    assert definition.default == "warm"
    assert definition.want_all
    assert (definition.codes, definition.choice_codes) == (("x:1",), {"hot": ("x:2",)})
    assert definition.raw is CHOICE


def test_every_kind_of_value_is_read() -> None:
    kinds: dict[str, tuple[dict[str, Any], Any]] = {
        "quantity": (NUMBER["value"], Quantity("Cel", ("Cel", "[degF]"), Fraction(1, 100), 1600, 3000)),
        "integer": ({"kind": "integer", "min": -1, "max": 9}, Integer(-1, 9)),
        "flag": ({"kind": "flag"}, Flag()),
        "text": ({"kind": "text", "max_length": 40}, Text(40)),
        "time": ({"kind": "time"}, Text(5, "time")),
        "language": ({"kind": "language"}, Text(35, "language")),
        "object": (
            {"kind": "object", "fields": {"a": {"kind": "flag"}, "b": {"kind": "flag", "optional": True}}},
            Object({"a": Flag(), "b": Flag()}, frozenset({"b"})),
        ),
        "set": (
            {"kind": "set", "max_items": 2, "items": {"kind": "choice", "choices": ["x", "y"]}},
            Sequence(Choice(("x", "y")), 2, None, "set"),
        ),
    }
    base = {**without(NUMBER, "capability"), "scopes": ["profile"], "clamp": "never"}
    for name, (raw, kind) in kinds.items():
        assert parsed({**base, "value": raw}).kind == kind, name


def test_a_list_of_objects_knows_its_id_and_what_cannot_stand_together() -> None:
    definition = parsed(LIST)
    assert not definition.want_all
    assert isinstance(definition.kind, Sequence)
    assert definition.kind.id_field == "type"
    assert definition.kind.exclusive == (frozenset({"a", "b"}),)


def test_numbers_as_texts_stay_exact() -> None:
    value = {**NUMBER["value"], "resolution": "0.1", "min": "16.3", "max": "29.9"}
    kind = parsed({**NUMBER, "value": value}).kind
    assert isinstance(kind, Quantity)
    assert (kind.minimum, kind.maximum) == (163, 299)


def test_special_category_by_value_and_by_strength() -> None:
    definition = parsed({**CHOICE, "special_when": {"strengths": ["required"], "values": ["hot"]}})
    assert definition.is_special(Strength.REQUIRED, "cool")
    assert definition.is_special(Strength.PREFERRED, "hot")
    assert not definition.is_special(Strength.PREFERRED, "cool")
    assert not definition.is_special_as_a_whole
    assert parsed({**CHOICE, "sensitivity": "SC"}).is_special(Strength.PREFERRED, "cool")


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("an unknown field", {**CHOICE, "colour": "red"}, "colour"),
    ("a field left out", without(CHOICE, "purpose"), "purpose"),
    ("no value", without(CHOICE, "value"), "value"),
    ("a value that is no table", {**CHOICE, "value": "choice"}, "value"),
    ("an unknown kind", {**CHOICE, "value": {"kind": "colour"}}, "value.kind"),
    ("a kind that is no text", {**CHOICE, "value": {"kind": ["choice"]}}, "value.kind"),
    ("a field of another kind", {**CHOICE, "value": {**CHOICE["value"], "min": 1}}, "value.min"),
    ("an order that is no number", {**CHOICE, "order": "first"}, "order"),
    ("an order that is a flag", {**CHOICE, "order": True}, "order"),
    ("an unknown merge", {**CHOICE, "merge": "mix"}, "merge"),
    ("an unknown scope", {**CHOICE, "scopes": ["planet"]}, "scopes"),
    ("scopes that are no list", {**CHOICE, "scopes": "profile"}, "scopes"),
    ("no scopes", {**CHOICE, "scopes": []}, "scopes"),
    ("an unknown context", {**CHOICE, "contexts": ["mood"]}, "contexts"),
    ("an unknown strength", {**CHOICE, "strengths": ["wanted"]}, "strengths"),
    ("an unknown sensitivity", {**CHOICE, "sensitivity": "P9"}, "sensitivity"),
    ("an unknown purpose", {**CHOICE, "purpose": "marketing"}, "purpose"),
    ("an unknown surface", {**CHOICE, "surfaces": {"fridge": "value"}}, "surfaces"),
    ("an unknown way to show", {**CHOICE, "surfaces": {"guest_app": "all"}}, "surfaces.guest_app"),
    ("a purpose of another surface", {**CHOICE, "purposes": {"tv": "room_setup"}}, "purposes.tv"),
    ("an unknown clamp", {**CHOICE, "clamp": "sometimes"}, "clamp"),
    ("an unknown retention", {**CHOICE, "retention": "forever"}, "retention"),
    ("no choices", {**CHOICE, "value": {"kind": "choice", "choices": []}}, "value.choices"),
    ("a choice twice", {**CHOICE, "value": {"kind": "choice", "choices": ["hot", "hot"]}}, "value.choices"),
    ("a choice in capitals", {**CHOICE, "value": {"kind": "choice", "choices": ["Hot"]}}, "value.choices"),
    ("a default that is no choice", {**CHOICE, "default": "boiling"}, "default"),
    ("a default out of range", {**NUMBER, "default": 31}, "default"),
    ("a fallback for no choice", {**CHOICE, "fallbacks": {"boiling": ["hot"]}}, "fallbacks.boiling"),
    ("a fallback to no choice", {**CHOICE, "fallbacks": {"hot": ["boiling"]}}, "fallbacks.hot"),
    ("a fallback to itself", {**CHOICE, "fallbacks": {"hot": ["hot"]}}, "fallbacks.hot"),
    ("a code for no choice", {**CHOICE, "choice_codes": {"boiling": ["x:9"]}}, "choice_codes.boiling"),
    ("an unknown field of a capability", {**CHOICE, "capability": {"name": "x", "room": 1}}, "capability.room"),
    ("a capability without a name", {**CHOICE, "capability": {"source": "room"}}, "capability.name"),
    (
        "a capability of an unknown source",
        {**CHOICE, "capability": {"name": "x", "source": "street"}},
        "capability.source",
    ),
    ("a capability of an unknown field", {**CHOICE, "capability": {"name": "x", "field": "mode"}}, "capability.field"),
    ("room without a room capability", without(CHOICE, "capability"), "scopes"),
    ("a number clamped without a number", {**CHOICE, "clamp": "nearest_in_range"}, "clamp"),
    ("negatives on a quantity", {**NUMBER, "strengths": ["preferred", "avoid"]}, "strengths"),
    ("a fixed strength among others", {**CHOICE, "fixed_strength": "unacceptable"}, "strengths"),
    ("objects merged that are none", {**CHOICE, "merge": "object"}, "merge"),
    ("strictest without an order", {**CHOICE, "merge": "strictest"}, "strictest_order"),
    (
        "strictest with a choice left out",
        {**CHOICE, "merge": "strictest", "strictest_order": ["hot", "warm"]},
        "strictest_order",
    ),
    (
        "strictest in an order of lists",
        {**CHOICE, "merge": "strictest", "strictest_order": [["hot"], {}]},
        "strictest_order",
    ),
    (
        "hidden from the guest",
        {**CHOICE, "sensitivity": "P1", "surfaces": {"thermostat": "value"}, "purposes": {}},
        "surfaces",
    ),
    ("special by what is no choice", {**CHOICE, "special_when": {"values": ["boiling"]}}, "special_when.values"),
    ("exclusive ids that are no choices", {**LIST, "exclusive": [["a", "z"]]}, "exclusive"),
    ("exclusive choices of one choice", {**CHOICE, "exclusive": [["hot", "cool"]]}, "exclusive"),
    ("an unknown want", {**LIST, "want": "some"}, "want"),
    ("a list id that is no field", {**LIST, "value": {**LIST["value"], "id": "colour"}}, "value.id"),
    ("a list id that is a list", {**LIST, "value": {**LIST["value"], "id": ["type"]}}, "value.id"),
    ("too many items", {**LIST, "value": {**LIST["value"], "max_items": 101}}, "value.max_items"),
    ("a set of objects", {**LIST, "value": {"kind": "set", "max_items": 3, "items": ITEM}}, "value.items"),
    ("an unknown unit", {**NUMBER, "value": {**NUMBER["value"], "unit": "furlong"}}, "value.unit"),
    (
        "a unit that measures something else",
        {**NUMBER, "value": {**NUMBER["value"], "accepts": ["Cel", "cm"]}},
        "value.unit",
    ),
    ("the own unit not accepted", {**NUMBER, "value": {**NUMBER["value"], "accepts": ["[degF]"]}}, "value.accepts"),
    ("a resolution of nothing", {**NUMBER, "value": {**NUMBER["value"], "resolution": "0"}}, "value.resolution"),
    ("a range upside down", {**NUMBER, "value": {**NUMBER["value"], "min": "31"}}, "value.min"),
    ("a range that is no number", {**NUMBER, "value": {**NUMBER["value"], "max": "warm"}}, "value.max"),
    ("a range off the resolution", {**NUMBER, "value": {**NUMBER["value"], "min": "16.005"}}, "value.min"),
    ("no range", {**NUMBER, "value": without(NUMBER["value"], "max")}, "value.max"),
    (
        "stands for in an unknown window",
        {**NUMBER, "stands_for": {"key": "a.b", "time_of_day": "noon"}},
        "stands_for.time_of_day",
    ),
]


@pytest.mark.parametrize(("raw", "field"), [pytest.param(raw, field, id=name) for name, raw, field in WRONG])
def test_a_wrong_definition_is_refused_by_file_key_field_and_reason(raw: dict[str, Any], field: str) -> None:
    with pytest.raises(CatalogueInvalid) as refused:
        parsed(raw)
    error = refused.value
    assert (error.file, error.key, error.field) == ("spa.toml", "spa.mode", field)
    assert error.reason
    assert str(error).startswith("spa.toml: spa.mode: ")


@pytest.mark.parametrize("key", ["spa", "Spa.mode", "spa.mode.a.b", "spa..mode", "spa.", "1spa.mode", "spa.mode\n", ""])
def test_a_wrong_key_is_refused(key: str) -> None:
    with pytest.raises(CatalogueInvalid) as refused:
        parsed(CHOICE, key)
    assert refused.value.field == "key"


@pytest.mark.parametrize("name", ["value", "unit", "not", "Upper", "a-b", ""])
def test_field_names_that_an_edit_could_not_tell_apart_are_refused(name: str) -> None:
    """The wrapped form of an edit is recognised by these members."""
    value = {"kind": "object", "fields": {name: {"kind": "flag"}}}
    with pytest.raises(CatalogueInvalid) as refused:
        parsed({**without(NUMBER, "capability"), "scopes": ["profile"], "clamp": "never", "value": value})
    assert refused.value.field == f"value.fields.{name}"


def test_kinds_do_not_nest_for_ever() -> None:
    deep: dict[str, Any] = {"kind": "flag"}
    for _ in range(8):
        deep = {"kind": "object", "fields": {"a": deep}}
    with pytest.raises(CatalogueInvalid, match="nests"):
        parsed({**without(NUMBER, "capability"), "scopes": ["profile"], "clamp": "never", "value": deep})


def group(**changes: Any) -> dict[str, Any]:
    return {
        "groups": [{"id": "g", "members": ["spa.mode=hot", "spa.mode=cool"], "max": 1, "reason": "Why.", **changes}]
    }


def test_groups_are_read() -> None:
    found = parse_groups("groups.toml", group(), {"spa.mode": parsed(CHOICE)})
    assert [(g.id, g.members, g.maximum, g.reason) for g in found] == [
        ("g", ("spa.mode=hot", "spa.mode=cool"), 1, "Why.")
    ]
    assert parse_groups("groups.toml", {}, {}) == ()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"members": ["spa.mode=hot", "no.key"]}, "members"),
        ({"members": ["spa.mode=hot", "spa.mode=boiling"]}, "members"),
        ({"max": 2}, "max"),
        ({"max": 0}, "max"),
    ],
)
def test_wrong_groups_are_refused(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(CatalogueInvalid) as refused:
        parse_groups("groups.toml", group(**changes), {"spa.mode": parsed(CHOICE)})
    assert (refused.value.file, refused.value.key, refused.value.field) == ("groups.toml", "g", field)


def standing(key: str, other: str, value: Mapping[str, Any] | None = None) -> Definition:
    raw = {**NUMBER, "stands_for": {"key": other, "time_of_day": "sleep"}}
    return parsed({**raw, "value": value or NUMBER["value"]}, key)


def test_references_that_hold_are_taken() -> None:
    deprecated = parsed({**CHOICE, "deprecated_by": "spa.other"})
    check_references(
        "f", [standing("a.sleep", "a.warmth"), parsed(NUMBER, "a.warmth"), deprecated, parsed(CHOICE, "spa.other")]
    )


@pytest.mark.parametrize(
    ("definitions", "field"),
    [
        ([standing("a.sleep", "a.warmth")], "stands_for.key"),
        ([standing("a.one", "a.two"), standing("a.two", "a.three"), parsed(NUMBER, "a.three")], "stands_for.key"),
        ([standing("a.one", "a.one")], "stands_for.key"),
        ([standing("a.sleep", "spa.mode"), parsed(CHOICE)], "stands_for.key"),
        ([parsed({**CHOICE, "deprecated_by": "no.key"})], "deprecated_by"),
    ],
    ids=["no such key", "a chain", "itself", "another kind of value", "deprecated by no key"],
)
def test_references_that_do_not_hold_are_refused(definitions: list[Definition], field: str) -> None:
    with pytest.raises(CatalogueInvalid) as refused:
        check_references("f", definitions)
    assert refused.value.field == field
