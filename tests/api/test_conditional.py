"""Versions and validators: ETags, If-None-Match, If-Match, base versions with their conflicts, undo."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from tests.api.front import PROPERTY, Front
from tests.api.samples import make_world

QUIET, WARMTH = "room.quiet", "climate.temperature.occupied"


async def test_an_etag_is_version_and_digest(front: Front) -> None:
    world = await make_world(front)
    path, token = f"/v1/guests/{world.guest}/preferences", front.guest(world.guest)
    first = await front.call("GET", path, token)
    assert re.fullmatch(r'"2\.[0-9a-f]{20}"', first.headers["etag"])
    assert first.headers["preferences-version"] == "2" == str(first.json()["version"])
    assert first.headers["cache-control"] == "private, no-cache"
    assert first.headers["vary"] == "Authorization, Accept-Language"

    for known in (first.headers["etag"], f'"1.a", W/{first.headers["etag"]}', "*"):
        again = await front.call("GET", path, token, headers={"if-none-match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == first.headers["etag"]
    other = await front.call("GET", path, token, headers={"if-none-match": '"2.0000"'})
    assert other.status_code == 200

    explained = await front.call("GET", path, token, params={"explain": "true", "property": PROPERTY})
    assert explained.headers["etag"] != first.headers["etag"]

    await front.prefer(world.guest, {QUIET: None})
    changed = await front.call("GET", path, token, headers={"if-none-match": first.headers["etag"]})
    assert (changed.status_code, changed.headers["preferences-version"]) == (200, "3")


async def test_if_match_compares_the_version(front: Front) -> None:
    world = await make_world(front)
    path, token = f"/v1/guests/{world.guest}/preferences", front.guest(world.guest)
    etag = (await front.call("GET", path, token, params={"property": PROPERTY})).headers["etag"]

    matched = await front.call("PATCH", path, token, {QUIET: False}, headers={"if-match": etag})
    assert (matched.status_code, matched.json()["version"]) == (200, 3)
    moved = await front.call("PATCH", path, token, {WARMTH: 19}, headers={"if-match": etag})
    assert (moved.status_code, moved.json()["code"], moved.json()["current_version"]) == (412, "VERSION_MOVED", 3)
    assert (await front.call("PATCH", path, token, {WARMTH: 19}, headers={"if-match": "*"})).status_code == 200
    for broken in ("3", '"x"', '"1.a", "2.b"', '"99999999999999999999"', ""):
        refused = await front.call("PATCH", path, token, {WARMTH: 18}, headers={"if-match": broken})
        assert refused.status_code == 422, broken
        assert refused.json()["errors"][0]["parameter"] == "If-Match"
    named = await front.call(
        "PATCH", f"/v1/guests/{world.guest}", token, {"display_name": "A"}, headers={"if-match": etag}
    )
    assert named.status_code == 412


async def test_only_a_touched_key_conflicts(front: Front) -> None:
    world = await make_world(front)
    path, token = f"/v1/guests/{world.guest}/preferences", front.guest(world.guest)
    base = {"preferences-base-version": "2"}
    phone = await front.call("PATCH", path, token, {WARMTH: 19}, headers=base)
    tablet = await front.call("PATCH", path, token, {QUIET: False}, headers=base)
    assert (phone.status_code, tablet.status_code) == (200, 200)

    late = await front.call("PATCH", path, token, {WARMTH: 23, "lighting.brightness": 30}, headers=base)
    assert (late.status_code, late.json()["code"]) == (409, "CONFLICT")
    (conflict,) = late.json()["conflicts"]
    assert conflict["key"] == WARMTH
    assert (conflict["by"], conflict["version"]) == (world.guest, 3)
    for side, number in (("theirs", 19), ("base", 21), ("yours", 23)):
        assert str(number) in str(conflict[side]), conflict
    stored = await front.ok("GET", f"/v1/guests/{world.guest}", token)
    assert "lighting.brightness" not in stored["entries"]["profile"]
    for broken in ("x", "-1", "1.5", "9" * 16):
        refused = await front.call("PATCH", path, token, {WARMTH: 23}, headers={"preferences-base-version": broken})
        assert refused.json()["errors"][0]["parameter"] == "Preferences-Base-Version"


async def test_a_write_that_changes_nothing_leaves_no_trace(front: Front) -> None:
    world = await make_world(front)
    path, token = f"/v1/guests/{world.guest}", front.guest(world.guest)
    before = await front.ok("GET", f"{path}/history", token)
    again = await front.prefer(world.guest, {WARMTH: {"value": 21, "unit": "Cel"}, "lighting.brightness": None})
    assert again["version"] == 2
    assert await front.ok("GET", f"{path}/history", token) == before


async def test_history_in_pages_and_undo(front: Front) -> None:
    world = await make_world(front)
    path, token = f"/v1/guests/{world.guest}", front.guest(world.guest)
    for degrees in (19, 20, 22):
        await front.prefer(world.guest, {WARMTH: degrees})
    versions: list[int] = []
    cursor: str | None = None
    while True:
        params: dict[str, Any] = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = await front.ok("GET", f"{path}/history", token, params=params)
        versions += [change["version"] for change in page["changes"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert versions == [5, 4, 3, 2, 1]

    undone = await front.ok("POST", f"{path}/history/5/revert", token)
    assert (undone["version"], undone["preferences"][WARMTH]["value"]) == (6, 20.0)
    stale = await front.call("POST", f"{path}/history/3/revert", token)
    assert (stale.status_code, stale.json()["conflicts"][0]["key"]) == (409, WARMTH)
    assert (await front.call("POST", f"{path}/history/99/revert", token)).status_code == 404
    (latest, *_) = (await front.ok("GET", f"{path}/history", token))["changes"]
    assert (latest["action"], latest["actor"], latest["surface"]) == ("revert", world.guest, "guest_app")


async def test_disjoint_edits_at_the_same_time_all_count(front: Front) -> None:
    guest = await front.new_guest()
    edits: list[dict[str, Any]] = [{WARMTH: 20}, {QUIET: True}, {"lighting.brightness": 30}, {"bed.type": ["king"]}]
    versions = [answer["version"] for answer in await asyncio.gather(*(front.prefer(guest, edit) for edit in edits))]
    assert sorted(versions) == [2, 3, 4, 5]
    assert {key for edit in edits for key in edit} <= (await front.read(guest))["preferences"].keys()


async def test_the_catalogue_speaks_the_callers_language(front: Front) -> None:
    token = front.guest("gst_" + "0" * 32)
    shown = {}
    for wanted, got in (("th-TH, en;q=0.5", "th"), ("ar", "ar"), ("fr", "en"), ("", "en"), ("fr, vi;q=0.2", "vi")):
        response = await front.call("GET", "/v1/catalogue", token, headers={"accept-language": wanted})
        assert response.headers["content-language"] == got == response.json()["language"]
        shown[got] = response
    assert len({response.headers["etag"] for response in shown.values()}) == len(shown)
    assert shown["ar"].json()["direction"] == "rtl"
    assert len(shown["en"].json()["definitions"]) == 67
    known = {"accept-language": "th", "if-none-match": shown["th"].headers["etag"]}
    assert (await front.call("GET", "/v1/catalogue", token, headers=known)).status_code == 304
