"""Effective preferences by OFREP: the same read in other words, refused in other words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from pydantic import TypeAdapter

from api.schemas import flags as shapes
from api.schemas.flags import Flag, FlagFailure, Flags
from prefs.settings import Settings
from tests.api.conftest import StandingClock, opened
from tests.api.front import PROPERTY, Front
from tests.api.test_bad_input import BROKEN_JSON

FLAGS = "/ofrep/v1/evaluate/flags"
WARMTH, QUIET, ALLERGENS, PILLOW = "climate.temperature.occupied", "room.quiet", "food.allergens", "bed.pillow_type"
FAILURE: TypeAdapter[Any] = TypeAdapter(FlagFailure)
ONE, ALL = TypeAdapter(Flag), TypeAdapter(Flags)
PEANUTS = [{"code": "peanuts"}]
PLAIN = (bool, int, float, str)
NOBODY = "gst_" + "f" * 32


@pytest.fixture
def kind() -> str:
    return "sqlite"


@pytest.fixture
async def ana(front: Front) -> str:
    """In house at Dallas, with wishes that the room can and cannot fulfil, and an allergy that the kitchen may know."""
    limits = {"capabilities": {"thermostat.setpoint": {"min": 18, "max": 26, "step": 0.5, "unit": "Cel"}}}
    await front.new_property(**limits)
    guest = await front.new_guest()
    await front.new_stay(guest)
    await front.ok("PUT", f"/v1/guests/{guest}/consents/food_safety", front.guest(guest))
    warm = {"value": 62, "unit": "[degF]"}
    await front.prefer(guest, {WARMTH: warm, QUIET: True, ALLERGENS: PEANUTS, "tv.volume_default": 12})
    return guest


async def ask(
    front: Front,
    token: str | None,
    guest: str | None,
    key: str = "",
    headers: Mapping[str, str] | None = None,
    **more: Any,
) -> httpx2.Response:
    context = more if guest is None else {"targetingKey": guest, **more}
    path = f"{FLAGS}/{key}" if key else FLAGS
    return await front.call("POST", path, token, {"context": context}, headers=headers)


async def flags(front: Front, token: str, guest: str, **context: Any) -> dict[str, dict[str, Any]]:
    response = await ask(front, token, guest, **context)
    assert response.status_code == 200, response.text
    told = ALL.validate_python(response.json(), strict=True)
    for flag in told["flags"]:
        assert all(isinstance(value, PLAIN) for value in flag["metadata"].values()), flag
    return {flag["key"]: flag for flag in told["flags"]}


def refused(response: httpx2.Response, status: int, code: str, key: str = "") -> dict[str, Any]:
    """A refusal in OFREP's shape."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-content-type-options"] == "nosniff" and response.headers["x-request-id"]
    told: dict[str, Any] = FAILURE.validate_python(response.json(), strict=True)
    assert (told["errorCode"], told.get("key", "")) == (code, key)
    assert told["errorDetails"]
    return told


# ---- the same read ----


@pytest.mark.parametrize(
    "context",
    [
        {},
        {"property": PROPERTY},
        {"property": PROPERTY, "stay": "stay-1"},
        {"trip": "business"},
        {"party": "children"},
        {"at": "2026-07-01T23:00:00.000Z", "property": PROPERTY},
    ],
)
async def test_flags_are_the_effective_preferences(front: Front, ana: str, context: dict[str, str]) -> None:
    await front.prefer(ana, {"tv.volume_default": {"value": 5, "context": {"trip": "business"}}})
    await front.prefer(ana, {"climate.temperature.sleep": 18})
    callers = [front.guest(ana), front.device(), front.device("tv"), front.staff("food"), front.staff("housekeeping")]
    for token in callers:
        read = await front.read(ana, token, **context)
        told = await flags(front, token, ana, **context)
        assert list(told) == list(read["preferences"])
        for key, preference in read["preferences"].items():
            flag = told[key]
            value = {name: preference[name] for name in ("action", "elements") if name in preference}
            assert flag.get("value") == (preference.get("value") if "value" in preference else value)
            assert flag["variant"] == flag["metadata"]["status"] == preference["status"]
            assert flag["metadata"]["version"] == read["version"]
            assert flag["metadata"].get("layer") == preference.get("layer")
            assert flag["metadata"].get("strength") == preference.get("strength")
            one = await ask(front, token, ana, key, **context)
            alone = ONE.validate_python(one.json(), strict=True)
            assert alone["metadata"].pop("valid_until", None) == read.get("valid_until")
            assert alone == flag
    assert len(await flags(front, callers[0], ana, **context)) >= 4


