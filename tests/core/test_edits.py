"""Edits of a document: what a patch means, who may write what, and everything that refuses it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from prefs.core import edits
from prefs.core.changes import Action
from prefs.core.edits import Author, edit
from prefs.core.entries import Document, Strength
from prefs.core.errors import InvalidEdit, NotAllowed
from prefs.core.patches import parse_scope
from tests.core import builders
from tests.core.desk import ALLERGENS, GUEST, IMPORTER, NOW, OBSERVER, PILLOWS, STAFF, WARMTH, Desk, author

# ---------------------------------------------------------------- what a patch means


def test_a_bare_value_is_preferred_in_the_canonical_unit() -> None:
    desk = Desk()
    desk.edit({WARMTH: Decimal("20.5"), "room.quiet": True})
    assert desk.said(WARMTH) == [("profile", 2050, "preferred")]
    assert desk.said("room.quiet") == [("profile", True, "preferred")]
    assert desk.document.of(WARMTH)[0].entered is None
    assert desk.document.version == 2


def test_an_entered_unit_is_echoed_to_the_digit() -> None:
    desk = Desk()
    desk.edit({WARMTH: {"value": 72, "unit": "[degF]", "strength": "required"}})
    (entry,) = desk.document.of(WARMTH)
    assert (entry.value, entry.strength) == (2222, Strength.REQUIRED)
    assert entry.entered is not None
    assert (entry.entered.value, entry.entered.unit) == (72, "[degF]")


def test_a_canonical_value_that_was_rounded_is_echoed_as_typed() -> None:
    desk = Desk()
    desk.edit({WARMTH: Decimal("20.123")})
    (entry,) = desk.document.of(WARMTH)
    assert entry.value == 2012
    assert entry.entered is not None
    assert entry.entered.value == 20.123


def test_keys_not_named_stay_and_null_removes_everything_at_that_scope_only() -> None:
    desk = Desk()
    desk.edit({WARMTH: 20, "room.quiet": True})
    desk.edit({WARMTH: {"value": 22, "context": {"trip": "business"}}})
    desk.edit({WARMTH: 23}, "property:dallas")
    desk.edit({WARMTH: None})
    assert desk.said(WARMTH) == [("property:dallas", 2300, "preferred")]
    assert desk.said("room.quiet") == [("profile", True, "preferred")]


def test_a_null_value_with_a_context_removes_that_context_only() -> None:
    desk = Desk()
    desk.edit({WARMTH: 20})
    desk.edit({WARMTH: {"value": 22, "context": {"trip": "business"}}})
    desk.edit({WARMTH: {"value": None, "context": {"trip": "business"}}})
    assert desk.said(WARMTH) == [("profile", 2000, "preferred")]
    desk.edit({WARMTH: {"value": 22, "context": {"trip": "business"}}})
    desk.edit({WARMTH: {"value": None}})
    assert [e.context.trip for e in desk.document.of(WARMTH)] == ["business"]


def test_no_preference_is_a_value_of_its_own() -> None:
    desk = Desk()
    desk.edit({WARMTH: {"value": None, "strength": "no_preference"}})
    assert desk.said(WARMTH) == [("profile", None, "no_preference")]
    assert desk.faults({WARMTH: {"value": 20, "strength": "no_preference"}}) == {
        (f"/{WARMTH}/value", "VALUE_NOT_ALLOWED")
    }


def test_one_positive_and_a_list_of_negatives_stand_side_by_side() -> None:
    desk = Desk()
    desk.edit({PILLOWS: {"value": [{"type": "foam", "count": 2}], "not": ["feather_down"]}})
    assert desk.said(PILLOWS) == [
        ("profile", [{"type": "foam", "count": 2}], "preferred"),
        ("profile", "feather_down", "unacceptable"),
    ]
    desk.edit({PILLOWS: [{"type": "memory_foam", "count": 1}]})
    assert ("profile", "feather_down", "unacceptable") in desk.said(PILLOWS)
    desk.edit({PILLOWS: {"not": [{"value": "body", "strength": "avoid"}, "feather_down"]}})
    assert desk.said(PILLOWS)[-1] == ("profile", "body", "avoid")
    assert len(desk.said(PILLOWS)) == 3
    desk.edit({PILLOWS: {"not": []}})
    assert desk.said(PILLOWS) == [("profile", [{"type": "memory_foam", "count": 1}], "preferred")]


def test_a_negative_strength_without_not_sets_the_list_of_negatives_to_that_one() -> None:
    desk = Desk()
    desk.edit({"climate.mode": {"value": "cool", "not": ["heat"]}})
    desk.edit({"climate.mode": {"value": "auto", "strength": "avoid"}})
    assert sorted(desk.said("climate.mode")) == [
        ("profile", "auto", "avoid"),
        ("profile", "cool", "preferred"),
    ]


def test_a_fixed_strength_is_implied_and_has_no_negatives() -> None:
    desk = Desk("food_safety")
    desk.edit({ALLERGENS: [{"code": "peanuts", "cross_contact": True}]})
    assert desk.said(ALLERGENS) == [("profile", [{"code": "peanuts", "cross_contact": True}], "unacceptable")]
    assert desk.faults({ALLERGENS: {"not": ["peanuts"]}}) == {(f"/{ALLERGENS}/not", "STRENGTH_NOT_ALLOWED")}
    assert desk.faults({ALLERGENS: {"value": [], "strength": "preferred"}}) == {
        (f"/{ALLERGENS}/strength", "STRENGTH_NOT_ALLOWED")
    }


def test_contexts_hold_entries_apart() -> None:
    desk = Desk()
    for word in ("wake", "sleep"):
        desk.edit({WARMTH: {"value": 20, "context": {"time_of_day": word}}})
    assert [e.context.time_of_day for e in desk.document.of(WARMTH)] == ["wake", "sleep"]


def test_what_changes_nothing_leaves_no_history() -> None:
    desk = Desk()
    first = desk.edit({WARMTH: 20, PILLOWS: {"not": ["body"]}})
    again = desk.edit({WARMTH: {"value": 20, "unit": "Cel"}, PILLOWS: {"not": ["body"]}, "room.quiet": None})
    assert again.change is None
    assert again.document is first.document
    assert again.touched == (WARMTH, PILLOWS, "room.quiet")
    assert desk.edit({}).change is None


def test_an_expired_entry_is_replaced_even_by_the_same_value() -> None:
    desk = Desk()
    desk.edit({WARMTH: {"value": 20, "expires_at": "2026-07-01T13:00:00Z"}})
    later = author(at=NOW + timedelta(hours=2))
    written = desk.edit({WARMTH: {"value": 20, "expires_at": "2026-07-02T13:00:00+02:00"}}, by=later)
    assert written.change is not None
    (entry,) = desk.document.of(WARMTH)
    assert entry.expires_at == datetime(2026, 7, 2, 11, tzinfo=UTC)


def test_the_change_tells_what_left_and_what_came() -> None:
    desk = Desk()
    desk.edit({WARMTH: 20})
    change = desk.edit({WARMTH: 21}).change
    assert change is not None
    assert (change.version, change.actor, change.surface, change.action) == (3, "a-guest", "guest_app", Action.EDIT)
    (key,) = change.keys
    assert ([e.value for e in key.removed], [e.value for e in key.added]) == ([2000], [2100])
    assert key.added[0].version == 3


# ---------------------------------------------------------------- who writes what


def test_observed_and_imported_stand_beside_what_was_stated() -> None:
    desk = Desk()
    desk.edit({WARMTH: 20}, "property:dallas")
    desk.edit({WARMTH: 21}, "property:dallas", OBSERVER)
    desk.edit({WARMTH: 22}, "property:dallas", IMPORTER)
    kinds = {e.provenance.kind.value: e.value for e in desk.document.of(WARMTH)}
    assert kinds == {"stated": 2000, "observed": 2100, "imported": 2200}


@pytest.mark.parametrize(
    ("by", "left"),
    [(GUEST, set()), (STAFF, {"stated", "imported"}), (IMPORTER, {"stated", "stated_via_staff"})],
)
def test_null_removes_what_the_role_may_remove(by: Author, left: set[str]) -> None:
    desk = Desk()
    for each in (GUEST, STAFF, IMPORTER):
        desk.edit({WARMTH: 20}, "stay:s1", each)
    desk.edit({WARMTH: None}, "stay:s1", by)
    assert {e.provenance.kind.value for e in desk.document.of(WARMTH)} == left


def test_nobody_edits_the_room_scope_and_who_opted_out_is_not_observed() -> None:
    desk = Desk()
    with pytest.raises(NotAllowed):
        edit(desk.catalogue, desk.document, desk, {WARMTH: 20}, parse_scope("room"), GUEST, desk.new_id)
    desk.edit({"privacy.observation_opt_out": True})
    with pytest.raises(NotAllowed, match="observed"):
        desk.edit({WARMTH: 20}, "property:dallas", OBSERVER)
    desk.edit({"privacy.observation_opt_out": False})
    assert desk.edit({WARMTH: 20}, "property:dallas", OBSERVER).change is not None


# ---------------------------------------------------------------- consent


def test_special_category_data_needs_consent_for_its_purpose() -> None:
    desk = Desk()
    patch = {ALLERGENS: [{"code": "peanuts"}], WARMTH: 20}
    assert desk.faults(patch) == {(f"/{ALLERGENS}", "CONSENT_REQUIRED")}
    with pytest.raises(InvalidEdit, match="food_safety") as refused:
        desk.edit(patch)
    assert refused.value.code == "CONSENT_REQUIRED"
    assert desk.document.entries == ()
    consenting = Desk("food_safety")
    assert consenting.edit(patch).change is not None


def test_an_entry_may_be_special_by_its_strength_or_value_alone() -> None:
    desk = Desk()
    desk.edit({"tv.captions": {"value": {"mode": "on"}, "strength": "preferred"}})
    assert desk.faults({"tv.captions": {"value": {"mode": "on"}, "strength": "required"}}) == {
        ("/tv.captions", "CONSENT_REQUIRED")
    }
    desk.edit({"minibar.stock": {"style": "empty"}})
    assert desk.faults({"minibar.stock": {"style": "no_alcohol"}}) == {("/minibar.stock", "CONSENT_REQUIRED")}


def test_special_category_data_is_never_observed_even_with_consent() -> None:
    desk = Desk("food_safety")
    patch = {ALLERGENS: [{"code": "peanuts"}]}
    assert desk.faults(patch, "property:dallas", OBSERVER) == {(f"/{ALLERGENS}", "SPECIAL_NOT_OBSERVED")}


def test_removing_needs_no_consent() -> None:
    desk = Desk("food_safety")
    desk.edit({ALLERGENS: [{"code": "peanuts"}]})
    desk.document = Document("gst_a", desk.document.version, desk.document.entries)
    desk.edit({ALLERGENS: None})
    assert desk.document.entries == ()


# ---------------------------------------------------------------- faults


def test_every_fault_is_listed_with_its_pointer_and_nothing_is_kept() -> None:
    patch = {
        WARMTH: {"value": 50, "strength": "maybe", "context": {"moon": "full", "trip": "space"}, "extra": 1},
        "room.quiet": "yes",
        "no.such.key": 1,
        "a/b~c": 1,
        PILLOWS: {
            "value": [{"type": "foam", "count": 9}, {"type": "stone", "count": 1}],
            "not": ["gravel", "body", "body"],
        },
        "climate.mode": {"value": "cool", "unit": "Cel"},
        "lighting.brightness": {"value": 40, "unit": "K"},
        "locale.hour_format": {"value": "h24", "context": {"trip": "business"}},
    }
    found = Desk().faults(patch)
    assert {
        (f"/{WARMTH}/value", "OUT_OF_RANGE"),
        (f"/{WARMTH}/strength", "UNKNOWN_CHOICE"),
        (f"/{WARMTH}/context/moon", "UNKNOWN_FIELD"),
        (f"/{WARMTH}/context/trip", "UNKNOWN_CHOICE"),
        (f"/{WARMTH}/extra", "UNKNOWN_FIELD"),
        ("/room.quiet", "WRONG_TYPE"),
        ("/no.such.key", "UNKNOWN_KEY"),
        ("/a~1b~0c", "UNKNOWN_KEY"),
        (f"/{PILLOWS}/value/0/count", "OUT_OF_RANGE"),
        (f"/{PILLOWS}/value/1/type", "UNKNOWN_CHOICE"),
        (f"/{PILLOWS}/not/0", "UNKNOWN_CHOICE"),
        (f"/{PILLOWS}/not/2", "DUPLICATE"),
        ("/climate.mode/unit", "WRONG_UNIT"),
        ("/lighting.brightness/unit", "WRONG_UNIT"),
        ("/locale.hour_format/context/trip", "CONTEXT_NOT_ALLOWED"),
    } <= found


@pytest.mark.parametrize(
    ("member", "where", "code"),
    [
        ({"strength": "required"}, "/value", "MISSING_FIELD"),
        ({"value": 20, "strength": 5}, "/strength", "UNKNOWN_CHOICE"),
        ({"value": 20, "strength": "avoid"}, "/strength", "STRENGTH_NOT_ALLOWED"),
        ({"value": 20, "unit": 5}, "/unit", "WRONG_TYPE"),
        ({"value": 20, "context": "business"}, "/context", "WRONG_TYPE"),
        ({"value": 20, "expires_at": "tomorrow"}, "/expires_at", "BAD_TIME"),
        ({"value": 20, "expires_at": "2026-07-01T14:00:00"}, "/expires_at", "BAD_TIME"),
        ({"value": 20, "expires_at": "2026-07-01T12:00:00Z"}, "/expires_at", "OUT_OF_RANGE"),
        ({"value": 20, "not": ["x"]}, "/not", "STRENGTH_NOT_ALLOWED"),
        ({"value": "20"}, "/value", "WRONG_TYPE"),
        (Decimal("NaN"), "", "WRONG_TYPE"),
        (10**15, "", "WRONG_TYPE"),
        ([], "", "WRONG_TYPE"),
    ],
)
def test_a_member_that_is_wrong_is_named(member: Any, where: str, code: str) -> None:
    assert Desk().faults({WARMTH: member}) == {(f"/{WARMTH}{where}", code)}


def test_scope_patch_and_size_are_checked() -> None:
    desk = Desk()
    assert desk.faults([1]) == {("", "WRONG_TYPE")}
    assert desk.faults({f"no.key_{'a' * n}": 1 for n in range(51)}) == {("", "TOO_MANY_KEYS")}
    narrow = builders.catalogue(builders.choice("room.colour", "red blue", scopes=["profile"]))
    assert Desk(catalogue=narrow).faults({"room.colour": "red"}, "stay:s") == {("/room.colour", "SCOPE_NOT_ALLOWED")}
    for wrong in ("house", "brand:", "stay:a b", "profile:x", "room:1", "stay:" + "x" * 65):
        with pytest.raises(InvalidEdit):
            parse_scope(wrong)


def test_a_deprecated_key_names_its_successor_and_can_still_be_removed() -> None:
    old = builders.choice("room.colour", "red blue", deprecated_by="room.paint")
    desk = Desk(catalogue=builders.catalogue(old, builders.choice("room.paint", "red blue")))
    with pytest.raises(InvalidEdit, match=r"room\.paint") as refused:
        desk.edit({"room.colour": "red"})
    assert refused.value.code == "DEPRECATED"
    assert desk.edit({"room.colour": None}).change is None


def test_a_guest_cannot_fill_the_house() -> None:
    desk = Desk()
    many = tuple(builders.entry(WARMTH, 2000, at=f"property:h{n}") for n in range(edits.ENTRIES_MAX))
    desk.document = Document("gst_a", 1, many)
    assert desk.faults({"climate.mode": "cool"}) == {("", "TOO_MANY_ENTRIES")}
    desk.edit({WARMTH: 21}, "property:h1")


# ---------------------------------------------------------------- exclusive groups


def test_exclusive_groups_are_refused_per_scope_and_context() -> None:
    desk = Desk("room_setup")
    desk.edit({"room.allergen_care": ["allergy_friendly_room"]})
    assert desk.faults({"room.smoking": "smoking"}) == {("/room.smoking", "EXCLUSIVE")}
    desk.edit({"room.smoking": "non_smoking"})
    desk.edit({"room.smoking": "smoking"}, "stay:s1")
    desk.edit({"room.allergen_care": None})
    desk.edit({"room.smoking": "smoking"})
    both = {"room.smoking": "smoking", "room.allergen_care": ["allergy_friendly_room"]}
    assert desk.faults(both) == {("/room.allergen_care", "EXCLUSIVE")}


def test_elements_that_exclude_each_other_are_refused_in_one_value() -> None:
    exclusive = builders.listing("room.scent", "pine rose", exclusive=[["pine", "rose"]])
    desk = Desk(catalogue=builders.catalogue(exclusive))
    assert desk.faults({"room.scent": ["pine", "rose"]}) == {("/room.scent", "EXCLUSIVE")}
