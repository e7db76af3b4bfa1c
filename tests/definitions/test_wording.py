"""The words of the standard catalogue: all there, in the right script, never the English left standing.

Each check is a function from labels to the offenders it finds. It is run on the six languages, where it must find
nothing, and on planted faults, where it must speak.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from prefs.core import values
from prefs.core.labels import KeyLabels, Labels
from prefs.definitions import load_standard
from prefs.definitions.wording import PLACEHOLDER

STANDARD = load_standard()
LANGUAGES = ("en", "lo", "ka", "th", "vi", "ar")
AUTONYMS = {"en": "English", "lo": "ລາວ", "ka": "ქართული", "th": "ไทย", "vi": "Tiếng Việt", "ar": "العربية"}
SCRIPTS = {"lo": "LAO", "ka": "GEORGIAN", "th": "THAI", "ar": "ARABIC"}

APPS = [
    *("Netflix", "YouTube", "Disney+", "Prime Video", "HBO Max", "Hulu", "Apple TV", "Paramount+", "Peacock"),
    *("Spotify", "BBC iPlayer", "DAZN", "Crunchyroll", "Plex", "Viu", "Shahid"),
]
ACRONYMS = ["TV", "°C", "°F", "BBC", "Wi-Fi", "SMS", "WhatsApp", "TTY", "USB", "LED"]
ALLOWED = re.compile("|".join(rf"(?<!\w){re.escape(word)}(?!\w)" for word in sorted(APPS + ACRONYMS, key=len)[::-1]))


def texts(labels: Labels) -> Iterator[tuple[str, str]]:
    """Every text of a language with the path it stands at."""
    yield "name", labels.name
    for section in ("areas", "strengths", "reasons", "warnings"):
        for name, text in getattr(labels, section).items():
            yield f"{section}.{name}", text
    for key, of_key in labels.keys.items():
        yield f"{key}.title", of_key.title
        yield f"{key}.help", of_key.help
        for section in ("choices", "fields", "actions"):
            for name, text in getattr(of_key, section).items():
                yield f"{key}.{section}.{name}", text


def bare(text: str) -> str:
    """The text without placeholders, acronyms and names of apps."""
    return ALLOWED.sub(" ", PLACEHOLDER.sub(" ", text))


def in_foreign_script(labels: Labels) -> list[str]:
    """Texts with a letter or mark outside the language's script."""
    script = SCRIPTS[labels.language]
    return [
        path
        for path, text in texts(labels)
        if any(
            unicodedata.category(letter)[0] in "LM" and not unicodedata.name(letter).startswith(script)
            for letter in bare(text)
        )
    ]


def left_in_english(labels: Labels, english: Labels) -> list[str]:
    """Texts that say the same as the English, apart from those that are nothing but placeholders and allowed words."""
    original = dict(texts(english))
    return [
        path
        for path, text in texts(labels)
        if text.strip() == original[path].strip() and any(letter.isalpha() for letter in bare(text))
    ]


def with_other_placeholders(labels: Labels, english: Labels) -> list[str]:
    original = dict(texts(english))
    return [
        path
        for path, text in texts(labels)
        if sorted(PLACEHOLDER.findall(text)) != sorted(PLACEHOLDER.findall(original[path]))
    ]


def hard_to_tell_apart(labels: Labels) -> list[str]:
    """Titles and choices that read the same as a neighbour's, so that nobody knows which button is which."""
    found = []
    titles = [of_key.title for of_key in labels.keys.values()]
    found += [title for title in titles if titles.count(title) > 1]
    for key, of_key in labels.keys.items():
        shown = list(of_key.choices.values())
        found += [f"{key}: {text}" for text in shown if shown.count(text) > 1]
    return found


def planted(language: str, **words: Any) -> Labels:
    """The standard labels of a language with one key's labels changed."""
    labels = STANDARD.labels[language]
    changed: KeyLabels = replace(labels.keys["climate.mode"], **words)
    return replace(labels, keys={**labels.keys, "climate.mode": changed})


