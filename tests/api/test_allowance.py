"""What one caller may ask: exactly so much, whatever its tokens, in one process and in several; and a flood is nobody
else's trouble."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import TypeAdapter

from api import allowance as allowances
from api.allowance import BURST_S, Allowance
from api.schemas import problems
from prefs.cache.counts import RedisCounts
from prefs.core.callers import ALL_GUESTS, Caller, Role
from prefs.ports import CountsUnavailable
from prefs.settings import Settings
from tests.api.conftest import StandingClock, opened
from tests.api.front import PROPERTY, Front
from tests.servers import ValkeyServer

RATE = 5
BURST = RATE * BURST_S
PROBLEM = TypeAdapter(problems.Problem)


class Seconds:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def guest(name: str = "gst_1") -> Caller:
    return Caller(name, Role.GUEST, "guest_app")


def device(name: str, *properties: str) -> Caller:
    return Caller(name, Role.DEVICE, "thermostat", frozenset(properties))


def taken(allowance: Allowance, caller: Caller, tries: int) -> int:
    """How many of these requests are let through."""
    return sum(allowance.purse_of(caller).take(allowance.clock()) for _ in range(tries))


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
def allowance(seconds: Seconds) -> Allowance:
    return Allowance(RATE, 0, 0, seconds)


def test_a_burst_then_the_rate(allowance: Allowance, seconds: Seconds) -> None:
    caller = guest()
    assert taken(allowance, caller, 3 * BURST) == BURST
    for _ in range(5):
        seconds.now += 1
        assert taken(allowance, caller, 3 * BURST) == RATE
    seconds.now += 1000
    assert taken(allowance, caller, 3 * BURST) == BURST


def test_all_tokens_of_a_caller_are_one_caller_and_others_are_not(allowance: Allowance) -> None:
    tokens = [guest() for _ in range(BURST)]  # each remembered with a caller of its own
    assert sum(taken(allowance, token, 2) for token in tokens) == BURST
    assert taken(allowance, guest("gst_2"), BURST) == BURST
    assert taken(allowance, Caller("gst_1", Role.DEVICE, "thermostat", frozenset(["dallas"])), BURST) == BURST


def test_services_have_a_limit_of_their_own_and_zero_is_none(seconds: Seconds) -> None:
    service = Caller("pms", Role.SERVICE, "front_desk", permissions=frozenset([ALL_GUESTS]))
    assert taken(Allowance(RATE, 0, 0, seconds), service, 10 * BURST) == 10 * BURST
    assert taken(Allowance(0, 2 * RATE, 0, seconds), service, 10 * BURST) == 2 * BURST
    assert taken(Allowance(0, RATE, 0, seconds), guest(), 10 * BURST) == 10 * BURST


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody holds more than the one request that is made."""
    monkeypatch.setattr(allowances, "IN_ADVANCE", 1)


def test_the_devices_of_a_property_share_what_it_may(seconds: Seconds, one_by_one: None) -> None:
    allowance = Allowance(RATE, 0, 2 * RATE, seconds)
    together = sum(taken(allowance, device(f"t-{number}", "dallas"), BURST) for number in range(10))
    assert together == 2 * BURST
    assert taken(allowance, device("t-99", "austin"), 2 * BURST) == BURST, "another property's"
    assert taken(allowance, guest(), 2 * BURST) == BURST, "a guest is at no property"
    seconds.now += 2
    assert sum(taken(allowance, device(f"t-{number}", "dallas"), BURST) for number in range(10)) == 4 * RATE


def test_devices_that_ask_now_and_then_hold_nothing_back(seconds: Seconds) -> None:
    allowance = Allowance(100, 0, 100, seconds)
    callers = [device(f"t-{number}", "dallas") for number in range(1000)]
    for _ in range(3):
        assert [taken(allowance, caller, 1) for caller in callers] == [1] * 1000
        seconds.now += BURST_S


def test_what_a_refused_refill_took_elsewhere_comes_back(seconds: Seconds) -> None:
    allowance = Allowance(100, 0, 1, seconds)
    assert taken(allowance, device("t-1", "dallas"), 500) == BURST_S
    assert allowance._buckets[("caller", "device:t-1")].level == 100 * BURST_S - BURST_S


def test_memory_is_bounded(seconds: Seconds, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allowances, "PURSES_MAX", 50)
    monkeypatch.setattr(allowances, "BUCKETS_MAX", 60)
    allowance = Allowance(RATE, 0, 0, seconds)
    for number in range(500):
        taken(allowance, guest(f"gst_{number}"), 1)
        seconds.now += 0.01
    assert len(allowance.purses) == len(allowance._callers) == len(allowance._by_caller) == 50
    assert len(allowance._buckets) <= 60


# ---- over HTTP ----


