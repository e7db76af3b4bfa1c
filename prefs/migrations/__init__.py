"""The schema's history: bring a database to the schema of this code, and tell whether it is there already.

Alembic runs inside a transaction that this module opens: a migration that fails leaves the old schema. Two processes
that migrate at once wait for each other, and a migration that cannot get a lock gives up rather than block the service.
"""

import asyncio
from enum import StrEnum
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text
from sqlalchemy.pool import NullPool

from prefs.core.errors import StoreUnavailable
from prefs.store.engines import LIBRARY_ERRORS, parse, postgres_engine, sqlite_engine, sqlite_path

LOCK = 7_242_026  # PostgreSQL advisory lock: one migration at a time
LOCK_TIMEOUT_MS = 2000
STATEMENT_TIMEOUT_MS = 600_000  # building an index may take minutes


class SchemaState(StrEnum):
    OK = "ok"
    EMPTY = "empty"
    OUTDATED = "outdated"
    AHEAD = "ahead"  # a newer release migrated it; schemas first expand, so this code still works on it


def configuration(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


async def migrate(url: str) -> None:
    """Bring the database to the newest schema; makes the file and folder of a SQLite database. Safe to repeat."""
    place = parse(url)
    try:
        if place.get_backend_name() == "postgresql":
            engine = postgres_engine(place, STATEMENT_TIMEOUT_MS, poolclass=NullPool)
            try:
                async with engine.begin() as connection:
                    await connection.execute(text(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}"))
                    await connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"))
                    await connection.run_sync(_upgrade)
            finally:
                await engine.dispose()
        else:
            await asyncio.to_thread(_migrate_sqlite, url)
    except LIBRARY_ERRORS as error:
        raise StoreUnavailable(f"The database could not be migrated: {error}") from error


def _migrate_sqlite(url: str) -> None:
    place = parse(url)
    sqlite_path(place).parent.mkdir(parents=True, exist_ok=True)
    engine = sqlite_engine(place, begin="BEGIN IMMEDIATE", poolclass=NullPool)
    try:
        with engine.begin() as connection:
            _upgrade(connection)
    finally:
        engine.dispose()


def _upgrade(connection: Connection) -> None:
    command.upgrade(configuration(connection), "head")


async def schema_state(url: str) -> SchemaState:
    """How the database's schema compares with this code's. Changes nothing, and makes no SQLite file."""
    place = parse(url)
    try:
        if place.get_backend_name() == "postgresql":
            engine = postgres_engine(place, poolclass=NullPool)
            try:
                async with engine.connect() as connection:
                    return await connection.run_sync(_compare)
            finally:
                await engine.dispose()
        return await asyncio.to_thread(_sqlite_state, url)
    except LIBRARY_ERRORS as error:
        raise StoreUnavailable(f"The database did not answer: {error}") from error


def _sqlite_state(url: str) -> SchemaState:
    place = parse(url)
    path = sqlite_path(place)
    if not path.exists() or path.stat().st_size == 0:
        return SchemaState.EMPTY
    engine = sqlite_engine(place, begin="BEGIN", poolclass=NullPool)
    try:
        with engine.connect() as connection:
            return _compare(connection)
    finally:
        engine.dispose()


def _compare(connection: Connection) -> SchemaState:
    present = MigrationContext.configure(connection).get_current_revision()
    if present is None:
        # Tables without a revision are somebody's work: nothing that may be taken for an empty database.
        return SchemaState.OUTDATED if inspect(connection).get_table_names() else SchemaState.EMPTY
    newest = ScriptDirectory.from_config(configuration()).get_current_head() or ""
    if present == newest:
        return SchemaState.OK
    return SchemaState.OUTDATED if present < newest else SchemaState.AHEAD  # revisions are numbered in order
