"""How a database is reached: connections with the settings that the promises of `Store` rest on, for both engines.

`transact` commits on PostgreSQL, `groups` on SQLite. `Unit` lets a waiter that gave up call the work off up to that
moment, so that a caller who was told "unavailable" almost never finds the write done after all; only a commit already
on its way stays in doubt, and repeating it under the same idempotency key settles that.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import asyncpg
import pysqlite3.dbapi2 as pysqlite
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from prefs.core.errors import PrefsError, Refused, StoreUnavailable
from prefs.store.json_text import dump, load

# Everything a driver may raise; at the adapter's edge each becomes StoreUnavailable.
LIBRARY_ERRORS: tuple[type[Exception], ...] = (
    SQLAlchemyError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    pysqlite.Error,
    OSError,
    TimeoutError,
    UnicodeEncodeError,  # a lone surrogate met a driver
)

CONNECT_TIMEOUT_S = 3.0  # longer than a caller waits: a connection given up on too early is never there for the next
STATEMENT_TIMEOUT_MS = 2000
SLOW_TIMEOUT_MS = 60_000  # an operator's question about every guest
BEYOND_SERVER_S = 1.0  # what the driver adds to the server's own limit: for a server that no longer answers at all
POOL_TIMEOUT_S = 2.0
WRITE_MAX_S = 2.0  # from its begin to its COMMIT; caches rely on it (COLD_GUARD_S)
WAL_PAUSE_S = 0.01
BUSY_TIMEOUT_MS = 2000  # how long a SQLite writer waits for another process's
_TOO_LONG = "The database took too long; nothing was saved."
SERVER_SETTINGS = {
    "application_name": "guestprefs",
    "lock_timeout": str(STATEMENT_TIMEOUT_MS),
    "idle_in_transaction_session_timeout": str(STATEMENT_TIMEOUT_MS),
    "timezone": "UTC",
    "jit": "off",  # compiling a one-row query costs more than running it
    # Every statement finds its rows by an index, so a plan is made once a connection: to plan the read of one guest
    # took longer than to read, and for the ids of a big batch the plan was to go through whole tables.
    "plan_cache_mode": "force_generic_plan",
}


@dataclass(frozen=True, slots=True)
class Outcome[T]:
    """What a piece of work came to, and whether what it wrote is to be kept."""

    result: T
    keep: bool = True


type Work[T] = Callable[[Connection], Outcome[T]]
type Look[T] = Callable[[Connection], T]


@dataclass(slots=True)
class Unit:
    """One transaction as seen by the one who waits for it."""

    abandoned: bool = field(default=False)
    committing: bool = field(default=False)
    born_at: float = field(default_factory=time.monotonic)

    def check(self) -> None:
        """Raises StoreUnavailable when nobody waits any more; whoever holds the connection rolls back by letting go."""
        if self.abandoned:
            raise StoreUnavailable(_TOO_LONG)

    def begin_commit(self) -> None:
        """The last moment at which a write may still be called off."""
        self.check()
        if time.monotonic() - self.born_at > WRITE_MAX_S:
            raise StoreUnavailable(_TOO_LONG)
        self.committing = True


class Runner(Protocol):
    """Runs work on an engine, each piece in a transaction of its own, whatever becomes of the caller."""

    wrote: Callable[[], None]  # called on the event loop when a write may have committed

    async def look[T](self, work: Look[T], *, snapshot: bool = True) -> T:
        """Read; with `snapshot` every statement sees the same moment, without it only one statement is run."""
        ...

    async def survey[T](self, work: Look[T]) -> T:
        """Read something that takes its time, without being in the way of others."""
        ...

    async def run[T](self, work: Work[T], unit: Unit | None = None) -> T:
        """Write; a unit is given where this is one more try of the same write."""
        ...

    async def scrub(self) -> None:
        """Leave nothing of what was replaced in the free pages of a file; a server's own files are not touched."""
        ...

    async def close(self) -> None: ...


def transact[T](connection: Connection, work: Work[T], unit: Unit) -> T:
    unit.check()
    outcome = work(connection)
    if not outcome.keep:
        connection.rollback()
    else:
        unit.begin_commit()
        connection.commit()
    return outcome.result


def translated(error: Exception) -> PrefsError:
    """Without the statement and its parameters, which hold what guests said, and without the driver's words where they
    may quote a row."""
    if _cannot_be_stored(error):
        return Refused("The database cannot hold this value: NUL, a lone surrogate, or a number too large.")
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    words = [type(cause).__name__, str(getattr(cause, "sqlstate", None) or "")]
    if _quotes_nothing(cause):
        words.append(str(cause).partition("\n")[0][:200])
    return StoreUnavailable("The database failed: " + ": ".join(filter(None, words)))


