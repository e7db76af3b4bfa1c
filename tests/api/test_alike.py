"""P23: a guest whom nothing ties to the caller costs what one who is not there costs: the same statements, the same
looks at Redis, and in the long run the same time."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from prefs.cache.read_through import CachedStore
from tests.api.conftest import OpenFront, Statements
from tests.api.front import Front
from tests.api.matrix import LINES, Asker, Line, Owner, askers, settle
from tests.api.samples import Operation, World, all_operations, body_of, path_of

WHO = ("guest", "link", "device", "staff", "service without permission")
ROUNDS = 400
WITHIN = 0.10
COSTED = 5  # a copy may run out in between, so that one request costs more: what it mostly costs counts


@pytest.fixture
def kind() -> str:
    return "postgresql"


async def looks(redis: Redis) -> int:
    return int((await redis.info("commandstats")).get("cmdstat_mget", {}).get("calls", 0))


async def cost(statements: Statements, redis: Redis, work: Callable[[], Awaitable[Any]]) -> tuple[int, int, int]:
    """Status, statements and looks at Redis of one request."""
    said, looked = len(statements.said), await looks(redis)
    response = await work()
    return response.status_code, len(statements.said) - said, await looks(redis) - looked


def asking(front: Front, operation: Operation, line: Line, asker: Asker, owner: Owner) -> Callable[[], Awaitable[Any]]:
    world = World(owner.guest, "", owner.stay)
    path, body = path_of(operation, world), body_of(operation, world)
    return lambda: front.call(
        operation.method, path, asker.token, body, params=line.query(owner.stay, owner.guest) or None
    )


def absent(number: int) -> Owner:
    """Somebody new each time, of whom no copy anywhere says that they are not there."""
    return Owner("absent", f"gst_{number:032x}", f"stay-{number}", "none")


async def test_foreign_and_absent_guests_cost_the_same(open_front: OpenFront, valkey_url: str) -> None:
    front, statements = await open_front()
    owners = await settle(front.house, front.clock.now())
    operations = {one.id: one for one in all_operations(front.app.openapi())}
    themselves = front.guest(owners["foreign"].guest)
    numbers = iter(range(1, 10_000))
    compared = 0
    async with Redis.from_url(valkey_url) as redis:
        for line in (line for line in LINES if line.whose == "guest"):
            operation = operations[line.operation]
            for asker in (one for one in askers(front, owners) if one.name in WHO):
                if line.expected[asker.role] == 403 and asker.role not in line.ties_first:
                    continue
                told: dict[str, list[tuple[int, int, int]]] = {"foreign": [], "absent": []}
                for _ in range(COSTED):
                    await front.read(owners["in_house"].guest, front.staff())  # hotel and catalogue lie ready
                    await front.read(owners["foreign"].guest, themselves)  # and so does the guest of the other hotel
                    for state in told:
                        owner = owners["foreign"] if state == "foreign" else absent(next(numbers))
                        await asking(front, operation, line, asker, absent(next(numbers)))()
                        told[state].append(await cost(statements, redis, asking(front, operation, line, asker, owner)))
                usual = {state: statistics.mode(costs) for state, costs in told.items()}
                assert usual["foreign"][0] in (403, 404), (line.name, asker.name, told)
                assert usual["foreign"] == usual["absent"], (line.name, asker.name, told)
                compared += 1
    assert compared > 30


async def test_a_refusal_that_comes_sooner_is_noticed(
    open_front: OpenFront, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the wait a guest of another hotel, who lies in a copy here, is refused without asking the store."""

    async def at_once(self: CachedStore, reads: Any) -> None:
        return None

    monkeypatch.setattr(CachedStore, "wait_as_for_nobody", at_once)
    front, statements = await open_front()
    owners = await settle(front.house, front.clock.now())
    line = next(line for line in LINES if line.name == "get_guest")
    operation = next(one for one in all_operations(front.app.openapi()) if one.id == "get_guest")
    staff = next(asker for asker in askers(front, owners) if asker.name == "staff")
    await front.read(owners["foreign"].guest, front.guest(owners["foreign"].guest))
    async with Redis.from_url(valkey_url) as redis:
        foreign = await cost(statements, redis, asking(front, operation, line, staff, owners["foreign"]))
        nobody = await cost(statements, redis, asking(front, operation, line, staff, absent(1)))
    assert foreign[1] < nobody[1], (foreign, nobody)


def spread(first: list[float], second: list[float]) -> float:
    """How far two medians are apart, as a part of the smaller."""
    one, other = statistics.median(first), statistics.median(second)
    return abs(one - other) / min(one, other)


@pytest.mark.prove
@pytest.mark.timeout(220)
@pytest.mark.parametrize("name", ["get_preferences", "get_guest", "get_history"])
async def test_foreign_and_absent_guests_take_the_same_time(
    open_front: OpenFront, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Foreign against absent, in turns, with an A/A control: two groups of absent guests, which cannot differ."""
    front, _ = await open_front()
    owners = await settle(front.house, front.clock.now())
    operation = next(one for one in all_operations(front.app.openapi()) if one.id == name)
    line = next(line for line in LINES if line.name == name)
    staff = next(asker for asker in askers(front, owners) if asker.name == "staff")
    themselves, numbers = front.guest(owners["foreign"].guest), iter(range(1, 100_000))
    took: dict[str, list[float]] = {"foreign": [], "absent": [], "control": []}
    turns = list(took)
    for round_ in range(ROUNDS):
        await front.read(owners["in_house"].guest, front.staff())
        await front.read(owners["foreign"].guest, themselves)
        for state in turns[round_ % 3 :] + turns[: round_ % 3]:
            owner = owners["foreign"] if state == "foreign" else absent(next(numbers))
            ask = asking(front, operation, line, staff, owner)
            began = time.perf_counter()
            response = await ask()
            took[state].append(time.perf_counter() - began)
            assert response.status_code == 404
    told, control = spread(took["foreign"], took["absent"]), spread(took["control"], took["absent"])
    medians = ", ".join(f"{state} {statistics.median(times) * 1e3:.2f} ms" for state, times in took.items())
    with capsys.disabled():
        sys.stdout.write(f"\n{name}: {medians}; apart {told:.1%}, control {control:.1%}\n")
    assert told <= WITHIN + control
