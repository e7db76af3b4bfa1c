"""When a row of the bench's budget passes, and that nothing passes that was not measured."""

from __future__ import annotations

import math

import pytest

from loadtests.bench.budgets import BUDGETS, Better, Budget, Finding, Verdict, judge, judge_all, matches, table

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
