"""Problem documents: the same shape for every refusal, whoever finds it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from pydantic import TypeAdapter

from api.errors import STATUSES, problem_of
from api.schemas.problems import Problem
from prefs.bootstrap import furnish
from prefs.core import errors
from prefs.core.errors import Conflict, Fault
from prefs.ports import Found, Lookup
from prefs.settings import Settings
from prefs.store.memory import MemoryStore
from tests.api.conftest import opened
from tests.api.front import PROPERTY, Front, StandingClock
from tests.api.samples import World, make_world

PROBLEM: TypeAdapter[Any] = TypeAdapter(Problem)
NOBODY = "gst_" + "0" * 32
READ = "/v1/guests/{}/preferences"


@pytest.fixture
def kind() -> str:
    return "memory"


@pytest.fixture
async def world(front: Front) -> World:
    return await make_world(front)


def checked(response: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = PROBLEM.validate_python(response.json(), strict=True)
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["request_id"] == response.headers["x-request-id"]
    assert problem["type"] == "urn:guestprefs:problem:" + code.lower().replace("_", "-")
    return problem


async def test_what_the_router_refuses(front: Front) -> None:
    checked(await front.call("GET", "/nowhere"), 404, "NOT_FOUND")
    checked(await front.call("GET", "/v1/guests/a/b/c"), 404, "NOT_FOUND")
    refused = await front.call("DELETE", "/livez")
    checked(refused, 405, "METHOD_NOT_ALLOWED")
    assert refused.headers["allow"] == "GET"


async def test_every_method_of_a_path_is_named_in_allow(front: Front, world: World) -> None:
    refused = await front.call("POST", f"/v1/guests/{world.guest}", front.guest(world.guest))
    checked(refused, 405, "METHOD_NOT_ALLOWED")
    assert refused.headers["allow"] == "DELETE, GET, PATCH"


async def test_every_unknown_or_doubled_parameter_is_named(front: Front, world: World) -> None:
    path = READ.format(world.guest) + "?propety=dallas&trip=leisure&trip=business&x=1"
    problem = checked(await front.call("GET", path, front.guest(world.guest)), 422, "INVALID")
    assert [(fault["parameter"], fault["code"]) for fault in problem["errors"]] == [
        ("propety", "UNKNOWN_PARAMETER"),
        ("x", "UNKNOWN_PARAMETER"),
        ("trip", "DUPLICATE_PARAMETER"),
    ]


async def test_every_bad_parameter_is_named(front: Front, world: World) -> None:
    params = {"property": "no spaces", "at": "yesterday", "trip": "fun", "explain": "perhaps", "keys": "A b"}
    problem = checked(
        await front.call("GET", READ.format(world.guest), front.guest(world.guest), params=params), 422, "INVALID"
    )
    assert {fault["parameter"] for fault in problem["errors"]} == params.keys()


async def test_every_bad_key_of_an_edit_is_pointed_at(front: Front, world: World) -> None:
    patch = {
        "climate.temperature.occupied": {"value": 99},
        "room.quiet": "yes",
        "no.such~key/at.all": 1,
        "lighting.brightness": {"value": 10, "unit": "[degF]"},
        "bed.type": {"value": ["king"], "loudness": 1, "context": {"moon": "full"}},
        "tv.favorite_channels": [{"network_id": "espn"}, {"network_id": "espn"}],
    }
    problem = checked(
        await front.call("PATCH", READ.format(world.guest), front.guest(world.guest), patch), 422, "INVALID"
    )
    assert {(fault["pointer"], fault["code"]) for fault in problem["errors"]} == {
        ("/climate.temperature.occupied/value", "OUT_OF_RANGE"),
        ("/room.quiet", "WRONG_TYPE"),
        ("/no.such~0key~1at.all", "UNKNOWN_KEY"),
        ("/lighting.brightness/unit", "WRONG_UNIT"),
        ("/bed.type/loudness", "UNKNOWN_FIELD"),
        ("/bed.type/context/moon", "UNKNOWN_FIELD"),
        ("/tv.favorite_channels/1", "DUPLICATE"),
    }


async def test_bodies_of_another_type_are_refused(front: Front, world: World) -> None:
    path, token = READ.format(world.guest), front.guest(world.guest)
    for media in ("text/plain", "", "application/x-www-form-urlencoded", "application/json; charset=latin-1"):
        response = await front.call("PATCH", path, token, content=b"{}", headers={"content-type": media})
        checked(response, 415, "UNSUPPORTED_MEDIA_TYPE")
    for media in ("application/json", "Application/JSON; charset=UTF-8", "application/merge-patch+json"):
        body = b'{"room.quiet": true}'
        response = await front.call("PATCH", path, token, content=body, headers={"content-type": media})
        assert response.status_code == 200, response.text


async def test_a_body_may_have_64_kib_and_not_a_byte_more(front: Front, world: World) -> None:
    path, token = READ.format(world.guest), front.guest(world.guest)
    just = b'{"room.quiet": true}'.ljust(65_536)
    assert (await front.call("PATCH", path, token, content=just)).status_code == 200
    checked(await front.call("PATCH", path, token, content=just + b" "), 413, "BODY_TOO_LARGE")

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(70):
            yield b" " * 1000

    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    streamed = await front.http.request("PATCH", path, content=pieces(), headers=headers)
    assert "content-length" not in streamed.request.headers
    checked(streamed, 413, "BODY_TOO_LARGE")


async def test_a_batch_may_have_256_kib(front: Front, world: World) -> None:
    just = f'{{"guests": ["{world.guest}"], "property": "{PROPERTY}"}}'.encode().ljust(262_144)
    assert (await front.call("POST", "/v1/preferences/batch", front.staff(), content=just)).status_code == 200
    over = await front.call("POST", "/v1/preferences/batch", front.staff(), content=just + b" ")
    checked(over, 413, "BODY_TOO_LARGE")


async def test_a_thousand_guests_and_not_one_more(front: Front, world: World) -> None:
    body = {"guests": [world.guest] * 1000, "property": PROPERTY}
    answer = await front.ok("POST", "/v1/preferences/batch", front.staff(), body)
    assert len(answer["items"]) == 1000
    body["guests"] = [world.guest] * 1001
    problem = checked(await front.call("POST", "/v1/preferences/batch", front.staff(), body), 422, "TOO_MANY")
    assert problem["errors"][0]["pointer"] == "/guests"


async def test_a_caller_who_hangs_up_is_no_failure(front: Front, world: World) -> None:
    sent: list[Any] = []
    asked: list[Any] = [{"type": "http.request", "body": b'{"room', "more_body": True}, {"type": "http.disconnect"}]

    async def receive() -> Any:
        return asked.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    headers = {"authorization": f"Bearer {front.guest(world.guest)}", "content-type": "application/json"}
    scope = {
        "type": "http",
        "method": "PATCH",
        "path": READ.format(world.guest),
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    await front.app(scope, receive, send)
    assert sent == []
    told = (await front.call("GET", "/metrics")).text
    assert 'guestprefs_requests_total{method="PATCH",route="/v1/guests/{guest}/preferences",status="499"}' in told
    assert (await front.read(world.guest))["version"] == 2


async def test_a_given_request_id_is_kept_when_it_is_harmless(front: Front) -> None:
    kept = await front.call("GET", "/nowhere", headers={"x-request-id": "desk-7.a_b"})
    assert kept.json()["request_id"] == "desk-7.a_b"
    for harmful in ("a b", "x" * 65, "<script>", ""):
        response = await front.call("GET", "/nowhere", headers={"x-request-id": harmful})
        assert response.json()["request_id"] not in ("", harmful)


class BrokenStore(MemoryStore):
    """A store with a bug: an error of no library and of no tree."""

    async def look_up(self, wanted: Lookup) -> Found:
        raise RuntimeError("the secret plan of the database")


class GoneStore(MemoryStore):
    """A store whose server does not answer."""

    async def look_up(self, wanted: Lookup) -> Found:
        raise errors.StoreUnavailable("The database does not answer.")

    async def ping(self) -> None:
        raise errors.StoreUnavailable("The database does not answer.")


async def test_what_nobody_expected_is_a_500_that_tells_nothing(settings: Settings, clock: StandingClock) -> None:
    async with opened(settings, clock, furnish(BrokenStore(clock), clock)) as front:
        response = await front.call("GET", READ.format(NOBODY), front.guest(NOBODY))
    checked(response, 500, "INTERNAL")
    assert "secret" not in response.text


async def test_a_store_that_is_gone_is_a_503_with_a_time_to_come_back(settings: Settings, clock: StandingClock) -> None:
    async with opened(settings, clock, furnish(GoneStore(clock), clock)) as front:
        for path in (READ.format(NOBODY), "/readyz"):
            response = await front.call("GET", path, front.guest(NOBODY))
            checked(response, 503, "STORE_UNAVAILABLE")
            assert response.headers["retry-after"] == "1"
        assert (await front.call("GET", "/livez")).status_code == 200


CONFLICT = Conflict("room.quiet", True, False, None, "gst_1", "2026-07-01T12:00:00Z", 7)


@pytest.mark.parametrize(
    ("error", "members"),
    [
        (errors.InvalidEdit([Fault("/a", "X", "is wrong"), Fault("b", "Y", "is too")]), {"code": "INVALID"}),
        (errors.InvalidEdit([Fault("", "X", "is wrong")]), {"code": "X"}),
        (errors.VersionMoved(1, 2), {"current_version": 2}),
        (errors.KeyConflict([CONFLICT], 7), {"current_version": 7}),
        (errors.IdentifierTaken("loyalty", "881"), {"identifier": {"system": "loyalty", "id": "881"}}),
        (errors.CatalogueInUse("a.b", {"out of range": 3}, "Plan."), {"counts": {"out of range": 3}}),
        (errors.CatalogueInvalid("request", "a.b", "value.min", "is above max"), {}),
        (errors.NotFound("Guest gst_1 belongs to another hotel."), {"code": "NOT_FOUND"}),
        (errors.KeyReused("Used before."), {}),
    ],
)
def test_errors_say_what_they_know(error: errors.PrefsError, members: dict[str, Any]) -> None:
    problem = PROBLEM.validate_python(problem_of(error, "id"), strict=True)
    assert problem["status"] == STATUSES[type(error)]
    assert {name: problem[name] for name in members} == members
    assert "another hotel" not in problem["detail"]


def test_faults_name_a_pointer_or_a_parameter() -> None:
    problem = problem_of(
        errors.InvalidEdit([Fault("/a/0", "X", "x"), Fault("scope", "X", "x"), Fault("", "X", "x")]), ""
    )
    assert [fault.get("pointer", fault.get("parameter")) for fault in problem["errors"]] == ["/a/0", "scope", ""]
    assert "parameter" in problem["errors"][1]
    wrong = problem_of(errors.CatalogueInvalid("request", "a.b", "value.min", "is above max"), "")
    assert wrong["errors"][0]["pointer"] == "/definition/value/min"
