"""Staff are told what to do and never why: no action text reveals health, belief or ability in any language."""

from collections.abc import Mapping

import pytest

from prefs.core import values
from prefs.core.catalogue import Definition, Showing
from prefs.core.labels import KeyLabels
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


def spoken(definition: Definition, labels: KeyLabels) -> dict[str, str]:
    """Every text that an action can be made of: the actions, and choice labels where an element has none."""
    choices = {choice for _, choice in values.choices(definition.kind)}
    silent = choices - labels.actions.keys()
    return {**labels.actions, **{choice: labels.choices[choice] for choice in silent}}


def revealing(language: str, texts: Mapping[str, str]) -> list[str]:
    """Names of the texts that hold a word from which a reason can be read."""
    return [name for name, text in texts.items() if any(word in text.casefold() for word in REVEALING[language])]


@pytest.mark.parametrize("language", REVEALING)
@pytest.mark.parametrize("definition", ACTED_ON, ids=lambda d: d.key)
def test_actions_do_not_say_why(definition: Definition, language: str) -> None:
    assert revealing(language, spoken(definition, STANDARD.labels[language].keys[definition.key])) == []


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


def test_a_choice_label_that_stands_in_for_a_missing_action_counts() -> None:
    diet = STANDARD.definitions["food.diet"]
    texts = spoken(diet, STANDARD.labels["en"].keys["food.diet"])
    assert "halal" in revealing("en", texts), "for the kitchen alone; here it shows that labels are read too"
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


def test_the_words_of_the_scenarios() -> None:
    labels = STANDARD.labels["en"]
    pillows = labels.keys["bed.pillow_type"].actions
    assert pillows["hypoallergenic"].replace("{count}", "2") == "Feather-free pillows ×2"
    assert labels.strengths["required"] == "must"
    allergens = labels.keys["food.allergens"].actions
    assert allergens["peanuts"].replace("{cross_contact}", allergens["cross_contact"]) == "no peanuts (separate prep)"
    assert allergens["sesame"].replace("{cross_contact}", "") == "no sesame"
