"""What a core file of a worker would show of the erased: nothing where what is freed is overwritten, and otherwise
pieces, which shows that the look can see them.

The memory that a process can write is what `gcore` takes. It is looked at after other traffic has gone on, so that
nobody is still being answered about the erased.
"""

from __future__ import annotations

import time
from pathlib import Path

import httpx2
import psutil
import pytest

from tests.chaos.grounds import Grounds
from tests.chaos.memory import memory
from tests.chaos.test_erasure_everywhere import Guest, traffic, wait_for
from tests.cli.served import bearer

WIPING = {"GUESTPREFS_WIPE_FREED": "true"}
ON_SQLITE = {"DATABASE_URL": "sqlite:///data/guestprefs.db"}  # read and written inside the workers
WITHIN_S = 60.0
SOON_S = 5.0
LOOK_S = 1.0


class Stranger:
    """Other traffic: a guest who was there before, read and written."""

    def __init__(self, grounds: Grounds, guest: str) -> None:
        self.grounds, self.guest = grounds, guest

    def use(self, http: httpx2.Client, turn: int) -> None:
        path, headers = self.grounds.path(self.guest), bearer(self.grounds.token_of(self.guest))
        if turn % 3 == 0:
            said = {"comms.addressed_as": {"name": f"somebody {turn}"}}
            answer = http.patch(path, json=said, headers=headers)
        else:
            fresh = {"cache-control": "no-cache"} if turn % 5 == 0 else {}
            answer = http.get(path, headers={**headers, **fresh})
        assert answer.status_code == 200, answer.text


def erased_under_traffic(grounds: Grounds, count: int, turns: int) -> list[str]:
    """The words of guests who were read and written by all workers while they were erased."""
    guests = [Guest(grounds, number) for number in range(count)]
    for guest in guests:
        guest.settle()
    words = [guest.canary for guest in guests]
    with traffic(grounds, guests, 3) as turned:
        assert wait_for(lambda: turned() >= turns)
        workers = grounds.server.workers()
        assert len(workers) == 2
        assert all(memory(worker, words) for worker in workers), "every worker held something, or this proves nothing"
        for guest in guests:
            guest.erase()
        before = turned()
        assert wait_for(lambda: turned() >= before + turns // 4)
    return words


def left(grounds: Grounds, words: list[str], within_s: float) -> dict[int, list[str]]:
    """By worker, the words that its memory shows while others are served: as soon as it is none, or in the end."""
    strangers = [Stranger(grounds, guest) for guest in grounds.guests]
    until, found = time.monotonic() + within_s, {0: words}
    with traffic(grounds, strangers, 2):
        while any(found.values()) and time.monotonic() < until:
            time.sleep(LOOK_S)
            found = {worker.pid: memory(worker, words) for worker in grounds.server.workers()}
    return found


@pytest.mark.parametrize(
    "where",
    [pytest.param({}, id="postgresql", marks=pytest.mark.prove), pytest.param(ON_SQLITE, id="sqlite")],
)
def test_with_what_is_freed_overwritten_a_core_file_shows_nothing_of_the_erased(
    tmp_path: Path, where: dict[str, str]
) -> None:
    with Grounds(tmp_path, guests=4, workers=2, environ=WIPING | where) as grounds:
        found = left(grounds, erased_under_traffic(grounds, count=3, turns=120), WITHIN_S)
    assert len(found) == 2
    assert not any(found.values()), found


@pytest.mark.prove
def test_without_it_a_core_file_shows_pieces(tmp_path: Path) -> None:
    with Grounds(tmp_path, guests=4, workers=2) as grounds:
        found = left(grounds, erased_under_traffic(grounds, count=3, turns=120), SOON_S)
    assert all(found.values()), found


def test_what_guests_say_is_never_in_the_memory_of_redis(tmp_path: Path) -> None:
    """While they are served: it is sealed before it gets there, so an erasure has no words to look for."""
    with Grounds(tmp_path, guests=4, workers=2) as grounds:
        guests, server = [Guest(grounds, number) for number in range(3)], psutil.Process(grounds.valkey.pid)
        for guest in guests:
            guest.settle()
        with traffic(grounds, guests, 3) as turned:
            assert wait_for(lambda: turned() >= 120)
            assert memory(server, [guest.id for guest in guests]) != [], "its keys name guests"
            assert memory(server, [guest.canary for guest in guests]) == []


@pytest.mark.prove
@pytest.mark.timeout(300)
def test_of_many_who_were_erased_under_much_traffic_a_core_file_shows_nothing(tmp_path: Path) -> None:
    with Grounds(tmp_path, guests=20, workers=2, environ=WIPING) as grounds:
        found = left(grounds, erased_under_traffic(grounds, count=40, turns=3000), WITHIN_S)
    assert not any(found.values()), found
