"""P23: every operation of the document by every role, for a guest of every state, with ids swapped wherever they stand.

Nobody gets at a guest that nothing ties them to, and cannot tell such a guest from one that is not there.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from prefs.bootstrap import furnish
from prefs.core import access
from prefs.core.sights import Relation
from prefs.store.memory import MemoryStore
from tests.api.front import PROPERTY, Front
from tests.api.matrix import ABSENT, ELSEWHERE, HELP, LINES, OWNERS, Asker, Line, Owner, askers, settle
from tests.api.samples import World, all_operations, body_of, path_of

DOCUMENT = json.loads((Path(__file__).parents[2] / "clients" / "openapi.json").read_text(encoding="utf-8"))
OPERATIONS = {operation.id: operation for operation in all_operations(DOCUMENT)}
MALFORMED = ("gst_1", "no id at all", "..%5C..", "%00", "gst_" + "F" * 32)


@pytest.fixture
def kind() -> str:
    return "memory"


@dataclass
class Stage:
    """A house with people in it, made anew after every request that changed something."""

    front: Front
    owners: dict[str, Owner]

    async def reset(self) -> None:
        front = self.front
        front.app.state.house = front.house = furnish(MemoryStore(front.clock), front.clock)
        self.owners = await settle(front.house, front.clock.now())

    async def ask(self, line: Line, asker: Asker | None, owner: Owner, **changes: Any) -> Any:
        """One request that names this owner wherever an id of a guest stands."""
        operation = OPERATIONS[line.operation]
        world = World(owner.guest, self.owners["foreign"].guest, owner.stay, owner.invitation)
        query = line.query(owner.stay, owner.guest)
        if line.whose == "identifier":
            query |= {"system": "loyalty", "id": owner.identifier}
        path = changes.pop("path", None) or path_of(operation, world, owner.guest)
        if line.operation == "remove_identifier":
            path = path.replace("/pms/77", f"/loyalty/{owner.identifier}")
        if line.operation == "delete_entry" and (document := await self.front.house.store.get(owner.guest)):
            path = path.replace(path.rpartition("/")[2], next((one.id for one in document.entries), "prf_gone"))
        if line.operation == "delete_definition":
            path = path.replace(path.rpartition("/")[2], "bed.mattress")
        body = changes.pop("json", None) or body_of(operation, world)
        if line.whose == "batch":
            body = {"guests": [owner.guest], "property": asker.place if asker else PROPERTY}
        token = asker.token if asker else None
        return await self.front.call(operation.method, path, token, body, params=query or None, **changes)


@pytest.fixture
async def stage(front: Front) -> Stage:
    stage = Stage(front, {})
    await stage.reset()
    return stage


def asks(stage: Stage) -> Iterator[Asker]:
    """The callers by name, with tokens for the people who are there now."""
    yield from askers(stage.front, stage.owners)


def named(stage: Stage, name: str) -> Asker:
    return next(asker for asker in asks(stage) if asker.name == name)


def told(response: Any) -> tuple[int, Any, dict[str, str]]:
    """All of an answer but the id of its request."""
    headers = {name: value for name, value in response.headers.items() if name != "x-request-id"}
    body = response.json() if response.content else None
    if isinstance(body, dict) and "request_id" in body:
        assert body.pop("request_id") == response.headers["x-request-id"]
    return response.status_code, body, headers


def expected_of(line: Line, asker: Asker, state: str) -> int:
    usual = line.expected[asker.role]
    if line.whose in ("house", "public") or (usual == 403 and asker.role not in line.ties_first):
        return usual
    return usual if state in asker.tied else 404


def without_permission(line: Line, asker: Asker) -> bool:
    """Where no guest is spoken of, a permission that is missing is told as such."""
    return "without permission" in asker.name and line.name in (
        *("create_guest", "put_stay", "add_identifier", "remove_identifier", "get_changes@property"),
        *("list_webhooks", "get_webhook", "put_webhook", "delete_webhook", "rotate_secret", "ping_webhook"),
        *("list_deliveries", "replay_delivery"),
    )


def outside(line: Line, asker: Asker) -> bool:
    """The hotel that requests are about is another's business."""
    if line.operation == "list_devices":
        return asker.name == "staff elsewhere"
    return line.name in ("get_property", "get_changes@property") and asker.name in (
        "staff elsewhere",
        "device elsewhere",
    )


def over(line: Line, asker: Asker, state: str) -> bool:
    """Nobody is let into a stay that is over."""
    return line.operation == "make_stay_link" and line.expected[asker.role] == 201 and state == "departed"


