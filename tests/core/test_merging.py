"""Four merges, on small catalogues written here: what becomes the value, who contributed, who lost and why."""

from typing import Any

import pytest

from prefs.core.catalogue import Definition
from prefs.core.entries import Entry, Strength
from prefs.core.resolve import resolve
from prefs.core.resolved import Effective, Status
from prefs.core.rooms import Basis, Force, Policy, PolicyLevel
from tests.core.builders import catalogue, choice, definition, document, entry, facts, listing

SCENE = choice("light.scene", "relax bright night", default="bright")
AIDS = definition(
    "care.aids",
    {
        "kind": "list",
        "id": "code",
        "max_items": 9,
        "items": {
            "kind": "object",
            "fields": {
                "code": {"kind": "choice", "choices": ["nuts", "milk", "fish"]},
                "strict": {"kind": "flag", "optional": True},
            },
        },
    },
    merge="union",
)
LOCK = choice(
    "tv.lock", "kids_only none adult_blocked", merge="strictest", strictest_order=["none", "adult_blocked", "kids_only"]
)
CAPTIONS = definition(
    "tv.captions",
    {
        "kind": "object",
        "fields": {
            "mode": {"kind": "choice", "choices": ["off", "on"], "optional": True},
            "language": {"kind": "language", "optional": True},
        },
    },
    merge="object",
    strengths=["required", "preferred", "no_preference"],
    default={"mode": "off"},
)


def answer(of: Definition, *entries: Entry, policies: tuple[Policy, ...] = ()) -> Effective:
    resolved = resolve(catalogue(of), document(*entries), facts(policies=policies), keys=[of.key], explain=True)
    return resolved.effective[of.key]


def recommended(of: Definition, value: Any) -> Policy:
    return Policy("p", of.key, PolicyLevel.PROPERTY, Force.RECOMMENDED, Basis.COMFORT, value=value)


def codes(effective: Effective) -> list[str]:
    return [loser.code for loser in effective.losers]


def test_replace_takes_the_highest_whole() -> None:
    found = answer(SCENE, entry("light.scene", "relax"), entry("light.scene", "night", at="stay:s"))

    assert (found.value, found.layer, found.status) == ("night", "stated/stay", Status.APPLIED)
    assert codes(found) == ["LOWER_SCOPE", "LOWER_CLASS"]


def test_no_preference_stops_what_lies_below() -> None:
    found = answer(SCENE, entry("light.scene", "relax"), entry("light.scene", None, "no_preference", at="stay:s"))

    assert (found.value, found.status, found.layer) == (None, Status.NO_PREFERENCE, "stated/stay")
    assert codes(found) == ["STOPPED_BY_NO_PREFERENCE"] * 2


def test_union_adds_every_layer_by_rank_then_position_and_a_true_flag_wins() -> None:
    found = answer(
        AIDS,
        entry("care.aids", [{"code": "milk"}, {"code": "fish"}], at="stay:s"),
        entry("care.aids", [{"code": "nuts"}, {"code": "milk", "strict": True}], "required", known="imported"),
    )

    assert found.value == [{"code": "milk", "strict": True}, {"code": "fish"}, {"code": "nuts"}]
    assert (found.strength, found.layer) == (Strength.REQUIRED, "stated/stay")


def test_union_ignores_no_preference_and_policies_where_anything_was_stated() -> None:
    found = answer(
        AIDS,
        entry("care.aids", None, "no_preference", at="stay:s"),
        entry("care.aids", [{"code": "milk"}]),
        policies=(recommended(AIDS, [{"code": "nuts"}]),),
    )

    assert (found.value, found.layer) == ([{"code": "milk"}], "stated/profile")
    assert sorted(codes(found)) == ["LOWER_CLASS", "NO_PREFERENCE"]


def test_union_falls_to_the_policy_where_nothing_but_no_preference_was_said() -> None:
    indifferent = entry("care.aids", None, "no_preference")

    assert answer(AIDS, indifferent, policies=(recommended(AIDS, [{"code": "nuts"}]),)).status is Status.DEFAULT
    assert answer(AIDS, indifferent).status is Status.NO_PREFERENCE


def test_union_keeps_a_stated_nothing() -> None:
    found = answer(AIDS, entry("care.aids", []))

    assert (found.value, found.status) == ([], Status.APPLIED)


def test_union_on_a_scalar_reads_replace() -> None:
    scalar = choice("light.scene", "relax bright night", merge="union")

    found = answer(scalar, entry("light.scene", "relax"), entry("light.scene", "night", at="stay:s"))

    assert found.value == "night"


