"""P4: FENCE + LEASE is searched through, state by state, and the search finds every rule that is broken on purpose."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import fields, replace
from functools import cache

import pytest

from tests.cache.model.exploration import Exploration, explore
from tests.cache.model.mutants import MORE_MUTANTS, MUTANTS, Mutant
from tests.cache.model.rules import CRASH, EVICTION, GUARD_EARLY, SPECIFIED, Rules, Setting
from tests.cache.model.settings import FULL, LIMITS, SMALL, Limit, Search

# Every step the protocol has, and every fault. One that is never taken would be one that is never checked.
STEPS = {
    *("FENCE", "FENCE lost", "FENCE expires", "FENCE expires early", "BEGIN", "COMMIT", "ROLLBACK"),
    *("UNFENCE", "UNFENCE, ACK", "UNFENCE after ROLLBACK", "UNFENCE lost", "UNFENCE lost, ACK"),
    *("UNFENCE lost, no ACK", "ACK"),
    *("writer dies", "COMMIT of the dead", "ROLLBACK of the dead", "RELAY unfences"),
    *("local hit", "local miss", "GET hit", "GET miss", "GET older than token"),
    *("LEASE granted", "LEASE fenced", "LEASE busy", "LEASE finds an entry", "LEASE finds an entry older than token"),
    *("LEASE expires", "SELECT to fill", "SELECT past the cache", "FILL", "FILL refused"),
    *("kept locally", "not kept: placeholder gone", "Delta passes", "heartbeat sent", "heard"),
    *("entry evicted", "Redis restarts", "Redis is warm", "Redis is warm too soon"),
    *("subscription cut", "worker sees the cut"),
}
# How a fault shows, where that is not its own name.
SHOWN = {EVICTION: "entry evicted", CRASH: "writer dies", GUARD_EARLY: "Redis is warm too soon"}

searched = cache(explore)


def told(found: Exploration) -> str:
    return "\n".join([str(found), *found.story, ""])


@pytest.mark.parametrize("search", SMALL, ids=lambda search: str(search.setting))
def test_no_promise_is_broken(search: Search) -> None:
    found = searched(search.rules, search.setting)

    assert not found.broken, told(found)
    assert found.states > search.least
    assert faults_not_taken(search.setting, found) == []


def faults_not_taken(setting: Setting, found: Exploration) -> list[str]:
    return [fault for fault in setting.faults if not found.taken[SHOWN.get(fault, fault)]]


def test_every_step_is_taken() -> None:
    taken: Counter[str] = Counter()
    for search in SMALL:
        taken += searched(search.rules, search.setting).taken

    assert set(taken) == STEPS


@pytest.mark.parametrize("mutant", MUTANTS + MORE_MUTANTS, ids=lambda mutant: mutant.name)
def test_a_broken_rule_is_found(mutant: Mutant) -> None:
    found = searched(mutant.rules, mutant.setting)

    sys.stdout.write(f"{mutant.name}\n{told(found)}")
    assert found.broken.startswith(mutant.broken)
    # The story is one: it ends in the promise it breaks, and every line before is a step.
    assert found.broken in found.story[-1]
    assert len(found.story) > 5


def test_the_ten_mutants_are_ten_and_their_settings_hold_without_them() -> None:
    held = {search.setting for search in SMALL if search.rules == SPECIFIED}

    assert len({mutant.rules for mutant in MUTANTS}) == 10
    assert [mutant.name for mutant in MUTANTS + MORE_MUTANTS if mutant.setting not in held] == []


def test_every_rule_has_a_mutant() -> None:
    broken = {rule.name for rule in fields(Rules) for mutant in MUTANTS + MORE_MUTANTS if differs(mutant, rule.name)}
    lacking = {rule.name for rule in fields(Rules)} - broken

    # Three are off as specified: the limits show what is lost without each. Given those three, the last two may be off.
    assert lacking == {
        *("fence_announces", "forgets_fenced", "forgets_cold", "strict_needs_fence", "strict_needs_unfence")
    }


def switched(rules: Rules) -> str:
    names = [rule.name for rule in fields(Rules) if getattr(rules, rule.name) != getattr(SPECIFIED, rule.name)]
    return " and ".join(names) or "as specified"


def differs(mutant: Mutant, rule: str) -> bool:
    return bool(getattr(mutant.rules, rule) != getattr(SPECIFIED, rule))


@pytest.mark.parametrize(
    "limit", LIMITS, ids=lambda limit: f"{limit.broken}, {switched(limit.rules)} in {limit.setting}"
)
def test_what_is_not_promised_under_more_faults_is_known_and_the_rest_holds(limit: Limit) -> None:
    found = searched(limit.rules, limit.setting)
    kept = searched(limit.rules, replace(limit.setting, promises=limit.kept))

    assert found.broken.startswith(limit.broken), told(found)
    assert not kept.broken, told(kept)
    assert kept.states > 1_000


@pytest.mark.prove
@pytest.mark.timeout(600)
@pytest.mark.parametrize("search", FULL, ids=lambda search: str(search.setting))
def test_no_promise_is_broken_at_length(search: Search, capsys: pytest.CaptureFixture[str]) -> None:
    found = explore(search.rules, search.setting)

    with capsys.disabled():
        sys.stdout.write(f"\n{found}")
    assert not found.broken, told(found)
    assert found.states > search.least
    assert faults_not_taken(search.setting, found) == []
