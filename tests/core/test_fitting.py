"""What won, held against policies and capabilities: statuses, codes, steps, and what is left of a need."""

from collections.abc import Mapping
from typing import Any

import pytest

from prefs.core.catalogue import Definition
from prefs.core.entries import Entered, Entry
from prefs.core.resolve import resolve
from prefs.core.resolved import Effective, Status
from prefs.core.rooms import Basis, Capability, Channel, Force, Policy, PolicyLevel
from tests.core.builders import catalogue, choice, definition, degrees, document, entry, facts, listing, offer, quantity

ROOM = {"name": "room.warmth", "source": "room"}
WARM = quantity(capability=ROOM)
SCENE = choice(
    "light.scene",
    "relax bright night off",
    capability={"name": "light.scene", "source": "room"},
    fallbacks={"relax": ["night", "bright"], "night": ["off"]},
)


def answer(of: Definition, *entries: Entry, room: Mapping[str, Capability] | None = None, **changes: Any) -> Effective:
    return resolve(catalogue(of), document(*entries), facts(room=room, **changes), keys=[of.key]).effective[of.key]


def rule(of: Definition, ident: str = "p", level: str = "property", basis: str = "energy", **limits: Any) -> Policy:
    return Policy(ident, of.key, PolicyLevel(level), Force.MANDATORY, Basis(basis), **limits)


def told(effective: Effective) -> tuple[Any, Status, str]:
    return effective.value, effective.status, effective.reason.code if effective.reason else ""


TYPED = Entered(17, "Cel")


def test_a_clamp_keeps_the_wish_for_the_next_room() -> None:
    wish = entry("room.warmth", 1700, entered=TYPED)

    small = answer(WARM, wish, room={"room.warmth": degrees("18", "26", "0.5")})
    large = answer(WARM, wish, room={"room.warmth": degrees("16", "30", "0.5")})

    assert told(small) == (1800, Status.CLAMPED, "CAPABILITY_MIN")
    assert small.reason and (small.reason.requested, small.reason.entered, small.entered) == (1700, TYPED, None)
    assert told(large) == (1700, Status.APPLIED, "")
    assert (large.entered, wish.value) == (TYPED, 1700)


def test_a_need_that_cannot_be_had_is_unmet_with_the_nearest() -> None:
    found = answer(WARM, entry("room.warmth", 2900, "required"), room={"room.warmth": degrees("18", "26", "0.5")})

    assert told(found) == (2600, Status.UNMET, "CAPABILITY_MAX")


def test_a_snap_stays_inside_the_range() -> None:
    found = answer(WARM, entry("room.warmth", 1700), room={"room.warmth": degrees("18.2", "26", "0.5")})

    assert told(found) == (1850, Status.CLAMPED, "CAPABILITY_MIN")
    assert found.reason and [s.code for s in found.reason.steps] == ["CAPABILITY_MIN", "CAPABILITY_STEP"]


def test_a_policy_is_named_and_comes_before_the_device() -> None:
    found = answer(
        WARM,
        entry("room.warmth", 1700),
        room={"room.warmth": degrees("16", "30", "0.5")},
        policies=(rule(WARM, "save-energy", minimum=2020),),
    )

    assert told(found) == (2050, Status.SUPPRESSED_BY_POLICY, "POLICY_MIN")
    assert found.reason and found.reason.policy == "save-energy"
    assert [(s.code, s.before, s.after) for s in found.reason.steps] == [
        ("POLICY_MIN", 1700, 2020),
        ("CAPABILITY_STEP", 2020, 2050),
    ]


def test_rounding_does_not_leave_the_policys_range() -> None:
    found = answer(
        WARM,
        entry("room.warmth", 2030),
        room={"room.warmth": degrees("16", "30", "0.5")},
        policies=(rule(WARM, maximum=2040),),
    )

    assert told(found) == (2000, Status.APPLIED, "CAPABILITY_STEP")


def test_the_device_has_the_last_word_over_a_policy() -> None:
    found = answer(
        WARM,
        entry("room.warmth", 1700),
        room={"room.warmth": degrees("16", "19", "0.5")},
        policies=(rule(WARM, minimum=2000),),
    )

    assert told(found) == (1900, Status.CLAMPED, "CAPABILITY_MAX")


@pytest.mark.parametrize(("basis", "value", "status"), [
    ("energy", 1700, Status.APPLIED), ("comfort", 1700, Status.APPLIED), ("brand", 1700, Status.APPLIED),
    ("law", 2000, Status.UNMET), ("safety", 2000, Status.UNMET),
])  # fmt: skip
def test_only_law_and_safety_touch_a_need(basis: str, value: int, status: Status) -> None:
    found = answer(
        WARM,
        entry("room.warmth", 1700, "required"),
        room={"room.warmth": degrees("16", "30", "0.5")},
        policies=(rule(WARM, basis=basis, minimum=2000),),
    )

    assert (found.value, found.status) == (value, status)


