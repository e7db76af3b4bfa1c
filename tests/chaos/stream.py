"""A reader of streams as a client is one: it goes on from the last id, and can be cut at any moment."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2

from tests.cli.served import bearer

type Event = tuple[str, dict[str, Any]]
type Stamp = tuple[float, float, float]  # when it was read, written, and began to be sent: see `stamped`

NEVER: Stamp = (0.0, 0.0, 0.0)


@dataclass
class StreamReader:
    """`events` is everything that it was ever told, whatever was cut in between."""

    token: str
    params: Mapping[str, str]
    last_id: str = ""
    events: list[Event] = field(default_factory=list)
    told_at: list[float] = field(default_factory=list)  # of each event
    stamps: list[Stamp] = field(default_factory=list)  # of each event, from a server that stamps them
    retries_ms: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    connected: asyncio.Event = field(default_factory=asyncio.Event)

    async def read(self, url: str) -> None:
        """One connection, until it ends or this is cancelled."""
        headers = bearer(self.token) | ({"last-event-id": self.last_id} if self.last_id else {})
        asked = {"headers": headers, "params": dict(self.params)}
        async with httpx2.AsyncClient(timeout=60) as http, http.stream("GET", f"{url}/v1/changes", **asked) as answer:
            self.statuses.append(answer.status_code)
            if answer.status_code != 200:
                return
            kind, data, place, stamp = "", "", "", NEVER
            async for line in answer.aiter_lines():
                if line.startswith(":") and len(line) > 1:
                    read_at, written_at, sent_at = line[1:].split(" ")
                    stamp = float(read_at), float(written_at), float(sent_at)
                    continue
                name, _, value = line.partition(": ")
                match name:
                    case "event":
                        kind = value
                    case "data":
                        data = value
                    case "id":
                        place = value
                    case "retry":
                        self.retries_ms.append(int(value))
                    case "":
                        self.last_id = place or self.last_id
                        if data:
                            self.told_at.append(time.monotonic())
                            self.stamps.append(stamp)
                            self.events.append((kind, json.loads(data)))
                        if place:
                            self.connected.set()
                        kind, data, place, stamp = "", "", "", NEVER

    def bodies(self) -> list[dict[str, Any]]:
        """What was told of guests, in order, out of snapshots and changes alike."""
        return [body for body, _ in self.bodies_with_times()]

    def bodies_with_times(self) -> Iterator[tuple[dict[str, Any], float]]:
        for (kind, data), at in zip(self.events, self.told_at, strict=True):
            for body in data["items"] if kind == "snapshot" else [data] if "version" in data else []:
                yield body, at

    def versions(self, guest: str) -> list[int]:
        return [body["version"] for body in self.bodies() if body["guest"] == guest]

    def last_versions(self) -> dict[str, int]:
        return {body["guest"]: body["version"] for body in self.bodies()}

    async def until(self, held: Any, what: str, timeout_s: float = 90) -> None:
        async with asyncio.timeout(timeout_s):
            while not held():  # noqa: ASYNC110 - it may hold in another process
                await asyncio.sleep(0.01)
        assert held(), what
