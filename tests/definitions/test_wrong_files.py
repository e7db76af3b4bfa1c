"""A wrong definition file is refused at load, naming file, key, field and reason: one planted fault a row."""

from pathlib import Path

import pytest

from prefs.core.errors import CatalogueInvalid
from prefs.definitions import load_folder
from tests.definitions.planting import AREA, GOOD, GROUP, LEVEL, LOCK, SCENE, Fault, check_refusal, write

FAULTS = [
    Fault(
        "missing field",
        'merge = "replace"\nscopes = ["profile", "stay',
        'scopes = ["profile", "stay',
        SCENE,
        "merge",
        "missing",
    ),
    Fault("missing value", '[definitions."lighting.lock".value]\nkind = "flag"', "", LOCK, "value", "missing"),
    Fault("unknown field", 'codes = ["ha:scene"]', 'colour = "red"', SCENE, "colour", "not a field"),
    Fault("bad key name", '"lighting.lock"', '"Lighting.lock"', "Lighting.lock", "key", "lower-case"),
    Fault("key without a dot", '"lighting.lock"', '"lock"', "lock", "key", "dots"),
    Fault("order as text", "order = 3", 'order = "3"', LOCK, "order", "whole number"),
    Fault("unknown kind", 'kind = "flag"', 'kind = "boolean"', LOCK, "value.kind", "must be one of"),
    Fault("unknown field of a kind", 'max = "100"', 'max = "100"\nstep = "1"', LEVEL, "value.step", "kind quantity"),
    Fault("range upside down", 'min = "0"', 'min = "101"', LEVEL, "value.min", "above max"),
    Fault("range off the grid", 'min = "0"', 'min = "0.5"', LEVEL, "value.min", "multiples"),
    Fault("range is no number", 'max = "100"', 'max = "lots"', LEVEL, "value.max", "number"),
    Fault("resolution of zero", 'resolution = "1"', 'resolution = "0"', LEVEL, "value.resolution", "above 0"),
    Fault("unknown unit", 'unit = "%"', 'unit = "lux"', LEVEL, "value.unit", "lux"),
    Fault("unit of another dimension", 'accepts = ["%"]', 'accepts = ["%", "Cel"]', LEVEL, "value.unit", "Cel"),
    Fault("own unit not accepted", 'accepts = ["%"]', 'accepts = ["ha.level"]', LEVEL, "value.accepts", "canonical"),
    Fault("no choices", 'choices = ["bright", "night"]', "choices = []", SCENE, "value.choices", "at least one"),
    Fault("a choice twice", '["bright", "night"]', '["bright", "night", "night"]', SCENE, "value.choices", "twice"),
    Fault("choice in capitals", '["bright", "night"]', '["bright", "NIGHT"]', SCENE, "value.choices", "lower-case"),
    Fault("unknown scope", '["profile", "stay", "room"]', '["profile", "floor"]', SCENE, "scopes", "must be one of"),
    Fault("unknown context", '["time_of_day"]', '["weather"]', SCENE, "contexts", "time_of_day"),
    Fault("unknown strength", 'strengths = ["required", ', 'strengths = ["must", ', SCENE, "strengths", "required"),
    Fault("unknown sensitivity", 'sensitivity = "P1"', 'sensitivity = "P2"', LEVEL, "sensitivity", "P0, P1, SC"),
    Fault("unknown purpose", 'purpose = "room_setup"', 'purpose = "marketing"', SCENE, "purpose", "room_setup"),
    Fault(
        "unknown surface",
        '{ lights = "value", housekeeping',
        '{ radio = "value", housekeeping',
        SCENE,
        "surfaces",
        "lights",
    ),
    Fault(
        "unknown showing",
        'housekeeping = "action"',
        'housekeeping = "text"',
        SCENE,
        "surfaces.housekeeping",
        "value, action",
    ),
    Fault(
        "hidden from the guest",
        '{ lights = "value", guest_app = "value" }',
        '{ lights = "value" }',
        LEVEL,
        "surfaces",
        "guest_app",
    ),
    Fault(
        "special-category data on a surface that may not use it so",
        'sensitivity = "P0"\npurpose = "room_setup"\nsurfaces = { lights = "value", housekeeping',
        'sensitivity = "SC"\npurpose = "food_safety"\nsurfaces = { lights = "value", housekeeping',
        SCENE,
        "purposes.lights",
        "lights may not use data of this key for food_safety, so it would be shown nothing",
    ),
    Fault(
        "special-category values on a surface that may not use them so",
        'purpose = "room_setup"\nsurfaces = { lights = "value", guest_app',
        'purpose = "room_setup"\nspecial_when = { strengths = ["no_preference"] }\n'
        'purposes = { lights = "service_delivery" }\nsurfaces = { lights = "value", guest_app',
        LEVEL,
        "purposes.lights",
        "name one of room_setup, safety_evacuation there, or take it out of surfaces",
    ),
    Fault("unknown merge", 'merge = "strictest"', 'merge = "loosest"', LOCK, "merge", "strictest"),
    Fault("unknown clamp", 'clamp = "never"', 'clamp = "maybe"', LOCK, "clamp", "nearest_in_range"),
    Fault(
        "unknown retention",
        'default = 60\nretention = "stated"',
        'retention = "forever"',
        LEVEL,
        "retention",
        "special",
    ),
    Fault("default out of range", "default = 60", "default = 160", LEVEL, "default", "between 0 and 100"),
    Fault("default that is no choice", 'default = "bright"', 'default = "dim"', SCENE, "default", "bright, night"),
    Fault(
        "fallback to an unknown choice",
        '{ bright = ["night"] }',
        '{ bright = ["dim"] }',
        SCENE,
        "fallbacks.bright",
        "dim",
    ),
    Fault(
        "fallback of an unknown choice", '{ bright = ["night"] }', '{ dim = ["night"] }', SCENE, "fallbacks.dim", "dim"
    ),
    Fault("fallback to itself", '{ bright = ["night"] }', '{ night = ["night"] }', SCENE, "fallbacks.night", "itself"),
    Fault(
        "code of an unknown choice",
        '{ bright = ["ha:bright"] }',
        '{ dim = ["ha:1"] }',
        SCENE,
        "choice_codes.dim",
        "not a choice",
    ),
    Fault(
        "strictest without an order", "strictest_order = [false, true]\n", "", LOCK, "strictest_order", "weakest first"
    ),
    Fault("order that forgets one", "[false, true]", "[true]", LOCK, "strictest_order", "every choice once"),
    Fault(
        "object merge of a choice",
        'order = 1\nmerge = "replace"',
        'order = 1\nmerge = "object"',
        SCENE,
        "merge",
        "objects",
    ),
    Fault(
        "a quantity to avoid",
        'strengths = ["preferred", "no_preference"]\nsensitivity = "P1"',
        'strengths = ["avoid"]\nsensitivity = "P1"',
        LEVEL,
        "strengths",
        "choices, sets and lists",
    ),
    Fault("room without a device", 'source = "room"', 'source = "property"', SCENE, "scopes", "room capability"),
    Fault("capability without a name", 'name = "lights.scene", ', "", SCENE, "capability.name", "missing"),
    Fault("capability nowhere", 'source = "room"', 'source = "moon"', SCENE, "capability.source", "room, property"),
    Fault(
        "stands for nothing",
        'codes = ["ha:scene"]',
        'stands_for = { key = "lighting.sun", time_of_day = "sleep" }',
        SCENE,
        "stands_for.key",
        "lighting.sun",
    ),
    Fault(
        "stands for no window",
        'codes = ["ha:scene"]',
        'stands_for = { key = "lighting.lock", time_of_day = "noon" }',
        SCENE,
        "stands_for.time_of_day",
        "sleep",
    ),
    Fault(
        "deprecated by nothing",
        'codes = ["ha:scene"]',
        'deprecated_by = "lighting.sun"',
        SCENE,
        "deprecated_by",
        "lighting.sun",
    ),
    Fault(
        "key as nested tables",
        '[definitions."lighting.lock"]',
        "[definitions.lighting.lock]",
        "lighting",
        "key",
        "dots",
    ),
    Fault("not TOML", "order = 2", "order = ", "", "", "not TOML"),
    Fault(
        "a key twice in one file", '[definitions."lighting.lock"]', '[definitions."lighting.level"]', "", "", "not TOML"
    ),
    Fault("no area", '[area]\nid = "lighting"\norder = 1\n', "", "", "area", "missing"),
    Fault("area without order", 'id = "lighting"\norder = 1', 'id = "lighting"', "", "area.order", "int"),
    Fault("a table that is none of ours", "[area]", "[colour]\nred = 1\n[area]", "", "colour", "not a table"),
    Fault("group of an unknown key", '"lighting.lock"', '"lighting.sun"', "dark", "members", "lighting.sun", GROUP),
    Fault("group of an unknown choice", "=night", "=dim", "dark", "members", "dim", GROUP),
    Fault("group that excludes nothing", "max = 1", "max = 2", "dark", "max", "below the number", GROUP),
]


