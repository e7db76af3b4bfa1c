"""The Python SDK against the real service: in a process of its own, and over ASGI where a test moves the clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from guestprefs_client import (
    AsyncGuestPrefs,
    GuestPrefs,
    Invalid,
    MemoryStore,
    NotAllowed,
    NotFound,
    SQLiteStore,
    Status,
    Unauthenticated,
)
from guestprefs_client.testing import FakeServer

from api.auth import make_key, save_keys
from prefs.settings import Settings
from tests.api.conftest import opened
from tests.api.front import PROPERTY, Front, StandingClock
from tests.clients.place import LIFETIME, Place

QUIET, WARMTH, LIGHT = "room.quiet", "climate.temperature.occupied", "lighting.brightness"


def test_a_write_is_read_back_typed(place: Place, guest: str) -> None:
    with GuestPrefs(place.url, place.guest_token(guest)) as client:
        stored = client.edit(guest, {WARMTH: {"value": 68, "unit": "[degF]"}, QUIET: True})
        assert (stored.version, stored.queued, stored.preferences[QUIET].value) == (2, False, True)
        known = client.get(guest, keys=[WARMTH, QUIET])
        assert known[WARMTH].entered is not None and known[WARMTH].entered.value == 68
        assert (known.value(WARMTH), known[WARMTH].unit, known.version) == (20.0, "Cel", 2)
        assert client.get(guest, keys=[WARMTH, QUIET]).meta.from_cache
        assert [change.version for change in client.history(guest)] == [2, 1]
        assert client.revert(guest, 2).version == 3
        assert client.guest(guest).display_name == "Ana Torres"
        assert len(client.catalogue().definitions) == 67
        assert client.status is Status.ONLINE


def test_errors_name_the_field_and_the_request(place: Place, guest: str) -> None:
    with GuestPrefs(place.url, place.guest_token(guest)) as client:
        with pytest.raises(Invalid) as refused:
            client.edit(guest, {WARMTH: {"value": 130, "unit": "[degF]"}, "tv.volume_defautl": 20})
        fields = {fault.field: fault.code for fault in refused.value.faults}
        assert fields == {f"/{WARMTH}/value": "OUT_OF_RANGE", "/tv.volume_defautl": "UNKNOWN_KEY"}
        assert refused.value.request_id and refused.value.request_id in str(refused.value)
        with pytest.raises(NotFound):
            client.get("gst_" + "0" * 32)
    with GuestPrefs(place.url, "no-token") as stranger, pytest.raises(Unauthenticated):
        stranger.get(guest)


def test_update_merges_what_two_clients_change(place: Place, guest: str) -> None:
    token = place.guest_token(guest)
    with GuestPrefs(place.url, token) as phone, GuestPrefs(place.url, token) as tablet:
        phone.edit(guest, {LIGHT: 10})

        def brighter(known: Any) -> dict[str, Any]:
            if known.value(LIGHT) == 10:
                tablet.edit(guest, {LIGHT: 40})
            return {LIGHT: known.value(LIGHT) + 5}

        stored = phone.update(guest, brighter)
        assert stored is not None and stored.preferences[LIGHT].value == 45
        assert phone.update(guest, lambda _known: {}) is None


def test_another_call_has_the_same_errors(place: Place, guest: str) -> None:
    with GuestPrefs(place.url, place.service) as client:
        assert client.find_guest("loyalty", client.guest(guest).identifiers[0].id).guest == guest
        consents = client.call("GET", f"/v1/guests/{guest}/consents")
        assert isinstance(consents, dict) and consents
        with pytest.raises(NotAllowed):
            client.call("PUT", f"/v1/properties/{PROPERTY}", body={"name": "Dallas", "time_zone": "UTC"})
        with pytest.raises(NotFound):
            client.prefetch([guest], property="nowhere")


async def test_two_clients_flap_and_nothing_is_lost(place: Place, guest: str, tmp_path: Path) -> None:
    """Two outboxes on disjoint keys of one guest, on and off line; every edit took effect once."""
    token = place.guest_token(guest)

    async def flap(key: str, values: list[Any]) -> None:
        store = SQLiteStore(tmp_path / f"{key}.db")
        async with AsyncGuestPrefs(place.url, token, store=store, outbox=True) as client:
            for number, value in enumerate(values):
                client.offline = number % 3 == 1
                await client.edit(guest, {key: value})
            client.offline = False
            done = await client.flush()
            assert (done.waiting, done.dead) == (0, [])

    lights, quiet = list(range(10, 34)), [number % 2 == 0 for number in range(24)]
    await asyncio.gather(flap(LIGHT, lights), flap(QUIET, quiet))
    with GuestPrefs(place.url, token) as client:
        known = client.get(guest)
        assert (known.value(LIGHT), known.value(QUIET)) == (lights[-1], quiet[-1])
        changes = [change for change in client.history(guest) if change.action == "edit"]
        seen = [change.keys[0].after[0].value for change in reversed(changes) if change.keys[0].key == LIGHT]
        assert seen == sorted(set(seen)) and seen[-1] == lights[-1], "an effect twice, or out of order"


# ---- the fake server does as the service does ----


def script(guest: str) -> list[tuple[str, str, dict[str, str], dict[str, str], Any]]:
    path = f"/v1/guests/{guest}"
    prefs, key = f"{path}/preferences", {"idempotency-key": "one-key"}
    return [
        ("PATCH", prefs, {}, {}, {QUIET: True}),
        ("PATCH", prefs, {}, {}, {QUIET: True}),
        ("GET", prefs, {"keys": QUIET}, {}, None),
        ("GET", prefs, {"keys": QUIET}, {"if-none-match": "(etag)"}, None),
        ("PATCH", prefs, {}, key, {LIGHT: 30}),
        ("PATCH", prefs, {}, key, {LIGHT: 30}),
        ("PATCH", prefs, {}, key, {LIGHT: 31}),
        ("PATCH", prefs, {}, {"preferences-base-version": "2"}, {QUIET: False}),
        ("PATCH", prefs, {}, {"preferences-base-version": "2"}, {QUIET: True, LIGHT: 5}),
        ("PATCH", prefs, {}, {"preferences-base-version": "99"}, {QUIET: True}),
        ("PATCH", prefs, {}, {"if-match": '"2.0"'}, {QUIET: True}),
        ("PATCH", prefs, {}, {"if-match": '"4.0"'}, {WARMTH: {"value": 68, "unit": "[degF]"}}),
        ("PATCH", prefs, {}, {}, {LIGHT: None}),
        ("GET", path, {}, {}, None),
        ("POST", f"{path}/history/5/revert", {}, {}, None),
        ("POST", f"{path}/history/3/revert", {}, {}, None),
        ("POST", f"{path}/history/99/revert", {}, {}, None),
        ("GET", f"{path}/history", {}, {}, None),
        ("GET", "/v1/guests/gst_" + "0" * 32 + "/preferences", {}, {}, None),
    ]


def comparable(response: httpx2.Response) -> dict[str, Any]:
    """What a client acts on."""
    body = response.json() if response.content else {}
    told: dict[str, Any] = {"status": response.status_code, "version": response.headers.get("preferences-version")}
    told["replayed"] = response.headers.get("idempotency-replayed")
    for name in ("code", "current_version", "version", "guest"):
        told[f"body.{name}"] = body.get(name) if name != "guest" else bool(body.get(name))
    sides = ("yours", "version")
    told["conflicts"] = [{name: one[name] for name in ("key", *sides)} for one in body.get("conflicts", [])]
    # The fake server knows no catalogue: no units of bare values, and no defaults of what nobody said.
    told["values"] = {
        key: [one.get("value"), one.get("strength"), one["status"]]
        for key, one in body.get("preferences", {}).items()
        if one["status"] != "default"
    }
    told["entries"] = {
        scope: {key: [one["value"] for one in found] for key, found in keys.items()}
        for scope, keys in body.get("entries", {}).items()
    }
    told["changes"] = [
        (change["version"], change["action"], [(key["key"], len(key["before"])) for key in change["keys"]])
        for change in body.get("changes", [])
    ]
    return told


def replayed(http: httpx2.Client, guest: str) -> list[dict[str, Any]]:
    told, etag = [], ""
    for method, path, params, headers, body in script(guest):
        sent = {name: value.replace("(etag)", etag) for name, value in headers.items()}
        answer = http.request(method, path, params=params, headers=sent, json=body)
        etag = answer.headers.get("etag", etag)
        told.append(comparable(answer))
    return told


def test_the_fake_server_answers_as_the_service_does(place: Place, guest: str) -> None:
    fake = FakeServer()
    headers = {"authorization": f"Bearer {place.guest_token(guest)}"}
    transport = httpx2.MockTransport(fake.handle)
    with (
        httpx2.Client(base_url=place.url, headers=headers) as real,
        httpx2.Client(base_url=fake.url, transport=transport) as faked,
    ):
        pairs = zip(script(guest), replayed(real, guest), replayed(faked, fake.add_guest()), strict=True)
        for step, expected, got in pairs:
            assert got == expected, step


# ---- the clock that a test moves ----


@asynccontextmanager
async def fronted(tmp_path: Path) -> AsyncIterator[tuple[Front, StandingClock]]:
    keys = tmp_path / "keys.json"
    keys.write_text(save_keys([make_key()]), encoding="utf-8")
    clock = StandingClock()
    async with opened(Settings(data=tmp_path, database_url="memory://", keys=keys), clock) as front:
        yield front, clock


async def test_a_token_that_expires_is_renewed_and_many_are_fetched_ahead(tmp_path: Path) -> None:
    async with fronted(tmp_path) as (front, clock):
        guest, other = await front.new_guest(), await front.new_guest("Ben")
        await front.new_property()
        await front.prefer(guest, {QUIET: True})
        given: list[str] = []

        async def token() -> str:
            given.append(front.service())
            return given[-1]

        client = AsyncGuestPrefs("http://test", token, http=front.http)
        assert (await client.get(guest)).value(QUIET) is True
        clock.pass_by(LIFETIME * 2)
        assert (await client.get(guest)).value(QUIET) is True
        assert len(given) == 2

        ahead = await client.prefetch([guest, "gst_" + "0" * 32, other], property=PROPERTY, keys=[QUIET])
        assert [one.guest for one in ahead] == [guest, other]
        client.offline = True
        known = await client.get(guest, property=PROPERTY, keys=[QUIET])
        assert known.meta.stale and known.value(QUIET) is True


async def test_one_who_is_erased_leaves_no_trace(tmp_path: Path) -> None:
    async with fronted(tmp_path) as (front, _):
        guest = await front.new_guest()
        store = MemoryStore()
        client = AsyncGuestPrefs("http://test", front.guest(guest), http=front.http, store=store, outbox=True)
        await client.get(guest)
        client.offline = True
        await client.edit(guest, {QUIET: True})
        await front.ok("DELETE", f"/v1/guests/{guest}", front.guest(guest))
        client.offline = False
        done = await client.flush()
        assert (done.gone, done.waiting) == ([guest], 0)
        assert guest not in repr(vars(store))
