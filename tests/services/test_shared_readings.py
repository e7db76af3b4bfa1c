"""Streams that ask for the same share a reading, and only one that began after what each of them heard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import fields, replace
from typing import Any

import pytest
from prometheus_client import REGISTRY

from prefs.core.callers import ALL_GUESTS, Caller, Role, name_of
from prefs.core.errors import NotFound, Unauthenticated
from prefs.services.preferences import Unrecorded
from prefs.services.readings import AT_ONCE, PROMPT_S, Flight, Readings
from prefs.services.tellings import Wanted
from tests.services.house import DALLAS, OPERATOR, SERVICE, WARMTH, House, device, guest, staff
from tests.services.streaming import PEANUTS, QUIET, Reader, Streams, data


def readings() -> float:
    return REGISTRY.get_sample_value("guestprefs_stream_readings_total") or 0.0


@asynccontextmanager
async def opened(streams: Streams, *asked: tuple[Caller, dict[str, Any]]) -> AsyncIterator[list[Reader]]:
    async with AsyncExitStack() as stack:
        readers = [await stack.enter_async_context(streams.open(caller, **more)) for caller, more in asked]
        for reader in readers:
            await reader.next()
        yield readers


async def told(readers: Sequence[Reader]) -> list[dict[str, Any]]:
    return [data(one) for one in await asyncio.gather(*(reader.next() for reader in readers))]


@pytest.fixture
async def ana(house: House) -> str:
    ana = await house.guest()
    await house.consent(ana, "food_safety")
    await house.stay(ana)
    return ana


# ---------------------------------------------------------------- what is shared


@pytest.mark.parametrize("count", [1, 10])
async def test_streams_of_one_view_cost_one_reading(house: House, streams: Streams, ana: str, count: int) -> None:
    async with opened(streams, *[(guest(ana), {"guest": ana})] * count) as readers:
        before = readings()
        waiting = asyncio.ensure_future(told(readers))
        await asyncio.sleep(0)
        await house.state(ana, {WARMTH: 19})
        events = await waiting

    assert readings() - before == 1
    assert len(events) == count and all(event == events[0] for event in events)
    assert events[0]["changed"] == [WARMTH]


async def test_whoever_is_staff_of_a_house_shares_and_is_recorded_each(
    house: House, streams: Streams, ana: str
) -> None:
    cooks = [replace(staff("food"), subject=f"cook-{number}") for number in range(3)]
    async with opened(streams, *[(cook, {"property": "dallas"}) for cook in cooks]) as readers:
        before = readings()
        waiting = asyncio.ensure_future(told(readers))
        await asyncio.sleep(0)
        await house.state(ana, PEANUTS)
        events = await waiting

    assert readings() - before == 1
    assert all("peanuts" in repr(event) for event in events)
    seen = [one.access.actor for one in await house.ledger.listed(100) if one.access.keys]
    assert sorted(seen) == [cook.subject for cook in cooks]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda ana: (device("thermostat"), {"guest": ana}), lambda ana: (device("tv"), {"guest": ana})),
        (lambda ana: (device(), {"guest": ana}), lambda ana: (device(), {"property": "dallas"})),
        (lambda ana: (guest(ana), {"guest": ana}), lambda ana: (guest(ana), {"guest": ana, "language": "th"})),
        (lambda ana: (guest(ana), {"guest": ana}), lambda ana: (guest(ana), {"guest": ana, "property": "dallas"})),
        (lambda ana: (staff(), {"guest": ana}), lambda ana: (SERVICE, {"guest": ana})),
    ],
    ids=["surface", "guest or property", "language", "place", "role"],
)
async def test_another_view_is_another_reading(house: House, streams: Streams, ana: str, one: Any, other: Any) -> None:
    async with opened(streams, one(ana), one(ana), other(ana)) as readers:
        before = readings()
        waiting = [asyncio.ensure_future(reader.next()) for reader in readers]
        await asyncio.sleep(0)
        await house.state(ana, {WARMTH: 19, "tv.volume_default": 30})
        await asyncio.gather(*waiting)

    assert readings() - before == 2


def test_a_name_tells_apart_whoever_a_rule_could() -> None:
    """Every field of a caller; who it is only of guests."""
    base = Caller("a", Role.STAFF, "food", frozenset({"dallas"}), "s1", frozenset())
    others = {
        "role": Role.SERVICE,
        "surface": "tv",
        "properties": frozenset({"paris"}),
        "stay": "s2",
        "permissions": frozenset({ALL_GUESTS}),
    }
    assert {*others, "subject"} == {field.name for field in fields(Caller)}

    def named(caller: Caller, asked: Hashable = "", language: str = "en") -> Hashable:
        return name_of(caller, asked, language)

    assert all(named(replace(base, **{name: value})) != named(base) for name, value in others.items())
    assert named(replace(base, subject="b")) == named(base)
    assert named(guest("a")) != named(guest("b"))
    assert named(base, "x") != named(base) != named(base, language="th")


# ---------------------------------------------------------------- what is not


class TooLate(Readings):
    """The planted fault: a reading that is under way takes on whoever comes."""

    async def _fly(self, name: Hashable, flight: Flight, caller: Caller, wanted: Wanted, guest: str) -> Any:
        self._close, close = (lambda *_: None), self._close  # type: ignore[method-assign]
        try:
            return await super()._fly(name, flight, caller, wanted, guest)
        finally:
            self._close = close  # type: ignore[method-assign]
            self._close(name, flight)


@pytest.mark.parametrize("kind", [Readings, TooLate])
async def test_nobody_joins_a_reading_that_began_before_what_he_heard(
    house: House, ana: str, kind: type[Readings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream that is opened while another one reads would be told what was, and nothing that came since."""
    streams = Streams(house, kind)
    read, held, go_on = house.preferences.unrecorded, asyncio.Event(), asyncio.Event()

    async def slowly(*asked: Any, **more: Any) -> Unrecorded:
        found = await read(*asked, **more)
        if not held.is_set():
            held.set()
            await go_on.wait()
        return found

    async with opened(streams, (guest(ana), {"guest": ana})) as (first,):
        monkeypatch.setattr(house.preferences, "unrecorded", slowly)
        await house.state(ana, {WARMTH: 19})
        waiting = asyncio.ensure_future(first.next())
        await held.wait()
        await house.state(ana, {WARMTH: 21})
        opening = asyncio.ensure_future(streams.changes.open(guest(ana), guest=ana))
        for _ in range(50):
            await asyncio.sleep(0)
        go_on.set()
        assert data(await waiting)["preferences"][WARMTH]["value"] == 19
        second = Reader((await opening).tell())
        snapshot = data(await second.next())
        after = data(await first.next())
        await second._telling.aclose()

    assert after["preferences"][WARMTH]["value"] == 21
    assert (snapshot["items"][0]["preferences"][WARMTH]["value"] == 21) is (kind is Readings)


