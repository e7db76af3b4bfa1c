"""Edits against the past and the rest of a document: versions, conflicts, warnings, and what can be undone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest

from prefs.core import edits
from prefs.core.changes import Action, Change
from prefs.core.entries import Document, Entry, ProvenanceKind
from prefs.core.errors import InvalidEdit, KeyConflict, NotAllowed, NotFound, VersionMoved
from tests.core import builders
from tests.core.desk import ALLERGENS, NOW, PILLOWS, STAFF, WARMTH, Desk, author

# ---------------------------------------------------------------- versions


@pytest.mark.parametrize(("if_match", "refused"), [(None, False), (2, False), (1, True), (3, True)])
def test_if_match_compares_the_whole_document(if_match: int | None, refused: bool) -> None:
    desk = Desk()
    desk.edit({"room.quiet": True})
    if not refused:
        assert desk.edit({WARMTH: 20}, if_match=if_match).document.version == 3
        return
    with pytest.raises(VersionMoved) as moved:
        desk.edit({WARMTH: 20}, if_match=if_match)
    assert (moved.value.expected, moved.value.current) == (if_match, 2)


def test_disjoint_edits_from_one_base_both_succeed_and_touched_keys_conflict() -> None:
    desk = Desk()
    desk.edit({WARMTH: 20})
    base = desk.document.version
    desk.edit({WARMTH: 22}, by=STAFF, scope="stay:s1", base_version=base)
    desk.edit({"room.quiet": True}, base_version=base)
    desk.edit({WARMTH: 21}, base_version=base + 2)
    with pytest.raises(KeyConflict) as conflict:
        desk.edit({WARMTH: {"value": Decimal("23.5"), "strength": "required"}, "room.view": ["sea"]}, base_version=base)
    (key,) = conflict.value.conflicts
    assert key.key == WARMTH
    assert key.yours == {"value": 23.5, "strength": "required"}
    assert [(e["scope"], e["value"]) for e in key.theirs] == [("stay:s1", 22.0), ("profile", 21.0)]
    assert [(e["scope"], e["value"]) for e in key.base] == [("profile", 20.0)]
    assert (key.by, key.version, key.at) == ("a-guest", desk.document.version, "2026-07-01T12:00:00Z")


def test_saying_the_same_as_the_newer_change_is_no_conflict() -> None:
    desk = Desk()
    desk.edit({WARMTH: 20}, base_version=1)
    assert desk.edit({WARMTH: 20}, base_version=1).change is None


def test_a_base_from_the_future_is_refused() -> None:
    with pytest.raises(VersionMoved):
        Desk().edit({WARMTH: 20}, base_version=9)


def test_a_conflict_shows_a_surface_no_more_than_it_may_see() -> None:
    desk = Desk("service_delivery")
    desk.edit({"access.step_free_route": "full"}, "stay:s1")
    with pytest.raises(KeyConflict) as conflict:
        desk.edit({"access.step_free_route": "ramp"}, "stay:s1", STAFF, base_version=1)
    (key,) = conflict.value.conflicts
    assert (key.theirs, key.base) == ([], [])


# ---------------------------------------------------------------- warnings


def test_a_value_refused_elsewhere_is_kept_with_a_warning() -> None:
    desk = Desk()
    desk.edit({PILLOWS: {"not": ["feather_down"]}})
    refusal = desk.document.of(PILLOWS)[0]
    edited = desk.edit({PILLOWS: {"value": [{"type": "feather_down", "count": 1}], "strength": "required"}}, "stay:s1")
    (warned,) = edited.warnings
    assert (warned.key, warned.code, warned.entry) == (PILLOWS, "REFUSED_ELSEWHERE", refusal.id)
    assert edited.change is not None


def test_a_wish_below_a_need_is_kept_with_a_warning() -> None:
    desk = Desk()
    desk.edit({WARMTH: {"value": 20, "strength": "required"}})
    (warned,) = desk.edit({WARMTH: 22}, "stay:s1").warnings
    assert (warned.code, warned.entry) == ("OUTRANKED_BY_NEED", desk.document.of(WARMTH)[0].id)
    assert desk.edit({WARMTH: {"value": 23, "strength": "required"}}, "stay:s1").warnings == ()


def test_no_warning_where_two_entries_never_meet() -> None:
    desk = Desk()
    desk.edit({WARMTH: {"value": 20, "strength": "required", "context": {"trip": "business"}}})
    desk.edit({WARMTH: {"value": 20, "strength": "required"}}, "property:paris")
    assert desk.edit({WARMTH: {"value": 22, "context": {"trip": "leisure"}}}, "property:dallas").warnings == ()


# ---------------------------------------------------------------- undo


def test_a_change_is_undone_as_a_new_version() -> None:
    desk = Desk()
    desk.edit({WARMTH: 20, "room.quiet": True})
    desk.edit({WARMTH: {"value": 72, "unit": "[degF]"}, "room.quiet": None})
    undone = desk.revert(3)
    assert undone.document.version == 4
    assert desk.said(WARMTH) == [("profile", 2000, "preferred")]
    assert desk.said("room.quiet") == [("profile", True, "preferred")]
    assert undone.change is not None
    assert undone.change.action is Action.REVERT
    assert desk.revert(4).document.version == 5
    assert desk.document.of(WARMTH)[0].value == 2222


def test_undoing_twice_changes_nothing() -> None:
    desk = Desk()
    desk.edit({WARMTH: 20})
    desk.revert(2)
    assert desk.revert(2).change is None
    assert desk.document.version == 3


def test_a_key_that_changed_since_conflicts_and_keeps_the_rest_as_it_is() -> None:
    desk = Desk()
    desk.edit({WARMTH: 20, "room.quiet": True})
    desk.edit({WARMTH: 21})
    with pytest.raises(KeyConflict) as conflict:
        desk.revert(2)
    assert [one.key for one in conflict.value.conflicts] == [WARMTH]
    assert len(desk.document.entries) == 2


def test_undo_brings_back_what_others_had_said_as_theirs() -> None:
    desk = Desk()
    desk.edit({WARMTH: 20}, "stay:s1", STAFF)
    desk.edit({WARMTH: None}, "stay:s1")
    desk.revert(3)
    (entry,) = desk.document.of(WARMTH)
    assert (entry.provenance.kind, entry.provenance.actor) == (ProvenanceKind.STATED_VIA_STAFF, "a-staff")


def test_undo_needs_the_consent_that_writing_would_need() -> None:
    desk = Desk("food_safety")
    desk.edit({ALLERGENS: [{"code": "peanuts"}]})
    desk.edit({ALLERGENS: None})
    desk.document = Document("gst_a", desk.document.version, desk.document.entries)
    with pytest.raises(InvalidEdit, match="consent"):
        desk.revert(3)


def test_undo_skips_what_expired_and_refuses_what_never_was() -> None:
    desk = Desk()
    desk.edit({WARMTH: {"value": 20, "expires_at": "2026-07-01T13:00:00Z"}})
    desk.edit({WARMTH: None})
    assert desk.revert(3, author(at=NOW + timedelta(hours=1))).change is None
    with pytest.raises(NotFound):
        desk.revert(9)


def test_undo_refuses_what_the_catalogue_or_a_group_no_longer_takes() -> None:
    colours = builders.catalogue(builders.choice("room.colour", "red blue"))
    desk = Desk(catalogue=colours)
    desk.edit({"room.colour": "red"})
    desk.edit({"room.colour": "blue"})
    desk.catalogue = builders.catalogue(builders.choice("room.colour", "blue green"))
    with pytest.raises(InvalidEdit) as refused:
        desk.revert(3)
    assert refused.value.code == "OUTDATED"
    crowded = Desk("room_setup")
    crowded.edit({"room.allergen_care": ["allergy_friendly_room"]})
    crowded.edit({"room.allergen_care": None})
    crowded.edit({"room.smoking": "smoking"})
    with pytest.raises(InvalidEdit) as full:
        crowded.revert(3)
    assert full.value.code == "EXCLUSIVE"


def test_a_change_without_preferences_is_not_undone_here() -> None:
    desk = Desk()
    desk.changes.append(Change("gst_a", 1, NOW, "a", "service", "", Action.CREATE))
    with pytest.raises(NotAllowed):
        desk.revert(1)


# ---------------------------------------------------------------- fitting entries


@pytest.mark.parametrize(
    ("change", "takes"),
    [
        (lambda entry: entry, True),
        (lambda entry: builders.entry("room.colour", "green"), False),
        (lambda entry: builders.entry("room.colour", "red", at="brand:b"), False),
        (lambda entry: builders.entry("room.colour", "red", "required"), False),
        (lambda entry: builders.entry("room.colour", "red", season="warm"), False),
        (lambda entry: builders.entry("room.colour", ["red"]), False),
        (lambda entry: builders.entry("room.colour", None), False),
        (lambda entry: builders.entry("room.colour", None, "no_preference"), True),
    ],
)
def test_an_entry_fits_only_what_the_definition_takes(change: Callable[[Entry], Entry], takes: bool) -> None:
    definition = builders.choice(
        "room.colour", "red blue", scopes=["profile"], contexts=["trip"], strengths=["preferred", "no_preference"]
    )
    assert edits.fits(definition, change(builders.entry("room.colour", "red"))) is takes
