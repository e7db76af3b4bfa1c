"""The own load generator: raw sockets, kept alive, as a process of its own that can be pinned to a core.

It reads what to do as JSON from stdin and writes what it saw as JSON to stdout. Three ways to ask:

- `closed`: each connection asks again as soon as it was answered: what a server can do at most;
- `open`: requests have intended times, whatever the server does, and latency counts from the intended time, so that a
  server that stands still cannot stop the clock; between requests it polls, because timers of an event loop are a
  millisecond coarse;
- `chain`: closed, and every request carries the entity tag of the answer before it: writes with a precondition. Each
  target belongs to one connection, so nobody meets another. A write that is told to try again (409, 412, 503) does, and
  its time counts from the first try.

`closed` and `chain` last for a time, or, with `count`, until so many were answered.
"""

import asyncio
import base64
import json
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import uvloop

from loadtests.bench import wire
from loadtests.bench.percentiles import counted

STRAGGLERS_S = 3.0  # what open requests get after the last intended time
# What tells a writer to try again: a conflict, a precondition that does not hold (it must read anew first), too busy.
CONFLICT, STALE, BUSY = 409, 412, 503
RETRIES_MAX = 10  # of one write; then it counts as wrong
BUSY_PAUSE_S = 0.05


@dataclass(slots=True)
class Target:
    """Something that is written to: how to learn its entity tag, and the write with places for tag and value."""

    read: bytes
    write: bytes
    etag: bytes = b""
    writes: int = 0

    def next_write(self) -> bytes:
        self.writes += 1
        value = b"%02d" % (20 + 2 * (self.writes % 10))
        return self.write.replace(wire.ETAG, self.etag).replace(wire.VALUE, value)


@dataclass(slots=True)
class Chain:
    """What one connection writes to, and where it is with the first of them."""

    targets: deque[Target]
    reading: bool = False
    tries: int = 0
    since: float = 0.0  # the first try of the write that is going on


@dataclass(slots=True)
class Seen:
    """What happened since `begin`; earlier answers were the warm-up."""

    begin: float
    end: float
    latencies_us: list[float] = field(default_factory=list)
    wrong: int = 0
    retried: int = 0
    statuses: dict[int, int] = field(default_factory=dict)

    def note(self, since: float, status: int) -> None:
        now = time.perf_counter()
        if since >= self.begin:
            if 200 <= status < 300:
                self.latencies_us.append((now - since) * 1e6)
            else:
                self.wrong += 1
                self.statuses[status] = self.statuses.get(status, 0) + 1


class Connection(asyncio.Protocol):
    """One kept-alive connection with at most one request on its way; `answered` says what to do next."""

    def __init__(self, answered: Any) -> None:
        self._answered = answered
        self._buffer = bytearray()
        self.transport: Any = None
        self.since = 0.0
        self.answers = 0  # all that came back, those of the warm-up, reads and retries among them
        self.state: Any = None  # what the way of asking keeps for this connection
        self.closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._answered(self, 0, b"")

    def send(self, data: bytes, since: float) -> None:
        self.since = since
        self.transport.write(data)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = wire.response_end(self._buffer)
        if end:
            self.answers += 1
            answer = bytes(self._buffer[:end])
            del self._buffer[:end]
            self._answered(self, wire.status_of(answer), answer)


