"""kill -9 of the server with its workers amid reads of an allergy: every read that was answered is on record."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Sequence

import httpx2
import pytest

from prefs.bootstrap import SystemClock, open_ledger
from prefs.settings import Settings
from tests.chaos.load import CLIENT_TIMEOUT_S, Start, Trial
from tests.cli.launch import launching
from tests.cli.served import bearer, guestprefs

pytestmark = pytest.mark.timeout(600)
UNRECORDED = launching("tests.chaos.unrecorded:create_app")
READERS = 6
PEANUTS = [{"code": "peanuts"}]


def make_allergic(trial: Trial) -> tuple[str, str]:
    """A guest with an allergy, and the token of a service that may know of it."""
    words = ("--role", "service", "--surface", "guest_app", "--permission", "guests.all", "--hours", "5")
    token = guestprefs(trial.folder, "token", *words, environ=trial.environ).stdout.strip()
    (guest,) = trial.make_guests(1)
    assert trial.server is not None
    with httpx2.Client(base_url=trial.server.url, timeout=CLIENT_TIMEOUT_S) as client:
        own = bearer(trial.token_of(guest))
        consent = client.put(f"/v1/guests/{guest}/consents/food_safety", headers=own)
        stated = client.patch(f"/v1/guests/{guest}/preferences", json={"food.allergens": PEANUTS}, headers=own)
    assert (consent.status_code, stated.status_code) == (200, 200), stated.text
    return guest, token


def read_until_killed(trial: Trial, guest: str, token: str, number: int, answers: int) -> list[str]:
    """The ids of the requests that were answered with the allergy."""
    server = trial.server
    assert server is not None
    answered: list[str] = []
    enough = threading.Event()

    def read(reader: int) -> None:
        count = 0
        with httpx2.Client(base_url=server.url, timeout=CLIENT_TIMEOUT_S, headers=bearer(token)) as client:
            while True:
                count += 1
                name = f"kill{number}-{reader}-{count}"
                try:
                    answer = client.get(f"/v1/guests/{guest}/preferences", headers={"x-request-id": name})
                except httpx2.TransportError:
                    return
                assert answer.status_code == 200 and "peanuts" in answer.text, answer.text
                answered.append(name)
                if len(answered) >= answers:
                    enough.set()

    readers = [threading.Thread(target=read, args=(reader,)) for reader in range(READERS)]
    for one in readers:
        one.start()
    finished = enough.wait(90)
    server.kill_group()
    for one in readers:
        one.join()
    assert finished, f"only {len(answered)} reads were answered:\n{server.output()}"
    return answered


async def on_record(trial: Trial) -> set[str]:
    url = trial.environ.get("DATABASE_URL", f"sqlite:///{trial.folder / 'data' / 'guestprefs.db'}")
    ledger = open_ledger(Settings(data=trial.folder / "data", database_url=url), SystemClock())
    try:
        return {one.access.request for one in await ledger.listed(100_000)}
    finally:
        await ledger.close()


def missing(trial: Trial, rounds: int) -> Sequence[str]:
    """Reads that were answered over so many kills and are not on record."""
    chance, answered = random.Random(33), list[str]()
    trial.start()
    guest, token = make_allergic(trial)
    for number in range(rounds):
        answered += read_until_killed(trial, guest, token, number, chance.randint(30, 200))
        kept = asyncio.run(on_record(trial))
        if gone := [name for name in answered if name not in kept]:
            return gone
        if number + 1 < rounds:
            trial.start()
    whole = guestprefs(trial.folder, "ledger", "verify", environ=trial.environ)
    assert whole.returncode == 0, whole.stderr
    return []


def test_what_was_read_before_a_kill_is_on_record(trial: Start) -> None:
    assert missing(trial(), rounds=1) == []


@pytest.mark.prove
@pytest.mark.timeout(3600)
def test_what_was_read_before_thirty_kills_is_on_record(trial: Start) -> None:
    assert missing(trial(), rounds=30) == []


@pytest.mark.prove
def test_telling_before_the_record_is_caught(trial: Start) -> None:
    assert missing(trial(workers=1, launch=UNRECORDED), rounds=2) != []