@pytest.fixture(params=["sqlite"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def limited(settings: Settings, clock: StandingClock) -> AsyncIterator[Front]:
    few = settings.model_copy(update={"caller_rate": RATE, "property_rate": 3 * RATE})
    async with opened(few, clock) as front:
        # Nothing comes in while a test runs, however long that takes.
        front.app.state.allowance.clock = Seconds()
        yield front


async def ask(front: Front, guest: str, token: str, times: int) -> list[Any]:
    return [await front.call("GET", f"/v1/guests/{guest}/preferences", token) for _ in range(times)]


def statuses(answers: list[Any]) -> Counter[int]:
    return Counter(answer.status_code for answer in answers)


async def flood(front: Front) -> tuple[Counter[int], Counter[int], list[Any]]:
    """One guest asks without end, another as usual; the statuses of both, and the refusals."""
    loud, quiet = await front.new_guest("Ana"), await front.new_guest("Bo")
    of_loud, of_quiet, refusals = Counter[int](), Counter[int](), []
    tokens = front.guest(loud), front.guest(quiet)
    for _ in range(10):
        asked = await asyncio.gather(*(ask(front, loud, tokens[0], 1) for _ in range(20)))
        answers = [answer for one in asked for answer in one]
        of_loud += statuses(answers)
        refusals += [answer for answer in answers if answer.status_code == 429]
        of_quiet += statuses(await ask(front, quiet, tokens[1], 2))
    return of_loud, of_quiet, refusals


async def test_a_flood_of_one_leaves_the_others_served(limited: Front) -> None:
    of_loud, of_quiet, refusals = await flood(limited)
    assert of_loud == {200: BURST, 429: 200 - BURST}
    assert of_quiet == {200: 20}
    for refusal in refusals:
        PROBLEM.validate_python(refusal.json(), strict=True)
        assert refusal.json()["code"] == "RATE_LIMITED"
        assert refusal.headers["retry-after"] == "1"
        assert refusal.headers["ratelimit-policy"] == f'"caller";q={BURST};w={BURST_S}'
        assert refusal.headers["ratelimit"] == '"caller";r=0;t=1'
        assert refusal.headers["x-request-id"] == refusal.json()["request_id"]
        assert refusal.headers["x-content-type-options"] == "nosniff"


async def test_one_bucket_for_all_would_be_seen(
    limited: Front, one_by_one: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = Allowance._bucket
    monkeypatch.setattr(Allowance, "_bucket", lambda self, policy, _, rate: bucket(self, policy, f"all{rate}", rate))
    _, of_quiet, _ = await flood(limited)
    assert of_quiet[429] > 0


async def test_reads_that_lie_ready_are_counted_as_well(limited: Front) -> None:
    guest = await limited.new_guest()
    token = limited.guest(guest)
    answers = await ask(limited, guest, token, 2 * BURST)
    hits = [a for a in answers if a.status_code == 200 and "detail=local" in a.headers.get("cache-status", "")]
    assert len(hits) > BURST - 5, "they were no hot reads"
    assert statuses(answers) == {200: BURST, 429: BURST}


async def test_a_new_token_for_each_request_helps_nobody(limited: Front) -> None:
    guest = await limited.new_guest()
    answers = []
    for _ in range(2 * BURST):
        answers += await ask(limited, guest, limited.guest(guest), 1)
    assert statuses(answers) == {200: BURST, 429: BURST}


async def test_writes_and_every_other_call_are_counted(limited: Front) -> None:
    guest = await limited.new_guest()
    token, path = limited.guest(guest), f"/v1/guests/{guest}/preferences"
    edits = [await limited.call("PATCH", path, token, {"tv.volume_default": n % 30}) for n in range(BURST)]
    assert statuses(edits) == {200: BURST}
    others = [await limited.call("GET", p, token) for p in (path, f"/v1/guests/{guest}", "/v1/catalogue", "/v1/none")]
    assert statuses(others) == {429: 4}
    assert (await limited.call("PATCH", path, token, {"tv.volume_default": 1})).status_code == 429
    probes = [await limited.call("GET", path) for path in ("/livez", "/readyz", "/metrics", "/version")]
    assert statuses(probes) == {200: 4}


async def test_the_devices_of_a_property_are_told_that_it_is_the_property(limited: Front, one_by_one: None) -> None:
    await limited.new_property(PROPERTY)
    guest = await limited.new_guest()
    await limited.new_stay(guest)
    told = []
    for number in range(4):
        token = limited.token("device", "thermostat", f"t-{number}", [PROPERTY])
        told += await ask(limited, guest, token, BURST)
    assert statuses(told) == {200: 3 * BURST, 429: BURST}
    assert {a.headers["ratelimit"] for a in told if a.status_code == 429} == {'"property";r=0;t=1'}


# ---- several processes ----


async def together(first: Allowance, second: Allowance, seconds: Seconds, counts: Any, spans: int) -> int:
    """How many requests of one flooding caller two processes let through in so many seconds, told each second."""
    passed = 0
    for _ in range(spans):
        passed += taken(first, guest(), 4 * RATE) + taken(second, guest(), 4 * RATE)
        seconds.now += 1
        for process in (first, second):
            await process.settle(counts)
    return passed


async def test_processes_together_give_what_one_may(seconds: Seconds, valkey_url: str) -> None:
    counts = RedisCounts(valkey_url)
    try:
        first, second = Allowance(RATE, 0, 0, seconds), Allowance(RATE, 0, 0, seconds)
        passed = await together(first, second, seconds, counts, 100)
    finally:
        await counts.close()
    assert 90 * RATE <= passed <= 100 * RATE + 3 * BURST


async def test_without_the_counts_each_process_is_on_its_own(seconds: Seconds) -> None:
    with ValkeyServer() as server:
        counts = RedisCounts(server.url())
        first, second = Allowance(RATE, 0, 0, seconds), Allowance(RATE, 0, 0, seconds)
        assert await together(first, second, seconds, counts, 3) > 0
        server.kill9()
        taken(first, guest(), BURST)
        seconds.now += 10
        assert taken(first, guest(), 3 * BURST) > 0
        for _ in range(3):
            with pytest.raises(CountsUnavailable):
                await first.settle(counts)
        assert first._buckets[("caller", "guest:gst_1")].spent > 0, "it is told when they are back"
        seconds.now += 10
        assert taken(first, guest(), 3 * BURST) == BURST
        await counts.close()
