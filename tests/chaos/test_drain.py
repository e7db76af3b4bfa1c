"""P21 over HTTP: SIGTERM under load, with streams open and long answers under way. Whoever watches `/readyz` hears of
it at once, every question that was asked is answered, streams are asked to come back and end, the exit code is 0 and
it does not take long."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from loadtests.bench import wire
from tests.chaos.grounds import PROPERTY, Grounds, wait_until
from tests.chaos.openloop import OpenLoop, failed, statuses
from tests.chaos.stream import StreamReader

# Each starts servers of its own; on a machine that does everything else beside this, that takes a while.
pytestmark = pytest.mark.timeout(300)

STREAMS = 50
SLOW_READERS = 50
ITEMS = 400  # of a batch whose answer does not fit into what the kernel keeps for a connection
SIP_BYTES, SIP_S = 32_768, 0.02
DRAIN_DELAY_S = 4  # load balancers go elsewhere meanwhile; so does the load of these tests

READY_S = 0.1  # P21
EXIT_S = 10.0
COME_BACK_MS = (500, 5000)  # spread, so that not all of them come to the next server at once


class SlowReader(threading.Thread):
    """Asks for a large answer and takes it in small sips; whole when all of it came."""

    def __init__(self, port: int, request: bytes) -> None:
        super().__init__(daemon=True)
        self._port, self._request = port, request
        self.begun = threading.Event()
        self.whole = False

    def run(self) -> None:
        while not self.whole and not self.begun.is_set():
            self._ask()

    def _ask(self) -> None:
        """Once; without having begun when it was told to come again."""
        with contextlib.suppress(OSError), socket.socket() as link:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SIP_BYTES)
            link.settimeout(30)
            link.connect(("127.0.0.1", self._port))
            link.sendall(self._request)
            answer = b""
            while not self.whole and (sip := link.recv(SIP_BYTES)):
                answer += sip
                if wire.status_of(answer) != 200:
                    break
                self.begun.set()
                self.whole = wire.response_end(answer) > 0
                time.sleep(SIP_S)
        time.sleep(SIP_S)


class Followers(threading.Thread):
    """Each guest's own stream, until the server ends it."""

    def __init__(self, grounds: Grounds, count: int) -> None:
        super().__init__(daemon=True)
        self._url = grounds.server.url
        self.readers = [StreamReader(grounds.token_of(guest), {"guest": guest}) for guest in grounds.guests[:count]]
        self.ended_s: list[float] = []

    def run(self) -> None:
        asyncio.run(self._read())

    async def _read(self) -> None:
        await asyncio.gather(*map(self._follow, self.readers))

    async def _follow(self, reader: StreamReader) -> None:
        while 200 not in reader.statuses:  # 503: so many at once are more than is taken on
            await reader.read(self._url)  # raises if it is cut in the midst of an event
        self.ended_s.append(time.monotonic())


def not_ready(grounds: Grounds) -> float:
    """The seconds until `/readyz` answers 503."""
    return wait_until(lambda: grounds.server.status("/readyz") == 503, "503 of /readyz")


@dataclass
class Drained:
    """What came of a SIGTERM in the midst of it; seconds are counted from there."""

    load: OpenLoop
    slow: list[SlowReader]
    followers: Followers
    ready_s: float  # until it said that it is not ready
    streams_s: list[float]
    ended_s: float
    code: int

    def check(self) -> None:
        assert self.code == 0
        assert failed(self.load.replies, 503) == [], statuses(self.load.replies)
        assert [reader.whole for reader in self.slow] == [True] * len(self.slow), "a long answer was cut"
        readers = self.followers.readers
        assert len(self.streams_s) == len(readers), "a stream was cut, or did not end"
        assert all(reader.statuses.count(200) == 1 and len(reader.events) > 1 for reader in readers), (
            "they told nothing"
        )
        asked = [reader.retries_ms[1:] for reader in readers]
        assert all(len(one) == 1 and COME_BACK_MS[0] <= one[0] <= COME_BACK_MS[1] for one in asked), asked

    def __str__(self) -> str:
        gone = f"streams gone within {1000 * max(self.streams_s):.0f} ms, " if self.streams_s else ""
        return f"not ready after {1000 * self.ready_s:.0f} ms, {gone}the server after {self.ended_s:.1f} s"


def drain(folder: Path, rate: float, streams: int, readers: int, workers: int) -> Drained:
    environ = {"DRAIN_DELAY": str(DRAIN_DELAY_S), "STOP_TIMEOUT": "8"}
    with Grounds(folder, guests=streams, environ=environ, workers=workers) as grounds:
        for guest in grounds.guests:
            assert grounds.read(guest).status_code == 200
        many = (grounds.guests * ITEMS)[:ITEMS]
        body = {"guests": many, "property": PROPERTY}
        large = wire.request("/v1/preferences/batch", "POST", body, token=grounds.service).as_bytes()
        load = OpenLoop(grounds.server.port, [*grounds.reads(), *grounds.writes()], rate)
        followers = Followers(grounds, streams)
        followers.start()
        wait_until(lambda: all(one.events for one in followers.readers), "every stream")
        with load:
            wait_until(lambda: all(len(one.events) > 1 for one in followers.readers), "a change on every stream")
            slow = [SlowReader(grounds.server.port, large) for _ in range(readers)]
            for reader in slow:  # one after the other: all at once they would be more than is taken on
                reader.start()
                assert reader.begun.wait(20)
            process = grounds.server.process
            assert process is not None
            process.send_signal(signal.SIGTERM)
            told = time.monotonic()
            ready_s = not_ready(grounds)
            load.end()  # as a load balancer does that saw the 503: nothing new, what was asked is waited for
            code = process.wait(30)
            ended_s = time.monotonic() - told
        for thread in (*slow, followers):
            thread.join(30)
    return Drained(load, slow, followers, ready_s, [at - told for at in followers.ended_s], ended_s, code)


def test_a_drain_under_load_fails_nobody(tmp_path: Path) -> None:
    drain(tmp_path, rate=60, streams=10, readers=10, workers=2).check()


@pytest.mark.prove
@pytest.mark.timeout(300)
def test_p21_at_its_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen = []
    for number in range(3):
        folder = tmp_path / str(number)
        folder.mkdir()
        drained = drain(folder, rate=300, streams=STREAMS, readers=SLOW_READERS, workers=1)
        drained.check()
        seen.append(drained.ready_s)
        with capsys.disabled():
            print(drained)  # noqa: T201 - the figures of this row
        assert drained.ended_s <= EXIT_S
    assert min(seen) <= READY_S
