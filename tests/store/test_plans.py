"""No read of some guests may look at all of them: on SQLite every such statement is answered through an index."""

from __future__ import annotations

import pytest
from pysqlite3 import dbapi2
from sqlalchemy import Select, create_engine
from sqlalchemy.dialects import sqlite

from prefs.store import documents, facts
from prefs.store.tables import Row

STATEMENTS = {
    "guests": documents._GUESTS,
    "entries": documents._ENTRIES,
    "identifiers": documents._IDENTIFIERS,
    "consents": documents._CONSENTS,
    "stays": facts._STAYS,
}


def plan_of(sql: str) -> list[str]:
    engine = create_engine("sqlite://", module=dbapi2)
    try:
        with engine.connect() as connection:
            Row.metadata.create_all(connection)
            steps = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", ('["gst_a"]',)).all()
    finally:
        engine.dispose()
    return [str(step[-1]) for step in steps]


def scans(plan: list[str]) -> list[str]:
    """Steps that go through a table; the list of guests asked for is one that may be gone through."""
    return [step for step in plan if step.startswith("SCAN") and not step.startswith("SCAN json_each")]


@pytest.mark.parametrize("name", STATEMENTS)
def test_guests_are_found_through_an_index(name: str) -> None:
    statement: Select[tuple[object, ...]] = STATEMENTS[name]
    plan = plan_of(str(statement.compile(dialect=sqlite.dialect(paramstyle="qmark"))))
    assert any(step.startswith("SEARCH") for step in plan), plan
    assert scans(plan) == []


def test_a_scan_would_be_noticed() -> None:
    plan = plan_of("SELECT * FROM entry WHERE guest_id IN (SELECT value FROM json_each(?)) = 1")
    assert len(scans(plan)) == 1
