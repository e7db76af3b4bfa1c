"""Staff are told what to do and never why: no action text reveals health, belief or ability in any language."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from prefs.core import values
from prefs.core.actions import action
from prefs.core.catalogue import Definition, Showing
from prefs.core.entries import Strength
from prefs.core.labels import KeyLabels
from prefs.core.resolved import Effective, Status
from prefs.definitions import load_standard

STANDARD = load_standard()
TOLD = ("housekeeping", "engineering", "front_desk")

# The kitchen alone has to know what a diet is called; the thing itself (a wheelchair, a sharps container) may be named.
REVEALING: Mapping[str, tuple[str, ...]] = {
    "en": (
        *("allerg", "asthma", "disab", "handicap", "impair", "deaf", "blind", "illness", "disease", "diagnos"),
        *("patient", "medical", "medicine", "halal", "kosher", "muslim", "jewish", "hindu", "religio", "diabet"),
        *("autis", "dementia", "pregnan", "alcoholic", "because", "hearing", "needs help", "special needs"),
    ),
    "lo": ("ແພ້", "ຫອບຫືດ", "ພິການ", "ຫູໜວກ", "ຕາບອດ", "ພະຍາດ", "ຄົນເຈັບ", "ຮາລານ", "ໂຄເຊີ", "ສາສະໜາ", "ເບົາຫວານ", "ເພາະ"),
    "ka": (
        *("ალერგ", "ასთმ", "ინვალიდ", "შშმ", "ყრუ", "ბრმა", "უსინათლო", "დაავად", "ავადმყოფ", "დიაგნოზ"),
        *("პაციენტ", "ჰალალ", "ქოშერ", "მუსლიმ", "რელიგი", "დიაბეტ", "რადგან", "იმიტომ"),
    ),
    "th": ("แพ้", "หอบหืด", "พิการ", "หูหนวก", "ตาบอด", "โรค", "ป่วย", "ฮาลาล", "โคเชอร์", "ศาสนา", "เบาหวาน", "เพราะ"),
    "vi": (
        *("dị ứng", "hen suyễn", "khuyết tật", "điếc", "khiếm thị", "khiếm thính", "người mù", "bệnh", "halal"),
        *("kosher", "tôn giáo", "tiểu đường", "mang thai", "vì khách", "bởi vì"),
    ),
    "ar": (
        *("حساسي", "ربو", "إعاق", "معاق", "أصم", "صمم", "كفيف", "أعمى", "مرض", "مريض", "حلال", "كوشر"),
        *("ديني", "ديانة", "مسلم", "سكري", "حامل", "لأن"),
    ),
}
ACTED_ON = [d for d in STANDARD if any(d.surfaces.get(surface) is Showing.ACTION for surface in TOLD)]


def spoken(labels: KeyLabels) -> dict[str, str]:
    """Every text that an action can be made of. What a guest refuses is told by the label of the choice."""
    return {**{f"choices.{choice}": text for choice, text in labels.choices.items()}, **labels.actions}


def revealing(language: str, texts: Mapping[str, str]) -> list[str]:
    """Names of the texts that hold a word from which a reason can be read."""
    return [name for name, text in texts.items() if any(word in text.casefold() for word in REVEALING[language])]


@pytest.mark.parametrize("language", REVEALING)
@pytest.mark.parametrize("definition", ACTED_ON, ids=lambda d: d.key)
def test_actions_do_not_say_why(definition: Definition, language: str) -> None:
    assert revealing(language, spoken(STANDARD.labels[language].keys[definition.key])) == []


def samples(kind: values.Kind) -> list[Any]:
    """Canonical values of a kind: every choice, every element, objects in full and with the fields they must have."""
    match kind:
        case values.Quantity() | values.Integer():
            return [kind.minimum]
        case values.Flag():
            return [True, False]
        case values.Choice():
            return list(kind.choices)
        case values.Text():
            return [{"time": "11:00", "language": "es-MX"}.get(kind.name, "papaya")]
        case values.Object():
            return list(_objects(kind))
        case values.Sequence(items=values.Choice() as items):
            return [[choice] for choice in items.choices] + [list(items.choices)]
        case values.Sequence():
            return [[item] for item in samples(kind.items)]
    raise TypeError(kind.name)


def _objects(kind: values.Object) -> Iterator[dict[str, Any]]:
    full = {name: samples(part)[-1] for name, part in kind.fields.items()}
    yield full
    yield {name: part for name, part in full.items() if name not in kind.optional}
    for name, part in kind.fields.items():
        yield from ({**full, name: sample} for sample in samples(part))


@pytest.mark.parametrize("language", REVEALING)
@pytest.mark.parametrize("definition", ACTED_ON, ids=lambda d: d.key)
def test_what_staff_read_is_whole_and_says_no_more(definition: Definition, language: str) -> None:
    """The actions as the core speaks them: nothing left unfilled, nothing dangling, no reason."""
    labels = STANDARD.labels[language]
    for value in samples(definition.kind):
        effective = Effective(definition.key, value, Status.APPLIED, "stated/profile", Strength.REQUIRED)
        for surface in TOLD:
            if definition.surfaces.get(surface) is not Showing.ACTION:
                continue
            text = action(definition, effective, surface, labels)["action"]
            if definition.key == "access.service_animal" and not value["present"]:
                assert text is None
                continue
            assert text
            assert text == text.strip() and "  " not in text and ": –" not in text and ",," not in text, text
            assert not {"{", "}", "✓", "✗"} & set(text), text
            assert not any("\u1c90" <= letter <= "\u1cbf" for letter in text), (
                "Georgian has no capitals in running text"
            )
            assert revealing(language, {"text": text}) == []


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "Feather-free pillows (allergy)"),
        ("en", "Guest is Deaf: install flashing alarm"),
        ("lo", "ໝອນສຳລັບຄົນແພ້"),
        ("ka", "ალერგიული სტუმარი"),
        ("th", "หมอนสำหรับผู้แพ้"),
        ("vi", "Khách bị Dị ứng"),
        ("ar", "نزيل لديه حساسية"),
    ],
)
def test_a_reason_planted_in_an_action_is_found(language: str, text: str) -> None:
    assert revealing(language, {"planted": text}) == ["planted"]


def test_the_label_of_a_choice_counts() -> None:
    diet = STANDARD.definitions["food.diet"]
    texts = spoken(STANDARD.labels["en"].keys["food.diet"])
    assert "choices.halal" in revealing("en", texts), "for the kitchen alone; here it shows that labels are read too"
    assert diet not in ACTED_ON


@pytest.mark.parametrize("language", STANDARD.labels)
def test_keys_with_an_action_have_a_sentence_and_no_others_do(language: str) -> None:
    for definition in STANDARD:
        labels = STANDARD.labels[language].keys[definition.key]
        assert ("_" in labels.actions) is (Showing.ACTION in definition.surfaces.values()), definition.key


@pytest.mark.parametrize("language", STANDARD.labels)
def test_elements_that_are_objects_can_speak(language: str) -> None:
    """A list of objects needs a text for each element: by its id, or by `each`."""
    for definition in STANDARD:
        labels = STANDARD.labels[language].keys[definition.key]
        if not labels.actions or not isinstance(definition.kind, values.Sequence):
            continue
        items = definition.kind.items
        if isinstance(items, values.Object) and "each" not in labels.actions:
            assert definition.kind.id_field is not None, definition.key
            ids = items.fields[definition.kind.id_field]
            assert isinstance(ids, values.Choice), definition.key
            assert set(ids.choices) <= set(labels.actions), definition.key


@pytest.mark.parametrize("language", STANDARD.labels)
def test_flags_speak_both_ways(language: str) -> None:
    for definition in STANDARD:
        labels = STANDARD.labels[language].keys[definition.key]
        if labels.actions and isinstance(definition.kind, values.Flag):
            assert {"true", "false"} <= labels.actions.keys(), definition.key


def told(key: str, value: Any, strength: Strength, surface: str) -> Any:
    effective = Effective(key, value, Status.APPLIED, "stated/profile", strength)
    return action(STANDARD.definitions[key], effective, surface, STANDARD.labels["en"])["action"]


def test_the_words_of_the_scenarios() -> None:
    pillows = [{"type": "hypoallergenic", "count": 2}]
    assert told("bed.pillow_type", pillows, Strength.REQUIRED, "housekeeping") == "Feather-free pillows ×2 – must"
    allergens = [{"code": "peanuts", "cross_contact": True}, {"code": "sesame"}]
    kitchen = told("food.allergens", allergens, Strength.UNACCEPTABLE, "food")
    assert kitchen == "No peanuts (separate prep), no sesame"
    minibar = told("food.allergens", allergens, Strength.UNACCEPTABLE, "housekeeping")
    assert minibar == "Minibar: no peanuts (separate prep), no sesame"
    animal = {"present": True, "kind": "dog", "needs": ["bowl"]}
    assert told("access.service_animal", animal, Strength.PREFERRED, "housekeeping") == (
        "Animal in the room, no fee: Dog, Water bowl"
    )
    bed = {"min": 430, "max": 580, "under_bed_clearance_min": 178}
    assert told("access.bed_height", bed, Strength.PREFERRED, "front_desk") == (
        "Top of mattress 43.0–58.0 cm high, at least 17.8 cm free below"
    )
    window = [{"start": "11:00", "end": "13:00"}]
    assert told("housekeeping.time_window", window, Strength.PREFERRED, "housekeeping") == "Clean 11:00–13:00"
