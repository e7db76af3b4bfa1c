"""Following a guest: as a stream that is cut and goes on, and by asking again where there is no stream."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from guestprefs_client import AsyncGuestPrefs, GuestPrefs, NotAllowed, NotFound, NothingKnown
from guestprefs_client.testing import FakeServer

from tests.chaos.link import Link
from tests.clients.place import Place
from tests.clients.surroundings import MiddleChance, MovedClock

GUEST = "gst_" + "1" * 32


def answer(version: int, brightness: int) -> dict[str, Any]:
    said = {"value": brightness, "status": "applied"}
    return {"guest": GUEST, "version": version, "preferences": {"lighting.brightness": said}}


def event(kind: str, place: str, data: dict[str, Any] | None = None) -> bytes:
    return f"event: {kind}\nid: {place}\ndata: {json.dumps(data or {})}\n\n".encode()


class Streams:
    """A server that tells what a script says, one stream after the other; `cut` ends one as a broken network does."""

    def __init__(self, *streams: list[Any]) -> None:
        self.streams = list(streams)
        self.asked: list[str | None] = []

    def handle(self, request: httpx2.Request) -> httpx2.Response:
        assert request.url.path == "/v1/changes" and request.url.params["guest"] == GUEST
        self.asked.append(request.headers.get("last-event-id"))
        script = self.streams.pop(0)
        if isinstance(script[0], int):
            problem = {
                "type": "",
                "title": "",
                "status": script[0],
                "detail": "",
                "code": "X",
                "errors": [],
                "request_id": "",
            }
            return httpx2.Response(script[0], json=problem)
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, stream=Parts(script))


class Parts(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    def __init__(self, script: list[Any]) -> None:
        self.script = script

    def __iter__(self) -> Iterator[bytes]:
        for part in self.script:
            if part == "cut":
                raise httpx2.ReadError("cut")
            yield part

    async def __aiter__(self) -> Any:
        for part in self:
            yield part


SNAPSHOT = event("snapshot", "a", {"items": [answer(2, 10)], "complete": True})
SCRIPT: list[list[Any]] = [
    [
        b"retry: 1000\n\n",
        SNAPSHOT,
        b":\n\n",
        event("change", "b", {**answer(3, 20), "changed": ["lighting.brightness"]}),
        "cut",
    ],
    [503],
    [event("change", "b", {**answer(3, 20), "changed": []}), event("change", "c", {**answer(4, 30), "changed": []})],
    [event("resync", "d"), event("snapshot", "e", {"items": [answer(4, 30)], "complete": True}), "cut"],
    [
        event("consent_withdrawn", "f", {**answer(5, 40), "changed": [], "purposes": ["x"]}),
        event("erased", "g", {"guest": GUEST}),
    ],
]
PLACES = [None, "b", "b", "c", "e"]


def options() -> dict[str, Any]:
    return {"clock": MovedClock(), "chance": MiddleChance()}


def test_a_stream_that_is_cut_goes_on_where_it_was() -> None:
    streams = Streams(*SCRIPT)
    http = httpx2.Client(transport=httpx2.MockTransport(streams.handle))
    with GuestPrefs("http://streams.invalid", "t", http=http, **options()) as client:
        seen = [known.value("lighting.brightness") for known in client.watch(GUEST)]
        assert (seen, streams.asked) == ([10, 20, 30, 40], PLACES)
        client.offline = True
        with pytest.raises(Exception, match="off line"):  # the erased guest was forgotten
            client.get(GUEST)


async def test_the_asynchronous_client_does_the_same() -> None:
    streams = Streams(*SCRIPT)
    http = httpx2.AsyncClient(transport=httpx2.MockTransport(streams.handle))
    async with AsyncGuestPrefs("http://streams.invalid", "t", http=http, **options()) as client:
        seen = [known.value("lighting.brightness") async for known in client.watch(GUEST)]
        assert (seen, streams.asked) == ([10, 20, 30, 40], PLACES)


def test_a_stream_that_is_refused_says_why() -> None:
    http = httpx2.Client(transport=httpx2.MockTransport(Streams([403]).handle))
    with GuestPrefs("http://streams.invalid", "t", http=http, **options()) as client, pytest.raises(NotAllowed):
        next(client.watch(GUEST))


# ---- the real service ----


def test_edits_of_others_are_followed_through_cuts_until_the_erasure(place: Place, guest: str) -> None:
    """What was written while the stream was cut comes with the next one, once; the end is the erasure."""
    token = place.guest_token(guest)
    address = urlsplit(place.url)
    assert address.port is not None
    with (
        Link(address.port, [b"/v1/changes"]) as link,
        GuestPrefs(place.url, token) as other,
        GuestPrefs(f"http://{address.hostname}:{link.port}", token, **options()) as client,
    ):
        watching = client.watch(guest, keys=["lighting.brightness"])
        seen = [next(watching).value("lighting.brightness")]
        for brightness in (10, 20, 30, 40):
            if brightness in (20, 40):
                link.cut()
            other.edit(guest, {"lighting.brightness": brightness})
            other.edit(guest, {"room.quiet": brightness > 20})  # which is no news here
            seen.append(next(watching).value("lighting.brightness"))
        other.call("DELETE", f"/v1/guests/{guest}")

        assert (seen, list(watching)) == ([60, 10, 20, 30, 40], [])
        assert link.calls == 3
        client.offline = True
        with pytest.raises(NothingKnown):
            client.get(guest)


async def test_the_asynchronous_client_follows_too(place: Place, guest: str) -> None:
    token = place.guest_token(guest)
    async with AsyncGuestPrefs(place.url, token) as client, AsyncGuestPrefs(place.url, token) as other:
        seen = []
        async for known in client.watch(guest, keys=["lighting.brightness"]):
            seen.append((known.value("lighting.brightness"), known.version))
            if len(seen) == 4:
                break
            await other.edit(guest, {"lighting.brightness": 10 * len(seen)})

    assert seen == [(60, 1), (10, 2), (20, 3), (30, 4)]


# ---- where there is no stream ----


def test_without_streams_it_asks_again() -> None:
    server = FakeServer()
    guest = server.add_guest({"room.quiet": 1})
    with server.client(**options()) as client:
        seen = []
        for known in client.watch(guest):
            seen.append(known.value("room.quiet"))
            if known.value("room.quiet") == 3:
                server.erase(guest)
            else:
                server.edit(guest, {"room.quiet": known.value("room.quiet") + 1})
        assert seen == [1, 2, 3]
        with pytest.raises(NotFound):
            next(client.watch(guest))
