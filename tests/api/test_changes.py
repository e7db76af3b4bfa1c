"""Streams over HTTP: the form of events, what is refused before one begins, and the place that a stream takes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from starlette.exceptions import HTTPException

from api.admission import Admission
from api.streams import SYSTEMS_FACTOR, EventStream, Seats, written
from prefs.core.callers import Caller, Role
from prefs.core.errors import StoreUnavailable, Unavailable
from prefs.services.tellings import Told
from tests.api.front import PROPERTY, Front
from tests.api.samples import make_world


@pytest.fixture
def kind() -> str:
    return "memory"


def events(text: str) -> list[dict[str, str]]:
    blocks = [dict(line.split(": ", 1) for line in block.splitlines() if ": " in line) for block in text.split("\n\n")]
    return [block for block in blocks if "event" in block]


async def stream(front: Front, token: str, **more: Any) -> Any:
    headers = more.pop("headers", None)
    return await front.call("GET", "/v1/changes", token, params={"follow": "false", **more}, headers=headers)


async def test_a_stream_is_a_snapshot_and_a_place(front: Front) -> None:
    world = await make_world(front)
    answer = await stream(front, front.guest(world.guest), guest=world.guest)
    read = await front.ok("GET", f"/v1/guests/{world.guest}/preferences", front.guest(world.guest))

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-store"
    assert "content-length" not in answer.headers
    assert answer.text.startswith("retry: 1000\n\n")
    assert events(answer.text), answer.text
    (first,) = events(answer.text)
    assert first["event"] == "snapshot" and first["id"]
    assert json.loads(first["data"]) == {"items": [read], "complete": True}

    await front.prefer(world.guest, {"room.quiet": False})
    headers = {"last-event-id": first["id"]}
    again = await stream(front, front.guest(world.guest), guest=world.guest, headers=headers)
    (change,) = events(again.text)
    assert change["event"] == "change" and json.loads(change["data"])["changed"] == ["room.quiet"]


@pytest.mark.parametrize(
    ("asked", "headers", "status", "code"),
    [
        ({}, {}, 422, "REQUIRED"),
        ({"guest": "gst_1"}, {}, 404, "NOT_FOUND"),
        ({"property": PROPERTY, "surface": "food"}, {}, 422, "OTHER_SURFACE"),
        ({"property": "nowhere"}, {}, 404, "NOT_FOUND"),
        ({"property": PROPERTY}, {"last-event-id": "43"}, 422, "BAD_FORMAT"),
        ({"property": PROPERTY, "until": "now"}, {}, 422, "UNKNOWN_PARAMETER"),
    ],
)
async def test_what_is_wrong_is_refused_before_a_stream_begins(
    front: Front, asked: dict[str, str], headers: dict[str, str], status: int, code: str
) -> None:
    await make_world(front)
    answer = await stream(front, front.service(), **asked, headers=headers)
    problem = answer.json()

    assert answer.status_code == status
    assert code in (problem["code"], *(fault["code"] for fault in problem["errors"]))
    assert front.app.state.seats._open == 0


async def test_all_seats_are_given_back(front: Front) -> None:
    world = await make_world(front)
    for _ in range(30):
        assert (await stream(front, front.guest(world.guest), guest=world.guest)).status_code == 200
    assert front.app.state.seats._open == 0 and not front.app.state.seats._taken


def test_seats_are_counted_by_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    seats = Seats(2)
    ana, bo, pms = (
        Caller(name, role, "") for name, role in (("a", Role.GUEST), ("b", Role.GUEST), ("a", Role.SERVICE))
    )
    first, _ = seats.take(ana), seats.take(ana)
    with pytest.raises(HTTPException) as refused:
        seats.take(ana)
    assert refused.value.status_code == 429
    seats.take(bo)
    first()
    first()
    seats.take(ana)
    for _ in range(2 * SYSTEMS_FACTOR):
        seats.take(pms)
    monkeypatch.setattr("api.streams.STREAMS_MAX", seats._open)
    with pytest.raises(Unavailable):
        seats.take(Caller("c", Role.GUEST, ""))


def test_how_events_are_written() -> None:
    assert written(Told("change", {"guest": "g"}, "AA")) == b'event: change\nid: AA\ndata: {"guest":"g"}\n\n'
    assert written(Told("change", {"guest": "a\nb"})) == b'event: change\ndata: {"guest":"a\\nb"}\n\n'
    assert written(Told("here", None, "AA")) == b":\nid: AA\n\n"
    assert written(Told("leave")).startswith(b"retry: ")


# ---------------------------------------------------------------- readers who are slow, or leave


class Wire:
    """What a server is for an application: it takes what is sent, or does not, and says when the reader is gone."""

    def __init__(self, stuck: bool = False) -> None:
        self.stuck, self.sent, self.gone = stuck, [], asyncio.Event()  # type: ignore[var-annotated]

    async def receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(message)
        if self.stuck and message.get("body"):
            await asyncio.Event().wait()


async def telling(
    *told: Told, end: BaseException | None = None, closed: list[str] | None = None
) -> AsyncGenerator[Told]:
    try:
        for one in told:
            yield one
        if end is not None:
            raise end
        await asyncio.Event().wait()
    finally:
        if closed is not None:
            closed.append("closed")


@pytest.mark.parametrize("why", ["slow", "left", "the database is gone"])
async def test_a_stream_ends_cleanly(why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.streams.SEND_TIMEOUT_S", 0.01)
    back, closed, wire = [], [], Wire(stuck=why == "slow")  # type: ignore[var-annotated]
    end = StoreUnavailable("gone") if why == "the database is gone" else None
    answer = EventStream(telling(Told("change", {}), end=end, closed=closed), lambda: back.append("seat"))
    task = asyncio.ensure_future(answer({"type": "http"}, wire.receive, wire.send))
    if why == "left":
        await asyncio.sleep(0)
        wire.gone.set()
    async with asyncio.timeout(10):
        await task

    assert back == ["seat"]
    ended = [message for message in wire.sent if message.get("more_body") is False]
    assert bool(ended) is (why == "the database is gone"), "only who still listens is told that it is over"


async def test_a_stream_that_never_begins_is_closed_all_the_same() -> None:
    """The reader hung up before the head was sent: what tells was not begun, and cannot end by itself."""
    done, wire = [], Wire()  # type: ignore[var-annotated]

    async def broken(message: Any) -> None:
        raise ConnectionResetError

    answer = EventStream(telling(Told("change", {})), lambda: done.append("closed"), lambda: done.append("seat"))
    with pytest.raises(ConnectionResetError):
        await answer({"type": "http"}, wire.receive, broken)

    assert done == ["closed", "seat"]


async def test_a_stream_gives_its_place_back_when_it_begins() -> None:
    begun, over = asyncio.Event(), asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        begun.set()
        await over.wait()

    async def send(message: Any) -> None:
        return None

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    admission = Admission(app, at_once=1)
    scope = {"type": "http", "path": "/v1/changes", "method": "GET", "headers": []}
    streaming = asyncio.ensure_future(admission(scope, receive, send))
    await begun.wait()
    assert admission._under_way == 0 and not streaming.done()
    over.set()
    await streaming
    assert admission._under_way == 0
