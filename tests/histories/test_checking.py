"""The checker on histories made by hand: it finds each kind of fault, and none where there is none."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from prefs.cache.loader import Freshness
from tests.histories.checking import History, Read, Write

DELTA_S = 0.2
LINEAR, DEFAULT = Freshness.SHARED, Freshness.DEFAULT
FIRST = Write("a", 0.0, "", 0.1, 1)
SECOND = Write("a", 1.0, "two", 1.1, 2)
THIRD = Write("a", 2.0, "three", 2.1, 3)


def read(begun_at: float, ended_at: float, version: int, value: str, level: Freshness = LINEAR, token: int = 0) -> Read:
    return Read("a", begun_at, ended_at, level, version, value, token)


def faults(reads: list[Read], *writes: Write) -> Counter[str]:
    copies = [Write(w.guest, w.begun_at, w.value, w.ended_at, w.version, w.degraded, w.unfenced) for w in writes]
    return History(reads, copies).faults(DELTA_S)


@pytest.mark.parametrize(
    "reads",
    [
        pytest.param([read(1.0, 1.2, 1, ""), read(1.0, 1.2, 2, "two")], id="during a write either may be read"),
        pytest.param([read(1.09, 9.0, 1, "")], id="what counts is when a read began"),
        pytest.param([read(1.01, 1.02, 2, "two")], id="a write may be seen before it is acknowledged"),
        pytest.param([read(1.29, 1.3, 1, "", DEFAULT)], id="a local copy may be a Delta old"),
        pytest.param([read(1.2, 1.3, 2, "two"), read(1.25, 1.3, 1, "", DEFAULT)], id="and go back within it"),
        pytest.param([read(1.01, 1.05, 2, "two"), read(1.02, 1.06, 1, "")], id="reads that overlap have no order"),
        pytest.param([read(1.5, 1.6, 2, "two", DEFAULT, token=2)], id="a token is kept"),
    ],
)
def test_what_is_allowed_is_not_found(reads: list[Read]) -> None:
    assert faults(reads, FIRST, SECOND, THIRD) == {}


@pytest.mark.parametrize(
    "fault, reads",
    [
        ("stale", [read(1.1001, 1.2, 1, "")]),
        ("stale", [read(1.3001, 1.4, 1, "", DEFAULT)]),
        ("inverted", [read(1.01, 1.05, 2, "two"), read(1.0501, 1.06, 1, "")]),
        ("inverted", [read(1.01, 1.05, 2, "two", DEFAULT), read(1.0501, 1.06, 1, "")]),
        ("token", [read(1.01, 1.05, 1, "", DEFAULT, token=2)]),
        ("wrong", [read(1.2, 1.3, 2, "")]),
        ("wrong", [read(2.05, 2.3, 2, "three")]),
        ("unborn", [read(1.2, 1.3, 2, "nobody's")]),
        ("unborn", [read(1.2, 1.3, 3, "three")]),
    ],
)
def test_each_kind_of_fault_is_found(fault: str, reads: list[Read]) -> None:
    assert faults(reads, FIRST, SECOND, THIRD) == {fault: 1}


@pytest.mark.parametrize("age_s, found", [(2.0, {}), (1.0, {"stale": 1})])
def test_an_answer_that_tells_its_age_is_no_older_than_that(age_s: float, found: dict[str, int]) -> None:
    aged = Read("a", 2.5, 2.6, LINEAR, 1, "", tier="stale", age_s=age_s)
    assert faults([read(2.2, 2.3, 3, "three"), aged], FIRST, SECOND, THIRD) == found


def test_another_guest_is_another_story() -> None:
    elsewhere = Write("b", 0.0, "", 0.1, 1)
    assert faults([Read("b", 1.5, 1.6, LINEAR, 1, "")], FIRST, SECOND, elsewhere) == {}


LOST = Write("a", 1.0, "lost")


@pytest.mark.parametrize(
    "fault, reads",
    [
        ("", [read(5.0, 5.1, 1, "")]),
        ("", [read(1.2, 1.3, 2, "lost"), read(5.0, 5.1, 2, "lost")]),
        ("inverted", [read(1.2, 1.3, 2, "lost"), read(5.0, 5.1, 1, "")]),
        ("wrong", [read(1.2, 1.3, 2, "lost"), read(5.0, 5.1, 3, "lost")]),
        ("unborn", [read(0.5, 0.9, 2, "lost")]),
    ],
)
def test_a_write_without_an_answer_may_be_seen_or_not_but_not_come_and_go(fault: str, reads: list[Read]) -> None:
    assert faults(reads, FIRST, LOST) == ({fault: 1} if fault else {})


def test_a_version_belongs_to_one_write() -> None:
    reads = [read(1.2, 1.3, 2, "lost"), read(3.0, 3.1, 2, "two")]
    assert faults(reads, FIRST, LOST, SECOND) == {"wrong": 1}


@pytest.mark.parametrize("later, found", [((), {"excused stale": 1}), ((THIRD,), {"stale": 1})])
def test_an_excuse_is_counted_and_ends_with_the_next_write(later: tuple[Write, ...], found: dict[str, int]) -> None:
    degraded = Write("a", 1.0, "two", 1.1, 2, degraded=True)
    assert faults([read(3.0, 3.1, 1, "")], FIRST, degraded, *later) == found


def test_an_unfenced_write_excuses_going_back_and_nothing_else() -> None:
    unfenced = Write("a", 1.0, "two", 1.1, 2, unfenced=True)
    back = [read(1.01, 1.05, 2, "two"), read(1.06, 1.07, 1, "")]
    assert faults(back, FIRST, unfenced) == {"excused inverted": 1}
    assert faults([read(1.2, 1.3, 1, "")], FIRST, unfenced) == {"stale": 1}


def test_how_late_a_stale_read_was_is_told() -> None:
    (found,) = History([read(1.6, 1.7, 1, "", DEFAULT)], [FIRST, SECOND]).findings(DELTA_S)
    assert (found.fault, found.floor, round(found.lag_s, 6)) == ("stale", 2, 0.5)


@pytest.mark.parametrize("seed", range(20))
def test_a_register_that_is_read_as_it_is_has_no_faults_and_one_that_lags_has(seed: int) -> None:
    """Random histories of one register: a reader that takes its value at one moment of its own is never at fault."""
    chance = random.Random(seed)
    moments = sorted(chance.uniform(0, 100) for _ in range(50))
    writes = [
        Write("a", at - chance.random(), f"v{n}", at + chance.random(), n) for n, at in enumerate(moments, start=1)
    ]

    def at(moment: float) -> int:
        return sum(m <= moment for m in moments)

    def taken(begun_at: float, seen_at: float) -> Read:
        version = max(1, at(seen_at))
        return read(begun_at, max(begun_at, seen_at) + chance.random(), version, f"v{version}")

    begun = [chance.uniform(moments[0] + 1, 100) for _ in range(300)]
    right = [taken(moment, moment + chance.random()) for moment in begun]
    late = [taken(moment, moment - 10) for moment in begun]

    assert faults(right, *writes) == {}
    assert faults(late, *writes)["stale"] > 10