def test_strictest_goes_by_its_order_not_by_rank() -> None:
    found = answer(
        LOCK,
        entry("tv.lock", "none", "required", at="stay:s"),
        entry("tv.lock", "kids_only", known="imported"),
        entry("tv.lock", "kids_only", at="property:h"),
    )

    assert (found.value, found.layer) == ("kids_only", "stated/property")
    assert sorted(codes(found)) == ["LESS_STRICT", "LOWER_CLASS"]


def test_strictest_lets_policies_count_only_where_no_entry_is() -> None:
    strict = recommended(LOCK, "kids_only")

    assert answer(LOCK, entry("tv.lock", "none"), policies=(strict,)).value == "none"
    assert answer(LOCK, policies=(strict,)).value == "kids_only"
    assert answer(LOCK, entry("tv.lock", None, "no_preference"), policies=(strict,)).status is Status.NO_PREFERENCE


def test_recurring_intervals_are_united() -> None:
    fields = {"start": {"kind": "time"}, "end": {"kind": "time"}}
    quiet = definition(
        "privacy.quiet",
        {"kind": "list", "max_items": 9, "items": {"kind": "object", "fields": fields}},
        merge="strictest",
    )
    night, nap = {"start": "22:00", "end": "08:00"}, {"start": "13:00", "end": "15:00"}

    found = answer(quiet, entry("privacy.quiet", [night]), entry("privacy.quiet", [nap, night], at="stay:s"))

    assert found.value == [nap, night]


def test_object_fills_open_fields_from_below() -> None:
    found = answer(
        CAPTIONS,
        entry("tv.captions", {"language": "es"}, "required", at="stay:s"),
        entry("tv.captions", {"mode": "on", "language": "lo"}),
    )

    assert found.value == {"mode": "on", "language": "es"}
    assert (found.strength, found.layer) == (Strength.REQUIRED, "stated/stay")
    assert codes(found) == ["LOWER_CLASS"]


def test_object_fills_from_the_default_but_not_past_a_no_preference() -> None:
    language = entry("tv.captions", {"language": "es"}, at="stay:s")

    assert answer(CAPTIONS, language).value == {"mode": "off", "language": "es"}
    assert answer(CAPTIONS, language, entry("tv.captions", None, "no_preference")).value == {"language": "es"}


LANGS = listing("tv.sound", "es th lo")


@pytest.mark.parametrize(
    ("wish", "refusal", "value"),
    [
        (entry("tv.sound", ["es", "th"]), entry("tv.sound", "th", "unacceptable"), ["es"]),
        (entry("tv.sound", ["es", "th"], "required"), entry("tv.sound", "th", "unacceptable"), ["es"]),
        (entry("tv.sound", ["es", "th"]), entry("tv.sound", "th", "unacceptable", known="imported"), ["es", "th"]),
        (entry("tv.sound", ["es", "th"]), entry("tv.sound", "th", "avoid", at="stay:s"), ["es"]),
        (entry("tv.sound", ["es", "th"], at="stay:s"), entry("tv.sound", "th", "avoid"), ["es", "th"]),
        (entry("tv.sound", ["es", "th"], "required"), entry("tv.sound", "th", "avoid", at="stay:s"), ["es", "th"]),
    ],
)
def test_negatives_strike_elements(wish: Entry, refusal: Entry, value: list[str]) -> None:
    assert answer(LANGS, wish, refusal).value == value


def test_a_candidate_left_empty_falls_out_and_the_next_is_tried() -> None:
    found = answer(
        LANGS,
        entry("tv.sound", ["th"], at="stay:s"),
        entry("tv.sound", ["lo"]),
        entry("tv.sound", "th", "unacceptable"),
    )

    assert (found.value, found.layer) == (["lo"], "stated/profile")
    assert [(n.value, n.strength, n.layer) for n in found.nots] == [("th", Strength.UNACCEPTABLE, "stated/profile")]
    assert codes(found) == ["REFUSED"]


def test_nothing_but_negatives_is_shown_without_a_value() -> None:
    found = answer(
        SCENE,
        *(entry("light.scene", scene, "unacceptable") for scene in ("bright", "night")),
        entry("light.scene", "bright", "avoid", at="stay:s"),
    )

    assert (found.value, found.status, found.layer) == (None, Status.APPLIED, "stated/profile")
    assert found.strength is Strength.UNACCEPTABLE
    assert {n.value: n.strength for n in found.nots} == {
        "bright": Strength.UNACCEPTABLE,
        "night": Strength.UNACCEPTABLE,
    }


def test_a_fixed_strength_counts_as_a_need_and_shows_no_negatives() -> None:
    fixed = definition(
        "care.aids", dict(AIDS.raw["value"]), merge="union", strengths=["unacceptable"], fixed_strength="unacceptable"
    )

    found = answer(fixed, entry("care.aids", [{"code": "nuts"}], "unacceptable"))

    assert (found.value, found.strength, found.nots) == ([{"code": "nuts"}], Strength.UNACCEPTABLE, ())
