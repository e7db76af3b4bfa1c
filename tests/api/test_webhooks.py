"""Webhooks over HTTP: put, told what came of it, asked for again; on every store, with a receiver on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from api.auth import make_key, save_keys
from prefs.bootstrap import SystemClock
from prefs.migrations import migrate
from prefs.settings import Settings
from tests.api.conftest import opened
from tests.api.front import Front, StandingClock
from tests.receiver import Receiver, receiving, statuses

PUT = {"surface": "housekeeping", "events": ["guest.changed", "guest.erased"]}


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made


@pytest.fixture
async def hooked(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Front]:
    """The app, allowed to reach loopback, at a time that receivers take for now."""
    keys = tmp_path / "keys.json"
    keys.write_text(save_keys([make_key()]), encoding="utf-8")
    url = "memory://"
    if kind != "memory":
        url = request.getfixturevalue("sqlite_url" if kind == "sqlite" else "postgres_url")
        await migrate(url)
    settings = Settings(data=tmp_path, database_url=url, keys=keys, webhook_networks="127.0.0.0/8")
    async with opened(settings, StandingClock(SystemClock().now())) as front:
        yield front


async def test_a_webhook_from_its_first_to_its_last(hooked: Front, receiver: Receiver) -> None:
    front, ops = hooked, hooked.operator()
    put = {**PUT, "url": receiver.url()}
    made = await front.call("PUT", "/v1/webhooks/boards", ops, put)
    assert made.status_code == 201 and made.headers["cache-control"] == "no-store"
    secret = made.json()["secret"]
    again = await front.call("PUT", "/v1/webhooks/boards", ops, put)
    assert (again.status_code, again.json()["version"]) == (200, 1) and "secret" not in again.json()

    ping = await front.ok("POST", "/v1/webhooks/boards/ping", ops)
    assert ping["taken"] is True and ping["http_status"] == 204
    assert receiver.received[0].verified(secret)["type"] == "ping"

    receiver.answer = statuses(500)
    guest = await front.new_guest()
    await front.house.deliveries.settle()
    (log,) = (await front.ok("GET", "/v1/webhooks/boards/deliveries", ops))["deliveries"]
    assert (log["state"], log["guest"], log["attempts"][0]["http_status"]) == ("pending", guest, 500)
    assert (await front.ok("GET", "/v1/webhooks/boards", ops))["failures"] == 1

    await front.ok("PUT", "/v1/webhooks/boards", ops, {**put, "enabled": False})
    await front.ok("PUT", "/v1/webhooks/boards", ops, put)  # tried again at once
    await front.house.deliveries.settle()
    assert receiver.ids[1] == receiver.ids[2]
    page = await front.ok("GET", "/v1/webhooks/boards/deliveries", ops, params={"state": "delivered", "limit": 1})
    assert [one["tried"] for one in page["deliveries"]] == [2] and page["next_cursor"] is None

    replayed = await front.call("POST", f"/v1/webhooks/boards/deliveries/{receiver.ids[1]}/replay", ops)
    assert replayed.status_code == 202 and replayed.json()["state"] == "pending"
    await front.house.deliveries.settle()
    assert receiver.ids[1:] == [receiver.ids[1]] * 3

    rotated = await front.call("POST", "/v1/webhooks/boards/secrets", ops)
    assert rotated.status_code == 201 and rotated.json()["secret"] != secret
    assert [one["id"] for one in (await front.ok("GET", "/v1/webhooks", ops))["webhooks"]] == ["boards"]
    assert (await front.call("DELETE", "/v1/webhooks/boards", ops)).status_code == 204
    assert (await front.call("GET", "/v1/webhooks/boards", ops)).status_code == 404
    await front.new_guest()
    await front.house.deliveries.settle()
    assert len(receiver.received) == 4


async def test_pages_of_the_log_miss_nothing(hooked: Front, receiver: Receiver) -> None:
    """Also where the clock stands still."""
    ops = hooked.operator()
    await hooked.ok("PUT", "/v1/webhooks/boards", ops, {**PUT, "url": receiver.url()})
    for _ in range(5):
        await hooked.new_guest()
    await hooked.house.deliveries.settle()
    found, cursor = [], None
    while True:
        asked = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = await hooked.ok("GET", "/v1/webhooks/boards/deliveries", ops, params=asked)
        found += [one["id"] for one in page["deliveries"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert sorted(found) == sorted(receiver.ids) and len(found) == 5


@pytest.mark.parametrize("kind", ["memory"])
@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({"url": "http://pms.hotel.example/"}, "/url", "TLS_REQUIRED"),
        ({"url": "https://pms.hotel.example:6379/"}, "/url", "PORT_REFUSED"),
        ({"url": "https://10.0.0.1/"}, "/url", "ADDRESS_REFUSED"),
        ({"url": "https://[::ffff:169.254.169.254]/"}, "/url", "ADDRESS_REFUSED"),
        ({"url": "https://user:word@pms.hotel.example/"}, "/url", "BAD_URL"),
        ({"surface": "lobby"}, "/surface", "UNKNOWN_CHOICE"),
        ({"events": ["guest.born"]}, "/events/0", "UNKNOWN_CHOICE"),
        ({"events": []}, "/events", "TOO_FEW"),
        ({"secret": "whsec_mine"}, "/secret", "UNKNOWN_FIELD"),
        ({"description": "a\nb"}, "/description", "BAD_FORMAT"),
    ],
)
async def test_what_is_wrong_with_a_webhook_is_told(
    front: Front, body: dict[str, object], pointer: str, code: str
) -> None:
    put = {**PUT, "url": "https://pms.hotel.example/hook", **body}
    refused = await front.call("PUT", "/v1/webhooks/boards", front.operator(), put)
    assert refused.status_code == 422, refused.text
    assert [(one["pointer"], one["code"]) for one in refused.json()["errors"]] == [(pointer, code)]


@pytest.mark.parametrize("kind", ["memory"])
async def test_there_is_an_end_to_how_many_there_may_be(front: Front) -> None:
    put = {**PUT, "url": "https://pms.hotel.example/hook", "enabled": False}
    for number in range(50):
        await front.ok("PUT", f"/v1/webhooks/hook-{number}", front.operator(), put)
    refused = await front.call("PUT", "/v1/webhooks/one-more", front.operator(), put)
    assert (refused.status_code, refused.json()["code"]) == (422, "TOO_MANY")
    assert (await front.call("PUT", "/v1/webhooks/hook-7", front.operator(), put)).status_code == 200


@pytest.mark.parametrize("kind", ["memory"])
async def test_who_may_not_read_all_guests_may_put_no_webhook(front: Front) -> None:
    """An endpoint is told of every guest."""
    limited = front.token("operator", "front_desk", "ops-2")
    put = {**PUT, "url": "https://pms.hotel.example/hook"}
    for token in (limited, front.service(), front.staff()):
        assert (await front.call("PUT", "/v1/webhooks/boards", token, put)).status_code == 403
        assert (await front.call("GET", "/v1/webhooks", token)).status_code == 403