# ---- the walk ----


def test_the_matrix_covers_every_operation() -> None:
    covered = {line.operation for line in LINES}
    missing = sorted(OPERATIONS.keys() - covered)
    assert not missing, HELP.format(", ".join(missing))
    assert not covered - OPERATIONS.keys(), f"no longer in the document: {sorted(covered - OPERATIONS.keys())}"


def test_an_operation_that_is_not_covered_is_noticed() -> None:
    document = json.loads(json.dumps(DOCUMENT))
    document["paths"]["/v1/guests/{guest}/secrets"] = {"get": {"operationId": "get_secrets", "responses": {}}}
    found = {operation.id for operation in all_operations(document)}
    assert found - {line.operation for line in LINES} == {"get_secrets"}


async def test_the_document_is_that_of_the_app(front: Front) -> None:
    assert {one.id for one in all_operations(front.app.openapi())} == OPERATIONS.keys()


async def walk(stage: Stage, line: Line) -> list[str]:
    """Every caller for every owner: what came otherwise than it should."""
    faults: list[str] = []
    refusals: dict[str, list[Any]] = defaultdict(list)
    states = OWNERS if line.whose not in ("house", "public") else ("in_house",)
    for name in [asker.name for asker in asks(stage)]:
        for state in states:
            asker, owner = named(stage, name), stage.owners[state]
            response = await stage.ask(line, asker, owner)
            expected = expected_of(line, asker, state)
            if without_permission(line, asker):
                expected = 403
            elif outside(line, asker) or over(line, asker, state):
                expected = 404
            status = response.status_code
            if line.whose == "batch":
                items = response.json().get("items", [{"problem": response.json()}])
                status = items[0].get("problem", {}).get("status", status)
            if status != expected:
                faults.append(
                    f"{line.name} by {name} for {state}: {status}, expected {expected}: {response.text[:200]}"
                )
            if expected == 404 and line.whose in ("guest", "stay", "identifier"):
                refusals[name].append(told(response))
            if response.is_success and OPERATIONS[line.operation].method.upper() != "GET":
                await stage.reset()
    for name, answers in refusals.items():
        if any(answer != answers[0] for answer in answers):
            faults.append(f"{line.name} by {name} tells guests apart: {answers}")
    return faults


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.name)
async def test_every_role_for_every_guest(stage: Stage, line: Line) -> None:
    assert await walk(stage, line) == []


@pytest.mark.parametrize("line", [line for line in LINES if line.whose != "public"], ids=lambda line: line.name)
async def test_without_a_token_nothing_is_told(stage: Stage, line: Line) -> None:
    for owner in stage.owners.values():
        for headers in ({}, {"authorization": "Basic YTpi"}, {"authorization": "Bearer x.y.z"}):
            response = await stage.ask(line, None, owner, headers=headers)
            assert response.status_code == 401, (line.name, headers, response.text)
            assert response.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("line", [line for line in LINES if line.whose == "guest"], ids=lambda line: line.name)
async def test_malformed_ids_are_ids_of_nobody(stage: Stage, line: Line) -> None:
    for asker in asks(stage):
        answers = [told(await stage.ask(line, asker, stage.owners["absent"]))]
        for text in MALFORMED:
            owner = Owner("malformed", text, "stay-none", "none")
            answers.append(told(await stage.ask(line, asker, owner)))
        assert answers[0][0] in (403, 404), (line.name, asker.name, answers[0])
        assert all(answer == answers[0] for answer in answers), (line.name, asker.name, answers)


# ---- ids swapped in query, body, token and idempotency key ----

SWAPPED = (
    ("get_preferences", "stay", ("guest", "link", "device", "staff", "service")),
    ("get_preferences", "property", ("link", "device", "staff")),
    ("edit_preferences@stay", "scope", ("guest", "link", "staff", "service")),
)


def line_of(name: str) -> Line:
    return next(line for line in LINES if line.name == name)


@pytest.mark.parametrize(("name", "parameter", "who"), SWAPPED)
async def test_ids_of_others_in_a_query(stage: Stage, name: str, parameter: str, who: tuple[str, ...]) -> None:
    """The path names a guest one may see; a stay or hotel that is not theirs looks like one that is not there."""
    line, owner = line_of(name), stage.owners["in_house"]
    operation = OPERATIONS[line.operation]
    world = World(owner.guest, "", owner.stay)
    for role in who:
        answers = []
        for other in ("foreign", "departed", "absent"):
            value = {
                "stay": stage.owners[other].stay,
                "scope": f"stay:{stage.owners[other].stay}",
                "property": "nowhere" if other == "absent" else ELSEWHERE,
            }[parameter]
            path, body, token = path_of(operation, world), body_of(operation, world), named(stage, role).token
            answers.append(told(await stage.front.call(operation.method, path, token, body, params={parameter: value})))
        assert answers[0][0] == 404, (role, answers)
        assert all(answer == answers[0] for answer in answers), (role, answers)


