"""The total order of candidates: each rule decides only where every rule above it leaves a tie."""

from dataclasses import replace
from itertools import pairwise, permutations

import pytest

from prefs.core.entries import ANY_TIME, Context
from prefs.core.ranking import (
    CLASS_ORDER,
    RULES,
    SCOPE_ORDER,
    Candidate,
    from_default,
    from_entry,
    from_policy,
    place,
    rank,
    why_lost,
)
from prefs.core.rooms import Basis, Force, Policy, PolicyLevel
from tests.core.builders import entry


def candidate(known: str = "stated", strength: str = "preferred", at: str = "profile", **changes: object) -> Candidate:
    made = from_entry(entry("k.v", 1, strength, at=at, known=known, id="m"), ANY_TIME, special=False, standing=False)
    return replace(made, **changes)  # type: ignore[arg-type]


# Each pair differs in exactly one rule; the better one, which loses in every rule below, comes first.
PAIRS = [
    (candidate("stated"), candidate("imported", "required", "stay:s", version=9, id="z"), "LOWER_CLASS"),
    (candidate(strength="required"), candidate(at="stay:s", version=9, id="z"), "WISH_BELOW_NEED"),
    (
        candidate(at="stay:s"),
        candidate(context=Context("sleep", "business", "alone", "warm"), version=9, id="z"),
        "LOWER_SCOPE",
    ),
    (
        candidate(context=Context(party="alone", season="warm")),
        candidate(context=Context("sleep"), version=9, id="z"),
        "LESS_SPECIFIC_CONTEXT",
    ),
    (candidate(context=Context("sleep")), candidate(context=Context(trip="group"), version=9, id="z"), "CONTEXT_AXIS"),
    (candidate(version=3), candidate(version=2, id="z"), "OLDER"),
    (candidate(id="n"), candidate(), "LOWER_ID"),
]


@pytest.mark.parametrize(("better", "worse", "code"), PAIRS, ids=[code for _, _, code in PAIRS])
def test_the_first_difference_decides(better: Candidate, worse: Candidate, code: str) -> None:
    assert rank([worse, better]) == rank([better, worse]) == [better, worse]
    assert why_lost(better, worse) == code
    assert why_lost(worse, better) == ""


def test_every_rule_has_a_pair() -> None:
    assert len(PAIRS) == len(RULES)


def test_swapping_two_rules_swaps_the_pair_between_them() -> None:
    for place_of_rule, (better, worse, _) in enumerate(PAIRS[:-1]):
        swapped = list(RULES)
        swapped[place_of_rule], swapped[place_of_rule + 1] = swapped[place_of_rule + 1], swapped[place_of_rule]

        order = rank([better, worse], swapped)

        lower = RULES[place_of_rule + 1]
        assert (order == [worse, better]) == (lower(worse) > lower(better))


@pytest.mark.parametrize(("higher", "lower"), [*pairwise(["time_of_day", "trip", "party", "season"])])
def test_axes_rank_in_their_order(higher: str, lower: str) -> None:
    words = {"time_of_day": "sleep", "trip": "group", "party": "alone", "season": "warm"}
    above = candidate(context=Context(**{higher: words[higher]}))
    below = candidate(context=Context(**{lower: words[lower]}), version=9)

    assert rank([below, above]) == [above, below]


def test_classes_rank_in_their_order() -> None:
    offers = {
        "recommended/property": from_policy(policy(PolicyLevel.PROPERTY)),
        "recommended/brand": from_policy(policy(PolicyLevel.BRAND)),
        "default/catalogue": from_default(1),
    }
    made = [[offers[n] if n in offers else candidate(n) for n in members] for members in CLASS_ORDER]

    for above, below in pairwise(made):
        assert all(place(a) > place(b) for a in above for b in below)
    assert made[1][0].level == made[1][1].level


def test_scopes_rank_in_their_order() -> None:
    made = [candidate(at=kind.value if kind.value == "profile" else f"{kind.value}:x") for kind in SCOPE_ORDER]

    assert rank(reversed(made)) == made


def policy(level: PolicyLevel) -> Policy:
    return Policy("p", "k.v", level, Force.RECOMMENDED, Basis.COMFORT, value=1)


def test_the_order_never_depends_on_the_order_of_arrival() -> None:
    made = [candidate(), candidate("imported"), candidate(strength="required"), candidate(id="z"), candidate(version=2)]
    expected = rank(made)

    assert all(rank(arrived) == expected for arrived in permutations(made))


def test_only_offers_are_defaults() -> None:
    assert [candidate(kind).is_default for kind in ("live", "stated", "observed")] == [False, False, False]
    assert from_default(1).is_default and from_policy(policy(PolicyLevel.BRAND)).is_default
