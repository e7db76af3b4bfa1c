"""Percentiles of counts, what a stall must look like, and the fitted cost of growth."""

from __future__ import annotations

import math
import random

import pytest

from loadtests.bench.percentiles import counted, merged, per_tenfold, percentile, rounded, stalled_percentile


def test_percentiles_are_of_all_answers() -> None:
    counts = {1: 50, 10: 45, 200: 5}
    assert [percentile(counts, share) for share in (0.5, 0.51, 0.95, 0.951, 1.0)] == [1, 10, 10, 200, 200]
    assert math.isnan(percentile({}, 0.99))


def test_rounding_keeps_three_digits_and_never_loses_an_answer() -> None:
    assert [rounded(value) for value in (0.2, 7.9, 123.4, 1239, 987_654)] == [1, 7, 123, 1230, 987_000]
    chance = random.Random(1)
    exact = [chance.lognormvariate(7, 1.5) for _ in range(5000)]
    counts = counted(exact)
    assert sum(counts.values()) == len(exact)
    for share in (0.5, 0.99, 0.999):
        right = sorted(exact)[math.ceil(share * len(exact)) - 1]
        assert percentile(counts, share) == pytest.approx(right, rel=0.011)


def test_rounds_are_merged_and_not_averaged() -> None:
    assert merged([{1: 99, 5: 1}, {5: 1, 900: 1}]) == {1: 99, 5: 2, 900: 1}


def test_a_stall_of_a_tenth_shows_as_180_ms_at_p99() -> None:
    """The number that reliability people quote: 200 ms of every 2 s."""
    assert stalled_percentile(0.2, 2.0, 0.99) == pytest.approx(0.18)
    assert stalled_percentile(0.2, 2.0, 0.5) == 0.0
    arrivals = [step / 1000 % 2.0 for step in range(100_000)]
    waits = sorted(max(0.0, 0.2 - at) for at in arrivals)
    assert waits[int(0.99 * len(waits))] == pytest.approx(stalled_percentile(0.2, 2.0, 0.99), abs=0.002)


@pytest.mark.parametrize("factor", [1.0, 1.5, 0.9])
def test_the_fit_finds_the_factor_that_was_put_in(factor: float) -> None:
    points = [(size, 80 * factor ** math.log10(size)) for size in (1_000, 100_000, 1_000_000)]
    assert per_tenfold(points) == pytest.approx(factor)
    assert per_tenfold(points[:2]) == pytest.approx(factor)
    assert math.isnan(per_tenfold(points[:1]))
