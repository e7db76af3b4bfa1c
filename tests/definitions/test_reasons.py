"""Action, not reason: what any surface that is shown the action gets, over the whole catalogue, in all languages.

test_actions.py reads the labels; here it is the answer itself, rendered as a caller gets it: no word of why (allergy,
disability, illness, religion, pregnancy, ...), and no stored value.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from prefs.core import values
from prefs.core.catalogue import SURFACES, Definition, Sensitivity, Showing
from prefs.core.entries import Context, Strength
from prefs.core.labels import Labels
from prefs.core.resolved import Effective, Loser, Negative, Reason, Resolved, Status
from prefs.core.views import render
from prefs.definitions import load_standard
from tests.core.sights import usual
from tests.definitions.test_actions import REVEALING, samples

STANDARD = load_standard()
ALSO: Mapping[str, tuple[str, ...]] = {
    "en": (
        *(
            "epilep",
            "cancer",
            "hindu",
            "dialys",
            "coeliac",
            "celiac",
            "intoleran",
            "vegan",
            "faith",
            "prayer",
            "ramadan",
        ),
        *("wheelchair user", "mobility", "dement", "depress", "addict", "hiv", "veteran", "elderly", "sickness"),
    ),
    "lo": ("ຮິນດູ", "ຖືພາ", "ສາດສະໜາ", "ອິດສະລາມ", "ມຸດສະລິມ", "ມະເຮັງ", "ພິການ"),
    "ka": ("ინდუის", "ორსულ", "ისლამ", "მუსულმან", "ებრაულ", "ლოცვ", "ეპილეფს", "სნეულ"),
    "th": ("ฮินดู", "ตั้งครรภ์", "มุสลิม", "อิสลาม", "มะเร็ง", "ลมชัก", "ผู้ป่วย", "คนพิการ"),
    "vi": ("ấn độ giáo", "có thai", "mang bầu", "hồi giáo", "đạo hồi", "ung thư", "động kinh", "tàn tật", "người bệnh"),
    "ar": ("هندوس", "حمل ", "الإسلام", "يهودي", "سرطان", "صرع", "عجز", "ذوي الاحتياجات"),
}
# Rules of cooking that have no other name: the kitchen alone is told them, for what is on the plate and nothing else.
DISHES: Mapping[str, tuple[str, ...]] = {
    "en": ("halal", "kosher", "vegan"),
    "lo": ("ຮາລານ", "ໂຄເຊີ"),
    "ka": ("ჰალალ", "ქოშერ"),
    "th": ("ฮาลาล", "โคเชอร์"),
    "vi": ("halal", "kosher"),
    "ar": ("حلال", "كوشر"),
}
SHOWN_ACTIONS = [
    (definition, surface)
    for definition in STANDARD
    for surface in SURFACES
    if definition.surfaces.get(surface) is Showing.ACTION
]
TELLING = {"value", "reason", "considered", "entered", "layer", "not", "unit", "device_value"}


def reasons(language: str, surface: str) -> tuple[str, ...]:
    words = (*REVEALING[language], *ALSO[language])
    return tuple(word for word in words if surface != "food" or word not in DISHES[language])


def told(definition: Definition, effective: Effective, surface: str, labels: Labels) -> dict[str, Any]:
    resolved = Resolved("gst_a", 1, {definition.key: effective}, None)
    return render(STANDARD, resolved, usual(surface), labels, explain=True)[definition.key]


def effectives(definition: Definition) -> Iterator[Effective]:
    """Every sample value in every strength, with all that an answer by value would tell beside it."""
    key = definition.key
    for value in samples(definition.kind):
        loser = Loser("prf_1", "stated/profile", value, Strength.PREFERRED, "OUTRANKED", Context())
        for strength in (Strength.REQUIRED, Strength.PREFERRED):
            special = definition.is_special(strength, value)
            reason = Reason("CAPABILITY_MISSING", requested=value)
            yield Effective(
                *(key, value, Status.APPLIED, "stated/profile", strength),
                reason=reason,
                losers=(loser,),
                special=special,
            )
    kind = definition.kind
    items = kind.items if isinstance(kind, values.Sequence) else kind
    refusable = Strength.UNACCEPTABLE in definition.strengths and definition.fixed_strength is None
    for choice in items.choices if refusable and isinstance(items, values.Choice) else ():
        refused = Negative(choice, Strength.UNACCEPTABLE, "stated/profile")
        yield Effective(key, None, Status.APPLIED, "stated/profile", Strength.UNACCEPTABLE, nots=(refused,))


def leaves(shown: Any) -> Iterator[str]:
    match shown:
        case dict():
            for one in shown.values():
                yield from leaves(one)
        case list():
            for one in shown:
                yield from leaves(one)
        case str():
            yield shown


def faults(definition: Definition, surface: str, language: str, labels: Labels) -> Iterator[str]:
    words = reasons(language, surface)
    choices = set(labels.keys[definition.key].choices)
    for effective in effectives(definition):
        shown = told(definition, effective, surface, labels)
        if wrong := TELLING & shown.keys():
            yield f"{definition.key} tells {surface} its {', '.join(sorted(wrong))}"
        text = json.dumps(list(leaves(shown)), ensure_ascii=False).casefold()
        for word in words:
            if word in text:
                yield f"{definition.key} tells {surface} in {language} {word!r}: {text[:200]}"
        for choice in choices & set(leaves(shown)) - {label for label in labels.keys[definition.key].choices.values()}:
            if definition.sensitivity is Sensitivity.SC and "_" in choice:
                yield f"{definition.key} tells {surface} the stored value {choice}"


@pytest.mark.parametrize("language", STANDARD.labels)
def test_no_surface_that_gets_the_action_gets_the_reason(language: str) -> None:
    labels = STANDARD.labels[language]
    found = [fault for definition, surface in SHOWN_ACTIONS for fault in faults(definition, surface, language, labels)]
    assert sorted(set(found)) == []


def test_the_words_are_there_in_every_language_of_the_catalogue() -> None:
    assert STANDARD.labels.keys() == REVEALING.keys() == ALSO.keys() == DISHES.keys()
    assert len(SHOWN_ACTIONS) > 40
    assert {surface for _, surface in SHOWN_ACTIONS} == {"housekeeping", "front_desk", "food", "engineering"}


@pytest.mark.parametrize("language", STANDARD.labels)
def test_a_reason_planted_in_a_label_is_found(language: str) -> None:
    """A reason in one choice's label, as a translator might put it, or in the sentence of the key."""
    labels, definition = STANDARD.labels[language], STANDARD.definitions["bed.pillow_type"]
    words = labels.keys[definition.key]
    for reason in (REVEALING[language][0], ALSO[language][0]):
        spoilt = replace(words, actions={**words.actions, "_": f"{{items}} ({reason})"})
        planted = labels.with_keys(type(labels)(language, keys={definition.key: spoilt}))
        assert list(faults(definition, "housekeeping", language, planted)), (language, reason)
