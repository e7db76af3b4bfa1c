"""kill -9 of the server with its workers, mid-write, again and again: no acknowledged write may be missing
afterwards."""

from __future__ import annotations

import asyncio
import random

import pytest
from sqlalchemy import Connection

from prefs.bootstrap import SystemClock
from prefs.store.engines import Outcome
from prefs.store.sql import SqlStore
from prefs.vault.envelope import Envelope
from prefs.vault.providers import FileProvider
from tests.chaos.load import EARLY, Acknowledged, Start, Trial, lost, write_until_killed

# Each round starts a server anew; on a busy machine that takes seconds.
pytestmark = pytest.mark.timeout(600)
GUESTS = 6


def run(trial: Trial, rounds: int, seed: int = 20261122) -> tuple[list[Acknowledged], list[Acknowledged]]:
    """All that was acknowledged over the rounds, and what of it was gone after its kill and restart."""
    chance = random.Random(seed)
    trial.start()
    guests = trial.make_guests(GUESTS)
    everything: list[Acknowledged] = []
    for _ in range(rounds):
        everything += write_until_killed(trial, guests, chance.randint(20, 120))
        trial.start()
        if missing := lost(trial, everything):
            return everything, missing
    return everything, []


def test_two_kills_lose_nothing(trial: Start) -> None:
    acknowledged, missing = run(trial(), rounds=2)
    assert missing == []
    assert len(acknowledged) >= 2 * 20
    assert len({write.guest for write in acknowledged}) == GUESTS


@pytest.mark.prove
@pytest.mark.timeout(3600)
def test_fifty_kills_lose_nothing(trial: Start) -> None:
    acknowledged, missing = run(trial(), rounds=50, seed=50)
    assert missing == []
    assert len(acknowledged) >= 50 * 20


@pytest.mark.prove
def test_acknowledging_before_the_commit_is_caught(trial: Start) -> None:
    """The same rounds on a server that answers early: were these not red, the ones above would prove nothing."""
    acknowledged, missing = run(trial(workers=1, launch=EARLY), rounds=5)
    assert acknowledged
    assert missing


def test_live_connections_are_durable(trial: Start) -> None:
    """What the connection that writes says of itself, not what the code meant to set."""
    started = trial()
    url = started.environ.get("DATABASE_URL", f"sqlite:///{started.folder / 'data' / 'guestprefs.db'}")

    def ask(connection: Connection) -> Outcome[str]:
        question = "PRAGMA synchronous" if url.startswith("sqlite") else "SHOW synchronous_commit"
        return Outcome(str(connection.exec_driver_sql(question).scalar_one()), keep=False)

    async def work() -> str:
        keys = Envelope(FileProvider(started.folder / "data" / "vault.json"))
        store = await SqlStore.open(url, SystemClock(), keys)
        try:
            return await store._runner.run(ask)
        finally:
            await store.close()

    assert asyncio.run(work()) == ("2" if url.startswith("sqlite") else "on")
