"""Bad input: every operation by every kind of mistake. Always a 4xx that names the field, nothing stored."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from pydantic import TypeAdapter

from api.schemas.problems import Problem
from prefs.ports import Lookup
from tests.api.front import PROPERTY, Front
from tests.api.samples import Operation, World, all_operations, body_of, entitled, make_world, params_of, path_of

PROBLEM: TypeAdapter[Any] = TypeAdapter(Problem)
DEEP = 30_000
BROKEN_JSON: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "NO_BODY"),
    "no JSON": (b"hello", "NOT_JSON"),
    "half of it": (b'{"a": ', "NOT_JSON"),
    "two of it": (b"{} {}", "NOT_JSON"),
    "no UTF-8": (b'{"a": "\xff"}', "NOT_UTF8"),
    "a byte order mark": (b"\xef\xbb\xbf{}", "NOT_JSON"),
    "NaN": (b'{"a": NaN}', "NOT_A_NUMBER"),
    "infinity": (b'{"a": -Infinity}', "NOT_A_NUMBER"),
    "a huge integer": (b'{"a": ' + b"9" * 5000 + b"}", "NUMBER_TOO_LONG"),
    "a huge exponent": (b'{"a": 1e99999}', "NUMBER_TOO_LONG"),
    "NUL": (b'{"a": "\\u0000"}', "BAD_TEXT"),
    "half a pair": (b'{"a": "\\ud800"}', "BAD_TEXT"),
    "a member twice": (b'{"a": 1, "a": 1}', "DUPLICATE_MEMBER"),
    "deep lists": (b"[" * DEEP + b"]" * DEEP, "TOO_DEEP"),
    "deep objects": (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "TOO_DEEP"),
    "a list": (b"[]", "WRONG_TYPE"),
    "a text": (b'"text"', "WRONG_TYPE"),
    "a number": (b"7", "WRONG_TYPE"),
    "null": (b"null", "WRONG_TYPE"),
}
WRONG_VALUES: tuple[Any, ...] = (
    True,
    -7,
    10**25,
    1.5,
    "",
    "x" * 5000,
    "\u202e\x07",
    [],
    [[]],
    [None],
    {},
    {"\x07": 1},
    {"value": {}},
)


@pytest.fixture(params=("sqlite", "postgresql"))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def world(front: Front) -> World:
    return await make_world(front)


async def stored(front: Front) -> dict[str, Any]:
    """Everything the store holds, through its own port."""
    store = front.house.store
    guests = await store.guests(1000)
    return {
        "documents": await store.get_many(guests),
        "histories": {guest: await store.history(guest, 1000) for guest in guests},
        "stays": await store.stays_of(guests),
        "lodgings": (await store.look_up(Lookup(stays=guests))).lodgings,
        "properties": await store.properties(1000),
        "extensions": await store.extensions(),
    }


def named(response: httpx2.Response, about: Any) -> list[dict[str, Any]]:
    """The faults of a refusal; fails unless it is a 4xx problem document."""
    assert 400 <= response.status_code < 500, (about, response.status_code, response.text)
    assert response.headers["content-type"] == "application/problem+json", about
    problem: dict[str, Any] = PROBLEM.validate_python(response.json(), strict=True)
    return list(problem["errors"])


def operations(front: Front, *, with_body: bool) -> Iterator[Operation]:
    for operation in all_operations(front.app.openapi()):
        if operation.guarded and (operation.takes_body or not with_body):
            yield operation


async def send(front: Front, world: World, operation: Operation, **changed: Any) -> httpx2.Response:
    asked: dict[str, Any] = {"params": params_of(operation), "headers": {}, "path": path_of(operation, world)} | changed
    if "content" not in asked and "json" not in asked:
        asked["json"] = body_of(operation, world)
    return await front.call(operation.method, asked.pop("path"), entitled(front, operation, world), **asked)


async def test_bodies_that_are_no_good_json(front: Front, world: World) -> None:
    before, tried = await stored(front), 0
    for operation in operations(front, with_body=True):
        for about, (content, code) in BROKEN_JSON.items():
            if operation.id == "grant_consent" and not content:
                continue  # a guest need not say more than that they consent
            faults = named(await send(front, world, operation, content=content), (operation.id, about))
            assert [fault["code"] for fault in faults] == [code], (operation.id, about, faults)
            assert "pointer" in faults[0]
            tried += 1
        for media in ("text/plain", "application/xml", "", "application/json; charset=utf-16"):
            response = await send(front, world, operation, content=b"{}", headers={"content-type": media})
            assert response.status_code == 415, (operation.id, media)
            named(response, operation.id)
        limit = 262_144 if operation.id == "batch_preferences" else 65_536
        response = await send(front, world, operation, content=b" " * (limit + 1))
        assert response.status_code == 413, operation.id
        named(response, operation.id)
    assert tried == 14 * len(BROKEN_JSON) - 1
    assert await stored(front) == before


async def test_every_field_by_every_wrong_value(front: Front, world: World) -> None:
    before, tried = await stored(front), 0
    for operation in operations(front, with_body=True):
        good = body_of(operation, world)
        (content,) = operation.described["requestBody"]["content"].values()
        schema = front.app.openapi()["components"]["schemas"][content["schema"]["$ref"].rpartition("/")[2]]
        fields = list(schema.get("properties", good))
        for field in [*fields, "no_such_field", "a/b~c"]:
            for value in WRONG_VALUES:
                if is_right(operation, field, value):
                    continue
                response = await send(front, world, operation, json={**good, field: value})
                about = (operation.id, field, value)
                pointers = [fault.get("pointer", "") for fault in named(response, about)]
                token = "/" + field.replace("~", "~0").replace("/", "~1")
                assert any(pointer.split("/")[:2] == token.split("/") for pointer in pointers), (about, response.text)
                tried += 1
    assert tried > 300
    assert await stored(front) == before


def is_right(operation: Operation, field: str, value: Any) -> bool:
    """What is no mistake after all: empty is a value in some places."""
    match operation.id, field:
        case "put_property", "name" | "brand" | "time_zone":
            return value == ""
        case "put_property", "warm_months" | "lineup" | "policies":
            return value == []
        case "put_property", "capabilities":
            return value == {}
        case "put_property", "rooms":
            return value in ({}, {"value": {}})
        case "put_stay", "room" | "trip" | "status":
            return value == ""
        case "put_stay", "party":
            return value == {}
        case "create_guest" | "edit_guest", "display_name":
            return value == ""
        case "create_guest", "identifiers":
            return value == []
        case "put_definition", "rename_from" | "deprecated_by":
            return value == ""
        case "put_definition", "labels":
            return False
        case "decide_device_grant", "approve":
            return value is True
        case "put_personalisation" | "put_webhook", "enabled":
            return value is True
        case "put_webhook", "description":
            return value == ""
    return False


W = "climate.temperature.occupied"
BAD_EDITS: tuple[tuple[dict[str, Any], str, str], ...] = (
    ({W: "warm"}, f"/{W}", "WRONG_TYPE"),
    ({W: True}, f"/{W}", "WRONG_TYPE"),
    ({W: [21]}, f"/{W}", "WRONG_TYPE"),
    ({W: {"degrees": 21}}, f"/{W}", "WRONG_TYPE"),
    ({W: 5}, f"/{W}", "OUT_OF_RANGE"),
    ({W: 10**11}, f"/{W}", "OUT_OF_RANGE"),
    ({W: 10**29}, f"/{W}", "WRONG_TYPE"),
    ({W: {"value": 500, "unit": "[degF]"}}, f"/{W}/value", "OUT_OF_RANGE"),
    ({W: {"value": 20, "unit": "K"}}, f"/{W}/unit", "WRONG_UNIT"),
    ({W: {"value": 20, "unit": "%"}}, f"/{W}/unit", "WRONG_UNIT"),
    ({W: {"value": 20, "unit": 7}}, f"/{W}/unit", "WRONG_TYPE"),
    ({W: {"value": 20, "strength": "avoid"}}, f"/{W}/strength", "STRENGTH_NOT_ALLOWED"),
    ({W: {"value": 20, "strength": "desperate"}}, f"/{W}/strength", "UNKNOWN_CHOICE"),
    ({W: {"value": 20, "context": {"weather": "rain"}}}, f"/{W}/context/weather", "UNKNOWN_FIELD"),
    ({W: {"value": 20, "context": {"trip": "moon"}}}, f"/{W}/context/trip", "UNKNOWN_CHOICE"),
    ({W: {"value": 20, "context": []}}, f"/{W}/context", "WRONG_TYPE"),
    ({W: {"value": 20, "until": "noon"}}, f"/{W}/until", "UNKNOWN_FIELD"),
    ({W: {"value": 20, "expires_at": "tomorrow"}}, f"/{W}/expires_at", "BAD_TIME"),
    ({W: {"value": 20, "not": [15]}}, f"/{W}/not", "STRENGTH_NOT_ALLOWED"),
    ({"bed.type": {"not": "king"}}, "/bed.type/not", "WRONG_TYPE"),
    ({"climate.temprature": 20}, "/climate.temprature", "UNKNOWN_KEY"),
    ({"": 20}, "/", "UNKNOWN_KEY"),
    ({"a/b~c": 20}, "/a~1b~0c", "UNKNOWN_KEY"),
    ({"bed.type": ["hammock"]}, "/bed.type/0", "UNKNOWN_CHOICE"),
    ({"bed.type": {"value": ["king", "king"]}}, "/bed.type/value/1", "DUPLICATE"),
    (
        {"wake_up.schedule": [{"time": "25:00", "days": ["mon"], "method": "tv"}]},
        "/wake_up.schedule/0/time",
        "BAD_TIME",
    ),
    ({"locale.language": ["x"]}, "/locale.language/0", "BAD_LANGUAGE"),
    ({f"a.b{number}": 1 for number in range(51)}, "", "TOO_MANY_KEYS"),
)


async def test_edits_with_one_mistake(front: Front, world: World) -> None:
    before = await stored(front)
    path, token = f"/v1/guests/{world.guest}/preferences", front.guest(world.guest)
    for patch, pointer, code in BAD_EDITS:
        for spoilt in (patch, {"room.quiet": False, **patch} if len(patch) == 1 else patch):
            faults = named(await front.call("PATCH", path, token, spoilt), patch)
            assert (pointer, code) in [(fault["pointer"], fault["code"]) for fault in faults], (patch, faults)
    assert await stored(front) == before


STRANGE = ("", " ", "no way!", "\x00", "\x7f", "é", "../..", "'; DROP TABLE guest; --", "x" * 9000, "💥")
STRANGE_NUMBERS = ("-1", "0", "1.5", "1e3", "9" * 400, "NaN", "one", "")
STRANGE_TIMES = ("yesterday", "2026-07-01", "2026-13-01T00:00:00Z", "2026-07-01T00:00:00", "0001-01-01T00:00:00Z", "1")


def strange_values(name: str, schema: dict[str, Any]) -> tuple[str, ...]:
    kinds = [schema, *schema.get("anyOf", [])]
    if any(kind.get("type") in ("integer", "number") for kind in kinds):
        return tuple(value for value in STRANGE_NUMBERS if value != "0" or name != "version")
    if any(kind.get("format") == "date-time" for kind in kinds):
        return (*STRANGE_TIMES, *STRANGE)
    patterns = [kind["pattern"] for kind in kinds if "pattern" in kind]
    return tuple(value for value in STRANGE if not any(re.search(pattern, value) for pattern in patterns))


async def test_every_parameter_by_every_strange_value(front: Front, world: World) -> None:
    before, tried = await stored(front), 0
    for operation in operations(front, with_body=False):
        for parameter in operation.described.get("parameters", []):
            name, place = parameter["name"], parameter["in"]
            if name == "guest" or (operation.id, name) == ("find_guest", "id"):
                continue  # what is no guest is not found, by the same path as an absent one: tests/api/test_access.py
            for value in strange_values(name, parameter["schema"]):
                if (
                    value in ("", "../..")
                    and place == "path"
                    or (place == "header" and ord(max(value, default=" ")) > 255)
                ):
                    continue  # another path; no header
                response = await strange_call(front, world, operation, name, place, value)
                about = (operation.id, name, value)
                if response.status_code == 400 and place == "header":
                    continue
                faults = named(response, about)
                assert name in [fault.get("parameter") for fault in faults], (about, response.text)
                tried += 1
    assert tried > 250
    assert await stored(front) == before


async def strange_call(
    front: Front, world: World, operation: Operation, name: str, place: str, value: str
) -> httpx2.Response:
    if place == "query":
        return await send(front, world, operation, params=params_of(operation) | {name: value})
    if place == "header":
        return await send(front, world, operation, headers={name: value})
    quoted = httpx2.QueryParams({"v": value}).__str__().removeprefix("v=").replace("+", "%20").replace("/", "%2F")
    marked = Operation(operation.id, operation.method, operation.path.replace(f"{{{name}}}", "<here>"), {})
    return await send(front, world, operation, path=path_of(marked, world).replace("<here>", quoted))


async def test_unknown_parameters_are_refused_everywhere(front: Front, world: World) -> None:
    before = await stored(front)
    for operation in operations(front, with_body=False):
        response = await send(front, world, operation, params=params_of(operation) | {"surprise": "1"})
        assert [fault["parameter"] for fault in named(response, operation.id)] == ["surprise"], operation.id
    assert await stored(front) == before


async def test_strange_batches(front: Front, world: World) -> None:
    ask: dict[str, Any] = {"guests": [world.guest], "property": PROPERTY}
    for change, pointer in (
        ({"guests": []}, "/guests"),
        ({"guests": [7]}, "/guests/0"),
        ({"guests": ["x" * 65]}, "/guests/0"),
        ({"property": "a b"}, "/property"),
        ({"keys": ["no.such"]}, "/keys"),
        ({"keys": []}, "/keys"),
        ({"at": "noon"}, "/at"),
        ({"at": 7}, "/at"),
        ({"surface": "tv"}, "/surface"),
    ):
        response = await front.call("POST", "/v1/preferences/batch", front.staff(), ask | change)
        faults = named(response, change)
        assert pointer in [fault.get("pointer", "/" + fault.get("parameter", "")) for fault in faults], (change, faults)
