"""Opening streams of one house, and reading them one event at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from typing import Any

from prefs.core.callers import Caller
from prefs.feed.tail import Tail
from prefs.services.changes import Changes
from prefs.services.readings import Readings
from prefs.services.tellings import Told
from tests.services.house import House

QUIET, ALLERGENS = "room.quiet", "food.allergens"
PEANUTS = {ALLERGENS: [{"code": "peanuts"}]}


def digest(of: str) -> str:
    return f"digest of {of}"


class Streams:
    """Streams of one house, opened and read one event at a time."""

    def __init__(self, house: House, readings: type[Readings] = Readings) -> None:
        self.house = house
        self.feed, self.monotonic = Tail(house.store, house.clock), 0.0
        self.readings = readings(house.preferences, house.store, house.clock, lambda: self.monotonic)
        self.changes = Changes(house.preferences, self.readings, house.store, self.feed, house.clock, digest)

    @asynccontextmanager
    async def open(self, caller: Caller, **asked: Any) -> AsyncIterator[Reader]:
        stream = await self.changes.open(caller, **asked)
        async with aclosing(stream.tell()) as telling:
            yield Reader(telling)


class Reader:
    """`next` is the next event with data; where the stream stood last is kept."""

    def __init__(self, telling: AsyncGenerator[Told]) -> None:
        self._telling = telling
        self.place, self.said = "", list[str]()  # every kind of thing that came, also what is no event

    async def next(self) -> Told | None:
        async with asyncio.timeout(10):
            async for told in self._telling:
                self.place = told.place or self.place
                self.said.append(told.kind)
                if told.data is not None:
                    return told
        return None

    async def beat(self) -> tuple[str, str]:
        """The next thing that comes, event or not, and where the stream stands then."""
        async with asyncio.timeout(10):
            async for told in self._telling:
                self.place = told.place or self.place
                self.said.append(told.kind)
                return told.kind, self.place
        return "", self.place

    async def rest(self) -> list[Told]:
        found = []
        while (told := await self.next()) is not None:
            found.append(told)
        return found


def data(told: Told | None) -> dict[str, Any]:
    assert told is not None and told.data is not None
    return told.data


def a_stay(house: House, ana: str) -> dict[str, Any]:
    now = house.clock.now()
    return {
        "guest": ana,
        "property": "dallas",
        "room": "1204",
        "arrival": (now - timedelta(days=1)).isoformat(),
        "departure": (now + timedelta(days=2)).isoformat(),
        "status": "in_house",
    }
