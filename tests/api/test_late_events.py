"""Events that come too late to be told as they were read: P5 for streams, from the reading to the bytes.

Time is a number that a test moves on, so that what is slow here is slow always.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from api.streams import READINGS_MAX, EventStream
from prefs.cache.local import DELTA_S
from prefs.core.accesses import Access
from prefs.core.errors import LedgerUnavailable
from prefs.ledger.memory import MemoryLedger
from prefs.services.readings import PROMPT_S
from prefs.services.tellings import Told
from tests.services.house import House, guest, staff
from tests.services.streaming import PEANUTS, Streams

FOR_FOOD = "food_safety"
SLOW_S = 5 * PROMPT_S


class SlowLedger(MemoryLedger):
    """Whoever is told waits while `slow` of a record happens."""

    def __init__(self) -> None:
        super().__init__()
        self.slow: Callable[[], Any] | None = None
        self.appended: list[Access] = []
        self.broken = False

    async def append(self, accesses: Sequence[Access]) -> None:
        if self.slow is not None:
            await self.slow()
        if self.broken:
            raise LedgerUnavailable("The ledger is gone.")
        self.appended += [one for one in accesses if one.act == "read"]
        await super().append(accesses)


class Wire:
    """A server that takes what it is given, unless it is `full`."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.full = asyncio.Event()
        self.full.set()
        self.ended = False

    async def receive(self) -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.body":
            if not self.full.is_set():
                await self.full.wait()
            self.parts += [message["body"]] if message["body"] else []
            self.ended = self.ended or not message["more_body"]

    @property
    def events(self) -> list[tuple[str, dict[str, Any]]]:
        found = []
        for part in self.parts:
            lines = dict(line.split(": ", 1) for line in part.decode().splitlines() if ": " in line)
            if "event" in lines:
                found.append((lines["event"], json.loads(lines["data"])))
        return found

    async def until(self, held: Callable[[], Any]) -> None:
        async with asyncio.timeout(10):
            while not held():  # noqa: ASYNC110 - what is waited for is what was sent
                await asyncio.sleep(0.001)


class Kitchen:
    """Follows a guest for the surface that is told of allergens with consent, and is recorded for it."""

    def __init__(self) -> None:
        self.house, self.ledger = House(), SlowLedger()
        self.house.witness.ledger = self.ledger
        self.streams = Streams(self.house)
        self.wire, self.ana = Wire(), ""

    async def begin(self) -> None:
        await self.house.open()
        self.ana = await self.house.guest()
        await self.house.consent(self.ana, FOR_FOOD)
        await self.house.stay(self.ana)

    async def slow(self) -> None:
        self.streams.monotonic += SLOW_S

    async def withdrawn_meanwhile(self) -> None:
        self.ledger.slow = None
        await self.house.consents.withdraw(guest(self.ana), self.ana, FOR_FOOD)
        self.streams.monotonic += SLOW_S

    @asynccontextmanager
    async def follow(self, *, looks: bool = True, **asked: str) -> AsyncIterator[None]:
        """`looks`: whether it is looked at the clock before something is sent, as the product does."""
        stream = await self.streams.changes.open(staff("food"), **(asked or {"guest": self.ana}))
        telling = stream.tell() if looks else carelessly(stream.tell())
        answer = EventStream(telling, stream.close, monotonic=lambda: self.streams.monotonic)
        task = asyncio.ensure_future(answer({"type": "http"}, self.wire.receive, self.wire.send))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait((task,))


async def carelessly(telling: AsyncGenerator[Told]) -> AsyncGenerator[Told]:
    """The planted fault: what was read is good for ever."""
    async for told in telling:
        yield replace(told, until=math.inf)


@pytest.fixture
async def kitchen() -> Kitchen:
    found = Kitchen()
    await found.begin()
    return found


def test_what_was_read_is_told_no_later_than_a_withdrawal_waits() -> None:
    assert PROMPT_S <= DELTA_S


@pytest.mark.parametrize("looks", [True, False], ids=["product", "without a second reading"])
@pytest.mark.parametrize("asked", [{}, {"property": "dallas"}], ids=["guest", "property"])
async def test_what_is_withdrawn_before_it_is_sent_is_not_told(
    kitchen: Kitchen, looks: bool, asked: dict[str, str]
) -> None:
    """While it is put on record who is told, the guest withdraws, and the withdrawal is acknowledged."""
    async with kitchen.follow(looks=looks, **asked):
        await kitchen.wire.until(lambda: kitchen.wire.events)
        kitchen.ledger.slow = kitchen.withdrawn_meanwhile
        await kitchen.house.state(kitchen.ana, PEANUTS)
        await kitchen.wire.until(lambda: kitchen.wire.events[-1][0] == "consent_withdrawn")

    assert ("peanuts" in repr(kitchen.wire.events)) is not looks
    assert [kind for kind, _ in kitchen.wire.events].count("change") == (0 if looks else 1)
    assert [one.keys for one in kitchen.ledger.appended] == [("food.allergens",)], "on record, though it was not told"


