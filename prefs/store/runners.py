"""Running the queries: a pool of connections on PostgreSQL, one writing and a few reading threads on SQLite."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy import URL, Connection, event, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import NullPool, QueuePool

from prefs.core.errors import PrefsError, Refused, StoreUnavailable
from prefs.store.engines import (
    LIBRARY_ERRORS,
    POOL_TIMEOUT_S,
    SLOW_TIMEOUT_MS,
    Look,
    Runner,
    Unit,
    Work,
    postgres_engine,
    sqlite_engine,
    transact,
)
from prefs.store.waiting import Waiter

POOL_SIZE = 8  # connections a process; times its workers must stay below the server's max_connections
READ_ONLY = "25006"  # a session on a server that was demoted: its pool leads to the wrong machine
PATIENCE_SLICES = 8  # 0.8 s of silence: a stopped PostgreSQL is reported within a second
SLOW_PATIENCE_SLICES = 600  # a minute: the database may be silent while it counts
SQLITE_READERS = 2  # threads; a read takes microseconds and the interpreter runs one at a time anyway
SQLITE_PATIENCE_SLICES = 40  # 4 s: beyond the busy timeout, which reports a held lock by itself

_ONE = select(1)


def open_runner(url: URL) -> Runner:
    return PostgresRunner(url) if url.get_backend_name() == "postgresql" else SqliteRunner(url)


def translated(error: Exception) -> PrefsError:
    """Without the statement and its parameters, which hold what guests said."""
    if _cannot_be_stored(error):
        return Refused("The database cannot hold this value: NUL, a lone surrogate, or a number too large.")
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    return StoreUnavailable(f"The database failed: {type(cause).__name__}: {str(cause)[:200]}")


def _cannot_be_stored(error: Exception) -> bool:
    """asyncpg says so with a ValueError before sending, PostgreSQL with a data error, pysqlite with Python's own."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        state = getattr(error.orig, "sqlstate", None) or ""
        return state.startswith("22") or isinstance(error.orig.__cause__, ValueError)
    return isinstance(error, UnicodeEncodeError)


class PostgresRunner:
    def __init__(self, url: URL) -> None:
        self._waiter = Waiter(PATIENCE_SLICES)
        self._engine = postgres_engine(url, pool_size=POOL_SIZE, max_overflow=0, pool_timeout=POOL_TIMEOUT_S)
        self._single = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self._snapshot = self._engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        event.listen(self._engine.sync_engine, "after_cursor_execute", self._waiter.sign_of_life)
        event.listen(self._engine.sync_engine, "connect", self._waiter.sign_of_life)

    async def look[T](self, work: Look[T], *, snapshot: bool = True) -> T:
        engine = self._snapshot if snapshot else self._single

        async def start(unit: Unit) -> T:
            return await self._attempt(engine, work, unit)

        return await self._waiter.wait(start)

    async def survey[T](self, work: Look[T]) -> T:
        async def start(unit: Unit) -> T:
            engine = postgres_engine(self._engine.url, SLOW_TIMEOUT_MS, poolclass=NullPool)
            try:
                return await self._attempt(engine, work, unit)
            finally:
                await engine.dispose()

        await self.look(_nothing, snapshot=False)  # patience is for a server that is there
        return await self._waiter.wait(start, SLOW_PATIENCE_SLICES)

    async def run[T](self, work: Work[T]) -> T:
        async def start(unit: Unit) -> T:
            return await self._attempt(self._engine, lambda connection: transact(connection, work, unit), unit)

        return await self._waiter.wait(start)

    async def _attempt[T](self, engine: AsyncEngine, work: Look[T], unit: Unit) -> T:
        """Once more when the connection turns out to be dead (the server restarted) before anything was committed."""
        try:
            try:
                return await self._once(engine, work)
            except DBAPIError as error:
                if not error.connection_invalidated or unit.committing or unit.abandoned:
                    raise
                return await self._once(engine, work)
        except LIBRARY_ERRORS as error:
            if getattr(getattr(error, "orig", None), "sqlstate", None) == READ_ONLY:
                await self._engine.dispose()  # connect anew: by then the name leads to the new primary
            raise translated(error) from error

    async def _once[T](self, engine: AsyncEngine, work: Look[T]) -> T:
        async with engine.connect() as connection:
            try:
                return await connection.run_sync(work)
            except PrefsError:
                raise
            except LIBRARY_ERRORS:
                await _drop(connection)
                raise

    async def close(self) -> None:
        await self._waiter.close()
        try:
            async with asyncio.timeout(POOL_TIMEOUT_S):
                await self._engine.dispose()
        except LIBRARY_ERRORS:
            return  # the server is gone: there is nothing left to say goodbye to


def _nothing(connection: Connection) -> None:
    connection.execute(_ONE)


async def _drop(connection: AsyncConnection) -> None:
    """What state an error or timeout left a connection in is anybody's guess: it does not go back to the pool."""
    if not connection.closed and not connection.invalidated:
        await connection.invalidate()


class SqliteRunner:
    """Work goes to threads; the writer's is alone, so writers of this process queue in order and never meet a lock."""

    def __init__(self, url: URL) -> None:
        pool: dict[str, Any] = {"poolclass": QueuePool, "max_overflow": 0}
        self._waiter = Waiter(SQLITE_PATIENCE_SLICES)
        self._writing = sqlite_engine(url, begin="BEGIN IMMEDIATE", pool_size=1, **pool)
        self._reading = sqlite_engine(url, begin="BEGIN", pool_size=SQLITE_READERS, **pool)
        self._writer = ThreadPoolExecutor(1, "sqlite-writer")
        self._readers = ThreadPoolExecutor(SQLITE_READERS, "sqlite-reader")

    async def look[T](self, work: Look[T], *, snapshot: bool = True) -> T:
        loop = asyncio.get_running_loop()
        return await self._waiter.wait(lambda unit: loop.run_in_executor(self._readers, self._look, work))

    async def survey[T](self, work: Look[T]) -> T:
        loop = asyncio.get_running_loop()
        return await self._waiter.wait(
            lambda unit: loop.run_in_executor(self._readers, self._look, work), SLOW_PATIENCE_SLICES
        )

    async def run[T](self, work: Work[T]) -> T:
        loop = asyncio.get_running_loop()
        return await self._waiter.wait(lambda unit: loop.run_in_executor(self._writer, self._run, work, unit))

    def _look[T](self, work: Look[T]) -> T:
        try:
            with self._reading.connect() as connection:
                return work(connection)
        except LIBRARY_ERRORS as error:
            raise translated(error) from error

    def _run[T](self, work: Work[T], unit: Unit) -> T:
        unit.check()
        try:
            with self._writing.connect() as connection:
                return transact(connection, work, unit)
        except LIBRARY_ERRORS as error:
            raise translated(error) from error

    async def close(self) -> None:
        await self._waiter.close()
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        for executor, engine in ((self._readers, self._reading), (self._writer, self._writing)):
            executor.shutdown(wait=True)
            engine.dispose()
