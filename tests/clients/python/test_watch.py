"""Following a guest: as a stream that is cut and goes on, and by asking again where there is no stream."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from guestprefs_client import AsyncGuestPrefs, GuestPrefs, MemoryStore, NotAllowed, NotFound, NothingKnown, Status
from guestprefs_client.ports import Record
from guestprefs_client.sync import _Opening
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


# ---- off line ----

QUIET = {"room.quiet": True}


def test_off_line_it_tells_what_was_known_and_on_line_it_goes_on() -> None:
    """With what waits in the outbox on top, before and after."""
    streams = Streams([SNAPSHOT], [503], ["cut"], [SNAPSHOT, event("erased", "z", {"guest": GUEST})])
    http = httpx2.Client(transport=httpx2.MockTransport(streams.handle))
    with GuestPrefs("http://streams.invalid", "t", http=http, outbox=True, **options()) as client:
        assert next(client.watch(GUEST)).values_by_key() == {"lighting.brightness": 10}
        client.offline = True
        assert client.edit(GUEST, QUIET).queued
        watching = client.watch(GUEST, keys=["lighting.brightness", "room.quiet"])
        stale = next(watching)
        assert (stale.meta.stale, stale.values_by_key()) == (True, {"lighting.brightness": 10, **QUIET})
        assert len(streams.asked) == 1  # the network was left alone
        client.offline = False
        fresh = next(watching)
        assert (fresh.meta.stale, fresh.meta.pending_writes, fresh.meta.pending_keys) == (False, 1, QUIET.keys())
        assert fresh.values_by_key() == {"lighting.brightness": 10, **QUIET}
        assert list(watching) == []


async def test_the_asynchronous_client_rests_too() -> None:
    streams = Streams([SNAPSHOT], [SNAPSHOT, event("change", "b", {**answer(3, 20), "changed": []})])
    http = httpx2.AsyncClient(transport=httpx2.MockTransport(streams.handle))
    async with AsyncGuestPrefs("http://streams.invalid", "t", http=http, outbox=True, **options()) as client:
        async for known in client.watch(GUEST):
            assert known.value("lighting.brightness") == 10
            client.offline = True
            break
        await client.edit(GUEST, QUIET)
        told = []
        async for known in client.watch(GUEST):
            told.append((known.meta.stale, known.meta.pending_writes, known.value("lighting.brightness")))
            client.offline = False
            if len(told) == 3:
                break
        assert told == [(True, 1, 10), (False, 1, 10), (False, 1, 20)]


def test_a_server_that_is_away_is_no_end_and_what_was_known_is_told() -> None:
    streams = Streams([SNAPSHOT], [503], [SNAPSHOT])
    http = httpx2.Client(transport=httpx2.MockTransport(streams.handle))
    with GuestPrefs("http://streams.invalid", "t", http=http, **options()) as client:
        next(client.watch(GUEST))
        watching = client.watch(GUEST)
        assert [next(watching).meta.stale, next(watching).meta.stale] == [True, False]
        assert len(streams.asked) == 3


def test_going_off_line_ends_the_stream_that_another_thread_reads(place: Place, guest: str) -> None:
    """What is told next comes over a new stream; closing the client ends the watching."""
    token, told, asked = place.guest_token(guest), list[Any](), threading.Event()
    address = urlsplit(place.url)
    assert address.port is not None

    def follow() -> None:
        for known in client.watch(guest, keys=["lighting.brightness"]):
            told.append(known.value("lighting.brightness"))
            asked.set()

    def hear(brightness: int) -> None:
        assert asked.wait(20) and told[-1] == brightness
        asked.clear()

    with Link(address.port, [b"/v1/changes"]) as link, GuestPrefs(place.url, token) as other:
        client = GuestPrefs(f"http://{address.hostname}:{link.port}", token, chance=MiddleChance())
        following = threading.Thread(target=follow)
        following.start()
        hear(60)
        client.offline = True
        other.edit(guest, {"lighting.brightness": 10})
        client.offline = False
        hear(10)
        assert link.calls == 2
        client.close()
        following.join(20)
        assert not following.is_alive() and client.status is Status.CLOSED and told == [60, 10]


class Noted(MemoryStore):
    """What it was given to keep, and whatever else a test lets it do then."""

    def __init__(self, meanwhile: Callable[[Record], None] = lambda _record: None) -> None:
        super().__init__()
        self.given: list[Record] = []
        self.meanwhile = meanwhile

    def put(self, record: Record) -> None:
        self.given.append(record)
        self.meanwhile(record)
        super().put(record)


def test_an_answer_that_arrives_after_its_guest_was_wiped_is_not_kept() -> None:
    """Not the answer and not its version; neither what `prefetch` fetched."""
    server, store = FakeServer(), Noted()
    guest, other = server.add_guest(QUIET), server.add_guest(QUIET)

    def wiping(request: httpx2.Request) -> httpx2.Response:
        client.wipe(guest)
        return server.handle(request)

    http = httpx2.Client(transport=httpx2.MockTransport(wiping))
    with GuestPrefs(server.url, "t", http=http, store=store, outbox=True) as client:
        assert client.get(guest).value("room.quiet") is True
        assert [one.guest for one in client.prefetch([guest, other], property="dallas")] == [guest, other]
        assert client.edit(guest, {"room.quiet": False}).queued is False
        assert {record.kind for record in store.given} == {"edit"}
    assert store.listed("edit", store.given[0].account) == []
    with server.client(store=store) as client:
        client.get(guest)
        assert [record.kind for record in store.given[-2:]] == ["answer", "seen"]


def test_an_answer_is_taken_back_when_another_thread_wipes_while_it_is_written() -> None:
    server = FakeServer()
    guest = server.add_guest(QUIET)

    store = Noted(lambda record: client.wipe(guest) if record.kind == "answer" else None)
    with server.client(store=store) as client:
        assert client.get(guest).value("room.quiet") is True
        assert [record.kind for record in store.given] == ["answer", "seen"]
        assert [store.listed(record.kind, record.account) for record in store.given] == [[], []]


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


class JustOver(threading.Event):
    """The time is over in the moment in which it comes."""

    def wait(self, timeout: float | None = None) -> bool:
        assert super().wait(10)
        return False


def test_a_stream_that_begins_as_it_is_given_up_is_followed() -> None:
    """Given up, it would stay open, and nobody would read it."""
    streams = Streams([event("snapshot", "a")])
    with httpx2.Client(transport=httpx2.MockTransport(streams.handle)) as http:
        opening = _Opening(http, http.build_request("GET", f"https://hotel.example/v1/changes?guest={GUEST}"))
        opening.over = JustOver()
        response = opening.wait(0)
        assert response is not None and response.read() == event("snapshot", "a")