async def test_the_context_says_where_and_when(front: Front, ana: str) -> None:
    token = front.guest(ana)
    anywhere, here = await flags(front, token, ana), await flags(front, token, ana, property=PROPERTY)
    assert anywhere[WARMTH]["variant"] == "applied"
    assert (here[WARMTH]["value"], here[WARMTH]["variant"]) == (18.0, "clamped")
    told = here[WARMTH]["metadata"]
    assert (told["layer"], told["unit"], told["reason"]) == ("stated/profile", "Cel", "CAPABILITY_MIN")
    assert "18" in told["text"]
    assert here[WARMTH]["reason"] == "TARGETING_MATCH"


async def test_what_others_want_of_the_context_is_passed_over(front: Front, ana: str) -> None:
    token = front.guest(ana)
    told = await ask(front, token, ana, email="ana@example.com", plan={"name": "gold"}, keys=["x"], country=None)
    assert told.json() == (await ask(front, token, ana)).json()
    body = {"context": {"targetingKey": ana}, "flags": []}
    assert (await front.call("POST", FLAGS, token, body)).json() == told.json()


async def test_text_comes_in_the_callers_language(front: Front, ana: str) -> None:
    said = {
        language: (
            await ask(front, front.guest(ana), ana, WARMTH, {"accept-language": language}, property=PROPERTY)
        ).json()
        for language in ("en", "th")
    }
    assert said["en"]["metadata"]["text"] != said["th"]["metadata"]["text"]


async def test_each_reason(front: Front, ana: str) -> None:
    token = front.guest(ana)
    await front.prefer(ana, {"room.floor_level": {"value": None, "strength": "no_preference"}})
    told = await flags(front, token, ana)
    assert told[QUIET]["reason"] == "TARGETING_MATCH"
    indifferent = told["room.floor_level"]
    assert "value" not in indifferent and indifferent["variant"] == "no_preference"
    assert indifferent["reason"] == "TARGETING_MATCH"
    nothing = (await ask(front, token, ana, "bed.mattress")).json()
    assert nothing == {
        "key": "bed.mattress",
        "reason": "UNKNOWN",
        "variant": "default",
        "metadata": {"status": "default", "version": told[QUIET]["metadata"]["version"]},
    }
    for layer in ("default/catalogue", "recommended/property", "recommended/brand"):
        assert shapes.flag_of("k", {"value": 1, "status": "clamped", "layer": layer}, 1)["reason"] == "STATIC"
    front.clock.pass_by(timedelta(days=2000))  # the consent has run out, and the guest is told so
    withheld = (await flags(front, front.guest(ana), ana))[ALLERGENS]
    assert "value" not in withheld
    assert (withheld["reason"], withheld["variant"]) == ("DISABLED", "withheld_no_consent")


async def test_what_must_not_be_is_told_as_text(front: Front, ana: str) -> None:
    await front.prefer(ana, {PILLOW: {"value": "feather_down", "strength": "unacceptable"}})
    told = (await flags(front, front.guest(ana), ana))[PILLOW]
    (one,) = json.loads(told["metadata"]["not"])
    assert (one["value"], one["strength"]) == ("feather_down", "unacceptable")
    assert "value" not in told and told["metadata"]["strength"] == "unacceptable"


# ---- nobody learns more ----


