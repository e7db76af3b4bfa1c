"""P14 and P15 over HTTP: a Redis that is hung, refused, killed or slow costs reads next to nothing, and is found again
by nobody's hand. Counts are judged here; times in `make prove`, where nothing else runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.chaos.grounds import Grounds
from tests.chaos.openloop import OpenLoop, Reply, failed, percentile, statuses

# Each starts servers of its own; on a machine that does everything else beside this, that takes a while.
pytestmark = pytest.mark.timeout(300)

# A process asks a Redis that is gone three times, as often as it was asking at that moment, and then probes: after 0.1,
# 0.2, 0.4, 0.8 seconds and then every second. Without a breaker each of hundreds of reads would ask.
CALLS_MAX = 60
RATE = 150

WINDOW_P99_S = 0.05  # P14
HANG_S = 1.0
OPEN_S = 0.25
BACK_S = 5.0
AVAILABLE = 0.999
SLOW_P99_S = 0.06  # P15


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grounds]:
    with Grounds(tmp_path_factory.mktemp("redis")) as grounds:
        yield grounds


@pytest.fixture
def grounds(opened: Grounds) -> Iterator[Grounds]:
    """With everything in its place, before and after."""
    opened.wait_for_tier("shared", cache_control="no-cache")
    opened.wait_for_tier("local")
    yield opened
    opened.redis.heal()
    opened.valkey.start()


def killed(grounds: Grounds) -> None:
    grounds.valkey.kill9()


FAULTS: dict[str, Callable[[Grounds], None]] = {
    "hung": lambda grounds: setattr(grounds.redis, "hung", True),
    "stopped": lambda grounds: grounds.valkey.freeze(),
    "refused": lambda grounds: grounds.redis.refuse(),
    "killed": killed,
}
ENDS: dict[str, Callable[[Grounds], None]] = {
    "hung": lambda grounds: grounds.redis.heal(),
    "stopped": lambda grounds: grounds.valkey.thaw(),
    "refused": lambda grounds: grounds.redis.heal(),
    "killed": lambda grounds: grounds.valkey.start(),
}


@dataclass(frozen=True, slots=True)
class Outage:
    replies: list[Reply]
    during: list[Reply]
    calls: int
    opened_after_s: float
    back_after_s: float


def outage(grounds: Grounds, fault: str, seconds: float, rate: float) -> Outage:
    """Reads of all kinds while Redis is gone for so long, and until it answers again."""
    asks = [ask for pair in zip(grounds.reads(), grounds.reads(linearizable=True), strict=True) for ask in pair]
    with OpenLoop(grounds.server.port, asks, rate) as load:
        time.sleep(1)
        began, calls = load.now(), grounds.redis.calls
        FAULTS[fault](grounds)
        opened = breaker_open(grounds, load)
        time.sleep(seconds)
        calls = grounds.redis.calls - calls
        ENDS[fault](grounds)
        ended = load.now()
        back = grounds.wait_for_tier("shared", cache_control="no-cache")
        grounds.wait_for_tier("local")
        time.sleep(0.5)
    return Outage(load.replies, load.since(began, ended), calls, opened - began, back)


def breaker_open(grounds: Grounds, load: OpenLoop) -> float:
    deadline = time.monotonic() + 10
    while not grounds.metric("guestprefs_cache_breaker", state="open"):
        assert time.monotonic() < deadline, "the breaker never opened"
        time.sleep(0.02)
    return load.now()


@pytest.mark.parametrize("fault", ["hung", "refused", "killed"])
def test_a_redis_that_is_gone_costs_few_calls_and_no_answer(grounds: Grounds, fault: str) -> None:
    seen = outage(grounds, fault, seconds=2.5, rate=RATE)

    assert failed(seen.replies) == [], statuses(seen.replies)
    assert len(seen.during) > RATE
    assert seen.calls <= CALLS_MAX
    assert {reply.headers["cache-status"].rpartition("=")[2] for reply in seen.during} >= {"store"}
    assert grounds.metric("guestprefs_cache_breaker", state="closed") == 1


@pytest.mark.parametrize("toxic", ["late", "swallowing"])
def test_a_slow_redis_is_left_alone(grounds: Grounds, toxic: str) -> None:
    """30 ms late: the breaker opens although every call would have been answered. One word in twenty swallowed: no
    failure reaches a reader, and nobody waits for a connection for ever."""
    if toxic == "late":
        grounds.redis.delay_s = 0.03
    else:
        grounds.redis.swallow = 0.05
    with OpenLoop(grounds.server.port, grounds.reads(linearizable=True), RATE) as load:
        breaker_open(grounds, load)
        asked = grounds.redis.calls
        time.sleep(2)
        asked = grounds.redis.calls - asked
    assert failed(load.replies) == [], statuses(load.replies)
    if toxic == "late":
        assert asked <= CALLS_MAX
    grounds.redis.heal()
    grounds.wait_for_tier("shared", cache_control="no-cache")


@pytest.mark.prove
@pytest.mark.timeout(600)
@pytest.mark.parametrize("fault", FAULTS)
def test_p14_at_its_numbers(grounds: Grounds, fault: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Best of three for how fast it is; all of three for what must never be."""
    seen = [outage(grounds, fault, seconds=30 if number == 0 else 10, rate=300) for number in range(3)]
    told = [
        f"{fault}: p99 {1000 * percentile(one.during, 0.99):.0f} ms, breaker open after "
        f"{1000 * one.opened_after_s:.0f} ms, hits again after {one.back_after_s:.1f} s, {one.calls} calls"
        for one in seen
    ]
    with capsys.disabled():
        for line in told:
            print(line)  # noqa: T201 - the figures of this row
    for one in seen:
        assert len(failed(one.replies)) <= (1 - AVAILABLE) * len(one.replies), statuses(one.replies)
        assert max(reply.seconds for reply in one.replies) <= HANG_S
    assert min(percentile(one.during, 0.99) for one in seen) <= WINDOW_P99_S
    assert min(one.opened_after_s for one in seen) <= OPEN_S
    assert min(one.back_after_s for one in seen) <= BACK_S


@pytest.mark.prove
@pytest.mark.timeout(600)
@pytest.mark.parametrize("toxic", ["late", "swallowing"])
def test_p15_at_its_numbers(grounds: Grounds, toxic: str, capsys: pytest.CaptureFixture[str]) -> None:
    runs = []
    for _ in range(3):
        if toxic == "late":
            grounds.redis.delay_s = 0.03
        else:
            grounds.redis.swallow = 0.05
        with OpenLoop(grounds.server.port, [*grounds.reads(), *grounds.reads(linearizable=True)], 300) as load:
            time.sleep(10)
        runs.append(load.replies)
        grounds.redis.heal()
        grounds.wait_for_tier("shared", cache_control="no-cache")
    with capsys.disabled():
        for replies in runs:
            print(f"{toxic}: p99 {1000 * percentile(replies, 0.99):.0f} ms, {statuses(replies)}")  # noqa: T201
    for replies in runs:
        assert failed(replies) == [], statuses(replies)
    assert min(percentile(replies, 0.99) for replies in runs) <= SLOW_P99_S