class Run:
    """One run of the generator, in one of the three ways."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self._plan = plan
        self._requests = [base64.b64decode(text) for text in plan.get("requests", ())]
        self._targets = [
            Target(base64.b64decode(read), base64.b64decode(write)) for read, write in plan.get("targets", ())
        ]
        self._next = 0
        self._left: int | None = plan.get("count")
        self._enough = asyncio.Event()
        begin = time.perf_counter() + plan["warmup"]
        self.seen = Seen(begin, begin + plan["duration"])
        self._idle: deque[Connection] = deque()
        self._due: deque[float] = deque()

    async def run(self) -> dict[str, Any]:
        answered = {"closed": self._again, "open": self._free, "chain": self._link}[self._plan["mode"]]
        connections = [await self._connect(answered) for _ in range(self._plan["connections"])]
        if self._plan["mode"] == "open":
            self._idle.extend(connections)
            await self._pace()
        else:
            for number, connection in enumerate(connections):
                self._start(connection, number, len(connections))
            await self._end()
        outcome = {
            "counts": counted(self.seen.latencies_us),
            "answers": len(self.seen.latencies_us),
            "wrong": self.seen.wrong,
            "retried": self.seen.retried,
            "all": sum(connection.answers for connection in connections),
            "statuses": self.seen.statuses,
        }
        if self._plan["mode"] == "open":
            outcome["unanswered"] = len(self._due) + self._plan["connections"] - len(self._idle)
        self.seen.end = 0.0  # what the server thinks of being left is no answer
        for connection in connections:
            connection.transport.abort()
        return outcome

    async def _end(self) -> None:
        try:
            await asyncio.wait_for(self._enough.wait(), self.seen.end - time.perf_counter())
        except TimeoutError:
            return

    def _counted(self) -> bool:
        """One more was answered; whether there is another to send."""
        if self._left is None:
            return True
        self._left -= 1
        if self._left <= 0:
            self._enough.set()
        return bool(self._left >= self._plan["connections"])  # the others are on their way

    async def _connect(self, answered: Any) -> Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(lambda: Connection(answered), "127.0.0.1", self._plan["port"])
        return connection

    def _request(self) -> bytes:
        self._next += 1
        return self._requests[self._next % len(self._requests)]

    # closed
    def _start(self, connection: Connection, number: int, of: int) -> None:
        if self._plan["mode"] == "closed":
            connection.send(self._request(), time.perf_counter())
            return
        connection.state = Chain(deque(self._targets[number::of]))
        self._link(connection, 0, b"")

    def _again(self, connection: Connection, status: int, answer: bytes) -> None:
        now = time.perf_counter()
        self._noted(connection, status, now)
        if self._counted() and now < self.seen.end and not connection.closed:
            connection.send(self._request(), now)

    def _noted(self, connection: Connection, status: int, now: float) -> None:
        if now < self.seen.end:
            self.seen.note(connection.since, status)

    # chain
    def _link(self, connection: Connection, status: int, answer: bytes) -> None:
        now = time.perf_counter()
        chain: Chain = connection.state
        if connection.closed:
            self._noted(connection, status, now)
            return
        more = not answer or self._read_or_written(connection, chain, status, answer, now)
        if not more or now >= self.seen.end:
            return
        target = chain.targets[0]
        chain.reading = not target.etag
        if not chain.tries:
            chain.since = now
        if chain.reading:
            connection.send(target.read, now)
        elif status == BUSY and chain.tries:
            asyncio.get_running_loop().call_later(BUSY_PAUSE_S, self._write, connection, chain)
        else:
            self._write(connection, chain)

    def _write(self, connection: Connection, chain: Chain) -> None:
        if not connection.closed:
            connection.send(chain.targets[0].next_write(), chain.since)

    def _read_or_written(self, connection: Connection, chain: Chain, status: int, answer: bytes, now: float) -> bool:
        """Take in an answer; False when nothing more is to be sent."""
        target = chain.targets[0]
        if chain.reading:
            target.etag = wire.etag_of(answer) or b"-"
            return True
        if status in (CONFLICT, STALE, BUSY) and chain.tries < RETRIES_MAX:
            chain.tries += 1
            self.seen.retried += 1
            target.etag = b"" if status == STALE else target.etag
            return True
        self._noted(connection, status, now)
        target.etag = wire.etag_of(answer) or target.etag if status < 300 else b""
        chain.tries = 0
        chain.targets.rotate(1)
        return self._counted()

    # open
    async def _pace(self) -> None:
        gap, intended = 1 / self._plan["rate"], time.perf_counter() + 0.05
        last = self.seen.end
        while intended < last or self._due or len(self._idle) < self._plan["connections"]:
            now = time.perf_counter()
            while intended <= now and intended < last:
                self._due.append(intended)
                intended += gap
            self._hand_out()
            if now > last + STRAGGLERS_S:
                break
            await asyncio.sleep(0)

    def _hand_out(self) -> None:
        while self._due and self._idle:
            connection = self._idle.popleft()
            if not connection.closed:
                connection.send(self._request(), self._due.popleft())

    def _free(self, connection: Connection, status: int, answer: bytes) -> None:
        self.seen.note(connection.since, status)
        if not connection.closed:
            self._idle.append(connection)


def main() -> None:
    plan = json.loads(sys.stdin.read())
    seen = uvloop.run(Run(plan).run())
    sys.stdout.write(json.dumps(seen))


if __name__ == "__main__":
    main()
