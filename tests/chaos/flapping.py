"""Readers of streams that are cut at random while everybody writes, now through this server, now through that one; and
what was wrong with what they were told."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx2

from loadtests.bench import wire
from tests.chaos.grounds import KEY, PROPERTY
from tests.chaos.stream import StreamReader

BROKEN = (OSError, EOFError, asyncio.IncompleteReadError)
AGAIN_S = 0.05


class Line:
    """A connection to each server, made anew when one broke."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._ports = [urlsplit(url).port for url in urls]
        self._links: dict[int, tuple[asyncio.StreamReader, asyncio.StreamWriter]] = {}

    async def ask(self, number: int, asked: wire.Request) -> tuple[int, dict[str, Any]]:
        """The status and the body. Raises one of BROKEN."""
        if number not in self._links:
            self._links[number] = await asyncio.open_connection("127.0.0.1", self._ports[number])
        reading, writing = self._links[number]
        try:
            writing.write(asked.as_bytes())
            head = await reading.readuntil(b"\r\n\r\n")
            length = wire.response_length(head)
            return wire.status_of(head), json.loads(await reading.readexactly(length))
        except BROKEN:
            del self._links[number]
            writing.close()
            raise

    def close(self) -> None:
        for _, writing in self._links.values():
            writing.close()


@dataclass
class Writers:
    """Each guest by one hand, until `enough` changes were made or `stop` is set. `written` is what was acknowledged, by
    guest and version; a write without an answer is sent again under its key."""

    urls: Sequence[str]
    tokens: Mapping[str, str]
    enough: int = 10**9
    pause_s: float = 0.02
    stop: bool = False
    written: dict[str, dict[int, int]] = field(default_factory=dict)
    acknowledged_at: dict[tuple[str, int], float] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return len(self.acknowledged_at)

    async def write(self, guest: str, chance: random.Random) -> None:
        line, mine, value = Line(self.urls), self.written.setdefault(guest, {}), 0
        while not self.stop and self.count < self.enough:
            value = value % 98 + 1
            version = await self._one(line, guest, value, chance)
            mine[version] = value
            self.acknowledged_at[guest, version] = time.monotonic()
            if self.pause_s:
                await asyncio.sleep(chance.uniform(0, self.pause_s))
        line.close()

    async def _one(self, line: Line, guest: str, value: int, chance: random.Random) -> int:
        headers = {"idempotency-key": f"w-{chance.getrandbits(64):x}"}
        asked = wire.request(f"/v1/guests/{guest}/preferences", "PATCH", {KEY: value}, headers, self.tokens[guest])
        while True:
            with suppress(*BROKEN):
                status, said = await line.ask(chance.randrange(len(self.urls)), asked)
                if status == 200:
                    return int(said["version"])
                assert status in (409, 503), said  # the same key is under way elsewhere, or the server is about to stop
            await asyncio.sleep(AGAIN_S)


async def follow(reader: StreamReader, urls: Sequence[str], chance: random.Random) -> None:
    """Goes on where it was whenever the stream ends or breaks, at any server."""
    while True:
        with suppress(httpx2.TransportError):
            await reader.read(chance.choice(urls))
        await asyncio.sleep(AGAIN_S)


async def cut_and_come_back(reader: StreamReader, urls: Sequence[str], cuts: int, chance: random.Random) -> None:
    """Cut by the clock, wherever that finds the stream, or after it told a few things more."""
    for number in range(cuts):
        reading = asyncio.ensure_future(follow(reader, urls, chance))
        if number % 2:
            await asyncio.sleep(chance.uniform(0.02, 0.4))
        else:
            enough = len(reader.events) + chance.randrange(1, 9)
            await reader.until(lambda enough=enough: len(reader.events) >= enough, "something more")
        await _end(reading)


async def flap(
    writers: Writers, service: str, cuts: int, seed: int, beside: asyncio.Future[Any] | None = None
) -> tuple[list[str], list[StreamReader]]:
    """Two readers of the property are cut at random, and a third never, while `beside` is done; what was wrong, and the
    readers."""
    chance, urls = random.Random(seed), writers.urls
    readers = [StreamReader(service, {"property": PROPERTY}) for _ in range(3)]
    steady = asyncio.ensure_future(follow(readers[2], urls, chance))
    await readers[2].until(lambda: readers[2].events, "the snapshot")
    writing = [
        asyncio.ensure_future(writers.write(guest, random.Random(seed + n))) for n, guest in enumerate(writers.tokens)
    ]
    cutting = [cut_and_come_back(reader, urls, cuts // 2, random.Random(chance.random())) for reader in readers[:2]]
    await asyncio.gather(*cutting, *([beside] if beside else []))
    if writers.enough == Writers.enough:
        writers.stop = True
    await asyncio.gather(*writing)
    reading = [asyncio.ensure_future(follow(reader, urls, chance)) for reader in readers[:2]]
    for reader in readers:
        await reader.until(lambda reader=reader: is_complete(reader, writers), "the end")
    for task in (*reading, steady):
        await _end(task)
    return [fault for reader in readers for fault in faults_of(reader, writers)], readers


async def _end(task: asyncio.Future[Any]) -> None:
    task.cancel()
    await asyncio.wait((task,))
    if not task.cancelled() and (failure := task.exception()) is not None:
        raise failure


def is_complete(reader: StreamReader, writers: Writers) -> bool:
    last = reader.last_versions()
    return all(last.get(guest) == max(of) for guest, of in writers.written.items() if of)


def faults_of(reader: StreamReader, writers: Writers) -> list[str]:
    """Versions that go back, what was told last, and values that are not those of their version."""
    faults, last = [], dict[str, int]()
    for body in reader.bodies():
        guest, version = body["guest"], body["version"]
        if version < last.get(guest, 0):
            faults.append(f"{guest}: {version} told after {last[guest]}")
        last[guest] = version
        value, told = writers.written[guest].get(version), body["preferences"].get(KEY, {}).get("value")
        if value is not None and told != value:
            faults.append(f"{guest}: {told} told at version {version}, {value} written")
    for guest, written in writers.written.items():
        if last.get(guest) != max(written):
            faults.append(f"{guest}: last told {last.get(guest)}, written {max(written)}")
    return faults


def delays(reader: StreamReader, writers: Writers) -> list[float]:
    """Milliseconds from the acknowledgement of each change until it, or a later one of the guest, was told; sorted."""
    found, waiting = [], {guest: sorted(of, reverse=True) for guest, of in writers.written.items()}
    for body, at in reader.bodies_with_times():
        left = waiting[body["guest"]]
        while left and left[-1] <= body["version"]:
            found.append((at - writers.acknowledged_at[body["guest"], left.pop()]) * 1000)
    return sorted(found)