@pytest.mark.parametrize(("brand", "house", "value"), [
    ((1800, 2400), (2000, 2600), 2000),
    ((1800, 1900), (2100, 2200), 2100),
])  # fmt: skip
def test_brand_then_property(brand: tuple[int, int], house: tuple[int, int], value: int) -> None:
    policies = (
        rule(WARM, "h", minimum=house[0], maximum=house[1]),
        rule(WARM, "b", "brand", minimum=brand[0], maximum=brand[1]),
    )

    assert answer(WARM, entry("room.warmth", 1600), policies=policies).value == value


def test_policies_touch_defaults_too() -> None:
    of = choice("light.scene", "relax bright", default="relax", fallbacks={"relax": ["bright"]})

    found = answer(of, policies=(rule(of, forbidden=("relax",)),))

    assert told(found) == ("bright", Status.SUPPRESSED_BY_POLICY, "POLICY_CHOICE")


def test_a_policy_without_a_fallback_leaves_nothing() -> None:
    found = answer(SCENE, entry("light.scene", "bright"), policies=(rule(SCENE, forbidden=("bright",)),))

    assert told(found) == (None, Status.SUPPRESSED_BY_POLICY, "POLICY_FORBIDDEN")


@pytest.mark.parametrize(
    ("offered", "refusal", "policies", "expected"),
    [
        ("relax bright", None, (), ("relax", Status.APPLIED, "")),
        ("night bright", None, (), ("night", Status.SUBSTITUTED, "CAPABILITY_CHOICE")),
        ("night bright", "night", (), ("bright", Status.SUBSTITUTED, "CAPABILITY_CHOICE")),
        ("off", None, (), (None, Status.UNMET, "CAPABILITY_UNAVAILABLE")),
        # The policy moves relax to night; the room has no night: bright is the next fallback of what was asked.
        (
            "bright off",
            None,
            (rule(SCENE, forbidden=("relax",)),),
            ("bright", Status.SUBSTITUTED, "CAPABILITY_CHOICE"),
        ),
    ],
)
def test_fallbacks_of_a_choice(
    offered: str, refusal: str | None, policies: tuple[Policy, ...], expected: tuple[Any, ...]
) -> None:
    entries = [entry("light.scene", "relax")]
    if refusal:
        entries.append(entry("light.scene", refusal, "unacceptable", known="imported"))

    found = answer(SCENE, *entries, room={"light.scene": offer(offered)}, policies=policies)

    assert told(found) == expected


@pytest.mark.parametrize(("strength", "status"), [("preferred", Status.APPLIED), ("required", Status.UNMET)])
def test_an_undeclared_capability_is_no_promise(strength: str, status: Status) -> None:
    found = answer(WARM, entry("room.warmth", 2000, strength), room={})

    assert told(found) == (2000, status, "CAPABILITY_UNKNOWN")


def test_what_the_property_declares_holds_in_every_room_that_says_nothing_else() -> None:
    declared = {"room.warmth": degrees("18", "26")}

    assert answer(WARM, entry("room.warmth", 1700), capabilities=declared).value == 1800
    own = {"room.warmth": degrees("16", "26")}
    assert answer(WARM, entry("room.warmth", 1700), capabilities=declared, room=own).value == 1700


NEED_WIDTH = definition(
    "care.door",
    {"kind": "quantity", "unit": "cm", "accepts": ["cm", "[in_i]"], "resolution": "0.1", "min": "60", "max": "120"},
    strengths=["required", "preferred"],
    clamp="never",
    capability={"name": "care.door", "source": "room", "match": "at_least"},
)


@pytest.mark.parametrize(
    ("widest", "unit", "status", "missing"),
    [("90", "cm", Status.APPLIED, None), ("80", "cm", Status.UNMET, 13), ("32", "[in_i]", Status.UNMET, 20)],
)
def test_never_clamp_keeps_what_was_asked_and_says_what_lacks(
    widest: str, unit: str, status: Status, missing: int | None
) -> None:
    device = degrees("10", widest, unit=unit)
    asked = 813 if unit == "cm" else 833

    for strength in ("required", "preferred"):
        found = answer(NEED_WIDTH, entry("care.door", asked, strength), room={"care.door": device})
        assert (found.value, found.status) == (asked, status)
        assert (found.reason.missing if found.reason else None) == missing


