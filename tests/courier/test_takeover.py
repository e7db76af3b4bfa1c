"""Endpoints are told by one process at a time, whatever dies; and of who was erased nothing but that."""

from __future__ import annotations

import asyncio
import json

import pytest

from prefs.core.errors import NotFound
from prefs.services.deliveries import LEASE
from tests.courier.conftest import OPERATOR, Grounds, entries, told
from tests.receiver import Receiver, receiving

# ---------------------------------------------------------------- one process at a time


async def test_one_process_tells_and_another_takes_over(grounds: Grounds, receiver: Receiver) -> None:
    one, other = await grounds.process(), await grounds.process()
    await grounds.endpoint(one, receiver, "guest_app")
    ana = await grounds.guest(one)
    await told(one)
    await asyncio.gather(told(one), told(other))
    assert len(receiver.received) == 1
    for quiet in (True, False):
        await grounds.state(one, ana, room__quiet=quiet)
    receiver.holds = asyncio.Event()
    await one.deliveries.look()
    await receiver.has(2)
    for task in list(one.deliveries._telling.values()):  # it dies with a message on the way, and without a word
        task.cancel()
    receiver.holds.set()
    receiver.holds = None
    await told(other)
    assert len(receiver.received) == 2, "the lease has not ended"
    grounds.clock.move(LEASE)
    await told(other)
    assert [item.data["version"] for item in receiver.received] == [1, 2, 2, 3]
    assert receiver.ids[1] == receiver.ids[2]
    await told(one)
    assert len(receiver.received) == 4


async def test_who_lost_the_lease_says_nothing_more(grounds: Grounds, receiver: Receiver) -> None:
    one, other = await grounds.process(), await grounds.process()
    await grounds.endpoint(one, receiver, "guest_app")
    ana = await grounds.guest(one)
    await grounds.state(one, ana, room__quiet=True)
    receiver.holds = asyncio.Event()
    await one.deliveries.look()
    await receiver.has(1)
    grounds.clock.move(LEASE)
    held, receiver.holds = receiver.holds, None
    await told(other)
    held.set()
    await asyncio.gather(*one.deliveries._telling.values(), return_exceptions=True)
    assert [item.data["version"] for item in receiver.received] == [1, 1, 2]


async def test_a_process_that_stops_gives_its_leases_back(grounds: Grounds, receiver: Receiver) -> None:
    one, other = await grounds.process(), await grounds.process()
    await grounds.endpoint(one, receiver)
    await told(one)
    await one.deliveries.close()
    await grounds.guest(other)
    await told(other)
    assert receiver.types == ["guest.changed"]


async def test_a_slow_receiver_holds_nobody_else_up(grounds: Grounds, receiver: Receiver) -> None:
    house = await grounds.process()
    await grounds.endpoint(house, receiver)
    receiver.holds = asyncio.Event()
    async with receiving() as quick:
        await house.webhooks.put(OPERATOR, "quick", url=quick.url(), surface="front_desk")
        await grounds.guest(house)
        await house.deliveries.look()
        await receiver.has(1)
        await quick.has(1)
        receiver.holds.set()
        await told(house)


# ---------------------------------------------------------------- erased


async def test_an_erasure_is_told_by_the_subject_and_leaves_no_name(grounds: Grounds, receiver: Receiver) -> None:
    house = await grounds.process()
    await grounds.endpoint(house, receiver, "guest_app")
    ana = await grounds.guest(house)
    await grounds.state(house, ana, room__quiet=True)
    await told(house)
    subject = receiver.received[0].data["subject"]
    await grounds.state(house, ana, room__quiet=False)  # not told yet
    await house.erasure.erase_known(ana)
    await told(house)
    assert receiver.types == ["guest.changed", "guest.changed", "guest.erased"]
    assert receiver.received[-1].data == {"subject": subject}
    assert ana.encode() not in receiver.received[-1].body
    assert ana not in json.dumps(await entries(house))
    assert [one["type"] for one in await entries(house)] == ["guest.erased"]


async def test_subjects_mean_nothing_to_another_endpoint(grounds: Grounds, receiver: Receiver) -> None:
    house = await grounds.process()
    await grounds.endpoint(house, receiver)
    await house.webhooks.put(OPERATOR, "second", url=receiver.url("/second"), surface="front_desk")
    await grounds.guest(house)
    await told(house)
    assert len({one.data["guest"] for one in receiver.received}) == 1
    assert len({one.data["subject"] for one in receiver.received}) == len(receiver.received) == 2


async def test_of_an_erased_guest_nothing_is_told_any_more(grounds: Grounds, receiver: Receiver) -> None:
    """Also where the feed was read before, and where it was asked for again."""
    house = await grounds.process()
    await grounds.endpoint(house, receiver, "guest_app")
    ana = await grounds.guest(house)
    for quiet in (True, False, True):
        await grounds.state(house, ana, room__quiet=quiet)
    receiver.holds = asyncio.Event()
    await house.deliveries.look()
    await receiver.has(1)
    await house.erasure.erase_known(ana)
    receiver.holds.set()
    await told(house)
    await told(house)
    assert receiver.types == ["guest.changed", "guest.erased"]
    assert [one["type"] for one in await entries(house)] == ["guest.erased"]
    with pytest.raises(NotFound):
        await house.webhooks.replay(OPERATOR, "pms", receiver.ids[0])
