"""No read of some guests may look at all of them: on both engines every part of it is answered through an index."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from pysqlite3 import dbapi2
from sqlalchemy import Select, create_engine, event
from sqlalchemy.dialects import postgresql, sqlite

from prefs.ports import Lookup
from prefs.store import reads
from prefs.store.sql import SqlStore
from prefs.store.tables import Row
from tests.store.conftest import Place
from tests.store.samples import born
from tests.vaults import vault

ARMS = [*reads._document_arms(), *reads._stay_arms()]
WHOLE = reads._statement(True, True, True, True)


def plan_of(sql: str) -> list[str]:
    engine = create_engine("sqlite://", module=dbapi2)
    try:
        with engine.connect() as connection:
            Row.metadata.create_all(connection)
            steps = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", ('["gst_a"]',) * sql.count("?")).all()
    finally:
        engine.dispose()
    return [str(step[-1]) for step in steps]


def scans(plan: list[str]) -> list[str]:
    """Steps that go through a table. The list of what is asked for may be gone through, and so may the extension of the
    catalogue, which is read whole."""
    whole = ("SCAN json_each", "SCAN extension", "SCAN extension_version")
    return [step for step in plan if step.startswith("SCAN") and not step.startswith(whole)]


@pytest.mark.parametrize("arm", ARMS, ids=["entries", "guests", "identifiers", "consents", "stays", "presses"])
def test_guests_are_found_through_an_index(arm: Select[Any]) -> None:
    plan = plan_of(str(arm.compile(dialect=sqlite.dialect(paramstyle="qmark"))))
    assert any(step.startswith("SEARCH") for step in plan), plan
    assert scans(plan) == []


def test_the_whole_statement_goes_through_no_table() -> None:
    plan = plan_of(str(WHOLE.compile(dialect=sqlite.dialect(paramstyle="qmark"))))
    assert len([step for step in plan if step.startswith("SEARCH")]) >= len(ARMS) + 1, plan
    assert scans(plan) == []


def test_a_scan_would_be_noticed() -> None:
    plan = plan_of("SELECT * FROM entry WHERE guest_id IN (SELECT value FROM json_each(?)) = 1")
    assert len(scans(plan)) == 1


# ---------------------------------------------------------------- PostgreSQL


def scanned(plan: dict[str, Any]) -> list[str]:
    below = [name for child in plan.get("Plans", ()) for name in scanned(child)]
    return [plan["Relation Name"], *below] if plan["Node Type"] == "Seq Scan" else below


@pytest.fixture
async def postgres(postgres_place: Place) -> AsyncIterator[asyncpg.Connection]:
    """Tables are all but empty here, so that a scan would be cheapest: it is taken only where nothing else goes."""
    connection = await asyncpg.connect(postgres_place.url.replace("+asyncpg", ""))
    await connection.execute("SET enable_seqscan = off")
    yield connection
    await connection.close()


async def explained(connection: asyncpg.Connection, sql: str, *given: object) -> list[str]:
    (told,) = json.loads(await connection.fetchval(f"EXPLAIN (FORMAT JSON) {sql}", *given))
    return sorted(scanned(told["Plan"]))


async def test_postgresql_finds_guests_through_an_index(postgres: asyncpg.Connection) -> None:
    sql = str(WHOLE.compile(dialect=postgresql.asyncpg.dialect()))
    assert await explained(postgres, sql, ["gst_a"], ["gst_a"], ["htl_a"]) == ["extension", "extension_version"], (
        "these are read whole"
    )
    assert await explained(postgres, "SELECT * FROM entry WHERE actor = $1", "a") == ["entry"]


# ---------------------------------------------------------------- one statement


async def test_everything_is_one_statement_without_a_transaction(sql_place: Place) -> None:
    """On PostgreSQL it is all that is sent: not even a BEGIN. SQLite's BEGIN costs no round trip."""
    store: Any = await sql_place.open()
    assert isinstance(store, SqlStore)
    guest = await born(store)
    runner: Any = store._runner
    engine = runner._engine.sync_engine if sql_place.kind == "postgresql" else runner._reading
    said: list[str] = []
    around: list[str] = []  # what the driver says by itself: BEGIN, ROLLBACK
    event.listen(engine, "before_cursor_execute", lambda *told: said.append(told[2]))
    if sql_place.kind == "postgresql":
        hear = around.append
        event.listen(
            engine, "checkout", lambda one, *_: one.driver_connection.add_query_logger(lambda told: hear(told.query))
        )

    found = await store.look_up(Lookup([guest], [guest], ["htl_a"], True))
    await asyncio.sleep(0)  # the driver tells its listeners a turn later

    assert list(found.documents) == [guest]
    assert [statement for statement in said if statement != "BEGIN"] == said[-1:] and around == []
    await runner.look(lambda connection: reads.known(connection, guest, vault()))
    await asyncio.sleep(0)
    assert any("BEGIN" in statement for statement in (said + around)[1:]), "a transaction would be noticed"


async def test_postgresql_plans_a_statement_once(postgres_place: Place) -> None:
    """For a thousand ids at once it would plan to go through tables whole, and for one id plan longer than read."""
    store: Any = await postgres_place.open()
    mode = await store._runner.look(lambda connection: connection.exec_driver_sql("SHOW plan_cache_mode").scalar())
    assert mode == "force_generic_plan"