async def test_what_is_withheld_without_a_word_is_told_as_what_nobody_knows(front: Front, ana: str) -> None:
    """Without the consent that the surface needs, where nothing is known, where it is none of its business."""
    ben = await front.new_guest("Ben")
    await front.new_stay(ben, "stay-2")
    for _ in range(3):
        await front.ok("PATCH", f"/v1/guests/{ben}", front.guest(ben), {"display_name": f"Ben {_}"})
    front.clock.pass_by(timedelta(days=2000))
    for guest, stay in ((ana, "stay-3"), (ben, "stay-4")):
        await front.new_stay(guest, stay)
    for surface in ("food", "housekeeping", "front_desk", "engineering"):
        told = []
        for guest in (ana, ben):
            flag = (await ask(front, front.staff(surface), guest, ALLERGENS, property=PROPERTY)).json()
            del flag["metadata"]["version"]
            told.append(flag)
        blank = {"key": ALLERGENS, "reason": "UNKNOWN", "variant": "default", "metadata": {"status": "default"}}
        assert told == [blank, blank], surface


async def test_foreign_absent_and_malformed_guests_look_alike(front: Front, ana: str) -> None:
    ben = await front.new_guest("Ben")
    for token in (front.guest(ana), front.staff(), front.device()):
        for key, code in (("", "INVALID_CONTEXT"), (QUIET, "FLAG_NOT_FOUND"), ("no.such.key", "FLAG_NOT_FOUND")):
            told = [
                refused(await ask(front, token, who, key), 404, code, key)
                for who in (ben, NOBODY, "user-123", "x" * 999)
            ]
            assert all(one == told[0] for one in told)


async def test_a_read_of_special_data_is_on_record(front: Front, ana: str) -> None:
    async def count() -> int:
        return len([one for one in await front.house.witness.ledger.listed(100) if one.access.act == "read"])

    first = await ask(front, front.staff("food"), ana)
    assert await count() == 1
    same = await ask(front, front.staff("food"), ana, headers={"if-none-match": first.headers["etag"]})
    assert same.status_code == 304 and await count() == 2
    await ask(front, front.staff("food"), ana, ALLERGENS)
    assert await count() == 3
    await ask(front, front.staff("food"), ana, "food.beverage_welcome")
    await ask(front, front.guest(ana), ana)
    assert await count() == 3


# ---- as the read it is ----


async def test_an_etag_holds_until_something_changes(front: Front, ana: str) -> None:
    token = front.guest(ana)
    first = await ask(front, token, ana)
    known = {"if-none-match": first.headers["etag"]}
    same = await ask(front, token, ana, headers=known)
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", first.headers["etag"])
    other = await ask(front, token, ana, headers=known, property=PROPERTY)
    assert other.status_code == 200 and other.headers["etag"] != first.headers["etag"]
    await front.prefer(ana, {QUIET: False})
    changed = await ask(front, token, ana, headers=known)
    assert changed.status_code == 200 and changed.headers["etag"] != first.headers["etag"]
    assert changed.headers["preferences-version"] == str(changed.json()["metadata"]["version"])
    assert "authorization" in changed.headers["vary"].lower()


async def test_freshness_is_asked_for_as_elsewhere(front: Front, ana: str) -> None:
    token = front.guest(ana)
    version = (await ask(front, token, ana)).json()["metadata"]["version"]
    fresh = {"preferences-min-version": str(version), "cache-control": "no-cache"}
    told = await ask(front, token, ana, headers=fresh)
    assert told.status_code == 200 and told.headers["cache-status"].startswith("guestprefs;")
    refused(await ask(front, token, ana, headers={"preferences-min-version": "x"}), 400, "INVALID_CONTEXT")


# ---- refusals ----

BAD_CONTEXTS: tuple[tuple[Any, str, str], ...] = (
    ({}, "TARGETING_KEY_MISSING", "/context"),
    ({"context": {}}, "TARGETING_KEY_MISSING", "targetingKey"),
    ({"context": {"targetingKey": ""}}, "TARGETING_KEY_MISSING", "targetingKey"),
    ({"context": {"property": "dallas"}}, "TARGETING_KEY_MISSING", "targetingKey"),
    ({"context": {"targetingKey": 7}}, "INVALID_CONTEXT", "/context/targetingKey"),
    ({"context": []}, "INVALID_CONTEXT", "/context"),
    ({"context": {"targetingKey": "g", "property": "a b"}}, "INVALID_CONTEXT", "/context/property"),
    ({"context": {"targetingKey": "g", "stay": 7}}, "INVALID_CONTEXT", "/context/stay"),
    ({"context": {"targetingKey": "g", "at": "yesterday"}}, "INVALID_CONTEXT", "/context/at"),
    ({"context": {"targetingKey": "g", "trip": "moon"}}, "INVALID_CONTEXT", "/context/trip"),
    ({"context": {"targetingKey": "g", "party": ["alone"]}}, "INVALID_CONTEXT", "/context/party"),
)


