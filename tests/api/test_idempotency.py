"""One effect per Idempotency-Key: under concurrent duplicates, after a restart, and never for another request."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from prefs.settings import Settings
from tests.api.conftest import opened
from tests.api.front import Front, StandingClock
from tests.api.samples import make_world

KEY = {"idempotency-key": "0199d0f0-c1a2-7cc0-a4c3-f1f2b6a7d001"}


async def _asked_again(
    answers: Sequence[httpx2.Response], call: Callable[[], Awaitable[httpx2.Response]]
) -> list[httpx2.Response]:
    """What clients do that hear 503 on a machine too busy for fifty at once: ask again with the same key."""
    heard = [answer for answer in answers if answer.status_code != 503]
    for _ in range(5 * (len(answers) - len(heard))):
        if len(heard) == len(answers):
            break
        answer = await call()
        heard += [answer] if answer.status_code != 503 else []
    return heard


async def test_fifty_duplicates_at_once_have_one_effect(front: Front) -> None:
    world = await make_world(front)
    path, token = f"/v1/guests/{world.guest}/preferences", front.guest(world.guest)
    patch = {"climate.temperature.occupied": 19}
    answers = await asyncio.gather(*(front.call("PATCH", path, token, patch, headers=KEY) for _ in range(50)))
    answers = await _asked_again(answers, lambda: front.call("PATCH", path, token, patch, headers=KEY))
    assert {answer.status_code for answer in answers} == {200}
    assert len(answers) == 50
    assert {answer.content for answer in answers} == {answers[0].content}
    assert [answer.headers.get("idempotency-replayed") for answer in answers].count(None) == 1
    assert (await front.read(world.guest))["version"] == 3

    made = await asyncio.gather(
        *(front.call("POST", "/v1/guests", front.service(), {"display_name": "Once"}, headers=KEY) for _ in range(50))
    )
    made = await _asked_again(
        made, lambda: front.call("POST", "/v1/guests", front.service(), {"display_name": "Once"}, headers=KEY)
    )
    assert {answer.status_code for answer in made} == {201}
    assert len({answer.json()["guest"] for answer in made}) == 1
    assert len({answer.headers["location"] for answer in made}) == 1


async def test_a_repeat_after_a_restart_hears_the_first_answer(
    kind: str, settings: Settings, clock: StandingClock
) -> None:
    if kind == "memory":
        pytest.skip("a memory store does not outlive its process, which is what it is for")
    patch = {"climate.temperature.occupied": 19}
    async with opened(settings, clock) as front:
        world = await make_world(front)
        path = f"/v1/guests/{world.guest}/preferences"
        first = await front.call("PATCH", path, front.guest(world.guest), patch, headers=KEY)
        await front.prefer(world.guest, {"climate.temperature.occupied": 25})
    clock.pass_by(timedelta(hours=11))
    async with opened(settings, clock) as front:
        again = await front.call("PATCH", path, front.guest(world.guest), patch, headers=KEY)
        assert (again.status_code, again.content) == (200, first.content)
        assert again.headers["idempotency-replayed"] == "true"
        assert (await front.read(world.guest))["version"] == 4


@pytest.mark.parametrize(
    ("method", "path", "body", "params"),
    [
        ("PATCH", "/v1/guests/{}/preferences", {"room.quiet": False}, {}),
        ("PATCH", "/v1/guests/{}/preferences", {"room.quiet": True}, {"scope": "stay:stay-1"}),
        ("PATCH", "/v1/guests/{}", {"display_name": "Other"}, {}),
        ("PUT", "/v1/guests/{}/consents/food_safety", None, {}),
        ("DELETE", "/v1/guests/{}/consents/food_safety", None, {}),
        ("POST", "/v1/guests/{}/history/2/revert", None, {}),
    ],
)
async def test_a_key_is_for_one_request(
    front: Front, method: str, path: str, body: Any, params: dict[str, Any]
) -> None:
    world = await make_world(front)
    token = front.guest(world.guest)
    patch = {"room.quiet": True, "lighting.brightness": 10}
    await front.ok("PATCH", f"/v1/guests/{world.guest}/preferences", token, patch, headers=KEY)
    refused = await front.call(method, path.format(world.guest), token, body, headers=KEY, params=params)
    assert (refused.status_code, refused.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert refused.json()["errors"][0]["parameter"] == "Idempotency-Key"
    assert (await front.read(world.guest))["version"] == 3


async def test_keys_of_two_callers_do_not_meet(front: Front) -> None:
    world = await make_world(front)
    for guest, degrees in ((world.guest, 18), (world.elsewhere, 24)):
        answer = await front.ok(
            "PATCH",
            f"/v1/guests/{guest}/preferences",
            front.guest(guest),
            {"climate.temperature.occupied": degrees},
            headers=KEY,
        )
        assert answer["preferences"]["climate.temperature.occupied"]["value"] == degrees


async def test_a_refused_write_keeps_its_key(front: Front) -> None:
    world = await make_world(front)
    path, token = f"/v1/guests/{world.guest}/preferences", front.guest(world.guest)
    assert (await front.call("PATCH", path, token, {"room.quiet": 7}, headers=KEY)).status_code == 422
    mended = await front.call("PATCH", path, token, {"room.quiet": False}, headers=KEY)
    assert (mended.status_code, mended.json()["version"]) == (200, 3)


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256, "é"])
async def test_a_broken_key_is_refused(front: Front, key: str) -> None:
    world = await make_world(front)
    response = await front.call(
        "PATCH",
        f"/v1/guests/{world.guest}/preferences",
        front.guest(world.guest),
        {"room.quiet": False},
        headers={"idempotency-key": key},
    )
    assert response.status_code == 422
    assert response.json()["errors"][0]["parameter"] == "Idempotency-Key"
