"""When a row of the bench's budget passes, and that nothing passes that was not measured."""

from __future__ import annotations

import math

import pytest

from loadtests.bench.budgets import (
    BUDGETS,
    Better,
    Budget,
    Finding,
    Verdict,
    budget_of,
    judge,
    judge_all,
    matches,
    table,
    worst,
)

MORE = Budget("a/more", "more", "x", 2.0, 3.0)
LESS = Budget("a/less", "less", "ms", 20.0, 3.0, Better.LESS)
DREAM = Budget("a/dream", "a moonshot alone", "x", None, 0.5)


@pytest.mark.parametrize(
    ("budget", "finding", "verdict"),
    [
        (MORE, Finding(2.0), Verdict.PASS),
        (MORE, Finding(1.99), Verdict.FAIL),
        (LESS, Finding(20.0), Verdict.PASS),
        (LESS, Finding(20.01), Verdict.FAIL),
        (DREAM, Finding(0.5), Verdict.PASS),
        (DREAM, Finding(0.4), Verdict.FAIL),
        (MORE, Finding(), Verdict.NOT_RUN),
        (MORE, None, Verdict.NOT_RUN),
        (MORE, Finding(9.0, counts=False), Verdict.NOT_RUN),
        (MORE, Finding(9.0, generator_share=0.85), Verdict.GENERATOR_BOUND),
        (MORE, Finding(1.0, generator_share=0.85), Verdict.GENERATOR_BOUND),
        (MORE, Finding(9.0, generator_share=0.84), Verdict.PASS),
        (MORE, Finding(math.nan, generator_share=0.99), Verdict.NOT_RUN),
    ],
)
def test_verdicts(budget: Budget, finding: Finding | None, verdict: Verdict) -> None:
    assert judge(budget, finding).verdict is verdict


@pytest.mark.parametrize(
    ("budget", "values", "value"), [(LESS, [1.1, 1.3], 1.3), (MORE, [1.1, 1.3], 1.1), (LESS, [1.1], 1.1)]
)
def test_the_worst_of_several_counts(budget: Budget, values: list[float], value: float) -> None:
    found = worst(budget, [Finding(each, f"said {each}") for each in values])
    assert found.value == value and found.note == "; ".join(f"said {each}" for each in values)


@pytest.mark.parametrize("missing", [Finding(note="gone"), Finding(0.1, "too few", counts=False)])
def test_of_several_none_may_be_missing(missing: Finding) -> None:
    for order in ([missing, Finding(1.0)], [Finding(1.0), missing]):
        assert judge(LESS, worst(LESS, order)).verdict is Verdict.NOT_RUN
    assert judge(LESS, worst(LESS, [])).verdict is Verdict.NOT_RUN
    assert (
        judge(LESS, worst(LESS, [Finding(1.0), Finding(2.0, generator_share=0.9)])).verdict is Verdict.GENERATOR_BOUND
    )


def test_rows_are_found_by_name() -> None:
    assert [budget_of(budget.id) for budget in BUDGETS] == list(BUDGETS)


def test_every_row_is_judged_whatever_was_found() -> None:
    rows = judge_all({})
    assert [row.budget for row in rows] == list(BUDGETS)
    assert {row.verdict for row in rows} == {Verdict.NOT_RUN}
    printed = table(rows)
    assert all(budget.id in printed and budget.what in printed for budget in BUDGETS)
    assert printed.count("NOT RUN") == len(BUDGETS)


def test_rows_are_chosen_by_parts_of_their_names() -> None:
    assert matches("hot/kinto", "") and matches("hot/kinto", "batch, kinto")
    assert not matches("hot/kinto", "batch,growth")
    assert [row.budget.id for row in judge_all({}, "batch")] == ["batch/webdis", "batch/pocketbase"]
