"""What a cold read costs, counted over HTTP with PostgreSQL and Valkey: one MGET and one statement, however many guests
and whatever they need; beside that, leases are taken and entries are filled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from redis.asyncio import Redis
from sqlalchemy import Connection, insert

from prefs.core.callers import ALL_GUESTS, Caller, Role
from prefs.core.entries import Provenance, ProvenanceKind, Scope, ScopeKind
from prefs.store import records
from prefs.store.engines import Outcome
from prefs.store.tables import ENTRY, GUEST, LIVE, STAY
from tests.api.conftest import OpenFront, Statements
from tests.api.front import PROPERTY, START, Front
from tests.api.test_hot import WARMTH, read
from tests.store.samples import entry, stay

SERVICE = Caller("pms", Role.SERVICE, "front_desk", permissions=frozenset((ALL_GUESTS,)))


@pytest.fixture
def kind() -> str:
    return "postgresql"


def id_of(number: int) -> str:
    return f"gst_{number:032x}"


def populate(connection: Connection, many: int) -> Outcome[None]:
    """Guests in house, each with an entry and a press, written past every cache."""
    ids = [id_of(number) for number in range(1, many + 1)]
    named = {"version": 1, "display_name": "Ann", "created_at": START, "updated_at": START}
    connection.execute(insert(GUEST), [{"id": guest, **named} for guest in ids])
    warm = entry("prf_a", 2000, key=WARMTH)
    connection.execute(insert(ENTRY), [records.entry_columns(guest, warm, None) for guest in ids])
    stays = [stay(f"sty_{guest}", guest, PROPERTY, arrival=START, departure=START + timedelta(days=1)) for guest in ids]
    connection.execute(insert(STAY), [records.stay_columns(one) for one in stays])
    press = entry("prf_l", 2400, key=WARMTH, scope=Scope(ScopeKind.ROOM, "1204"), expires_at=START + timedelta(hours=1))
    pressed = records.entry_json(replace(press, provenance=Provenance(ProvenanceKind.LIVE, "", "thermostat", START)))
    connection.execute(
        insert(LIVE), [{"stay_id": one.id, "id": "prf_l", "key": WARMTH, "entry": pressed} for one in stays]
    )
    return Outcome(None)


async def cold(open_front: OpenFront, many: int) -> tuple[Front, Statements]:
    """A house that has read nothing yet, in front of this many guests."""
    front, _ = await open_front()
    await front.new_property(PROPERTY)
    runner: Any = front.house.store
    await runner.inner._runner.run(lambda connection: populate(connection, many))
    return await open_front()


async def cost(statements: Statements, valkey_url: str, work: Callable[[], Awaitable[Any]]) -> tuple[Any, int, int]:
    """What came of some work, with the MGETs and the statements that it took."""
    async with Redis.from_url(valkey_url) as redis:

        async def mgets() -> int:
            return int((await redis.info("commandstats")).get("cmdstat_mget", {}).get("calls", 0))

        said, looked = len(statements.said), await mgets()
        told = await work()
        return told, await mgets() - looked, len(statements.said) - said


@pytest.mark.parametrize("many", [1, 100, 999])
async def test_a_cold_batch_is_one_mget_and_one_statement(
    open_front: OpenFront,
    valkey_url: str,
    many: int,
) -> None:
    fresh, statements = await cold(open_front, many)
    asked = {"guests": [*map(id_of, range(1, many + 1)), "nonsense"], "property": PROPERTY, "keys": [WARMTH]}

    async def batch() -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = (await fresh.ok("POST", "/v1/preferences/batch", fresh.device(), asked))["items"]
        return items

    items, mgets, said = await cost(statements, valkey_url, batch)

    assert [item["guest"] for item in items] == asked["guests"]
    assert ["problem" in item for item in items] == [False] * many + [True]
    assert {item["preferences"][WARMTH]["layer"] for item in items[:-1]} == {"live/room"}
    assert (mgets, said) == (1, 1)


@pytest.mark.parametrize("question", [{}, {"property": PROPERTY}, {"property": PROPERTY, "stay": f"sty_{id_of(1)}"}])
async def test_a_cold_guest_is_one_mget_and_one_statement(
    open_front: OpenFront,
    valkey_url: str,
    question: dict[str, str],
) -> None:
    fresh, statements = await cold(open_front, 1)
    path, token = f"/v1/guests/{id_of(1)}/preferences", fresh.guest(id_of(1))

    async def ask() -> int:
        return (await fresh.call("GET", path, token, params=question)).status_code

    assert await cost(statements, valkey_url, ask) == (200, 1, 1)


async def test_who_is_not_there_costs_the_same(open_front: OpenFront, valkey_url: str) -> None:
    fresh, statements = await cold(open_front, 1)

    async def ask() -> int:
        return (await read(fresh, id_of(9), fresh.guest(id_of(9)))).status_code

    assert await cost(statements, valkey_url, ask) == (404, 1, 1)


async def test_fifty_guests_of_one_tick_are_one_mget_and_one_statement(
    open_front: OpenFront,
    valkey_url: str,
) -> None:
    fresh, statements = await cold(open_front, 50)
    preferences, tiers = fresh.house.preferences, fresh.house.tiers

    async def ask() -> list[Any]:
        guests = map(id_of, range(1, 51))
        reading = (preferences.effective(SERVICE, guest, property=PROPERTY, reads=tiers.reading()) for guest in guests)
        return await asyncio.gather(*reading)

    answers, mgets, said = await cost(statements, valkey_url, ask)

    assert [answer.body["guest"] for answer in answers] == [id_of(number) for number in range(1, 51)]
    assert (mgets, said) == (1, 1)
