"""Streams that were cut and come back, that end, and that are refused; and what they remember."""

from __future__ import annotations

from contextlib import aclosing
from datetime import timedelta
from typing import Any

import pytest

from prefs.core.callers import Caller, Role
from prefs.core.changes import Cursor
from prefs.core.erasure import Tombstone
from prefs.core.errors import InvalidEdit, NotAllowed, NotFound, Unauthenticated
from prefs.feed.tail import QUEUE_MAX
from prefs.services.changes import REPLAY_MAX, Stream
from prefs.services.readings import Reading
from prefs.services.tellings import FEED_KEPT, differences, read_place, remember, write_place
from tests.services.house import SERVICE, WARMTH, House, StandingClock, device, guest, staff
from tests.services.streaming import PEANUTS, QUIET, Streams, data, digest

# ---------------------------------------------------------------- coming back


async def test_who_comes_back_is_told_what_was_missed(house: House, streams: Streams) -> None:
    ana = await house.guest()
    async with streams.open(guest(ana), guest=ana) as reader:
        await reader.next()
        place = reader.place
    await house.state(ana, {WARMTH: 21})
    await house.state(ana, {QUIET: True})

    async with streams.open(guest(ana), guest=ana, place=place, follow=False) as reader:
        missed = await reader.rest()

    assert [(one.kind, data(one)["changed"], data(one)["version"]) for one in missed] == [
        ("change", [WARMTH, QUIET], 3)
    ]
    async with streams.open(guest(ana), guest=ana, place=reader.place, follow=False) as reader:
        assert await reader.rest() == []


async def test_who_comes_back_hears_of_nothing_that_the_surface_may_not_know(house: House, streams: Streams) -> None:
    ana = await house.guest()
    await house.consent(ana, "food_safety")
    await house.stay(ana)
    async with streams.open(staff("food"), property="dallas") as reader:
        await reader.next()
        place = reader.place
    await house.state(ana, PEANUTS)
    await house.consents.withdraw(guest(ana), ana, "food_safety")

    async with streams.open(staff("housekeeping"), property="dallas", place=place, follow=False) as keeping:
        kept = await keeping.rest()
    async with streams.open(device("tv"), property="dallas", place=place, follow=False) as tv:
        shown = await tv.rest()

    assert "peanuts" not in repr(kept) and shown == []


