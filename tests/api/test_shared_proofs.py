"""A proof that one process has seen is used up for the others too, as long as they share a Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from api.dpop import USED
from prefs.bootstrap import cache_key, furnish
from prefs.cache.counts import RedisCounts
from prefs.cache.metrics import PrometheusMetrics
from prefs.cache.read_through import cached
from prefs.settings import Settings
from prefs.store.sql import SqlStore
from tests.api.conftest import opened
from tests.api.front import PROPERTY, Front, StandingClock
from tests.api.prover import Prover
from tests.servers import ValkeyServer
from tests.vaults import vault


@pytest.fixture
def kind() -> str:
    return "postgresql"  # whose processes share what they know by Redis


@pytest.fixture
def valkey() -> Iterator[ValkeyServer]:
    with ValkeyServer() as server:
        yield server


@pytest.fixture
async def fronts(settings: Settings, clock: StandingClock, valkey: ValkeyServer) -> AsyncIterator[tuple[Front, Front]]:
    """Two processes' worth of house, whose copies count from the first moment."""
    async with AsyncExitStack() as stack:
        opening = []
        for _ in range(2):
            sql = await SqlStore.open(settings.database_url, clock, vault())
            key = cache_key(settings.cache_key)
            store = cached(sql, clock, valkey.url(), key, metrics=PrometheusMetrics(), cold_guard_s=0)
            stack.push_async_callback(store.close)
            counts = RedisCounts(valkey.url())
            stack.push_async_callback(counts.close)
            house = replace(furnish(store, clock), counts=counts)
            opening.append(await stack.enter_async_context(opened(settings, clock, house)))
        yield opening[0], opening[1]


async def enrolled(front: Front) -> tuple[Prover, str, str]:
    """A thermostat in the room of a guest: itself, its token and what it reads."""
    await front.new_property(PROPERTY)
    guest = await front.new_guest()
    await front.new_stay(guest)
    thermostat = Prover(front)
    token = str((await thermostat.enrol())["access_token"])
    return thermostat, token, f"/v1/guests/{guest}/preferences"


async def replays(
    fronts: tuple[Front, Front], thermostat: Prover, token: str, path: str, lies_ready: bool = True
) -> list[int]:
    """Read at one process and then, with the same proof, at the other; by the typed route, and by what lies ready."""
    one, other = fronts
    statuses, tiers = [], set()
    for _ in range(4):
        thermostat.front = one
        proof = thermostat.proof("GET", path, token)
        assert (await thermostat.get(path, token, proof)).status_code == 200
        thermostat.front = other
        before = await thermostat.get(path, token)
        assert before.status_code == 200
        answer = await thermostat.get(path, token, proof)
        tiers.add(before.headers["cache-status"].rpartition("=")[2])
        assert answer.status_code == 200 or answer.json()["detail"] == USED, answer.text
        statuses.append(answer.status_code)
    assert not lies_ready or "local" in tiers, tiers
    return statuses


async def test_a_proof_is_good_once_in_all_processes(fronts: tuple[Front, Front]) -> None:
    assert await replays(fronts, *await enrolled(fronts[0])) == [401] * 4


async def test_a_process_that_asks_nobody_would_be_found(fronts: tuple[Front, Front]) -> None:
    fronts[1].app.state.verifier._proofs._counts = None
    assert await replays(fronts, *await enrolled(fronts[0])) == [200] * 4


async def test_without_redis_each_process_goes_by_what_it_knows(
    fronts: tuple[Front, Front], valkey: ValkeyServer
) -> None:
    thermostat, token, path = await enrolled(fronts[0])
    valkey.kill9()
    assert await replays(fronts, thermostat, token, path, lies_ready=False) == [200] * 4
    thermostat.front = fronts[0]
    proof = thermostat.proof("GET", path, token)
    assert [(await thermostat.get(path, token, proof)).status_code for _ in range(2)] == [200, 401]


async def test_a_proof_of_enrolment_is_good_once_in_all_processes(fronts: tuple[Front, Front]) -> None:
    one, other = fronts
    thermostat = Prover(one)
    proof = thermostat.proof("POST", "/oauth/device_authorization")
    form = {"client_id": thermostat.name, "scope": "thermostat"}
    assert (await thermostat.post("/oauth/device_authorization", proof=proof, **form)).status_code == 200
    thermostat.front = other
    again = await thermostat.post("/oauth/device_authorization", proof=proof, **form)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_dpop_proof")
