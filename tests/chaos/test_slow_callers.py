"""P28 over HTTP: whoever sends a head or a body drop by drop, or none at all, is hung up on, and costs the others
neither an answer nor memory. What is too large, too deep or compressed is refused at once."""

from __future__ import annotations

import gzip
import itertools
import multiprocessing
import selectors
import socket
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress

import httpx2
import pytest

from loadtests.bench import wire
from tests.chaos.openloop import Ask, OpenLoop, percentile, statuses
from tests.cli.served import Served, bearer

# Starts a server of its own; on a machine that does everything else beside this, that takes a while.
pytestmark = pytest.mark.timeout(300)

TIMEOUT_S = 2.0
FEW, MANY = 60, 500
DROP_S, TURN_S = 0.5, 0.005
STAYS_S = 15.0
COME_BACK = 5  # at once, so that their coming is spread out as well
GONE_S = 30.0  # by when a test gives up waiting for what should take TIMEOUT_S
PACE = 100.0
MEMORY_MAX = 30 * 2**20
LATER_AT_MOST = 2.0
REFUSED_S = 0.02
LONG = b"x" * 300
START = b"GET /livez HTTP/1.1\r\nhost: x\r\n"

WAYS: dict[str, tuple[bytes, bytes]] = {
    "nothing": (b"", b""),
    "half a head": (b"GET /v1/guests HTTP/1.1\r\nhost: x\r\n", b""),
    "a head, drop by drop": (b"GET /v1/guests HTTP/1.1\r\nhost: x\r\n", b"a: " + LONG + b"\r\n"),
    "half a head after a whole one": (b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\nGET /livez HTTP/1.1\r\n", b"a: b\r\n"),
    "a body, drop by drop": (
        b"POST /v1/guests HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 60000\r\n\r\n",
        LONG,
    ),
    "a body without end": (
        b"POST /v1/preferences/batch HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n",
        b"12c\r\n" + LONG + b"\r\n",
    ),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    seconds = {"GUESTPREFS_HEAD_TIMEOUT": f"{TIMEOUT_S:g}", "GUESTPREFS_BODY_TIMEOUT": f"{TIMEOUT_S:g}"}
    with Served(tmp_path_factory.mktemp("slow"), "--demo", "--guests", "6", environ=seconds) as server:
        yield server


class Slow:
    """So many connections, each slow in its own way, until the server has hung up on every one."""

    def __init__(self, port: int, count: int) -> None:
        self.heard: dict[socket.socket, bytes] = {}
        self.ways: dict[socket.socket, str] = {}
        self.ended = Counter[str]()
        self._selector = selectors.DefaultSelector()
        self._port, self._turns = port, deque[socket.socket]()
        self._names = itertools.cycle(WAYS)
        for _ in range(count):
            self.connect()

    def connect(self) -> None:
        way = next(self._names)
        one = socket.create_connection(("127.0.0.1", self._port), timeout=10)
        one.setblocking(False)
        self.ways[one], self.heard[one] = way, b""
        self._turns.append(one)
        self._selector.register(one, selectors.EVENT_READ)
        self._say(one, WAYS[way][0])

    def stay(self, count: int, seconds: float) -> None:
        """Be so many for so long: whoever was hung up on comes again."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for _ in range(min(COME_BACK, count - len(self.ways))):
                self.connect()
            self.last(TURN_S)

    def last(self, seconds: float) -> None:
        """Go on, drop by drop, for so long or until nobody listens any more."""
        until = time.monotonic() + seconds
        while self.ways and time.monotonic() < until:
            for key, _ in self._selector.select(TURN_S):
                one = key.fileobj
                assert isinstance(one, socket.socket)
                self._hear(one)
            for _ in range(max(1, int(len(self.ways) * TURN_S / DROP_S))):
                one = self._turns.popleft()
                if one in self.ways:
                    self._turns.append(one)
                    self._say(one, WAYS[self.ways[one]][1])
                if not self._turns:
                    break
            time.sleep(TURN_S)

    def _hear(self, one: socket.socket) -> None:
        try:
            words = one.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            words = b""
        self.heard[one] += words
        if not words:
            self._end(one)

    def _say(self, one: socket.socket, words: bytes) -> None:
        try:
            if words and one in self.ways:
                one.send(words)
        except BlockingIOError:
            return
        except OSError:
            self._end(one)

    def _end(self, one: socket.socket) -> None:
        self.ended[self.ways.pop(one)] += 1
        self._selector.unregister(one)
        one.close()

    def close(self) -> None:
        for one in list(self.ways):
            self._end(one)
        self._selector.close()


def be_slow(port: int, count: int, seconds: float) -> dict[str, int]:
    """So many slow connections for so long, however often they are hung up on; those on which the server has not hung
    up in the end, by their way."""
    slow = Slow(port, 0)
    try:
        slow.stay(count, seconds)
        slow.last(GONE_S)
        return dict(Counter(slow.ways.values()))
    finally:
        slow.close()


def asks(server: Served) -> list[Ask]:
    demo = server.demo()
    path = f"/v1/guests/{demo['guests'][0]}/preferences"
    token = demo["tokens"]["service"]
    return [
        Ask("read", wire.request(path, token=token), demo["guests"][0]),
        Ask("typed", wire.request("/v1/catalogue", token=token)),
    ]


def test_slow_senders_are_hung_up_on_and_the_others_are_answered(server: Served) -> None:
    slow = Slow(server.port, FEW)
    try:
        with OpenLoop(server.port, asks(server), PACE) as beside:
            slow.last(GONE_S)
        assert not slow.ways, f"still connected: {Counter(slow.ways.values())}"
        assert slow.ended == dict.fromkeys(WAYS, FEW // len(WAYS))
    finally:
        slow.close()
    told = [words for words in slow.heard.values() if b"HTTP/1.1 408" in words]
    assert len(told) == 2 * FEW // len(WAYS), "those who had sent a head are told why"
    assert all(b'"code":"TOO_SLOW"' in words and b"connection: close" in words.lower() for words in told)
    assert statuses(beside.replies) == {200: len(beside.replies)} and len(beside.replies) > 10


REFUSED = ("large", "deep", "bomb")


def wrong(what: str) -> tuple[bytes, dict[str, str], int]:
    match what:
        case "large":
            return b" " * 70_000, {}, 413
        case "deep":
            return b"[" * 60_000, {}, 422
    return gzip.compress(b" " * 40 * 2**20), {"content-encoding": "gzip"}, 415


def refuse(server: Served, what: str, times: int) -> list[float]:
    """How long so many refusals of this took."""
    demo = server.demo()
    url = f"{server.url}/v1/guests/{demo['guests'][0]}/preferences"
    body, headers, status = wrong(what)
    headers |= {"content-type": "application/json", **bearer(demo["tokens"]["guest"])}
    took = []
    with httpx2.Client() as http:
        for _ in range(times):
            began = time.monotonic()
            answer = http.patch(url, content=body, headers=headers)
            took.append(time.monotonic() - began)
            assert answer.status_code == status, answer.text
    return took


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_too_much_is_refused_and_the_server_goes_on(server: Served, what: str) -> None:
    refuse(server, what, 3)
    assert server.status("/livez") == 200


@pytest.mark.parametrize(
    "head",
    [START + b"a: " + b"x" * 300_000, START + b"a: b\r\n" * 500],
    ids=["long", "many"],
)
def test_a_head_beyond_all_measure_is_refused(server: Served, head: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as one:
        with suppress(OSError):  # it may hang up while this is still talking
            one.sendall(head + b"\r\n\r\n")
        words = b""
        with suppress(OSError):
            words = one.recv(4096)
    assert words == b"" or words.startswith(b"HTTP/1.1 431"), words
    assert server.status("/livez") == 200


def memory(server: Served) -> int:
    return sum(process.memory_info().rss for process in server.workers())


def measured(server: Served, seconds: float) -> OpenLoop:
    with OpenLoop(server.port, asks(server), PACE) as load:
        time.sleep(seconds)
    return load


@pytest.mark.prove
@pytest.mark.alone
@pytest.mark.timeout(600)
def test_p28_at_its_numbers(server: Served, capsys: pytest.CaptureFixture[str]) -> None:
    measured(server, 5)
    rounds = []
    # Those who are slow have a process of their own: what they cost here is no trouble of the server's.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as elsewhere:
        elsewhere.submit(be_slow, server.port, 1, 0.1).result()
        for _ in range(3):
            calm = measured(server, STAYS_S)
            before = peak = memory(server)
            with OpenLoop(server.port, asks(server), PACE) as beside:
                slow = elsewhere.submit(be_slow, server.port, MANY, STAYS_S)
                while not slow.done():
                    time.sleep(0.2)
                    peak = max(peak, memory(server))
            assert slow.result() == {}
            assert statuses(beside.replies) == {200: len(beside.replies)}
            late = percentile(calm.replies, 0.99), percentile(beside.replies, 0.99)
            rounds.append((peak - before, late))
    took = {what: percentile_of(refuse(server, what, 50)) for what in REFUSED}
    with capsys.disabled():
        for grown, (calmly, later) in rounds:
            told = f"+{grown / 2**20:.1f} MiB, others' p99 {1000 * later:.1f} ms, {later / calmly:.2f}x"
            print(f"{MANY} slow: {told}")  # noqa: T201 - this row's figures
        print({what: f"{1000 * seconds:.1f} ms" for what, seconds in took.items()})  # noqa: T201
    assert max(grown for grown, _ in rounds) <= MEMORY_MAX
    assert min(later / calmly for _, (calmly, later) in rounds) <= LATER_AT_MOST
    assert max(took.values()) <= REFUSED_S


def percentile_of(values: Sequence[float]) -> float:
    return sorted(values)[int(len(values) * 0.9)]
