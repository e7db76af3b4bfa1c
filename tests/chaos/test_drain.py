"""P21 over HTTP: SIGTERM under load, with long answers under way. Whoever watches `/readyz` hears of it at once, every
question that was asked is answered, the exit code is 0 and it does not take long."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from loadtests.bench import wire
from tests.chaos.grounds import PROPERTY, Grounds, wait_until
from tests.chaos.openloop import OpenLoop, failed, statuses

# Each starts servers of its own; on a machine that does everything else beside this, that takes a while.
pytestmark = pytest.mark.timeout(300)

SLOW_READERS = 50
ITEMS = 400  # of a batch whose answer does not fit into what the kernel keeps for a connection
SIP_BYTES, SIP_S = 32_768, 0.02
DRAIN_DELAY_S = 4  # load balancers go elsewhere meanwhile; so does the load of these tests

READY_S = 0.1  # P21
EXIT_S = 10.0


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


def not_ready(grounds: Grounds) -> float:
    """The seconds until `/readyz` answers 503."""
    return wait_until(lambda: grounds.server.status("/readyz") == 503, "503 of /readyz")


def drain(
    folder: Path, rate: float, readers: int, workers: int
) -> tuple[OpenLoop, list[SlowReader], float, float, int]:
    """SIGTERM in the midst of it: the load, the slow readers, seconds until not ready and until the end, exit code."""
    environ = {"DRAIN_DELAY": str(DRAIN_DELAY_S), "STOP_TIMEOUT": "8"}
    with Grounds(folder, environ=environ, workers=workers) as grounds:
        for guest in grounds.guests:
            assert grounds.read(guest).status_code == 200
        many = (grounds.guests * ITEMS)[:ITEMS]
        body = {"guests": many, "property": PROPERTY}
        large = wire.request("/v1/preferences/batch", "POST", body, token=grounds.service).as_bytes()
        load = OpenLoop(grounds.server.port, [*grounds.reads(), *grounds.writes()], rate)
        with load:
            time.sleep(1)
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
        for reader in slow:
            reader.join(30)
    return load, slow, ready_s, ended_s, code


def check(load: OpenLoop, slow: list[SlowReader], code: int) -> None:
    assert code == 0
    assert failed(load.replies, 503) == [], statuses(load.replies)
    assert [reader.whole for reader in slow] == [True] * len(slow), "a long answer was cut"


def test_a_drain_under_load_fails_nobody(tmp_path: Path) -> None:
    load, slow, _, _, code = drain(tmp_path, rate=60, readers=10, workers=2)
    check(load, slow, code)


@pytest.mark.prove
@pytest.mark.timeout(300)
def test_p21_at_its_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen = []
    for number in range(3):
        folder = tmp_path / str(number)
        folder.mkdir()
        load, slow, ready_s, ended_s, code = drain(folder, rate=300, readers=SLOW_READERS, workers=1)
        check(load, slow, code)
        seen.append((ready_s, ended_s))
        with capsys.disabled():
            print(f"not ready after {1000 * ready_s:.0f} ms, gone after {ended_s:.1f} s")  # noqa: T201
        assert ended_s <= EXIT_S
    assert min(ready_s for ready_s, _ in seen) <= READY_S
