"""P18 over HTTP: clients that hang up at any moment cost nothing. No connection stays out, no transaction stays open,
no place stays taken, and nobody hears an answer that was another's."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pytest

from tests.chaos.grounds import Grounds, wait_until
from tests.chaos.openloop import Ask, OpenLoop, failed, statuses

# Each starts servers of its own; on a machine that does everything else beside this, that takes a while.
pytestmark = pytest.mark.timeout(300)

CUTTERS = 4
CUT_AFTER_MAX_S = 0.03  # of a request that takes a few milliseconds: before, in and after its work
IDLE_S = 1.0
LINES_MAX = 8 + 1 + 1  # to Redis: those of the shared tier, the heartbeat's and the allowance's
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: the close is a reset, as of a device that lost its power
_STUCK = (
    "SELECT count(*) AS stuck FROM pg_stat_activity WHERE application_name = 'guestprefs'"
    f" AND state LIKE 'idle in transaction%' AND now() - state_change > interval '{IDLE_S} s'"
)


@pytest.fixture(scope="module")
def grounds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grounds]:
    with Grounds(tmp_path_factory.mktemp("cuts")) as grounds:
        grounds.wait_for_tier("local")
        yield grounds


async def cut(port: int, asks: Sequence[Ask], number: int, chance: random.Random) -> None:
    """Ask and hang up: in the middle of the request's own bytes, or some time after them; by a close or a reset."""
    loop = asyncio.get_running_loop()
    link = socket.socket()
    link.setblocking(False)
    try:
        await loop.sock_connect(link, ("127.0.0.1", port))
        words = asks[number % len(asks)].numbered(number)
        await loop.sock_sendall(link, words[: chance.randrange(1, len(words))] if chance.random() < 0.1 else words)
        await asyncio.sleep(chance.random() * CUT_AFTER_MAX_S)
        if chance.random() < 0.5:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    finally:
        link.close()


async def cut_many(port: int, asks: Sequence[Ask], count: int, seed: int) -> None:
    numbers = iter(range(count))

    async def cutter(chance: random.Random) -> None:
        for number in numbers:
            await cut(port, asks, number, chance)

    await asyncio.gather(*(cutter(random.Random(seed + number)) for number in range(CUTTERS)))


@dataclass(slots=True)
class Watch:
    """Looks at the database's own list of sessions while others cut."""

    grounds: Grounds
    stuck: int = 0
    looks: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self.over.wait(0.2):
            self.stuck = max(self.stuck, self.grounds.postgres.execute(_STUCK)[0]["stuck"])
            self.looks += 1


def redis_clients(grounds: Grounds) -> int:
    return sum(b"name=" in line for line in grounds.valkey.ask(b"CLIENT LIST\r\n").splitlines()) - 1  # less the asker


def cut_and_check(grounds: Grounds, count: int) -> None:
    asks = [*grounds.reads(linearizable=True), *grounds.writes(), *grounds.reads(), grounds.batch()]
    port, watch = grounds.server.port, Watch(grounds)
    watching = threading.Thread(target=watch.run)
    watching.start()
    with OpenLoop(port, asks, rate=50) as others:
        asyncio.run(cut_many(port, asks, count, seed=count))
        time.sleep(0.2)
    watch.over.set()
    watching.join()

    assert failed(others.replies, 503) == [], statuses(others.replies)
    assert 200 in statuses(others.replies), statuses(others.replies)
    assert all(reply.own for reply in others.replies), "an answer was another's"
    assert others.unasked == 0
    assert watch.looks > 0 and watch.stuck == 0
    wait_until(lambda: grounds.metric("guestprefs_database_connections_out") == 0, "connections given back")
    wait_until(lambda: grounds.metric("guestprefs_admission_under_way") == 0, "places given back")
    assert grounds.metric("guestprefs_requests_in_flight") == 1, "this very question"
    assert 0 < redis_clients(grounds) <= LINES_MAX
    assert grounds.metric("guestprefs_admission_waiting") == 0
    assert [grounds.prefer(guest, 9).status_code for guest in grounds.guests] == [200] * len(grounds.guests)
    assert "Traceback" not in grounds.server.output()


def test_a_thousand_cut_requests_leave_nothing_behind(grounds: Grounds) -> None:
    cut_and_check(grounds, 1_000)


@pytest.mark.prove
@pytest.mark.timeout(900)
def test_ten_thousand_cut_requests_leave_nothing_behind(grounds: Grounds) -> None:
    for _ in range(10):
        cut_and_check(grounds, 1_000)
    before = redis_clients(grounds)
    cut_and_check(grounds, 1_000)
    assert redis_clients(grounds) <= max(before, LINES_MAX)
