"""The hot read says what the typed route says, to the byte, for as long as it is true and not a moment longer."""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from api.app import Application
from prefs.core.callers import ALL_GUESTS
from prefs.settings import Settings
from tests.api.conftest import opened
from tests.api.front import PROPERTY, Front, StandingClock

WARMTH, NIGHT, PILLOWS, CHANNELS = (
    "climate.temperature.occupied",
    "climate.temperature.sleep",
    "bed.pillow_type",
    "tv.favorite_channels",
)
ALLERGENS = "food.allergens"
# Headers that two answers to one question may differ in: the request's own, and who answered.
OWN = {"x-request-id", "cache-status"}
LANGUAGES = ("", "de, th;q=0.5", "ar", "ka-GE", "xx")
QUESTIONS: tuple[dict[str, str], ...] = (
    {},
    {"property": PROPERTY},
    {"property": "nowhere"},
    {"property": "paris"},
    {"stay": "stay-1"},
    {"stay": "stay-9"},
    {"stay": "stay-1", "property": "paris"},
    {"keys": f"{WARMTH},{PILLOWS}"},
    {"keys": "not.a.key"},
    {"keys": ""},
    {"trip": "business"},
    {"trip": "holiday"},
    {"party": "children", "property": PROPERTY},
    {"at": "2026-07-02T03:00:00Z", "property": PROPERTY},
    {"at": "yesterday"},
    {"explain": "1"},
    {"explain": "maybe"},
    {"unknown": "1"},
)


class Typed:
    """The application without what stands ahead of FastAPI."""

    def __init__(self, app: Application) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await FastAPI.__call__(self._app, scope, receive, send)


