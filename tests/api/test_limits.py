"""What is too large, too deep, too many, compressed or too slow is refused, quickly and in few words (P28); and what
every answer says to browsers."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import sys
import time
import zlib
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from api.admission import Admission
from api.middleware import BATCH_BYTES_MAX, BODY_BYTES_MAX
from api.schemas import strict_json
from prefs.core.errors import FAULTS_MAX
from prefs.settings import Settings
from tests.api.conftest import StandingClock, opened
from tests.api.front import Front
from tests.api.samples import all_operations

BOMB = 40 * 2**20  # bytes that a body of some 40 kB would be


@pytest.fixture(params=["sqlite"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def guest(front: Front) -> str:
    return await front.new_guest()


async def edit(front: Front, guest: str, content: bytes, **headers: str) -> httpx2.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    path = f"/v1/guests/{guest}/preferences"
    return await front.call("PATCH", path, front.guest(guest), content=content, headers=named)


# ---- bodies ----


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "GZIP", "identity, gzip", "x-unheard-of"])
async def test_a_compressed_body_is_refused_unread(front: Front, guest: str, coding: str) -> None:
    bomb = (gzip.compress if coding == "gzip" else zlib.compress)(b" " * BOMB)
    assert len(bomb) < BODY_BYTES_MAX
    for path, method in ((f"/v1/guests/{guest}/preferences", "PATCH"), ("/v1/preferences/batch", "POST")):
        answer = await front.call(method, path, front.guest(guest), content=bomb, headers={"content-encoding": coding})
        assert answer.status_code == 415, answer.text
        assert answer.json()["code"] == "UNSUPPORTED_MEDIA_TYPE"
        assert answer.headers["accept-encoding"] == "identity"


async def test_a_body_that_says_it_is_not_compressed_is_read(front: Front, guest: str) -> None:
    assert (await edit(front, guest, b'{"tv.volume_default": 8}', content_encoding="identity")).status_code == 200


@pytest.mark.parametrize("size, status", [(BODY_BYTES_MAX, 422), (BODY_BYTES_MAX + 1, 413)])
async def test_a_body_has_so_many_bytes_at_most(front: Front, guest: str, size: int, status: int) -> None:
    body = b'{"a":"' + b"x" * (size - 8) + b'"}'
    assert len(body) == size
    assert (await edit(front, guest, body)).status_code == status

    async def unsized() -> AsyncIterator[bytes]:
        for start in range(0, size, 4096):
            yield body[start : start + 4096]

    path, token = f"/v1/guests/{guest}/preferences", front.guest(guest)
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    streamed = await front.http.request("PATCH", path, content=unsized(), headers=headers)
    assert streamed.status_code == status, streamed.text


async def test_without_the_limit_the_same_body_would_be_read(
    front: Front, guest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.middleware.BODY_BYTES_MAX", 2**40)
    answer = await edit(front, guest, b'{"a":"' + b"x" * BODY_BYTES_MAX + b'"}')
    assert answer.status_code == 422, "the planted fault is not seen by the test above"


async def test_a_batch_has_its_own_limit(front: Front) -> None:
    for size, status in ((BODY_BYTES_MAX + 1, 422), (BATCH_BYTES_MAX + 1, 413)):
        answer = await front.call("POST", "/v1/preferences/batch", front.service(), content=b" " * size)
        assert answer.status_code == status


@pytest.mark.parametrize(
    "depth, code", [(strict_json.DEPTH_MAX - 1, "UNKNOWN_KEY"), (strict_json.DEPTH_MAX, "TOO_DEEP")]
)
async def test_json_nests_so_deep_at_most(front: Front, guest: str, depth: int, code: str) -> None:
    answer = await edit(front, guest, b'{"a.b":' + b"[" * depth + b"]" * depth + b"}")
    assert (answer.status_code, answer.json()["code"]) == (422, code)


async def test_endless_nesting_is_refused_before_it_is_parsed(front: Front, guest: str) -> None:
    for opening in (b"[", b'{"a":', b'[{"a":'):
        answer = await edit(front, guest, opening * (60_000 // len(opening)))
        assert answer.json()["code"] == "TOO_DEEP"


# ---- what would make work or an answer grow beyond what was sent ----


async def test_a_body_full_of_faults_is_not_answered_with_a_longer_one(front: Front, guest: str) -> None:
    twice = b"{" + b",".join(b'"a":1' for _ in range(9000)) + b"}"
    answer = await edit(front, guest, twice)
    assert answer.status_code == 422
    faults = answer.json()["errors"]
    assert len(faults) == FAULTS_MAX + 1
    assert faults[-1]["code"] == "MORE_FAULTS" and "8899" in faults[-1]["detail"]
    assert len(answer.content) < len(twice)


async def test_a_query_of_ten_thousand_parameters_is_one_look(front: Front, guest: str) -> None:
    """Looking each of them up among all others would be a hundred million looks."""
    path, token = f"/v1/guests/{guest}/preferences", front.guest(guest)
    for query in ("at&" * 10_000, "&".join(f"p{number}" for number in range(10_000))):
        counted = 0

        def look(frame: Any, event: str, arg: Any) -> None:
            nonlocal counted
            counted += event == "c_call" and getattr(arg, "__name__", "") == "count"

        sys.setprofile(look)
        try:
            answer = await front.call("GET", f"{path}?{query}", token)
        finally:
            sys.setprofile(None)
        assert answer.status_code == 422
        assert len(answer.json()["errors"]) <= FAULTS_MAX
        assert counted < 10


def colliding(count: int) -> list[int]:
    """Numbers that all fall on one place of a table: their hash is what is left of a division by 2**61 - 1."""
    return [1 + number * sys.hash_info.modulus for number in range(count)]


def test_member_names_cannot_be_chosen_to_collide() -> None:
    """Names are text, whose hash is keyed with what nobody outside knows; numbers, which are not, are never a key."""
    assert len({hash(number) for number in colliding(100)}) == 1, "such numbers exist"
    names = [str(number) for number in colliding(1000)]
    body = json.dumps(dict.fromkeys(names, 0)).encode()
    read = strict_json.read(body)
    assert all(type(name) is str for name in read)
    assert len({hash(name) for name in read}) == len(names)
    assert sys.flags.hash_randomization


async def test_pages_have_at_most_a_hundred_items(front: Front, guest: str) -> None:
    sized = [
        (operation, parameter)
        for operation in all_operations(front.app.openapi())
        for parameter in operation.described.get("parameters", [])
        if parameter["name"] == "limit"
    ]
    assert len(sized) >= 2
    assert {parameter["schema"]["maximum"] for _, parameter in sized} == {100}
    answer = await front.call("GET", f"/v1/guests/{guest}/history", front.guest(guest), params={"limit": "101"})
    assert answer.status_code == 422


# ---- slow senders ----


async def test_who_does_not_send_a_body_in_time_is_told_408_and_holds_nothing() -> None:
    told: list[dict[str, Any]] = []

    async def work(*_: Any) -> None:
        raise AssertionError("it has no body yet")

    async def never() -> Any:
        await asyncio.sleep(3600)

    async def send(message: Any) -> None:
        told.append(message)

    admission = Admission(work, body_timeout_s=0.05)
    scope = {"type": "http", "path": "/v1/guests", "method": "POST", "headers": [(b"content-length", b"10")]}
    began = time.monotonic()
    await admission(scope, never, send)
    assert time.monotonic() - began < 30
    assert told[0]["status"] == 408
    assert (b"connection", b"close") in told[0]["headers"]
    assert json.loads(told[1]["body"])["code"] == "TOO_SLOW"
    assert admission._under_way == 0


# ---- browsers ----


async def test_every_answer_forbids_guessing_its_type_and_says_whether_it_may_be_kept(front: Front, guest: str) -> None:
    path = f"/v1/guests/{guest}/preferences"
    token = front.guest(guest)
    answers = [await front.call("GET", path, token) for _ in range(3)]  # the last ones lie ready
    assert "detail=local" in answers[-1].headers["cache-status"]
    without_token = ("/livez", "/metrics", "/version", "/docs", "/device", "/openapi.json")
    answers += [await front.call("GET", path) for path in without_token]
    answers += [await front.call("GET", path), await front.call("GET", "/nowhere"), await edit(front, guest, b"[")]
    for answer in answers:
        assert answer.headers.get_list("x-content-type-options") == ["nosniff"], answer.request.url
        assert re.search(r"no-store|private|max-age|no-cache", answer.headers["cache-control"]), answer.request.url
        assert "strict-transport-security" not in answer.headers
        assert "access-control-allow-origin" not in answer.headers


async def test_the_page_of_the_docs_runs_nothing_but_its_own(front: Front) -> None:
    page = await front.call("GET", "/docs")
    policy = dict(part.strip().partition(" ")[::2] for part in page.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert "unsafe-inline" not in policy["script-src"] and "'sha256-" in policy["script-src"]
    assert page.headers["referrer-policy"] == "no-referrer"
    inline = re.findall(r"<script>(.*?)</script>", page.text, re.DOTALL)
    assert len(inline) == 1
    assert "//" not in policy["script-src"] + policy["connect-src"]


async def test_behind_tls_browsers_are_told_to_stay_there(settings: Settings, clock: StandingClock) -> None:
    async with opened(settings.model_copy(update={"behind_tls": True}), clock) as front:
        guest = await front.new_guest()
        token = front.guest(guest)
        for _ in range(3):
            answer = await front.call("GET", f"/v1/guests/{guest}/preferences", token)
            assert answer.headers.get_list("strict-transport-security") == ["max-age=63072000; includeSubDomains"]
        assert "detail=local" in answer.headers["cache-status"]


APP, OTHER = "https://app.example.com", "https://evil.example.net"
ASKING = {"access-control-request-method": "PATCH", "access-control-request-headers": "authorization"}


async def test_no_other_origin_may_call_by_default(front: Front, guest: str) -> None:
    path = f"/v1/guests/{guest}/preferences"
    preflight = await front.call("OPTIONS", path, headers={"origin": APP, **ASKING})
    assert preflight.status_code == 405
    read = await front.call("GET", path, front.guest(guest), headers={"origin": APP})
    assert read.status_code == 200
    for answer in (preflight, read):
        assert not [name for name in answer.headers if name.startswith("access-control-")]


async def test_only_the_origins_that_are_set_may_call_and_never_with_cookies(
    settings: Settings, clock: StandingClock
) -> None:
    async with opened(settings.model_copy(update={"cors_origins": f"{APP}, https://b.example.com"}), clock) as front:
        guest = await front.new_guest()
        path, token = f"/v1/guests/{guest}/preferences", front.guest(guest)
        allowed = await front.call("OPTIONS", path, headers={"origin": APP, **ASKING})
        assert allowed.status_code == 200
        assert allowed.headers["access-control-allow-origin"] == APP
        refused = await front.call("OPTIONS", path, headers={"origin": OTHER, **ASKING})
        assert refused.status_code == 400 and "access-control-allow-origin" not in refused.headers
        for origin, told in ((APP, APP), (OTHER, None)):
            answers = [await front.call("GET", path, token, headers={"origin": origin}) for _ in range(3)]
            assert "detail=local" in answers[-1].headers["cache-status"]
            for answer in answers:
                assert answer.headers.get("access-control-allow-origin") == told
                assert "access-control-allow-credentials" not in answer.headers
        assert "preferences-version" in answers[0].headers
        failed = await front.call("GET", path, headers={"origin": APP})
        assert (failed.status_code, failed.headers["access-control-allow-origin"]) == (401, APP)


@pytest.mark.parametrize(
    "wrong", ["app.example.com", "https://*.example.com", "*, https://a.example", "https://a/b", "null"]
)
def test_an_origin_of_another_form_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="cors_origins|GUESTPREFS_CORS_ORIGINS|pattern"):
        Settings(cors_origins=wrong)