# Classes of SQLSTATE that tell of connections, accounts, resources and names: never of what is stored.
_OF_THE_SERVER = ("08", "25", "28", "3D", "40", "42", "53", "55", "57", "58")


def _quotes_nothing(cause: BaseException) -> bool:
    if isinstance(cause, OSError | pysqlite.OperationalError):
        return True
    return str(getattr(cause, "sqlstate", None) or "").startswith(_OF_THE_SERVER)


def _cannot_be_stored(error: Exception) -> bool:
    """asyncpg says so with a ValueError before sending, PostgreSQL with a data error, pysqlite with Python's own."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        state = getattr(error.orig, "sqlstate", None) or ""
        return state.startswith("22") or isinstance(error.orig.__cause__, ValueError)
    return isinstance(error, ValueError) or (getattr(error, "sqlstate", None) or "").startswith("22")


def parse(url: str) -> URL:
    """The URL with the driver this house uses. Raises ValueError for another engine."""
    given = make_url(url)
    backend = given.get_backend_name()
    if backend == "postgresql":
        return given.set(drivername="postgresql+asyncpg")
    if backend == "sqlite" and given.database not in (None, "", ":memory:"):
        return given.set(drivername="sqlite+pysqlite")
    raise ValueError("The database URL must be postgresql+asyncpg://... or sqlite:///path/of/a/file.")


def sqlite_path(url: URL) -> Path:
    return Path(url.database or "")


def postgres_engine(url: URL, statement_timeout_ms: int = STATEMENT_TIMEOUT_MS, **pool: Any) -> AsyncEngine:
    engine = create_async_engine(
        url,
        connect_args={
            "timeout": CONNECT_TIMEOUT_S,
            "command_timeout": statement_timeout_ms / 1000 + BEYOND_SERVER_S,
            "server_settings": {**SERVER_SETTINGS, "statement_timeout": str(statement_timeout_ms)},
        },
        json_serializer=dump,
        json_deserializer=load,
        hide_parameters=True,
        **pool,
    )
    event.listen(engine.sync_engine, "connect", _durable)
    return engine


def _durable(connection: Any, _: object) -> None:
    """Acknowledged means on disk: a server set to acknowledge earlier is overruled, a stricter one is left alone."""
    cursor = connection.cursor()
    cursor.execute(
        "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
    )
    cursor.close()
    connection.commit()


def wal_safe(version: tuple[int, ...]) -> bool:
    """Whether this SQLite has the fix for the WAL-reset bug, which corrupts a file that two connections write.

    https://sqlite.org/wal.html#walresetbug: fixed in 3.51.3, and in 3.50.7 and 3.44.6 of the older lines.
    """
    return version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)


def sqlite_engine(url: URL, *, begin: str, **pool: Any) -> Engine:
    """`begin` opens each transaction: BEGIN IMMEDIATE for a writer, so that waiting happens before reading; nothing
    where whoever uses the connection begins and ends by itself."""
    if not wal_safe(pysqlite.sqlite_version_info):
        raise StoreUnavailable(
            f"SQLite {pysqlite.sqlite_version} can corrupt a database in WAL mode; install pysqlite3 0.6.1 or newer."
        )
    engine = create_engine(
        url,
        module=pysqlite,
        connect_args={"timeout": BUSY_TIMEOUT_MS / 1000, "check_same_thread": False},
        json_serializer=dump,
        json_deserializer=load,
        hide_parameters=True,
        **pool,
    )
    event.listen(engine, "connect", _prepare_sqlite)
    if begin:
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    return engine


# At most, by each connection: room for the upper pages of every index of a million guests. The default of 2 MiB is too
# little, and then a guest that nobody remembers costs half as much again as in a small file.
PAGES_KIB = 16 * 1024


def _turn_to_wal(cursor: Any) -> str:
    """Of two connections that turn a new file to WAL at once SQLite tells one that it is locked, without waiting."""
    given_up = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            return str(cursor.execute("PRAGMA journal_mode = WAL").fetchone()[0])
        except pysqlite.OperationalError:
            if time.monotonic() > given_up:
                raise
            time.sleep(WAL_PAUSE_S)


def _prepare_sqlite(connection: Any, _: object) -> None:
    connection.isolation_level = None  # the driver must not begin transactions by itself
    cursor = connection.cursor()
    mode = _turn_to_wal(cursor)
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten in the file
    cursor.execute(f"PRAGMA cache_size = -{PAGES_KIB}")
    cursor.close()
    if mode != "wal":
        raise StoreUnavailable(f"SQLite cannot use WAL mode here (it says {mode}); choose a folder on a local disk.")
