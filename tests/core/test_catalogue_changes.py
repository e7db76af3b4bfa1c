"""What a changed definition does to what is stored: planned and carried out by the same rules."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest

from prefs.core.catalogue import Definition
from prefs.core.catalogue_changes import Outcome, migrate, plan, rewrite
from prefs.core.changes import Action
from prefs.core.entries import Document, Entered, Entry, ScopeKind, Strength
from tests.core import builders

NOW = datetime(2026, 7, 1, tzinfo=UTC)
COLOUR = "room.colour"
OLD = builders.choice(COLOUR, "red blue green", fallbacks={"red": ["blue"]})
WARMTH = builders.quantity()


@dataclass(frozen=True)
class Use:
    """A group of stored entries as a store counts them."""

    value: Any
    strength: Strength = Strength.PREFERRED
    scope: ScopeKind = ScopeKind.PROFILE
    count: int = 1


def after(old: Definition, new: Definition | None, value: Any, strength: str = "preferred") -> tuple[str, Any, str]:
    found = rewrite(old, new, value, Strength(strength), ScopeKind.PROFILE)
    return found.outcome.value, found.value, found.reason


def narrowed(low: str, high: str, **changes: Any) -> Definition:
    return builders.quantity(value={**builders.CELSIUS, "min": low, "max": high, **changes})


def test_numbers_are_clamped_into_a_narrower_range() -> None:
    new = narrowed("18", "26")
    assert after(WARMTH, new, 2050) == ("kept", 2050, "")
    assert after(WARMTH, new, 1700) == ("clamped", 1800, "out_of_range")
    assert after(WARMTH, new, 2999) == ("clamped", 2600, "out_of_range")


def test_another_resolution_rewrites_the_same_wish() -> None:
    assert after(WARMTH, narrowed("16", "30", resolution="0.1"), 2050) == ("mapped", 205, "representation_changed")


def test_a_removed_choice_takes_its_fallback_else_goes() -> None:
    new = builders.choice(COLOUR, "blue green")
    assert after(OLD, new, "green") == ("kept", "green", "")
    assert after(OLD, new, "red") == ("mapped", "blue", "choice_removed")
    assert after(OLD, builders.choice(COLOUR, "green"), "red") == ("dropped", None, "choice_removed")
    assert after(OLD, new, "red", "unacceptable") == ("dropped", None, "choice_removed")
    assert after(OLD, new, "blue", "avoid") == ("kept", "blue", "")


def test_lists_lose_what_is_gone_and_are_shortened() -> None:
    old = builders.listing(COLOUR, "red blue green")
    assert after(old, builders.listing(COLOUR, "blue green"), ["red", "green"]) == (
        "mapped",
        ["green"],
        "choice_removed",
    )
    assert after(old, builders.listing(COLOUR, "blue green"), ["red"]) == ("dropped", None, "choice_removed")
    items = {"kind": "choice", "choices": ["red", "blue", "green"]}
    short = builders.definition(COLOUR, {"kind": "list", "max_items": 1, "items": items})
    assert after(old, short, ["red", "green"]) == ("mapped", ["red"], "list_shortened")
    exclusive = builders.listing(COLOUR, "red blue green", exclusive=[["red", "blue"]])
    assert after(old, exclusive, ["red", "blue", "green"]) == ("mapped", ["red", "green"], "made_exclusive")


def test_objects_are_mended_field_by_field() -> None:
    def shades(high: int, optional: bool) -> Definition:
        day = {"kind": "integer", "min": 0, "max": high}
        night = {"kind": "choice", "choices": ["open"] if optional else ["open", "shut"], "optional": optional}
        return builders.definition(
            "room.shades", {"kind": "object", "fields": {"day": day, "night": night}}, strengths=["preferred"]
        )

    old = shades(100, optional=False)
    assert after(old, shades(50, optional=False), {"day": 90, "night": "shut"}) == (
        *("clamped", {"day": 50, "night": "shut"}),
        "out_of_range",
    )
    assert after(old, shades(100, optional=True), {"day": 90, "night": "shut"})[:2] == ("mapped", {"day": 90})


def test_another_kind_scope_or_strength_drops_what_does_not_fit() -> None:
    assert after(OLD, builders.quantity(COLOUR), "red")[::2] == ("dropped", "kind_changed")
    assert after(WARMTH, builders.choice("room.warmth", "warm"), 2000)[::2] == ("dropped", "kind_changed")
    assert after(OLD, builders.choice(COLOUR, "red", scopes=["stay"]), "red")[::2] == ("dropped", "scope_removed")
    wishes = builders.choice(COLOUR, "red", strengths=["preferred"])
    assert after(OLD, wishes, "red", "required")[::2] == ("dropped", "strength_removed")
    assert after(OLD, None, "red")[::2] == ("dropped", "deleted")
    assert after(OLD, OLD, None, "no_preference") == ("kept", None, "")


def test_a_plan_counts_reasons_and_shows_the_largest_groups() -> None:
    usage = [Use("red", count=7), Use("green", count=100), Use("blue", Strength.AVOID, count=2)]
    found = plan(OLD, builders.choice(COLOUR, "green"), usage)
    assert dict(found.counts) == {"choice_removed": 9}
    shown = found.show()
    assert [(s["from"], s["to"], s["outcome"], s["count"]) for s in shown["steps"]] == [
        ("red", None, "dropped", 7),
        ("blue", None, "dropped", 2),
    ]
    many = plan(OLD, None, [Use("red", count=n) for n in range(1, 31)]).show()
    assert (len(many["steps"]), many["more_steps"], many["steps"][0]["count"]) == (20, 10, 30)
    assert plan(OLD, OLD, usage).counts == {}


def test_numbers_of_a_plan_are_the_shown_ones() -> None:
    (step,) = plan(WARMTH, narrowed("18", "26"), [Use(1700)]).show()["steps"]
    assert (step["from"], step["to"]) == (17.0, 18.0)


def moved(
    document: Document, old: Definition, new: Definition | None, why: str = ""
) -> tuple[Document, tuple[Entry, ...]]:
    ids = (f"prf_{n}" for n in count(1))
    found, change = migrate(
        document, old, new, moved=why, actor="ops", role="operator", surface="", at=NOW, new_id=lambda: next(ids)
    )
    if change is None:
        assert found is document
        return found, ()
    assert (change.action, change.version, found.version) == (Action.CATALOGUE, 8, 8)
    return found, tuple(entry for key in change.keys for entry in key.removed)


def test_a_document_is_rewritten_with_its_provenance() -> None:
    kept, cold = builders.entry("room.warmth", 2000), builders.entry("room.warmth", 1650, at="brand:b", version=3)
    other = builders.entry(COLOUR, "red")
    document, removed = moved(builders.document(kept, cold, other), WARMTH, narrowed("18", "26"))
    assert removed == (cold,)
    (new,) = [entry for entry in document.entries if entry.value == 1800]
    assert (new.version, new.provenance, new.scope, new.id) == (8, cold.provenance, cold.scope, "prf_1")
    assert kept in document.entries
    assert other in document.entries


@pytest.mark.parametrize(("value", "typed"), [(2000, 68), (1650, None)])
def test_what_was_typed_goes_along_only_with_an_unaltered_value(value: int, typed: int | None) -> None:
    old = builders.entry("room.warmth", value, entered=Entered(68, "[degF]"))
    renamed = builders.quantity("room.heat", {**builders.CELSIUS, "min": "18", "max": "26"})
    document, _ = moved(builders.document(old), WARMTH, renamed, "renamed")
    (new,) = document.of("room.heat")
    assert (new.entered.value if new.entered else None) == typed


def test_a_rename_keeps_what_already_stands_under_the_new_key() -> None:
    paint = builders.choice("room.paint", "red blue green")
    mine = builders.entry("room.paint", "blue")
    document, removed = moved(builders.document(builders.entry(COLOUR, "red"), mine), OLD, paint, "renamed")
    assert document.entries == (mine,)
    assert len(removed) == 1
    assert plan(OLD, paint, [Use("red", count=3)], "renamed").counts == {"renamed": 3}
    assert rewrite(OLD, paint, None, Strength.NO_PREFERENCE, ScopeKind.PROFILE, "renamed").outcome is Outcome.MOVED


def test_a_deleted_key_leaves_nothing_and_an_untouched_document_stays() -> None:
    document, removed = moved(builders.document(builders.entry(COLOUR, "red")), OLD, None)
    assert (document.entries, len(removed)) == ((), 1)
    moved(builders.document(builders.entry(COLOUR, "red")), OLD, OLD)