def test_the_six_languages_know_their_own_names() -> None:
    assert {language: STANDARD.labels[language].name for language in STANDARD.labels} == AUTONYMS
    assert [language for language in LANGUAGES if STANDARD.labels[language].direction == "rtl"] == ["ar"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_key_and_every_choice_has_a_label(language: str) -> None:
    labels = STANDARD.labels[language]
    assert labels.areas.keys() == STANDARD.areas.keys()
    for definition in STANDARD:
        of_key = labels.keys[definition.key]
        assert of_key.title.strip() and of_key.help.strip()
        assert set(of_key.choices) == {choice for _, choice in values.choices(definition.kind)}, definition.key


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_label_is_marked_until_a_speaker_has_read_it(language: str) -> None:
    marks = {of_key.review for of_key in STANDARD.labels[language].keys.values()}
    assert marks == {"source" if language == "en" else "machine"}


@pytest.mark.parametrize("language", SCRIPTS)
def test_labels_are_in_the_script_of_their_language(language: str) -> None:
    assert in_foreign_script(STANDARD.labels[language]) == []


def test_vietnamese_is_not_english() -> None:
    assert left_in_english(STANDARD.labels["vi"], STANDARD.labels["en"]) == []


@pytest.mark.parametrize("language", [language for language in LANGUAGES if language != "en"])
def test_translations_are_translations(language: str) -> None:
    assert left_in_english(STANDARD.labels[language], STANDARD.labels["en"]) == []
    assert with_other_placeholders(STANDARD.labels[language], STANDARD.labels["en"]) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_labels_can_be_told_apart(language: str) -> None:
    assert hard_to_tell_apart(STANDARD.labels[language]) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_labels_are_short_and_clean(language: str) -> None:
    for path, text in texts(STANDARD.labels[language]):
        assert values.clean_text(text), path
        assert unicodedata.is_normalized("NFC", text), path
        assert "  " not in text, path
        if path.endswith(".title") or ".choices." in path or ".fields." in path:
            assert text == text.strip(), path
            assert len(text) <= 60, path


@pytest.mark.parametrize(
    ("language", "words", "path"),
    [
        ("lo", {"title": "Heating"}, "climate.mode.title"),
        ("th", {"title": "ຄວາມເຢັນ"}, "climate.mode.title"),
        ("ka", {"help": "რა უნდა აკეთოს AC-მ."}, "climate.mode.help"),
        ("ar", {"help": "ما الذي يفعله جهاز تكييf"}, "climate.mode.help"),
        ("ka", {"title": "Gათბობა TV"}, "climate.mode.title"),
    ],
)
def test_a_letter_of_another_script_is_found(language: str, words: dict[str, str], path: str) -> None:
    assert in_foreign_script(planted(language, **words)) == [path]


def test_english_left_standing_is_found() -> None:
    english = STANDARD.labels["en"]
    forgotten = planted("vi", title=english.keys["climate.mode"].title, choices={"auto": "Automatic"})
    assert left_in_english(forgotten, english) == ["climate.mode.title", "climate.mode.choices.auto"]


def test_acronyms_do_not_hide_words_around_them() -> None:
    assert in_foreign_script(planted("lo", title="TV °C SMS")) == []
    assert in_foreign_script(planted("lo", title="TVs")) == ["climate.mode.title"]


def test_a_lost_placeholder_and_a_twin_are_found() -> None:
    english = STANDARD.labels["en"]
    reasons = {**STANDARD.labels["th"].reasons, "REFUSED": "คุณปฏิเสธ"}
    lost = replace(STANDARD.labels["th"], reasons=reasons)
    assert with_other_placeholders(lost, english) == ["reasons.REFUSED"]
    twins = planted("en", choices={"auto": "Automatic", "cool": "Automatic"})
    assert hard_to_tell_apart(twins) == ["climate.mode: Automatic", "climate.mode: Automatic"]
