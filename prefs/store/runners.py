"""Running the queries: a pool of connections on PostgreSQL, one writing and a few reading threads on SQLite."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import URL, Connection, event, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import ConnectionPoolEntry, NullPool, PoolProxiedConnection, QueuePool
from sqlalchemy.util import greenlet_spawn

from prefs.core.errors import PrefsError, StoreUnavailable
from prefs.store.edits import CLOCK, MOVED, Statement
from prefs.store.engines import (
    LIBRARY_ERRORS,
    POOL_TIMEOUT_S,
    SLOW_TIMEOUT_MS,
    WRITE_MAX_S,
    Look,
    Runner,
    Unit,
    Work,
    postgres_engine,
    sqlite_engine,
    transact,
    translated,
)
from prefs.store.groups import GroupWriter
from prefs.store.pool import MeasuredPool
from prefs.store.waiting import Waiter

POOL_SIZE = 8  # connections a process; times its workers must stay below the server's max_connections
READ_ONLY = "25006"  # a session on a server that was demoted: its pool leads to the wrong machine
PATIENCE_SLICES = 7  # 0.7 s of silence: a stopped PostgreSQL is reported within a second, queue and all
SLOW_PATIENCE_SLICES = 600  # a minute: the database may be silent while it counts
SQLITE_READERS = 2  # threads; a read takes microseconds and the interpreter runs one at a time anyway
SQLITE_PATIENCE_SLICES = 40  # 4 s: beyond the busy timeout, which reports a held lock by itself

# A statement that is a whole write must begin this long after it was sent, or not at all: a server that thaws later
# must not do what the caller was told it did not.
IN_TIME_S = 0.6
_AHEAD = "ahead_s"  # how much the server's clock shows more than our monotonic one, by connection

_RENEWALS = "renewals"  # how many there had been when a connection was begun

_ONE = select(1)


def _unheard() -> None:
    return None


def open_runner(url: URL) -> Runner:
    return PostgresRunner(url) if url.get_backend_name() == "postgresql" else SqliteRunner(url)


class PostgresRunner:
    def __init__(self, url: URL) -> None:
        self.wrote: Callable[[], None] = _unheard
        self._waiter = Waiter(PATIENCE_SLICES)
        self._engine = postgres_engine(
            url, poolclass=MeasuredPool, pool_size=POOL_SIZE, max_overflow=0, pool_timeout=POOL_TIMEOUT_S
        )
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

    async def run[T](self, work: Work[T], unit: Unit | None = None) -> T:
        async def start(unit: Unit) -> T:
            return await self._attempt(self._engine, lambda connection: transact(connection, work, unit), unit)

        result = await self._waiter.wait(start, unit=unit)
        self.wrote()
        return result

    async def try_whole(self, statement: Statement, unit: Unit) -> bool:
        """Run a statement that is a whole write in a transaction of its own; False when it found the guest changed, or
        ran too late, and did nothing."""

        async def start(unit: Unit) -> bool:
            try:
                return await self._straight(statement, unit)
            except LIBRARY_ERRORS as error:
                await self._see(error)
                raise translated(error) from error

        done = await self._waiter.wait(start, unit=unit)
        self.wrote()
        return done

    async def _straight(self, statement: Statement, unit: Unit) -> bool:
        proxied = await self._living()
        try:
            driver, sent_at = proxied.driver_connection, time.monotonic()
            if driver is None:
                raise StoreUnavailable("The database closed the connection.")
            ahead_s = proxied.info.get(_AHEAD)
            if ahead_s is None:
                ahead_s = proxied.info[_AHEAD] = await driver.fetchval(CLOCK) - time.monotonic()
            unit.begin_commit()
            begin_by = min(sent_at + IN_TIME_S, unit.born_at + WRITE_MAX_S)
            try:
                row = await driver.fetchrow(statement.text, *statement.by(begin_by + ahead_s))
                done, server_time = row[0], row[1]
            except MOVED:
                done, server_time = 0, sent_at + ahead_s
            proxied.info[_AHEAD] = server_time - time.monotonic()
            self._waiter.sign_of_life()
            unit.committing = bool(done)
            return bool(done)
        except LIBRARY_ERRORS:
            await greenlet_spawn(proxied.invalidate)
            raise
        finally:
            proxied.close()

    async def _living(self) -> PoolProxiedConnection:
        """A connection whose other end has not hung up: what is sent over a dead one would be in doubt."""
        while True:
            proxied = await self._engine.raw_connection()
            driver = proxied.driver_connection
            if driver is not None and not driver.is_closed():
                return proxied
            await greenlet_spawn(proxied.invalidate)
            proxied.close()

    async def _see(self, error: Exception) -> None:
        if getattr(getattr(error, "orig", error), "sqlstate", None) == READ_ONLY:
            await self._engine.dispose()  # connect anew: by then the name leads to the new primary

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
            await self._see(error)
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

    async def scrub(self) -> None:
        return None

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
        self.wrote: Callable[[], None] = _unheard
        self._url = url
        self._waiter = Waiter(SQLITE_PATIENCE_SLICES)
        self._writer = GroupWriter(url)
        self._reading = sqlite_engine(url, begin="BEGIN", poolclass=QueuePool, pool_size=SQLITE_READERS, max_overflow=0)
        self._readers = ThreadPoolExecutor(SQLITE_READERS, "sqlite-reader")
        self._renewals = 0
        # Whoever looks for a connection while the pool is emptied would wait for one that nobody brings back.
        self._taking = threading.Lock()
        event.listen(self._reading, "connect", self._mark)
        event.listen(self._reading, "checkin", self._close_older)

    async def look[T](self, work: Look[T], *, snapshot: bool = True) -> T:
        loop = asyncio.get_running_loop()
        return await self._waiter.wait(lambda unit: loop.run_in_executor(self._readers, self._look, work))

    async def survey[T](self, work: Look[T]) -> T:
        loop = asyncio.get_running_loop()
        return await self._waiter.wait(
            lambda unit: loop.run_in_executor(self._readers, self._look, work), SLOW_PATIENCE_SLICES
        )

    async def run[T](self, work: Work[T], unit: Unit | None = None) -> T:
        result = await self._waiter.wait(lambda unit: self._writer.run(work, unit), unit=unit)
        self.wrote()
        return result

    async def fold(self) -> None:
        """Bring the write-ahead log into the file and empty it: what was deleted still stands in it. Readers are not
        waited for; the next commit's checkpoint, or the next call, brings in what they kept away."""
        await asyncio.to_thread(self._fold)

    def _fold(self) -> None:
        try:
            with self._take() as connection:
                connection.connection.driver_connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # type: ignore[union-attr]
        except LIBRARY_ERRORS:
            return  # it is tried again

    async def renew(self) -> None:
        """Begin every connection anew. An open one keeps pages, and what its statements were given last, in memory that
        it never frees."""
        self._writer.renew()
        self._renewals += 1
        await asyncio.to_thread(self._empty)

    def _empty(self) -> None:
        with self._taking:
            self._reading.dispose()

    def _take(self) -> Connection:
        with self._taking:
            return self._reading.connect()

    def _mark(self, _: object, record: ConnectionPoolEntry) -> None:
        record.info[_RENEWALS] = self._renewals

    def _close_older(self, _: object, record: ConnectionPoolEntry) -> None:
        """One that was in use when the others were closed."""
        if record.info.get(_RENEWALS) != self._renewals:
            record.invalidate()

    def _look[T](self, work: Look[T]) -> T:
        try:
            with self._take() as connection:
                return work(connection)
        except LIBRARY_ERRORS as error:
            raise translated(error) from error

    async def scrub(self) -> None:
        await asyncio.to_thread(self._scrub)

    def _scrub(self) -> None:
        engine = sqlite_engine(self._url, begin="", poolclass=NullPool)
        try:
            with engine.connect() as connection:
                connection.exec_driver_sql("VACUUM")
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        except LIBRARY_ERRORS as error:
            raise translated(error) from error
        finally:
            engine.dispose()

    async def close(self) -> None:
        await self._waiter.close()
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._readers.shutdown(wait=True)
        self._reading.dispose()
        self._writer.close()
