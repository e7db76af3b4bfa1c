"""Several processes write at once, each a chain of its own; whatever was answered is there, also after a kill -9."""

from __future__ import annotations

import asyncio
import random
import sys

import pytest

from prefs.core.accesses import Chained
from tests.ledger.desk import Desk, access

pytestmark = pytest.mark.timeout(300)
REQUEST = Chained._fields.index("request")


async def start(desk: Desk, name: str, most: int = 10**6, early: bool = False) -> asyncio.subprocess.Process:
    arguments = ("tests.ledger.reader", desk.url, str(desk.folder), name, str(most), "early" if early else "late")
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *arguments), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )


def go(process: asyncio.subprocess.Process) -> None:
    assert process.stdin is not None
    process.stdin.write(b"go\n")


async def heard(process: asyncio.subprocess.Process, count: int) -> list[str]:
    assert process.stdout is not None
    return [(await process.stdout.readline()).decode().strip() for _ in range(count)]


async def rest(process: asyncio.subprocess.Process) -> list[str]:
    """Everything else it said; a word that the kill cut short was not said."""
    assert process.stdout is not None
    said = await process.stdout.read()
    await process.wait()
    return said[: said.rfind(b"\n") + 1].decode().split()


async def recorded(desk: Desk) -> list[str]:
    return [row[REQUEST] for row in await desk.rows()]


async def test_three_processes_write_at_once(desk: Desk) -> None:
    processes = [await start(desk, name, 200) for name in "abc"]
    said = [request for process in processes for request in await heard(process, 1)]
    for process in processes:
        go(process)
    said += [request for process in processes for request in await rest(process)]
    report = await desk.verify()

    assert [process.returncode for process in processes] == [0, 0, 0]
    assert report.faults == [] and (report.chains, report.records, report.loose) == (3, 603, 0)
    assert sorted(await recorded(desk)) == sorted(said)


async def killed(desk: Desk, rounds: int, early: bool = False) -> list[str]:
    """Reads that were answered and of which there is no record, over so many kills."""
    chance, answered = random.Random(9), []
    for number in range(rounds):
        process = await start(desk, f"round{number}", early=early)
        go(process)
        answered += await heard(process, chance.randint(5, 60))
        process.kill()
        answered += await rest(process)
        await desk.ledger().append([access(0, request=f"after-{number}")])  # goes on with the chain that was left
        await desk.close()
        report = await desk.verify()
        assert report.faults == [] and report.chains == 1
    kept = set(await recorded(desk))
    return [request for request in answered if request not in kept]


async def test_what_was_answered_before_a_kill_is_recorded(desk: Desk) -> None:
    assert await killed(desk, 4) == []


async def test_answering_before_the_record_is_caught(desk: Desk) -> None:
    assert await killed(desk, 4, early=True) != []