async def test_every_bad_context_is_named(front: Front, ana: str) -> None:
    for body, code, named in BAD_CONTEXTS:
        for key in ("", QUIET):
            path = f"{FLAGS}/{key}" if key else FLAGS
            told = refused(await front.call("POST", path, front.guest(ana), body), 400, code, key)
            assert named in told["errorDetails"], (body, told)


async def test_bodies_that_are_no_good_json(front: Front, ana: str) -> None:
    for content, _ in BROKEN_JSON.values():
        refused(await front.call("POST", FLAGS, front.guest(ana), content=content), 400, "PARSE_ERROR")
    plain = await front.call("POST", FLAGS, front.guest(ana), content=b"{}", headers={"content-type": "text/plain"})
    refused(plain, 415, "PARSE_ERROR")
    refused(await front.call("POST", FLAGS, front.guest(ana), content=b" " * 65_537), 413, "PARSE_ERROR")
    packed = await front.call("POST", FLAGS, front.guest(ana), content=b"{}", headers={"content-encoding": "gzip"})
    refused(packed, 415, "PARSE_ERROR")


async def test_flags_that_are_not_there(front: Front, ana: str) -> None:
    for key in ("no.such.key", "room", "Room.Quiet", "a" * 99, "é.é"):
        refused(await ask(front, front.guest(ana), ana, key), 404, "FLAG_NOT_FOUND", key)
    assert (
        len(refused(await ask(front, front.guest(ana), ana, "a" * 5000), 404, "FLAG_NOT_FOUND", "a" * 100)["key"])
        == 100
    )
    told = refused(await ask(front, front.guest(ana), ana, property="nowhere"), 404, "INVALID_CONTEXT")
    assert "not yours" in told["errorDetails"]


async def test_who_may_not_ask_at_all(front: Front, ana: str) -> None:
    for token in (None, "x.y.z"):
        response = await ask(front, token, ana)
        refused(response, 401, "GENERAL")
        assert response.headers["www-authenticate"].startswith("Bearer")
        assert response.headers["cache-control"] == "no-store"
    refused(await front.call("POST", FLAGS + "?surprise=1", front.guest(ana), {}), 400, "INVALID_CONTEXT")
    answer = await front.call("GET", FLAGS, front.guest(ana))
    refused(answer, 405, "GENERAL")
    assert answer.headers["allow"] == "POST"


async def test_who_asks_too_much_is_told_alike_by_route_and_by_gate(settings: Settings, clock: StandingClock) -> None:
    async with opened(settings.model_copy(update={"caller_rate": 1}), clock) as front:
        guest = await front.new_guest()
        token = front.guest(guest)
        answers = [await ask(front, token, guest) for _ in range(14)]
        fresh = front.guest(guest)
        clock.pass_by(timedelta(seconds=1))
        answers.append(await ask(front, fresh, guest))  # a token that only the route can read
    assert answers[0].status_code == 200
    late = [answer for answer in answers if answer.status_code != 200]
    assert len(late) >= 4 and late[-1] is answers[-1]
    for answer in late:
        refused(answer, 429, "GENERAL")
        assert int(answer.headers["retry-after"]) >= 1 and answer.headers["ratelimit"]


async def test_what_is_counted_is_the_status_that_is_sent(front: Front, ana: str) -> None:
    await front.call("POST", FLAGS, front.guest(ana), {})
    told = (await front.call("GET", "/metrics")).text
    assert f'guestprefs_requests_total{{method="POST",route="{FLAGS}",status="400"}}' in told
    assert f'route="{FLAGS}",status="422"' not in told


async def test_what_goes_wrong_here_is_told_too(front: Front, ana: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("planted")

    monkeypatch.setattr(front.house.preferences, "effective", broken)
    refused(await ask(front, front.guest(ana), ana, QUIET), 500, "GENERAL", QUIET)