@pytest.mark.parametrize("looks", [True, False], ids=["product", "without a second reading"])
@pytest.mark.parametrize("asked", [{}, {"property": "dallas"}], ids=["guest", "property"])
async def test_a_snapshot_too(kitchen: Kitchen, looks: bool, asked: dict[str, str]) -> None:
    await kitchen.house.state(kitchen.ana, PEANUTS)
    kitchen.ledger.slow = kitchen.withdrawn_meanwhile

    async with kitchen.follow(looks=looks, **asked):
        await kitchen.wire.until(lambda: kitchen.wire.events)
        kind, data = kitchen.wire.events[0]

    assert kind == "snapshot" and data["complete"] and len(data["items"]) == 1
    assert ("peanuts" in repr(data)) is not looks


@pytest.mark.parametrize("broken", [False, True])
async def test_a_ledger_that_is_always_slow_stops_no_stream(kitchen: Kitchen, broken: bool) -> None:
    """What is on record already, or could not be, is not waited for again."""
    kitchen.ledger.slow, kitchen.ledger.broken = kitchen.slow, broken
    async with kitchen.follow():
        await kitchen.wire.until(lambda: kitchen.wire.events)
        await kitchen.house.state(kitchen.ana, PEANUTS)
        await kitchen.wire.until(lambda: len(kitchen.wire.events) == 2)

    kind, data = kitchen.wire.events[1]
    assert kind == "change" and ("peanuts" in repr(data)) is not broken
    assert len(kitchen.ledger.appended) == (0 if broken else 1), "once"


async def test_what_a_slow_reader_did_not_take_is_read_again(kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prefs.services.readings.PROMPT_S", 0.05)
    async with kitchen.follow():
        await kitchen.wire.until(lambda: kitchen.wire.events)
        kitchen.wire.full.clear()
        await kitchen.house.state(kitchen.ana, PEANUTS)
        await kitchen.wire.until(lambda: kitchen.ledger.appended)
        await kitchen.house.consents.withdraw(guest(kitchen.ana), kitchen.ana, FOR_FOOD)
        await asyncio.sleep(0.1)
        kitchen.wire.full.set()
        await kitchen.wire.until(lambda: len(kitchen.wire.events) > 1)

    assert kitchen.wire.events[-1][0] == "consent_withdrawn"
    assert "peanuts" not in repr(kitchen.wire.events)


async def test_where_reading_always_takes_too_long_the_stream_ends() -> None:
    """Whoever comes back is told what is then."""
    now, readings, wire = [0.0], list[float](), Wire()

    async def slowly() -> Told:
        readings.append(now[0])
        now[0] += SLOW_S
        return Told("change", {"secret": True}, "AA", now[0] - SLOW_S + PROMPT_S, slowly)

    async def telling() -> AsyncGenerator[Told]:
        yield await slowly()
        raise AssertionError("it goes on after what it did not tell")

    answer = EventStream(telling(), monotonic=lambda: now[0])
    async with asyncio.timeout(10):
        await answer({"type": "http"}, wire.receive, wire.send)

    assert wire.ended and wire.events == []
    assert len(readings) == 1 + READINGS_MAX


async def test_a_page_that_is_read_too_slowly_is_told_in_smaller_ones(
    kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prefs.services.changes.SNAPSHOT_PAGE", 8)
    others = [await kitchen.house.guest(f"Guest {number}") for number in range(4)]
    for one in others:
        await kitchen.house.stay(one)
    batch = kitchen.house.preferences.batch

    async def slow_batch(caller: Any, guests: Sequence[str], **asked: Any) -> Any:
        kitchen.streams.monotonic += len(guests) * PROMPT_S / 2.5
        return await batch(caller, guests, **asked)

    monkeypatch.setattr(kitchen.house.preferences, "batch", slow_batch)
    async with kitchen.follow(property="dallas"):
        await kitchen.wire.until(lambda: kitchen.wire.events and kitchen.wire.events[-1][1]["complete"])

    pages = [data for _, data in kitchen.wire.events]
    assert [len(page["items"]) for page in pages] == [2, 2, 1]
    assert {item["guest"] for page in pages for item in page["items"]} == {kitchen.ana, *others}