@asynccontextmanager
async def typed(front: Front) -> AsyncIterator[Front]:
    """The same house through the typed route alone."""
    transport = httpx2.ASGITransport(app=Typed(front.app), raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as http:
        yield Front(front.app, http, front.key, front.clock, front.house)


@pytest.fixture
def kind() -> str:
    return "sqlite"


@pytest.fixture
async def guest(front: Front) -> str:
    """In house in Dallas, with entries of several strengths, scopes and contexts."""
    await front.new_property(PROPERTY)
    await front.new_property("paris", time_zone="Europe/Paris")
    guest = await front.new_guest("Ana Torres")
    await front.new_stay(guest, "stay-1")
    await front.prefer(
        guest,
        {
            WARMTH: {"value": 70, "unit": "[degF]", "strength": "required"},
            NIGHT: 18,
            PILLOWS: [{"type": "foam", "count": 2}],
            CHANNELS: [{"network_id": "espn", "genre": "sports"}],
        },
    )
    await front.prefer(guest, {WARMTH: {"value": 23, "context": {"trip": "business"}}}, scope="profile")
    await front.prefer(guest, {WARMTH: 22}, scope=f"property:{PROPERTY}")
    return guest


def callers(front: Front, guest: str) -> Iterator[tuple[str, str | None]]:
    yield "guest", front.guest(guest)
    yield "guest at a kiosk", front.guest(guest, "kiosk")
    yield "guest narrowed to a stay", front.token("guest", "guest_app", guest, stay="stay-1")
    yield "another guest", front.guest("gst_" + "1" * 32)
    for surface in ("front_desk", "housekeeping", "food", "engineering"):
        yield surface, front.staff(surface)
    yield "desk elsewhere", front.staff(property="paris")
    yield "desk of both", front.token("staff", "front_desk", "both", [PROPERTY, "paris"])
    for surface in ("thermostat", "lights", "tv"):
        yield surface, front.device(surface)
    yield "thermostat of another stay", front.device(stay="stay-9")
    yield "service", front.service()
    yield "service without permission", front.token("service", "front_desk", "pms")
    yield "operator", front.token("operator", "guest_app", "ops", permissions=[ALL_GUESTS])
    yield "nobody", None
    yield "forger", "e30.e30.e30"


def told(response: httpx2.Response) -> tuple[Any, ...]:
    headers = {name: value for name, value in response.headers.items() if name not in OWN}
    if response.status_code < 400:
        return response.status_code, response.content, headers
    headers.pop("content-length", None)
    return response.status_code, {**response.json(), "request_id": ""}, headers


def is_hot(response: httpx2.Response) -> bool:
    return "detail=local" in response.headers.get("cache-status", "")


async def test_it_says_what_the_typed_route_says(front: Front, guest: str) -> None:
    """Every caller, question and language, twice: the second time whatever can lie ready does."""
    hits = 0
    async with typed(front) as slow:
        for (who, token), question, language in itertools.product(callers(front, guest), QUESTIONS, LANGUAGES[:2]):
            path, headers = f"/v1/guests/{guest}/preferences", {"accept-language": language} if language else {}
            first = await front.call("GET", path, token, params=question, headers=headers)
            again = await front.call("GET", path, token, params=question, headers=headers)
            expected = await slow.call("GET", path, token, params=question, headers=headers)
            assert told(first) == told(again) == told(expected), (who, question, language)
            known = {**headers, "if-none-match": expected.headers.get("etag", '"0.0"')}
            unchanged = await front.call("GET", path, token, params=question, headers=known)
            assert told(unchanged) == told(await slow.call("GET", path, token, params=question, headers=known))
            hits += is_hot(again)
    assert hits > 100


async def test_languages_do_not_share_an_answer(front: Front, guest: str) -> None:
    async with typed(front) as slow:
        for language in LANGUAGES * 2:
            headers, path = {"accept-language": language}, f"/v1/guests/{guest}/preferences"
            hot = await front.call("GET", path, front.guest(guest), headers=headers)
            assert told(hot) == told(await slow.call("GET", path, front.guest(guest), headers=headers))


async def read(front: Front, guest: str, token: str, **headers: str) -> httpx2.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await front.call("GET", f"/v1/guests/{guest}/preferences", token, headers=named)


async def test_the_second_read_is_hot_and_named(front: Front, guest: str) -> None:
    token = front.guest(guest)
    cold = await read(front, guest, token)
    hot = await read(front, guest, token, x_request_id="mine")
    assert hot.headers["x-request-id"] == "mine"
    assert hot.headers["cache-status"] == "guestprefs; hit; detail=local"
    assert cold.headers["cache-status"] == "guestprefs; fwd=miss; detail=store"
    unnamed = [(await read(front, guest, token)).headers["x-request-id"] for _ in range(2)]
    assert len(set(unnamed)) == 2 and all(len(name) == 32 for name in unnamed)


async def test_a_reader_may_insist(front: Front, guest: str) -> None:
    token = front.guest(guest)
    version = (await read(front, guest, token)).headers["preferences-version"]
    assert is_hot(await read(front, guest, token, preferences_min_version=version))
    insisting = await read(front, guest, token, cache_control="no-cache")
    assert insisting.headers["cache-status"] == "guestprefs; fwd=miss; detail=store"
    ahead = await read(front, guest, token, preferences_min_version=str(int(version) + 1))
    assert ahead.headers["preferences-version"] == version and not is_hot(ahead)
    refused = await read(front, guest, token, preferences_min_version="newest")
    assert refused.status_code == 422


async def test_every_write_is_seen_in_the_next_read(front: Front, guest: str) -> None:
    """Documents, stays, properties, presses and the catalogue: each kind of value an answer is made from."""
    guest_token, wall = front.guest(guest), front.device()

    async def both() -> tuple[bytes, bytes]:
        return (await read(front, guest, guest_token)).content, (await read(front, guest, wall)).content

    before = await both()
    assert before == await both()
    async with typed(front) as slow:
        for change in (
            front.prefer(guest, {WARMTH: 19}),
            front.call("PATCH", f"/v1/guests/{guest}/preferences", wall, {WARMTH: 24}, params={"scope": "room"}),
            front.new_property(PROPERTY, time_zone="Asia/Vientiane"),
            front.new_stay(guest, "stay-1", trip="business"),
            front.new_stay(guest, "stay-1", status="checked_out"),
        ):
            result = await change
            assert not isinstance(result, httpx2.Response) or result.status_code == 200
            for token in (guest_token, wall):
                hot = await read(front, guest, token)
                assert told(hot) == told(await read(slow, guest, token))
    after = await both()
    assert before[0] != after[0] and before[1] != after[1]


async def test_nothing_is_served_past_its_time(front: Front, guest: str, clock: StandingClock) -> None:
    """Hour by hour over the stay and beyond: contexts turn, the stay ends, the reason to see the guest ends."""
    hits, answers = 0, set()
    async with typed(front) as slow:
        for _ in range(24 * 5):
            for token in (front.guest(guest), front.device(), front.staff()):
                first, again = await read(front, guest, token), await read(front, guest, token)
                assert told(first) == told(again) == told(await read(slow, guest, token)), clock.now()
                hits += is_hot(again)
                answers.add(again.content)
            clock.pass_by(timedelta(hours=1))
    assert hits > 100 and len(answers) > 10


async def test_nothing_is_served_past_a_withdrawn_consent(front: Front, guest: str) -> None:
    own, kitchen = front.guest(guest), front.staff("food")
    consent, path = f"/v1/guests/{guest}/consents/food_safety", f"/v1/guests/{guest}/preferences"
    await front.ok("PUT", consent, own)
    await front.ok("PATCH", path, own, {ALLERGENS: [{"code": "peanuts"}]})
    for token in (own, kitchen):
        assert "peanut" in (await read(front, guest, token)).text.lower()
        assert is_hot(await read(front, guest, token))
    await front.ok("DELETE", consent, own)
    for token in (own, kitchen):
        assert "peanut" not in (await read(front, guest, token)).text.lower()


async def test_an_expired_token_opens_nothing(front: Front, guest: str, clock: StandingClock) -> None:
    token = front.guest(guest)
    await read(front, guest, token)
    assert is_hot(await read(front, guest, token))
    clock.pass_by(timedelta(hours=13))
    assert (await read(front, guest, token)).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"content-length": "5"},
        {"content-length": "99999999"},
        {"preferences-min-version": "-1"},
        {"preferences-min-version": "9" * 16},
        {"accept-language": "\xff"},
        {"accept-language": "en," * 200},
        {"if-none-match": "\xff"},
    ],
)
async def test_odd_headers_are_answered_as_ever(front: Front, guest: str, headers: dict[str, str]) -> None:
    token = front.guest(guest)
    async with typed(front) as slow:
        for _ in range(2):
            hot, plain = [await read(one, guest, token, **headers) for one in (front, slow)]
            assert told(hot) == told(plain)