def test_the_files_the_faults_are_planted_in_are_right(tmp_path: Path) -> None:
    catalogue = load_folder(write(tmp_path, GOOD))
    assert [definition.key for definition in catalogue] == [SCENE, LEVEL, LOCK]
    assert [group.id for group in catalogue.groups] == ["dark"]
    assert catalogue.labels["en"].keys[SCENE].choices == {"bright": "Bright", "night": "Night"}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name.replace(" ", "_"))
def test_a_wrong_file_is_refused_by_file_key_field_and_reason(tmp_path: Path, fault: Fault) -> None:
    check_refusal(tmp_path, fault)


def test_a_surface_with_a_purpose_of_its_own_may_list_special_category_data(tmp_path: Path) -> None:
    usual = 'sensitivity = "P0"\npurpose = "room_setup"\nsurfaces = { lights'
    named = usual.replace("P0", "SC").replace("room_setup", "food_safety")
    text = AREA.replace(usual, 'purposes = { lights = "safety_evacuation" }\n' + named)
    scene = load_folder(write(tmp_path, {"lighting.toml": text})).definitions[SCENE]
    assert (scene.purpose_at("lights"), scene.purpose_at("housekeeping")) == ("safety_evacuation", "food_safety")


def test_a_key_in_two_files_names_both(tmp_path: Path) -> None:
    second = AREA.replace('id = "lighting"', 'id = "more"')
    with pytest.raises(CatalogueInvalid) as refused:
        load_folder(write(tmp_path, {**GOOD, "more.toml": second}))
    assert (refused.value.file, refused.value.key, refused.value.field) == ("more.toml", SCENE, "key")
    assert "lighting.toml" in refused.value.reason


def test_two_files_for_one_area(tmp_path: Path) -> None:
    with pytest.raises(CatalogueInvalid) as refused:
        load_folder(write(tmp_path, {**GOOD, "more.toml": '[area]\nid = "lighting"\norder = 2\n'}))
    assert (refused.value.file, refused.value.field) == ("more.toml", "area.id")


def test_a_file_that_is_not_utf_8(tmp_path: Path) -> None:
    folder = write(tmp_path, GOOD)
    (folder / "lighting.toml").write_bytes(AREA.encode() + b"\n# caf\xe9\n")
    with pytest.raises(CatalogueInvalid) as refused:
        load_folder(folder)
    assert refused.value.file == "lighting.toml"
    assert "UTF-8" in refused.value.reason


def test_a_folder_without_words_still_loads(tmp_path: Path) -> None:
    """A hotel may try definitions before it writes their labels; the standard catalogue is held to more elsewhere."""
    catalogue = load_folder(write(tmp_path, {"lighting.toml": AREA}))
    assert len(catalogue) == 3
    assert catalogue.labels == {}
