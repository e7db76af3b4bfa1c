"""The migrated schema is the schema of the models, on both engines, and what is older or newer is told apart."""

from __future__ import annotations

import asyncio
from typing import Any

import pysqlite3.dbapi2 as pysqlite
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from prefs.core.errors import SchemaOutdated, StoreUnavailable
from prefs.migrations import SchemaState, configuration, migrate, schema_state
from prefs.store.engines import Outcome, parse
from prefs.store.runners import open_runner
from prefs.store.sql import SqlStore
from prefs.store.tables import REVISION, Row
from tests.store.samples import SetClock
from tests.vaults import vault


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    found: str = request.getfixturevalue(f"{'sqlite' if request.param == 'sqlite' else 'postgres'}_url")
    return found


async def ask(url: str, *statements: str) -> list[Any]:
    """Run statements and keep what they did; what the last one found."""
    runner = open_runner(parse(url))

    def work(connection: Connection) -> Outcome[list[Any]]:
        found: list[Any] = []
        for statement in statements:
            result = connection.execute(text(statement))
            found = list(result.scalars()) if result.returns_rows else []
        return Outcome(found)

    try:
        return await runner.run(work)
    finally:
        await runner.close()


@pytest.mark.parametrize(
    ("planted", "differ"),
    [
        ("SELECT 1", False),
        ("ALTER TABLE guest ADD COLUMN planted INTEGER", True),
        ("DROP INDEX ix_entry_key_guest_id", True),
    ],
)
async def test_the_models_are_the_migrated_schema(url: str, planted: str, differ: bool) -> None:
    await migrate(url)
    await ask(url, planted)
    runner = open_runner(parse(url))

    def belongs(found: Any, _name: object, kind: str, *_: object) -> bool:
        """On SQLite some tables lie in a file of their own."""
        return kind != "table" or url.startswith("postgresql") or not found.info.get("apart")

    def differences(connection: Connection) -> list[Any]:
        # SQLite has no identity columns: there the missing default of one is no difference.
        defaults = connection.dialect.name == "postgresql"
        context = MigrationContext.configure(
            connection,
            opts={"compare_type": True, "compare_server_default": defaults, "include_object": belongs},
        )
        return list(compare_metadata(context, Row.metadata))

    try:
        found = await runner.look(differences)
    finally:
        await runner.close()

    assert bool(found) is differ, found


def test_the_store_knows_the_newest_revision_and_revisions_sort() -> None:
    revisions = [script.revision for script in ScriptDirectory.from_config(configuration()).walk_revisions()]

    assert revisions[0] == REVISION
    assert revisions == sorted(revisions, reverse=True)
    assert {len(revision) for revision in revisions} == {4}


async def test_states_of_a_schema(url: str) -> None:
    assert await schema_state(url) is SchemaState.EMPTY
    await migrate(url)
    assert await schema_state(url) is SchemaState.OK

    await ask(url, "UPDATE alembic_version SET version_num = '9999'")
    assert await schema_state(url) is SchemaState.AHEAD
    store = await SqlStore.open(url, SetClock(), vault())  # a newer release may migrate while this one still serves
    await store.close()

    await ask(url, "DELETE FROM alembic_version")  # tables without a revision: not a database to start in unasked
    assert await schema_state(url) is SchemaState.OUTDATED
    with pytest.raises(SchemaOutdated, match="guestprefs migrate"):
        await SqlStore.open(url, SetClock(), vault())


async def test_an_old_schema_is_not_served(url: str) -> None:
    await migrate(url)
    store = await SqlStore.open(url, SetClock(), vault())
    await ask(url, "UPDATE alembic_version SET version_num = '0000'")

    with pytest.raises(SchemaOutdated, match="guestprefs migrate"):
        await store.ping()
    with pytest.raises(SchemaOutdated):
        await SqlStore.open(url, SetClock(), vault())
    await store.close()


async def test_migrating_again_and_at_once_changes_nothing(url: str) -> None:
    await asyncio.gather(migrate(url), migrate(url))
    await ask(url, "INSERT INTO property (id, body, version) VALUES ('htl_1', '{}', 1)")
    await migrate(url)

    assert await ask(url, "SELECT id FROM property") == ["htl_1"]


async def test_a_migration_that_fails_leaves_what_was_there(url: str) -> None:
    await ask(url, "CREATE TABLE stay (id INTEGER)", "INSERT INTO stay VALUES (7)")

    with pytest.raises(StoreUnavailable):
        await migrate(url)

    assert await schema_state(url) is SchemaState.OUTDATED
    assert await ask(url, "SELECT id FROM stay") == [7]
    with pytest.raises(StoreUnavailable):
        await ask(url, "SELECT id FROM guest")


async def test_a_folder_is_made_for_a_new_sqlite_file(sqlite_url: str) -> None:
    url = sqlite_url.replace("guestprefs.sqlite3", "new/folder/guests.db")

    assert await schema_state(url) is SchemaState.EMPTY
    await migrate(url)

    assert await schema_state(url) is SchemaState.OK


async def test_another_process_in_the_way_is_reported(sqlite_url: str) -> None:
    other = pysqlite.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")

    with pytest.raises(StoreUnavailable, match="locked"):
        await migrate(sqlite_url)

    other.close()