async def test_a_header_sent_twice_is_answered_as_ever(front: Front, guest: str) -> None:
    token = front.guest(guest)
    await read(front, guest, token, accept_language="th")
    assert is_hot(await read(front, guest, token, accept_language="th"))
    headers = [("authorization", f"Bearer {token}"), ("accept-language", "th"), ("accept-language", "ar")]
    async with typed(front) as slow:
        hot, plain = [await one.http.get(f"/v1/guests/{guest}/preferences", headers=headers) for one in (front, slow)]
    assert told(hot) == told(plain)
    assert not is_hot(await read(front, guest, front.guest("gst_" + "1" * 32)))


async def test_it_is_counted_like_any_other_read(front: Front, guest: str) -> None:
    token, series = front.guest(guest), 'guestprefs_requests_total{method="GET",route="/v1/guests/{guest}/preferences",'
    tiers = 'guestprefs_cache_served_total{kind="prepared",tier="local"}'

    async def counted() -> tuple[float, float]:
        lines = (await front.call("GET", "/metrics")).text.splitlines()
        values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return float(values.get(series + 'status="200"}', 0)), float(values.get(tiers, 0))

    await read(front, guest, token)
    before = await counted()
    for _ in range(10):
        await read(front, guest, token)
    after = await counted()
    assert (after[0] - before[0], after[1] - before[1]) == (10, 10)
    assert guest not in (await front.call("GET", "/metrics")).text


async def test_what_another_process_seeds_is_seen_in_the_next_read(front: Front, settings: Settings) -> None:
    """The demo's first guest, read by the operator, absent until `guestprefs seed` ran beside this process."""
    ids: list[str] = []
    for guests in (1, 2):
        command = [sys.executable, "-m", "api.cli.main", "seed", "--guests", str(guests)]
        seeding = await asyncio.to_thread(
            subprocess.run, command, env={**os.environ, **settings.environment()}, capture_output=True, check=False
        )
        assert seeding.returncode == 0, seeding.stderr
        found = await front.house.store.guests(10)
        assert len(found) == guests
        for guest in found:
            assert (await read(front, guest, front.service())).status_code == 200
            assert is_hot(await read(front, guest, front.service()))
        ids = found
    changed = await front.house.store.stays_of(ids)
    assert all(changed.values())


async def test_a_write_of_another_process_is_seen_in_the_next_read(
    front: Front, settings: Settings, clock: StandingClock, guest: str
) -> None:
    """Two houses over one file stand for two processes: nothing but the file tells them of each other."""
    token = front.guest(guest)
    async with opened(settings, clock) as other:
        for warmth in range(17, 28):
            await read(front, guest, token)
            assert is_hot(await read(front, guest, token))
            await other.prefer(guest, {NIGHT: warmth})
            seen = (await read(front, guest, token)).json()["preferences"][NIGHT]
            assert seen["value"] == warmth
