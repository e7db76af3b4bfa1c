"""The live checker on protocols that are known to be wrong: were it silent about them, its silence about the product
would prove nothing. And the product under the very conditions that found them."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from prefs.cache.local import DELTA_S
from tests.histories import planted
from tests.histories.checking import FAULTS, Finding
from tests.histories.nemesis import BLINK, CUT, EVICT, Nemesis
from tests.histories.traffic import BUSY, QUIET, RACING, RACING_STILL, Group, Traffic
from tests.histories.trio import Trio
from tests.histories.withdrawals import Withdrawals
from tests.servers import PostgresServer

pytestmark = pytest.mark.timeout(400)

SELDOM_BUT_LONG = (0.05, 0.08)  # a reader that is slower than a whole write
A_TURN_S = 5.0
PATIENCE_S = 180.0  # by when a fault must have shown; most do in the first turn


class Start(Protocol):
    def __call__(self, fault: str | None) -> Trio: ...


@pytest.fixture
def start(tmp_path: Path, postgres_server: PostgresServer, migrated_postgres: str) -> Iterator[Start]:
    """Three processes of the product with a fault planted, or of the product itself."""
    with ExitStack() as stack:

        def started(fault: str | None) -> Trio:
            name = f"planted_{fault}"
            postgres_server.execute(f'CREATE DATABASE "{name}" TEMPLATE "{migrated_postgres}"')
            stack.callback(postgres_server.drop_database, name)
            launch = planted.launch(fault) if fault else None
            return stack.enter_context(Trio(tmp_path, postgres_server.url(name), launch, SELDOM_BUT_LONG))

        yield started


async def search(trio: Trio, groups: list[Group], seconds: float, *, until: str = "") -> list[Finding]:
    """What a history of evictions breaks, by the time one such fault is found or the time is over."""
    traffic, nemesis = Traffic(trio, groups), Nemesis(trio, [EVICT], 0.05)
    await asyncio.to_thread(traffic.prepare)
    await asyncio.to_thread(trio.wait_until_warm)
    over = time.monotonic() + seconds
    found: list[Finding] = []
    async with nemesis.at_work():
        while time.monotonic() < over and until not in {one.fault for one in found}:
            await traffic.run(A_TURN_S)
            found = [one for one in traffic.history.findings(DELTA_S) if one.fault in FAULTS]
    assert traffic.history.reads and nemesis.done[EVICT]
    return found


@pytest.mark.prove
async def test_delete_after_commit_is_caught(start: Start) -> None:
    found = Counter(one.fault for one in await search(start("classic"), [BUSY, QUIET], PATIENCE_S, until="stale"))
    assert found["stale"] > 0


@pytest.mark.prove
@pytest.mark.parametrize(
    "fault, group, kind",
    [
        ("no_fence", RACING, "inverted"),
        ("no_placeholder", RACING_STILL, "stale"),
        ("deaf", RACING_STILL, "stale"),
    ],
)
async def test_a_protocol_with_a_part_missing_is_caught(start: Start, fault: str, group: Group, kind: str) -> None:
    found = Counter(one.fault for one in await search(start(fault), [group], PATIENCE_S, until=kind))
    assert found[kind] > 0


@pytest.mark.prove
@pytest.mark.parametrize("group", [RACING, RACING_STILL], ids=lambda group: group.name)
async def test_the_whole_protocol_passes_where_those_fail(start: Start, group: Group) -> None:
    assert await search(start(None), [group], 45) == []


@pytest.mark.prove
async def test_a_withdrawal_that_waits_for_nobody_is_caught(start: Start) -> None:
    withdrawals = Withdrawals(trio := start("hasty"), guests=12)
    over = time.monotonic() + PATIENCE_S
    async with Nemesis(trio, [BLINK, BLINK, CUT], 0.02).at_work():
        while time.monotonic() < over and not withdrawals.tally.leaks:
            await withdrawals.run(A_TURN_S)
    assert withdrawals.tally.leaks


@pytest.mark.prove
@pytest.mark.parametrize(("fault", "found"), [("repeated", "still has it"), ("held", "after it was read")])
async def test_a_stream_that_tells_what_was_withdrawn_is_caught(
    start: Start, fault: str, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it tells of the withdrawal itself, or because an event waited after it was read."""
    monkeypatch.setattr("tests.histories.followers.LET_GO_S", 3.0)
    withdrawals = Withdrawals(start(fault), guests=2, followed=True)
    over = time.monotonic() + PATIENCE_S
    while time.monotonic() < over and not withdrawals.tally.followed.faults(()):
        await withdrawals.run(A_TURN_S)
    faults = withdrawals.tally.followed.faults(())
    assert any(found in one for one in faults), faults
