"""The generator against a server whose faults are known: it reads responses right, and it does not hide a wait."""

from __future__ import annotations

import asyncio
import copy
import time
from typing import Any

import pytest

from loadtests.bench import wire
from loadtests.bench.generator import Run
from loadtests.bench.load import _encoded
from loadtests.bench.percentiles import percentile

OK = b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nETag: "7"\r\n\r\nok'


@pytest.mark.parametrize(
    ("response", "end"),
    [
        (OK, len(OK)),
        (OK + b"HTTP", len(OK)),
        (OK[:-1], 0),
        (OK[:20], 0),
        (b"HTTP/1.1 304 Not Modified\r\n\r\n", 29),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", 0),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 59),
    ],
)
def test_where_a_response_ends(response: bytes, end: int) -> None:
    assert wire.response_end(response) == end
    assert wire.status_of(response) in (200, 304)


def test_requests_as_bytes() -> None:
    made = wire.request("/x", "PATCH", {"a": 1}, token="t").as_bytes()
    head, body = made.split(b"\r\n\r\n")
    assert head.splitlines()[0] == b"PATCH /x HTTP/1.1" and body == b'{"a": 1}'
    assert {b"authorization: Bearer t", b"content-length: 8", b"content-type: application/json"} <= set(
        head.splitlines()
    )


class Server(asyncio.Protocol):
    """Answers everything; stands still once when told to; keeps what it was sent."""

    received: list[bytes]

    def __init__(
        self, answer: bytes = OK, stall_s: float = 0.0, after: int = 0, refusals: list[int] | None = None
    ) -> None:
        self._answer, self._stall_s, self._after = answer, stall_s, after
        self.refusals, self.reads = refusals or [], refusals is not None
        self.received = []

    def __call__(self) -> Server:
        """One for each connection; what it was sent and what it will refuse are those of all."""
        return copy.copy(self)

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self.reads and data.startswith(b"GET"):
            self._transport.write(b'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nETag: "%d"\r\n\r\n' % len(self.received))
            self.received.append(data)
            return
        self.received.append(data)
        if self.refusals:
            self._transport.write(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % self.refusals.pop(0))
            return
        if self._stall_s and len(self.received) == self._after:
            time.sleep(self._stall_s)
        self._transport.write(self._answer)


async def asked(server: Server, **plan: Any) -> dict[str, Any]:
    listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        return await Run({"port": port, "warmup": 0.0, "connections": 1, **plan}).run()


async def test_an_open_loop_counts_from_the_intended_moment() -> None:
    """One stall of 0.4 s in 1 s at 100/s: 40 requests were meant to go out meanwhile, and all of them waited."""
    server = Server(stall_s=0.4, after=20)
    seen = await asked(server, mode="open", duration=1.0, rate=100, requests=_encoded([b"GET / HTTP/1.1\r\n\r\n"]))
    assert seen["wrong"] == 0 and seen["unanswered"] == 0
    assert seen["answers"] + 6 >= 100  # those before the beginning of the count do not count
    assert percentile(seen["counts"], 0.9) >= 250_000
    assert percentile(seen["counts"], 1.0) >= 390_000


async def test_wrong_answers_are_counted_apart() -> None:
    server = Server(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
    seen = await asked(server, mode="closed", duration=0.2, requests=_encoded([b"GET / HTTP/1.1\r\n\r\n"]))
    assert seen["answers"] == 0 and seen["wrong"] > 0 and set(seen["statuses"]) == {503}


async def test_a_chain_carries_the_entity_tag_it_was_given_and_a_new_value_each_time() -> None:
    server = Server()
    targets = [_encoded([b"GET /a HTTP/1.1\r\n\r\n", b"PATCH /a @etag@ @v HTTP/1.1\r\n\r\n"])]
    seen = await asked(server, mode="chain", duration=0.2, targets=targets)
    first, *writes = server.received
    assert first.startswith(b"GET /a") and all(b'"7"' in write for write in writes)
    assert seen["answers"] > 2 and all(one != next_one for one, next_one in zip(writes, writes[1:], strict=False))


WRITTEN = _encoded([b"GET /a HTTP/1.1\r\n\r\n", b"PATCH /a @etag@ @v HTTP/1.1\r\n\r\n"])


@pytest.mark.parametrize("refusal", [409, 503])
async def test_a_write_that_meets_another_is_tried_again_with_the_same_tag(refusal: int) -> None:
    server = Server(refusals=[refusal, refusal])
    seen = await asked(server, mode="chain", duration=5.0, targets=[WRITTEN], count=1)
    assert (seen["answers"], seen["retried"], seen["wrong"]) == (1, 2, 0)
    assert [sent.split()[0] for sent in server.received] == [b"GET", b"PATCH", b"PATCH", b"PATCH"]
    assert all(b'"0"' in sent for sent in server.received[1:])


async def test_a_write_whose_precondition_does_not_hold_reads_anew_first() -> None:
    server = Server(refusals=[412])
    seen = await asked(server, mode="chain", duration=5.0, targets=[WRITTEN], count=1)
    assert (seen["answers"], seen["retried"], seen["wrong"]) == (1, 1, 0)
    assert [sent.split()[0] for sent in server.received] == [b"GET", b"PATCH", b"GET", b"PATCH"]
    assert b'"0"' in server.received[1] and b'"2"' in server.received[3]


async def test_a_write_that_is_always_refused_is_wrong_in_the_end_and_so_is_another_refusal() -> None:
    seen = await asked(Server(refusals=[409] * 11), mode="chain", duration=5.0, targets=[WRITTEN], count=2)
    assert (seen["answers"], seen["retried"], seen["wrong"], seen["statuses"]) == (1, 10, 1, {409: 1})
    seen = await asked(Server(refusals=[400]), mode="chain", duration=5.0, targets=[WRITTEN], count=2)
    assert (seen["answers"], seen["retried"], seen["wrong"], seen["statuses"]) == (1, 0, 1, {400: 1})


async def test_the_time_of_a_write_counts_from_its_first_try() -> None:
    """A try that is told to wait waits 50 ms."""
    seen = await asked(Server(refusals=[503]), mode="chain", duration=5.0, targets=[WRITTEN], count=1)
    assert percentile(seen["counts"], 0.5) >= 49_000


@pytest.mark.parametrize(("count", "connections"), [(1, 1), (7, 3), (40, 16)])
async def test_a_count_is_kept_to_exactly(count: int, connections: int) -> None:
    server = Server()
    requests = _encoded([b"GET / HTTP/1.1\r\n\r\n"])
    plan = {"mode": "closed", "duration": 5.0, "requests": requests, "count": count, "connections": connections}
    seen = await asked(server, **plan)
    assert seen["answers"] == seen["all"] == len(server.received) == count