CENTIMETRES = {"kind": "quantity", "unit": "cm", "min": "30", "max": "80"}
HEIGHT = definition(
    "care.bed",
    {"kind": "object", "fields": {"min": CENTIMETRES, "max": CENTIMETRES}},
    strengths=["required", "preferred"],
    clamp="never",
    capability={"name": "care.bed", "source": "room", "match": "overlap"},
)


@pytest.mark.parametrize(("low", "high", "missing"), [("40", "50", None), ("60", "70", 2), ("30", "40", 3)])
def test_ranges_must_overlap(low: str, high: str, missing: int | None) -> None:
    found = answer(
        HEIGHT, entry("care.bed", {"min": 43, "max": 58}, "required"), room={"care.bed": degrees(low, high, unit="cm")}
    )

    assert found.value == {"min": 43, "max": 58}
    assert (found.reason.missing if found.reason else None) == missing


BEDS = "king twin queen"


@pytest.mark.parametrize(
    ("want", "offered", "strength", "expected"),
    [
        ("first", "twin", "preferred", (["twin"], Status.APPLIED, "CAPABILITY_CHOICE")),
        ("first", "twin", "required", (["twin"], Status.APPLIED, "CAPABILITY_CHOICE")),
        ("first", "queen", "preferred", (["queen"], Status.SUBSTITUTED, "CAPABILITY_CHOICE")),
        ("first", "sofa", "preferred", (None, Status.UNMET, "CAPABILITY_UNAVAILABLE")),
        ("all", "king twin", "preferred", (["king", "twin"], Status.APPLIED, "")),
        ("all", "twin queen", "preferred", (["queen", "twin"], Status.SUBSTITUTED, "CAPABILITY_CHOICE")),
        ("all", "twin", "preferred", (["twin"], Status.SUBSTITUTED, "CAPABILITY_CHOICE")),
        ("all", "twin", "required", (["twin"], Status.UNMET, "CAPABILITY_CHOICE")),
    ],
)
def test_lists_want_their_first_or_all(want: str, offered: str, strength: str, expected: tuple[Any, ...]) -> None:
    need = {"name": "bed.kind", "source": "room"}
    beds = listing("bed.kind", BEDS, want=want, capability=need, fallbacks={"king": ["queen"]})

    found = answer(beds, entry("bed.kind", ["king", "twin"], strength), room={"bed.kind": offer(offered)})

    assert told(found) == expected


CHANNELS = definition(
    "tv.channels",
    {
        "kind": "list",
        "id": "network_id",
        "max_items": 9,
        "items": {
            "kind": "object",
            "fields": {
                "network_id": {"kind": "text", "max_length": 40},
                "genre": {"kind": "choice", "choices": ["news", "sports"], "optional": True},
            },
        },
    },
    capability={"name": "tv.lineup", "source": "property", "lineup": True},
    genres={"cnn": "news", "bbc": "news"},
)
LINEUP = (Channel("espn", 35, "sports"), Channel("kvue", 42, "news"), Channel("krld", 43, "news"))


def favourites(*networks: str) -> Entry:
    return entry("tv.channels", [{"network_id": network} for network in networks])


@pytest.mark.parametrize(
    ("wanted", "numbers", "status"),
    [
        (("espn",), [("espn", 35)], Status.APPLIED),
        (("espn", "cnn"), [("espn", 35), ("kvue", 42)], Status.SUBSTITUTED),
        (("cnn", "kvue"), [("krld", 43), ("kvue", 42)], Status.SUBSTITUTED),
        (("cnn", "bbc", "krld"), [("kvue", 42), ("krld", 43)], Status.SUBSTITUTED),
        (("unheard_of",), [], Status.UNMET),
    ],
)
def test_favourites_are_found_in_the_lineup(
    wanted: tuple[str, ...], numbers: list[tuple[str, int]], status: Status
) -> None:
    found = answer(CHANNELS, favourites(*wanted), lineup=LINEUP)

    assert [(c["network_id"], c["number"]) for c in found.device_value or []] == numbers
    assert [c["network_id"] for c in found.value or []] == [network for network, _ in numbers]
    assert found.status is status


def test_a_property_without_a_lineup_promises_nothing() -> None:
    assert told(answer(CHANNELS, favourites("espn"))) == (
        [{"network_id": "espn"}],
        Status.APPLIED,
        "CAPABILITY_UNKNOWN",
    )


def test_the_answer_holds_until_the_first_thing_that_may_change_it() -> None:
    wish = entry("room.warmth", 2000, expires_at=facts().at.replace(hour=13))

    resolved = resolve(catalogue(WARM), document(wish), facts())

    assert resolved.valid_until == wish.expires_at
    assert resolve(catalogue(WARM), document(wish), facts(at=facts().at.replace(hour=13))).effective == {}