@pytest.mark.parametrize("why", ["too long ago", "too much", "another feed"])
async def test_a_place_that_is_too_old_begins_anew_with_one_resync(
    house: House, streams: Streams, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana = await house.guest()
    async with streams.open(guest(ana), guest=ana) as reader:
        await reader.next()
        place = reader.place
    if why == "too long ago":
        house.clock.pass_by(FEED_KEPT + timedelta(seconds=2))
    elif why == "too much":
        monkeypatch.setattr("prefs.services.changes.REPLAY_MAX", 3)
        for number in range(4):
            await house.state(ana, {WARMTH: 18 + number})
    else:
        place = write_place(Cursor(position=10**6), house.clock.now())

    async with streams.open(guest(ana), guest=ana, place=place) as reader:
        told = [await reader.next(), await reader.next()]
        await house.state(ana, {QUIET: True})
        after = await reader.next()

    assert [one.kind for one in told if one] == ["resync", "snapshot"]
    assert data(after)["changed"] == [QUIET]
    assert REPLAY_MAX >= QUEUE_MAX


async def test_an_erased_guest_is_told_as_erased_also_later(house: House, streams: Streams) -> None:
    ana = await house.guest()
    await house.stay(ana)
    async with streams.open(guest(ana), guest=ana) as own, streams.open(staff(), property="dallas") as desk:
        await own.next()
        await desk.next()
        place = own.place
        await house.store.erase(ana, Tombstone(digest(ana), house.clock.now(), "rct_1"))
        told = [await own.next(), await desk.next()]
        end = await own.next()

    assert [(one.kind, one.data) for one in told if one] == [("erased", {"guest": ana})] * 2
    assert end is None
    async with streams.open(staff(), place=place, follow=False, property="dallas") as reader:
        assert [one.kind for one in await reader.rest()] == ["resync", "snapshot"], "who it was is known nowhere"
    for caller, asked in ((guest(ana), {"guest": ana}), (staff(), {"guest": ana}), (SERVICE, {"guest": ana})):
        async with streams.open(caller, place=place, follow=False, **asked) as reader:
            assert [(one.kind, one.data) for one in await reader.rest()] == [("erased", {"guest": ana})]
    for caller, asked in ((guest(ana), {"guest": ana}), (staff("food", "paris"), {"guest": ana})):
        with pytest.raises(NotFound):
            await streams.changes.open(caller, **asked, place=place if caller.role is Role.STAFF else None)


async def test_what_begins_anew_is_read_anew(house: House, streams: Streams) -> None:
    """Looking back takes a while, in which what was read to see whether the guest is there may be withdrawn."""
    ana = await house.guest()
    await house.state(ana, {WARMTH: 21})
    place = write_place(Cursor(position=10**6), house.clock.now())

    async with streams.open(guest(ana), guest=ana, place=place) as reader:
        await house.state(ana, {WARMTH: 19})
        await reader.next()
        snapshot = data(await reader.next())

    assert reader.said == ["resync", "snapshot"]
    assert snapshot["items"][0]["preferences"][WARMTH]["value"] == 19


async def test_who_is_erased_while_a_change_is_read_is_told_as_erased_and_once(
    house: House, streams: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not as gone, which is said of guests who left."""
    ana, bo = await house.guest("Ana"), await house.guest("Bo")
    for one in (ana, bo):
        await house.stay(one)
    read = Stream._read

    async def overtaken(self: Stream, of: str, *asked: Any) -> Reading:
        if of == ana:
            await house.store.erase(ana, Tombstone(digest(ana), house.clock.now(), "rct_1"))
        return await read(self, of, *asked)

    async with streams.open(guest(ana), guest=ana) as own, streams.open(staff(), property="dallas") as desk:
        await own.next()
        await desk.next()
        monkeypatch.setattr(Stream, "_read", overtaken)
        await house.state(ana, {WARMTH: 21})
        told = [await own.next(), await desk.next()]
        await house.state(bo, {QUIET: True})
        after = data(await desk.next())
        assert await own.next() is None

    assert [(one.kind, one.data) for one in told if one] == [("erased", {"guest": ana})] * 2
    assert after["guest"] == bo


# ---------------------------------------------------------------- who may, and how it ends


@pytest.mark.parametrize(
    ("caller", "asked", "refused"),
    [
        (guest("gst_" + "a" * 32), {"guest": "gst_" + "b" * 32}, NotFound),
        (guest("gst_" + "a" * 32), {"property": "dallas"}, NotAllowed),
        (staff(), {"property": "paris"}, NotFound),
        (SERVICE, {"property": "nowhere"}, NotFound),
        (Caller("weather", Role.SERVICE, ""), {"property": "dallas"}, NotAllowed),
        (SERVICE, {}, InvalidEdit),
        (staff(), {"surface": "food"}, InvalidEdit),
        (staff(), {"place": "never written here"}, InvalidEdit),
    ],
)
async def test_who_may_not_read_may_not_follow(
    streams: Streams, caller: Caller, asked: dict[str, Any], refused: type[Exception]
) -> None:
    with pytest.raises(refused):
        await streams.changes.open(caller, **asked)
    assert streams.feed._ears() == [], "nobody is left listening"


async def test_a_token_that_ends_ends_the_stream(house: House, streams: Streams) -> None:
    ana = await house.guest()
    valid = True

    def still() -> None:
        if not valid:
            raise Unauthenticated("The token has expired.")

    async with streams.open(guest(ana), guest=ana, still=still) as reader:
        await reader.next()
        valid = False
        await house.state(ana, {QUIET: True})
        with pytest.raises(Unauthenticated):
            await reader.next()
    assert streams.feed._ears() == []


async def test_who_takes_nothing_is_cut_and_slows_nobody(house: House, streams: Streams) -> None:
    ana = await house.guest()
    async with streams.open(guest(ana), guest=ana) as slow, streams.open(guest(ana), guest=ana) as quick:
        await slow.next()
        await quick.next()
        place = slow.place
        for number in range(QUEUE_MAX + 2):
            await house.state(ana, {WARMTH: 18 + number % 2})
            await quick.next()
        rest = await slow.rest()

    assert rest == []
    async with streams.open(guest(ana), guest=ana, place=place, follow=False) as back:
        assert [data(one)["version"] for one in await back.rest()] == [QUEUE_MAX + 3]


async def test_a_drain_asks_everybody_to_leave(house: House, streams: Streams) -> None:
    ana = await house.guest()
    stream = await streams.changes.open(guest(ana), guest=ana)
    kinds = []
    async with aclosing(stream.tell()) as telling:
        async for told in telling:
            kinds.append(told.kind)
            if told.kind == "snapshot":
                streams.feed.drain()

    assert kinds == ["snapshot", "leave"]


async def test_the_feed_is_looked_at_only_while_somebody_listens(house: House, streams: Streams) -> None:
    ana = await house.guest()
    assert streams.feed._following is None
    async with streams.open(guest(ana), guest=ana) as reader:
        await reader.next()
        assert streams.feed._following is not None
    assert streams.feed._following is None


# ---------------------------------------------------------------- the parts


def test_differences_name_what_changed_came_and_went() -> None:
    before = {"a": {"value": 1}, "b": {"value": 2}, "c": {"value": 3}}
    after = {"a": {"value": 1}, "b": {"value": 4}, "d": {"value": 3}}

    assert differences(remember(before), remember(after), after, ["a", "b", "c", "d", "e"]) == ["b", "d", "c"]
    assert differences(remember(before), remember(before), before, before) == []
    assert differences(b"", remember(after), after, []) == ["a", "b", "d"]


@pytest.mark.parametrize(
    "text", ["", "x", "é", "AAAA", write_place(Cursor(1, 2, 3), StandingClock().now())[:-4], "A" * 44]
)
def test_what_is_no_place_is_none(text: str) -> None:
    assert read_place(text) is None or text == "A" * 44


def test_a_place_says_numbers_and_a_time() -> None:
    now = StandingClock().now()
    assert read_place(write_place(Cursor(5, 2**40, 7), now)) == (Cursor(5, 2**40, 7), now)