async def test_ids_of_others_in_a_body(stage: Stage) -> None:
    owners = stage.owners
    asked = [owners["foreign"].guest, owners["departed"].guest, ABSENT, "nobody", owners["in_house"].guest]
    for name in ("staff", "device"):
        response = await stage.front.call(
            "POST", "/v1/preferences/batch", named(stage, name).token, {"guests": asked, "property": PROPERTY}
        )
        items = response.json()["items"]
        assert [item.get("problem", {}).get("status") for item in items] == [404, 404, 404, 404, None]
        assert len({json.dumps(item["problem"], sort_keys=True) for item in items[:4]}) == 1
    for place in (ELSEWHERE, "nowhere"):
        body = {"guests": [owners["in_house"].guest], "property": place}
        answer = await stage.front.call("POST", "/v1/preferences/batch", named(stage, "staff").token, body)
        assert answer.status_code == 404
    body = {"guests": [owners["in_house"].guest], "property": ELSEWHERE}
    linked = await stage.front.ok("POST", "/v1/preferences/batch", named(stage, "link").token, body)
    assert linked["items"][0]["problem"]["status"] == 404


async def test_another_guests_identifier_is_not_taken_away(stage: Stage) -> None:
    owners, service = stage.owners, named(stage, "service").token
    for identifier in (owners["foreign"].identifier, "none"):
        path = f"/v1/guests/{owners['in_house'].guest}/identifiers/loyalty/{identifier}"
        assert (await stage.front.call("DELETE", path, service)).status_code == 404
    found = await stage.front.ok("GET", "/v1/guests", service, params={"system": "loyalty", "id": "103"})
    assert found["guest"] == owners["foreign"].guest


@pytest.mark.parametrize("line", [one for one in LINES if one.whose == "guest"], ids=lambda line: line.name)
async def test_anothers_idempotency_key_opens_nothing(stage: Stage, line: Line) -> None:
    """Somebody else's key with the very same request: the answer is what it would be without the key."""
    operation, owner = OPERATIONS[line.operation], stage.owners["in_house"]
    if operation.method.upper() == "GET":
        assert not any(one["name"] == "Idempotency-Key" for one in operation.described.get("parameters", ()))
        return
    first = next(asker for asker in asks(stage) if line.expected[asker.role] < 300 and "in_house" in asker.tied)
    done = await stage.ask(line, first, owner, headers={"idempotency-key": "k-1"})
    assert done.is_success, done.text
    for asker in asks(stage):
        if asker.kept_apart == first.kept_apart:
            continue
        response = await stage.ask(line, asker, owner, headers={"idempotency-key": "k-1"})
        assert "idempotency-replayed" not in response.headers, (asker.name, response.text)
        if "in_house" not in asker.tied or line.expected[asker.role] == 403:
            assert response.status_code in (403, 404), (asker.name, response.text)


# ---- planted faults ----


async def test_a_table_that_lets_staff_see_everyone_is_noticed(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(access._TIES, "here", frozenset(Relation))
    found = [*await walk(stage, line_of("get_stay")), *await walk(stage, line_of("get_history"))]
    assert any("get_stay by staff for foreign: 200" in fault for fault in found), found
    assert any("get_history by staff for departed: 200" in fault for fault in found), found


async def test_a_refusal_that_tells_guests_apart_is_noticed(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    surroundings, stays = stage.front.house.guests.surroundings, stage.front.house.store

    async def reach(caller: Any, act: Any, guest: str, reads: Any = None) -> Any:
        if await stays.get(guest) is not None and caller.role.value == "staff":
            await access_of_old(caller, act)
        return await type(surroundings).reach(surroundings, caller, act, guest, reads)

    async def access_of_old(caller: Any, act: Any) -> None:
        access.require(caller, access.Act.CHANGE_PROPERTY)

    monkeypatch.setattr(surroundings, "reach", reach)
    found = await walk(stage, line_of("get_guest"))
    assert any("get_guest by staff for foreign: 403, expected 404" in fault for fault in found), found
    assert any("tells guests apart" in fault for fault in found), found