async def test_a_change_for_everybody_is_read_a_few_at_a_time(
    house: House, streams: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were all read at once, the first would be too old to be told when the last is ready, and be read again."""
    guests = [await house.guest(f"Guest {number}") for number in range(3 * AT_ONCE)]
    for one in guests:
        await house.state(one, {WARMTH: 25})
        await house.stay(one)
    read, late = house.preferences.unrecorded, list[str]()

    async def slowly(*asked: Any, **more: Any) -> Unrecorded:
        for _ in range(5):
            await asyncio.sleep(0)
        streams.monotonic += 0.9 * PROMPT_S / AT_ONCE
        return await read(*asked, **more)

    async def follow(reader: Reader) -> None:
        told = await reader.next()
        assert told is not None
        late.extend([told.kind] if told.until < streams.monotonic else [])

    async with opened(streams, *[(guest(one), {"guest": one, "property": "dallas"}) for one in guests]) as readers:
        monkeypatch.setattr(house.preferences, "unrecorded", slowly)
        before = readings()
        following = [asyncio.ensure_future(follow(reader)) for reader in readers]
        await asyncio.sleep(0)
        narrow = {"thermostat.setpoint": {"min": 19, "max": 20, "step": 1, "unit": "Cel"}}
        await house.properties.put(OPERATOR, "dallas", {**DALLAS, "capabilities": narrow})
        await asyncio.gather(*following)

    assert readings() - before == len(guests) and late == []


async def test_who_hangs_up_takes_nobody_along(
    house: House, streams: Streams, ana: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, held, go_on, ended = house.preferences.unrecorded, asyncio.Event(), asyncio.Event(), list[str]()

    async def slowly(*asked: Any, **more: Any) -> Unrecorded:
        held.set()
        try:
            await go_on.wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
        return await read(*asked, **more)

    async def of() -> Any:
        return await streams.readings.of(guest(ana), Wanted(ana, None, "en", True), ana)

    monkeypatch.setattr(house.preferences, "unrecorded", slowly)
    one, other = asyncio.ensure_future(of()), asyncio.ensure_future(of())
    await held.wait()
    one.cancel()
    await asyncio.wait((one,))
    go_on.set()
    assert (await other).answer.body["guest"] == ana and not ended

    held.clear()
    go_on.clear()
    alone = asyncio.ensure_future(of())
    await held.wait()
    alone.cancel()
    await asyncio.wait((alone,))
    await asyncio.sleep(0)
    assert ended == ["cancelled"], "nobody waits for it any more"
    assert streams.readings._boarding == {}


async def test_a_token_that_ended_is_told_nothing_of_what_is_shared(house: House, streams: Streams, ana: str) -> None:
    valid = True

    def still() -> None:
        if not valid:
            raise Unauthenticated("The token has expired.")

    async with opened(streams, (guest(ana), {"guest": ana}), (guest(ana), {"guest": ana, "still": still})) as readers:
        waiting = [asyncio.ensure_future(reader.next()) for reader in readers]
        await asyncio.sleep(0)
        valid = False
        await house.state(ana, {QUIET: True})
        done = await asyncio.gather(*waiting, return_exceptions=True)

    assert data(done[0])["changed"] == [QUIET]  # type: ignore[arg-type]
    assert isinstance(done[1], Unauthenticated)


async def test_a_refusal_is_shared_too(streams: Streams) -> None:
    nobody = "gst_" + "a" * 32
    wanted = Wanted(nobody, None, "en", True)
    asked = [streams.readings.of(guest(nobody), wanted, nobody) for _ in range(3)]
    before = readings()
    found = await asyncio.gather(*asked, return_exceptions=True)

    assert [type(one) for one in found] == [NotFound] * 3 and readings() - before == 1
