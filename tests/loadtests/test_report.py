"""The report: every form of it shows every row, and the plots hold together."""

from __future__ import annotations

import math
from xml.etree import ElementTree

import pytest

from loadtests.bench import plots, report
from loadtests.bench.budgets import BUDGETS, Finding, judge_all
from loadtests.bench.comparing import Group
from loadtests.bench.growth import Growth
from loadtests.bench.load import Rounds, Sample, each_us
from loadtests.bench.report import Outcome


def group() -> Group:
    slow, fast, theirs = (Sample(rate, {500: 99, 9000: 1}, 0, 0.4, 0.9) for rate in (900.0, 1100.0, 500.0))
    return Group("read", {"ours": Rounds([slow, fast]), "also": Rounds([slow]), "theirs": Rounds([theirs])})


def outcome() -> Outcome:
    growth = Growth("sqlite", {"hot p99": {1_000: 100.0, 100_000: 110.0}})
    found = Outcome({"commit": "abc", "measured at": "now", "processor": "<fast>"})
    found.judged = judge_all({"hot/bytes": Finding(2.5, "a | b")})
    found.groups, found.tails, found.growth = [group()], {"ours": {500: 99, 9000: 1}}, [growth]
    return found


def test_the_slowest_of_ours_is_compared_and_the_best_round_counts() -> None:
    assert group().ratio(["ours"], "theirs").value == 2.2
    finding = group().ratio(["ours", "also"], "theirs")
    assert finding.value == 1.8 and finding.generator_share == 0.4
    assert group().ratio(["ours"], "nobody", "not there").note == "nobody: not there"


@pytest.mark.parametrize(("ours", "theirs", "usable"), [(0, 0, True), (0, 9, True), (0, 40, False), (1, 0, False)])
def test_wrong_answers_make_no_ratio(ours: int, theirs: int, usable: bool) -> None:
    """Ours must all be right; a peer may refuse one in ten."""
    broken = group()
    broken.rounds["ours"].samples.append(Sample(9.0, {}, ours, 0.1, 0.1, retried=3))
    broken.rounds["theirs"].samples.append(Sample(9.0, {}, theirs, 0.1, 0.1))
    finding = broken.ratio(["ours"], "theirs")
    assert math.isnan(finding.value) is not usable
    assert ("wrong" in finding.note) is bool(ours or theirs)
    assert ("ours tried 3 again" in finding.note) is usable  # no reason not to count, but told


def test_a_generator_that_is_busy_with_either_of_the_two_is_told() -> None:
    busy = group()
    busy.rounds["theirs"].samples[:] = [Sample(500.0, {500: 9}, 0, 0.9, 0.9)]
    assert busy.ratio(["ours"], "theirs").generator_share == 0.9


def test_the_cheapest_round_says_what_an_answer_costs() -> None:
    rounds = Rounds([Sample(900.0, {}, 0, 0.1, 0.9, cpu_us=cost) for cost in (70.0, 60.0, math.nan)])
    assert rounds.cpu_us == 60.0
    assert math.isnan(Rounds([Sample(900.0, {}, 0, 0.1, 0.9)]).cpu_us)
    assert (each_us(0.5, 1_000), math.isnan(each_us(0.5, 0)), math.isnan(each_us(0.0, 9))) == (500.0, True, True)


def test_misses_that_the_store_did_not_answer_are_no_misses() -> None:
    costs = {"miss": {1_000: 100.0, 1_000_000: 110.0}, "miss CPU": {1_000: 90.0, 1_000_000: 95.0}}

    assert Growth("sqlite", costs).finding("miss").counts
    hit = Growth("sqlite", costs, missed=0.5).finding("miss")
    assert math.isnan(hit.value) and "50%" in hit.note


def test_growth_short_of_a_million_is_shown_and_does_not_count() -> None:
    short = Growth("sqlite", {"hot p99": {1_000: 100.0, 100_000: 110.0}}).finding("hot p99")
    full = Growth("sqlite", {"hot p99": {1_000: 100.0, 1_000_000: 110.0}}).finding("hot p99")
    assert short.value == full.value == 1.1 and (short.counts, full.counts) == (False, True)


def test_both_forms_hold_every_row() -> None:
    page, words = report.html(outcome()), report.markdown(outcome())
    assert all(budget.what in words for budget in BUDGETS)
    assert "&lt;fast&gt;" in page and "<fast>" not in page and "http" not in page.replace("http-", "")
    rows = [line for line in words.splitlines() if line.startswith("|")]
    assert all(line.startswith("| ") and line.endswith(" |") for line in rows if "---" not in line)
    assert "a / b" in words  # a bar would end the cell


def test_plots_are_well_formed_and_drawn_inside_their_frame() -> None:
    drawn = plots.growth({"hot": [(1_000, 1.0), (1_000_000, 1.4)], "a & b": [(1_000, 1.0), (1_000_000, 40.0)]})
    tree = ElementTree.fromstring(drawn)
    lines = [node.attrib["points"] for node in tree.iter("polyline")]
    points = [tuple(float(part) for part in pair.split(",")) for line in lines for pair in line.split()]
    assert len(lines) == 2 and all(0 <= x <= plots.WIDTH and 0 <= y <= plots.HEIGHT for x, y in points)
    assert "Nothing" in plots.growth({})
