"""A wrong labels file is refused like a wrong definition: by file, key, field and reason."""

from pathlib import Path

import pytest

from prefs.core.errors import CatalogueInvalid
from prefs.definitions import load_folder
from tests.definitions.planting import GOOD, LEVEL, LOCK, SCENE, WORDS, Fault, check_refusal, write

FAULTS = [
    Fault("no title", 'title = "Level"\n', "", LEVEL, "title", "missing", WORDS),
    Fault("empty help", 'help = "How bright."', 'help = " "', LEVEL, "help", "missing", WORDS),
    Fault(
        "a key without labels",
        '[keys."lighting.lock"]\ntitle = "Lock"\nhelp = "Nobody else changes it."',
        "",
        LOCK,
        "title",
        "missing",
        WORDS,
    ),
    Fault(
        "labels of an unknown key",
        '[keys."lighting.lock"]',
        '[keys."lighting.sun"]',
        "lighting.sun",
        "key",
        "not a key",
        WORDS,
    ),
    Fault("a choice without label", 'night = "Night"\n', "", SCENE, "choices.night", "missing", WORDS),
    Fault(
        "label of an unknown choice",
        'night = "Night"',
        'night = "Night"\ndim = "Dim"',
        SCENE,
        "choices.dim",
        "labels nothing",
        WORDS,
    ),
    Fault(
        "an action nobody sees",
        'help = "How bright."',
        'help = "How bright."\nactions = { _ = "x" }',
        LEVEL,
        "actions",
        "no surface",
        WORDS,
    ),
    Fault(
        "an action that is missing",
        '[keys."lighting.scene".actions]\n_ = "Light: {items}"',
        "",
        SCENE,
        "actions",
        "missing",
        WORDS,
    ),
    Fault("action without a sentence", '_ = "Light: {items}"', 'night = "Dark"', SCENE, "actions._", "missing", WORDS),
    Fault(
        "action of an unknown element",
        '_ = "Light: {items}"',
        '_ = "{items}"\ndim = "Dim"',
        SCENE,
        "actions.dim",
        "no choice",
        WORDS,
    ),
    Fault("unknown placeholder", "Light: {items}", "Light: {thing}", SCENE, "actions._", "{thing}", WORDS),
    Fault("unknown direction", 'direction = "ltr"', 'direction = "up"', "", "meta.direction", "ltr or rtl", WORDS),
    Fault("unknown review mark", 'review = "source"', 'review = "fine"', "", "meta.review", "machine", WORDS),
    Fault("no language", 'language = "en"\n', "", "", "meta.language", "missing", WORDS),
    Fault(
        "language of another file", 'language = "en"', 'language = "lo"', "", "meta.language", "name of the file", WORDS
    ),
    Fault("an area without label", 'lighting = "Light"', "", "", "areas.lighting", "missing", WORDS),
    Fault(
        "a section that is none of ours",
        "[areas]",
        '[colours]\nred = "Red"\n[areas]',
        "",
        "colours",
        "not a table",
        WORDS,
    ),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name.replace(" ", "_"))
def test_a_wrong_file_is_refused_by_file_key_field_and_reason(tmp_path: Path, fault: Fault) -> None:
    check_refusal(tmp_path, fault)


def test_a_reason_code_without_words(tmp_path: Path) -> None:
    text = "\n".join(line for line in GOOD[WORDS].splitlines() if not line.startswith("DEADBAND"))
    with pytest.raises(CatalogueInvalid) as refused:
        load_folder(write(tmp_path, {**GOOD, WORDS: text}))
    assert (refused.value.file, refused.value.field) == (WORDS, "reasons.DEADBAND")
