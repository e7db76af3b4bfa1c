"""A small right catalogue to plant faults in, and what a planted fault looks like."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from prefs.core.errors import CatalogueInvalid
from prefs.definitions import load_folder

AREA = """
[area]
id = "lighting"
order = 1

[definitions."lighting.scene"]
order = 1
merge = "replace"
scopes = ["profile", "stay", "room"]
contexts = ["time_of_day"]
strengths = ["required", "preferred", "avoid", "unacceptable", "no_preference"]
sensitivity = "P0"
purpose = "room_setup"
surfaces = { lights = "value", housekeeping = "action", guest_app = "value" }
capability = { name = "lights.scene", source = "room" }
clamp = "nearest_choice"
default = "bright"
retention = "stated"
codes = ["ha:scene"]
fallbacks = { bright = ["night"] }
choice_codes = { bright = ["ha:bright"] }

[definitions."lighting.scene".value]
kind = "choice"
choices = ["bright", "night"]

[definitions."lighting.level"]
order = 2
merge = "replace"
scopes = ["profile"]
contexts = []
strengths = ["preferred", "no_preference"]
sensitivity = "P1"
purpose = "room_setup"
surfaces = { lights = "value", guest_app = "value" }
clamp = "nearest_in_range"
default = 60
retention = "stated"

[definitions."lighting.level".value]
kind = "quantity"
unit = "%"
accepts = ["%"]
resolution = "1"
min = "0"
max = "100"

[definitions."lighting.lock"]
order = 3
merge = "strictest"
strictest_order = [false, true]
scopes = ["profile"]
contexts = []
strengths = ["preferred", "no_preference"]
sensitivity = "P0"
purpose = "room_setup"
surfaces = { guest_app = "value" }
clamp = "never"
retention = "stated"

[definitions."lighting.lock".value]
kind = "flag"
"""
GROUPS = """
[[groups]]
id = "dark"
members = ["lighting.scene=night", "lighting.lock"]
max = 1
reason = "A test."
"""
LABELS = """
[meta]
language = "en"
name = "English"
direction = "ltr"
review = "source"

[areas]
lighting = "Light"

[keys."lighting.scene"]
title = "Scene"
help = "The mood of the light."

[keys."lighting.scene".choices]
bright = "Bright"
night = "Night"

[keys."lighting.scene".actions]
_ = "Light: {items}"

[keys."lighting.level"]
title = "Level"
help = "How bright."

[keys."lighting.lock"]
title = "Lock"
help = "Nobody else changes it."
"""
FILES = {"lighting.toml": AREA, "groups.toml": GROUPS, "labels/en.toml": LABELS}


@dataclass(frozen=True)
class Fault:
    """Replace `old` by `new` in `file`; the refusal must name `key` and `field` and hold `reason`."""

    name: str
    old: str
    new: str
    key: str
    field: str
    reason: str
    file: str = "lighting.toml"


SCENE, LEVEL, LOCK = "lighting.scene", "lighting.level", "lighting.lock"
GROUP, WORDS = "groups.toml", "labels/en.toml"


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def with_sections(labels: str) -> str:
    """The small labels file with the sections every language must have, taken from the standard English ones."""
    standard = Path(__file__).parents[2] / "prefs" / "definitions" / "labels" / "en.toml"
    text = standard.read_text(encoding="utf-8")
    return labels + text[text.index("[strengths]") :]


GOOD = {**FILES, WORDS: with_sections(LABELS)}


def check_refusal(folder: Path, fault: Fault) -> None:
    """Plant the fault, load, and hold the refusal against what it must name."""
    assert fault.old in GOOD[fault.file], "the fault would not be planted"
    text = GOOD[fault.file].replace(fault.old, fault.new)
    with pytest.raises(CatalogueInvalid) as refused:
        load_folder(write(folder, {**GOOD, fault.file: text}))
    error = refused.value
    assert (error.file, error.key, error.field) == (fault.file, fault.key, fault.field)
    assert fault.reason in error.reason
    assert fault.file in str(error)
    assert error.reason in str(error)
