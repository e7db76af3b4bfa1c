"""P19 over HTTP: asked for three times what it can do, a process goes on doing what it can, refuses the rest at once,
and is itself again soon after. Its local tier stays trusted meanwhile: heartbeats do not wait for the event loop."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest

from prefs.cache.local import DELTA_S
from tests.chaos.grounds import Grounds, wait_until
from tests.chaos.openloop import Ask, OpenLoop, Reply, failed, percentile, statuses

pytestmark = [pytest.mark.alone, pytest.mark.timeout(300)]

# The server has one core and all else the other, or it would be measured by what the load leaves of it.
CORES = sorted(os.sched_getaffinity(0))
CALLERS = 32  # who ask again as soon as they are answered: what the server can do
CONNECTIONS = 400
TIMES = 3
LOCAL = "detail=local"
LATE_MAX = 0.02  # of heartbeats: on a machine that is busy with everything else a thread may not run for a while

GOODPUT = 0.8  # P19
LATER_AT_MOST = 2.0
REFUSED_S = 0.02
NORMAL_S = 5.0


@pytest.fixture(scope="module")
def grounds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grounds]:
    with Grounds(tmp_path_factory.mktemp("overload"), guests=32) as grounds:
        grounds.wait_for_tier("local")
        grounds.pin(min(CORES), max(CORES))
        yield grounds


@dataclass(frozen=True, slots=True)
class Overload:
    peak: float  # well answered a second
    at_peak: list[Reply]
    flood: list[Reply]
    flood_s: float
    hot: list[Reply]  # asked beside the flood: reads that lie ready
    after: list[Reply]
    doubts: float
    late_beats: float
    beats: float


def mixed(grounds: Grounds) -> list[Ask]:
    """Work for the event loop: writes, and reads that pass over the local tier."""
    return [ask for pair in zip(grounds.writes(), grounds.reads(linearizable=True), strict=True) for ask in pair]


def beats(grounds: Grounds) -> tuple[float, float]:
    """Heartbeats that came back, and those of them that were older than a local copy may be."""
    name = "guestprefs_cache_heartbeat_seconds"
    heard = grounds.metric(f"{name}_count")
    return heard, heard - grounds.metric(f"{name}_bucket", le=str(DELTA_S))


def overload(grounds: Grounds, seconds: float) -> Overload:
    asks = mixed(grounds)
    port = grounds.server.port
    with OpenLoop(port, asks, rate=0, connections=CALLERS, core=max(CORES)) as closed:
        time.sleep(min(seconds, 5))
    calm = [reply for reply in closed.replies if reply.at > 0.5]
    peak = len(good(calm)) / (closed.replies[-1].at - 0.5)
    untouched = grounds.reads()[len(grounds.guests) // 2 :]  # by the flood: what memory holds of them is its to lose
    for guest in grounds.guests[len(grounds.guests) // 2 :]:
        wait_until(lambda guest=guest: LOCAL in grounds.tier_of(grounds.read(guest)), "a copy in memory")
    doubts, (heard, late) = grounds.metric("guestprefs_cache_doubts_total"), beats(grounds)
    with OpenLoop(port, asks[: len(asks) // 2], peak * TIMES, CONNECTIONS, max(CORES)) as flood:
        time.sleep(0.5)
        with OpenLoop(port, untouched, rate=20, core=max(CORES)) as hot:
            time.sleep(seconds)
        lasted = flood.now()
    doubts = grounds.metric("guestprefs_cache_doubts_total") - doubts
    with OpenLoop(port, asks, peak / 2, core=max(CORES)) as after:
        time.sleep(NORMAL_S + min(seconds, 5))
    heard_after, late_after = beats(grounds)
    return Overload(
        peak,
        calm,
        flood.replies,
        lasted,
        hot.replies,
        after.since(NORMAL_S),
        doubts,
        late_after - late,
        heard_after - heard,
    )


def good(replies: Sequence[Reply]) -> list[Reply]:
    return [reply for reply in replies if 200 <= reply.status < 300]


def refused(replies: Sequence[Reply]) -> list[Reply]:
    return [reply for reply in replies if reply.status == 503]


def check_counts(seen: Overload) -> None:
    assert failed(seen.at_peak) == [], statuses(seen.at_peak)
    assert failed(seen.flood, 503) == [], statuses(seen.flood)
    assert all(int(reply.headers["retry-after"]) >= 1 for reply in refused(seen.flood))
    assert refused(seen.flood), "nothing was refused: it was no overload, or everybody was late"
    assert seen.doubts == 0 and seen.late_beats <= LATE_MAX * seen.beats, "the local tier lost its trust"


def near(seen: Overload) -> float:
    """The share of reads of what lies ready that were answered from memory in the flood."""
    return sum(LOCAL in reply.headers.get("cache-status", "") for reply in seen.hot) / len(seen.hot)


def test_too_much_is_refused_and_the_local_tier_goes_on(grounds: Grounds) -> None:
    shed = grounds.metric("guestprefs_requests_shed_total")
    seen = overload(grounds, seconds=3)
    check_counts(seen)
    assert grounds.metric("guestprefs_requests_shed_total") - shed >= len(refused(seen.flood))
    assert len(good(seen.flood)) > seen.peak * seen.flood_s / 4, "it goes on working"
    assert near(seen) > 0.5, statuses(seen.hot)
    assert len(good(seen.after)) > 0.9 * len(seen.after) > 0, statuses(seen.after)


@pytest.mark.prove
@pytest.mark.timeout(600)
def test_p19_at_its_numbers(grounds: Grounds, capsys: pytest.CaptureFixture[str]) -> None:
    rounds = [overload(grounds, seconds=30 if number == 0 else 10) for number in range(3)]
    told = []
    for seen in rounds:
        goodput = len(good(seen.flood)) / seen.flood_s / seen.peak
        later = percentile(good(seen.flood), 0.99) / percentile(seen.at_peak, 0.99)
        no = percentile(refused(seen.flood), 0.99)
        normal = percentile(seen.after, 0.99) / percentile(seen.at_peak, 0.99)
        told.append((goodput, later, no, normal))
        with capsys.disabled():
            print(  # noqa: T201 - the figures of this row
                f"peak {seen.peak:.0f}/s, goodput at {TIMES}x {goodput:.2f} of it, accepted p99 {later:.2f}x, "
                f"refused p99 {1000 * no:.1f} ms, p99 at half the peak after {NORMAL_S:.0f} s {normal:.2f}x"
            )
        check_counts(seen)
        assert near(seen) >= 1 - LATE_MAX, statuses(seen.hot)
        assert failed(seen.after) == [], statuses(seen.after)
    assert max(goodput for goodput, *_ in told) >= GOODPUT
    assert min(later for _, later, *_ in told) <= LATER_AT_MOST
    assert min(no for *_, no, _ in told) <= REFUSED_S
    assert min(normal for *_, normal in told) <= 1
