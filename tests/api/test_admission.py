"""Admission: few at once, a short queue, then 503 OVERLOADED; operators are always answered, slow senders hold no
place, and whoever hangs up gives his back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from api.admission import (
    ALWAYS_ANSWERED,
    AT_ONCE,
    AT_ONCE_MAX,
    BURST,
    BURST_WAIT_S,
    BUSY_S,
    LATE_S,
    LOOK_S,
    OVERLOAD_S,
    QUEUE,
    STUCK_S,
    WAIT_S,
    Admission,
)
from api.schemas import problems
from prefs.settings import Settings

type Ended = asyncio.Task[list[dict[str, Any]]]


class Work:
    """An application whose requests take until they are told to end, and a clock that moves when told."""

    def __init__(self, at_once: int = 2) -> None:
        self.now = 1000.0
        self.worked = 0.0
        self.under_way: list[asyncio.Event] = []
        self.most = self.done = 0
        self.bodies: list[bytes] = []
        self.looks: list[Callable[[], None]] = []
        self.admission = Admission(self._work, at_once, lambda: self.now, lambda: self.worked, later=self._later)

    def pass_by(self, seconds: float) -> None:
        self.now += seconds

    def _later(self, delay_s: float, look: Callable[[float], None], due: float) -> None:
        assert due == self.now + delay_s
        self.looks.append(lambda: look(due))

    async def look(self, *, busy: bool = False, worked_s: float | None = None) -> None:
        """The timer comes, late if the event loop is busy, which then worked all the time."""
        before = self.admission._looked_at
        self.now += LOOK_S + LATE_S * busy
        self.worked += busy * (self.now - before) if worked_s is None else worked_s
        (look,) = self.looks
        self.looks.clear()
        look()
        await settle()

    async def _work(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["headers"]:
            self.bodies.append((await receive()).get("body", b""))
        turn = asyncio.Event()
        self.under_way.append(turn)
        self.most = max(self.most, len(self.under_way))
        try:
            await turn.wait()
        finally:
            self.under_way.remove(turn)
        self.done += 1
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def ask(
        self, path: str = "/v1/guests", receive: Callable[[], Awaitable[Any]] | None = None, **headers: str
    ) -> Ended:
        raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        scope = {"type": "http", "path": path, "method": "GET", "headers": raw}
        told: list[dict[str, Any]] = []

        async def send(message: Any) -> None:
            told.append(message)

        async def run() -> list[dict[str, Any]]:
            await self.admission(scope, receive or _nothing, send)
            return told

        task = asyncio.ensure_future(run())
        await settle()
        return task

    async def end_one(self) -> None:
        self.under_way[0].set()
        await settle()


async def _nothing() -> Any:
    return {"type": "http.request", "body": b"", "more_body": False}


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def status(ended: Ended) -> int | None:
    return int(ended.result()[0]["status"]) if ended.done() else None


async def test_few_are_worked_on_and_the_others_come_in_order() -> None:
    work = Work(at_once=2)
    asked = [await work.ask() for _ in range(5)]
    assert len(work.under_way) == 2
    for ended in range(5):
        assert [status(one) for one in asked] == [200] * ended + [None] * (5 - ended)
        await work.end_one()
    assert [status(one) for one in asked] == [200] * 5
    assert work.most == 2


async def test_a_refusal_is_a_problem_with_retry_after_and_the_id_of_the_request() -> None:
    work = Work(at_once=1)
    await work.ask()
    waiting = [await work.ask() for _ in range(BURST)]
    refused = await work.ask(x_request_id="mine-7")
    start, body = refused.result()
    headers = {name.decode(): value.decode() for name, value in start["headers"]}
    problem = json.loads(body["body"])

    assert start["status"] == problem["status"] == 503
    assert headers["content-type"] == problems.MEDIA_TYPE
    assert int(headers["retry-after"]) >= 1
    assert problem["code"] == "OVERLOADED" and problem["type"] == "urn:guestprefs:problem:overloaded"
    assert problem["request_id"] == headers["x-request-id"] == "mine-7"
    assert list(problem) == list(problems.build(503, "X", "", ""))
    other = json.loads((await work.ask()).result()[1]["body"])
    assert len(other["request_id"]) == 32
    for task in waiting:
        task.cancel()


async def test_a_burst_may_wait_a_while_and_no_longer() -> None:
    work = Work(at_once=1)
    await work.ask()
    early, other = await work.ask(), await work.ask()
    work.pass_by(BURST_WAIT_S * 0.9)
    await work.end_one()
    assert (status(early), status(other)) == (None, None)
    assert len(work.under_way) == 1, "the early one has the place"
    work.pass_by(BURST_WAIT_S * 0.2)
    late = await work.ask()
    await work.end_one()
    assert (status(early), status(other), status(late)) == (200, 503, None)
    assert len(work.under_way) == 1, "the late one has the place"


async def overloaded(work: Work) -> None:
    """Somebody waited in vain; nobody waits, and every place is taken."""
    await work.ask()
    await work.ask()
    work.pass_by(BURST_WAIT_S * 1.1)
    await work.look(busy=True)
    assert work.looks == [], "nobody waits: nobody looks"


async def test_after_a_refusal_the_queue_is_short() -> None:
    """Whoever comes to a full one is refused before his body is read."""
    work = Work(at_once=1)
    await overloaded(work)
    waiting = [await work.ask() for _ in range(QUEUE)]

    async def receive() -> Any:
        raise AssertionError("nobody wants to know")

    refused = await work.ask(receive=receive, content_length="9")
    assert status(refused) == 503
    work.pass_by(WAIT_S * 1.1)
    await work.look(busy=True)
    assert [status(one) for one in waiting] == [503] * QUEUE
    assert len(work.under_way) == 1


async def test_who_came_in_a_burst_is_not_sent_away_because_it_turned_into_overload() -> None:
    work = Work(at_once=1)
    await work.ask()
    burst = [await work.ask() for _ in range(BURST)]
    work.pass_by(10 * BUSY_S)
    await work.look(busy=True)
    assert status(await work.ask()) == 503
    work.pass_by(WAIT_S * 1.1)
    await work.look(busy=True)
    assert {status(one) for one in burst} == {None}
    for task in burst:
        task.cancel()


async def test_in_overload_few_have_places_and_afterwards_as_many_as_ever() -> None:
    work = Work(at_once=4)
    first = [await work.ask() for _ in range(4)]
    waited = await work.ask()
    work.pass_by(BURST_WAIT_S * 1.1)
    await work.look(busy=True)
    assert status(waited) == 503 and len(work.under_way) == 4, "nobody is turned out"
    more = [await work.ask() for _ in range(4)]
    for left in (3, 2, 2, 2):
        await work.end_one()
        assert len(work.under_way) == left
    assert [status(one) for one in first] == [200] * 4
    work.pass_by(OVERLOAD_S)
    await work.ask()
    await work.ask()
    assert len(work.under_way) == 4
    for task in more:
        task.cancel()


async def test_what_waits_in_vain_for_something_else_is_no_overload() -> None:
    """The event loop has nothing to do: others may wait for longer, for they may need something else."""
    work = Work(at_once=1)
    await work.ask()
    waited = await work.ask()
    work.pass_by(BURST_WAIT_S * 1.1)
    work.admission._moved_at = work.now
    await work.look()
    assert status(waited) == 503
    burst = [await work.ask() for _ in range(QUEUE + 1)]
    assert [status(one) for one in burst] == [None] * len(burst)
    for task in burst:
        task.cancel()


async def test_in_overload_some_time_is_kept_for_refusals() -> None:
    """Also while every round is short and every timer in time."""
    work = Work(at_once=1)
    await overloaded(work)
    asked = [await work.ask() for _ in range(3)]
    work.admission._moved_at = work.now  # places come back: nothing is stuck
    for _ in range(3):
        await work.look(worked_s=LOOK_S)
        assert len(work.under_way) == 1
    for _ in range(round(2 * BUSY_S / LOOK_S)):
        await work.look(worked_s=0)
        if not work.looks:
            break
    assert len(work.under_way) == 4
    for task in asked:
        task.cancel()


async def test_when_nobody_was_refused_for_a_while_a_burst_is_a_burst_again() -> None:
    work = Work(at_once=1)
    await overloaded(work)
    work.pass_by(OVERLOAD_S)
    burst = [await work.ask() for _ in range(QUEUE + 1)]
    work.pass_by(WAIT_S * 0.9)
    await work.end_one()
    assert [status(one) for one in burst] == [None] * len(burst) and len(work.under_way) == 1


async def test_while_those_with_places_only_wait_more_are_called_in_one_by_one() -> None:
    work = Work(at_once=2)
    asked = [await work.ask() for _ in range(AT_ONCE_MAX + 5)]
    assert len(work.under_way) == 2
    await work.look(busy=True)
    assert len(work.under_way) == 2, "the event loop is busy"
    for more in range(1, 4):
        await work.look()
        assert len(work.under_way) == 2 + more
    for _ in range(AT_ONCE_MAX):
        work.admission._moved_at = work.now  # places come back: nothing is stuck
        work.pass_by(-LOOK_S)  # and nobody has waited for long
        await work.look()
    assert len(work.under_way) == AT_ONCE_MAX
    await work.end_one()
    assert len(work.under_way) == AT_ONCE_MAX - 1, "no more than a few are called in by those who leave"
    for task in asked:
        task.cancel()


async def test_places_held_by_what_does_not_answer_are_made_good() -> None:
    """The database is silent, this process idle: whoever comes now may not need it. They are given back only once."""
    work = Work(at_once=2)
    stuck = [await work.ask() for _ in range(2)]
    work.pass_by(STUCK_S)
    late = [await work.ask() for _ in range(3)]
    await work.look()
    assert len(work.under_way) == 4, "two who are stuck, and two more places"
    await work.look()
    assert len(work.under_way) == 5, "nothing came back since: no need to wait again"
    for _ in stuck:
        await work.end_one()
    assert [status(one) for one in stuck] == [200, 200]
    assert (work.admission._under_way, work.admission._stuck) == (1, 2)
    for _ in late:
        await work.end_one()
    assert [status(one) for one in late] == [200] * 3
    assert (work.admission._under_way, work.admission._stuck) == (0, 0)


async def test_long_work_is_not_taken_for_waiting() -> None:
    work = Work(at_once=2)
    for _ in range(2):
        await work.ask()
    work.pass_by(STUCK_S * 1.1)
    await work.ask()
    await work.look(busy=True)
    assert len(work.under_way) == 2


@pytest.mark.parametrize("path", sorted(ALWAYS_ANSWERED))
async def test_what_operators_ask_is_always_answered(path: str) -> None:
    work = Work(at_once=1)
    await work.ask()
    for _ in range(BURST):
        await work.ask()
    assert status(await work.ask()) == 503
    await work.ask(path)
    assert len(work.under_way) == 2


async def test_whoever_hangs_up_leaves_no_place_taken() -> None:
    """Cancelled at work, in the queue, and at the very moment a place was given to him."""
    work = Work(at_once=1)
    for _ in range(3):
        first, waiting, given = await work.ask(), await work.ask(), await work.ask()
        waiting.cancel()
        await settle()
        work.under_way[0].set()
        for _ in range(10):
            if not first.done():
                await asyncio.sleep(0)
        given.cancel()
        await settle()
        assert work.under_way == []
        at_work = await work.ask()
        at_work.cancel()
        await settle()
    assert work.admission._under_way == 0


async def test_a_failure_gives_its_place_back() -> None:
    async def fails(*_: Any) -> None:
        raise RuntimeError("once")

    admission = Admission(fails, 1)
    for _ in range(3):
        with pytest.raises(RuntimeError):
            await admission({"type": "http", "path": "/", "method": "GET", "headers": []}, _nothing, _nothing)
    assert admission._under_way == 0


async def test_a_slow_sender_holds_no_place() -> None:
    work = Work(at_once=1)
    rest = asyncio.Event()
    parts = [b"half, ", b"whole"]

    async def receive() -> Any:
        if len(parts) == 1:
            await rest.wait()
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    await work.ask(receive=receive, content_length="11")
    await work.ask()
    assert len(work.under_way) == 1 and work.bodies == []
    await work.end_one()
    rest.set()
    await settle()
    assert work.bodies == [b"half, "], "the body is told again from its start"


def test_the_setting_has_the_default_that_is_meant() -> None:
    assert Settings.model_fields["requests_at_once"].default == AT_ONCE
