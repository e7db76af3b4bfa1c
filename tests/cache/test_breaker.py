"""The circuit to Redis: when it opens, who probes, when it closes."""

from __future__ import annotations

import pytest

from prefs.cache.breaker import FAILURES_MAX, PAUSE_MAX_S, PAUSE_S, SLOW_MAX, WINDOW, Breaker
from prefs.cache.metrics import Silence


class States(Silence):
    def __init__(self) -> None:
        self.seen: list[str] = []

    def breaker(self, state: str) -> None:
        self.seen.append(state)


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


def opened(time: Time, states: States | None = None) -> Breaker:
    breaker = Breaker(time, states or States())
    for _ in range(FAILURES_MAX):
        assert breaker.admits()
        breaker.failed()
    return breaker


def test_failures_in_a_row_open_it(time: Time) -> None:
    breaker = opened(time)

    assert not breaker.closed
    assert not breaker.admits()


def test_single_failures_do_not(time: Time) -> None:
    breaker = Breaker(time)
    for _ in range(SLOW_MAX - 1):
        breaker.failed()
        breaker.succeeded()

    assert breaker.closed


def test_one_call_probes_and_closes_it(time: Time) -> None:
    states = States()
    breaker = opened(time, states)
    time.now += PAUSE_S

    assert [breaker.admits() for _ in range(5)] == [True, False, False, False, False]
    breaker.succeeded()
    assert breaker.closed and breaker.admits()
    assert states.seen == ["open", "half_open", "closed"]


def test_probes_that_fail_come_less_often(time: Time) -> None:
    breaker = opened(time)
    pauses = []
    for _ in range(6):
        before = time.now
        while not breaker.admits():
            time.now += 0.01
        pauses.append(round(time.now - before, 1))
        breaker.failed()

    assert pauses == [0.1, 0.2, 0.4, 0.8, PAUSE_MAX_S, PAUSE_MAX_S]


def test_a_call_of_before_does_not_close_it(time: Time) -> None:
    breaker = opened(time)
    breaker.succeeded()

    assert not breaker.closed


def test_a_probe_that_was_not_made_leaves_its_turn(time: Time) -> None:
    breaker = opened(time)
    time.now += PAUSE_S
    assert breaker.admits()
    breaker.withdrew()

    assert breaker.admits()


def test_slowness_opens_it_without_any_failure(time: Time) -> None:
    breaker = Breaker(time)
    for number in range(WINDOW):
        assert breaker.closed
        breaker.succeeded(slowly=number % 20 == 19)

    assert not breaker.closed
    time.now += PAUSE_S
    assert breaker.admits()
    breaker.succeeded(slowly=True)
    assert not breaker.closed, "a slow probe proves nothing"


def test_slowness_long_ago_is_forgotten(time: Time) -> None:
    breaker = Breaker(time)
    for number in range(10 * WINDOW):
        breaker.succeeded(slowly=number % 30 == 0)

    assert breaker.closed
