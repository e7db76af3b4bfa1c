"""The writer of SQLite: one thread, one connection, and one transaction for all writes that wait at the same time.

A commit is mostly the wait for the disk, and the file takes one at a time. So what arrives during a commit is committed
together by the next: each write inside a savepoint of its own, which falls alone, and nobody is told before the commit
that all of them share has returned.
"""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from queue import SimpleQueue
from typing import Any

from sqlalchemy import URL, Connection
from sqlalchemy.pool import QueuePool

from prefs.store.engines import LIBRARY_ERRORS, Outcome, Unit, Work, sqlite_engine, translated

TOGETHER_MAX = (
    64  # writes in a commit: some 20 ms of work, which is the longest that the first of them waits for others
)


@dataclass(slots=True, eq=False)
class Job:
    """One write, who waits for it, and what it came to."""

    work: Work[Any]
    unit: Unit
    told: asyncio.Future[Any]
    outcome: Outcome[Any] | None = field(default=None)
    failure: BaseException | None = field(default=None)

    @property
    def open(self) -> bool:
        return self.outcome is None and self.failure is None

    def tell(self) -> None:
        if self.told.done():
            return
        if self.failure is not None:
            self.told.set_exception(self.failure)
        elif self.outcome is not None:
            self.told.set_result(self.outcome.result)


class Word(Enum):
    """What else the thread is told."""

    ANEW = auto()
    END = auto()


class GroupWriter:
    def __init__(self, url: URL) -> None:
        self._engine = sqlite_engine(url, begin="", poolclass=QueuePool, pool_size=1, max_overflow=0)
        self._connection: Connection | None = None  # the thread's own
        self._queue: SimpleQueue[Job | Word] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def run[T](self, work: Work[T], unit: Unit) -> "asyncio.Future[T]":
        job = Job(work, unit, asyncio.get_running_loop().create_future())
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="sqlite-writer", daemon=True)
            self._thread.start()
        self._queue.put(job)
        return job.told

    def renew(self) -> None:
        """What is written from now on goes over another connection; the one that was is closed."""
        if self._thread is not None:
            self._queue.put(Word.ANEW)

    def close(self) -> None:
        """Waits for what is queued; nothing may be queued any more."""
        if self._thread is not None:
            self._queue.put(Word.END)
            self._thread.join()
        self._engine.dispose()

    # ------------------------------------------------------------ on the thread

    def _serve(self) -> None:
        closing = False
        while not closing:
            taken = [self._queue.get()]
            while len(taken) < TOGETHER_MAX and not self._queue.empty():
                taken.append(self._queue.get())
            closing = Word.END in taken
            jobs = [job for job in taken if isinstance(job, Job)]
            self._settle(jobs)
            _tell(jobs)
            if Word.ANEW in taken:
                self._let_go()
        self._let_go()

    def _settle(self, jobs: Sequence[Job]) -> None:
        """Give every job its outcome or its failure."""
        while any(job.open for job in jobs):
            try:
                self._together(jobs)
            except LIBRARY_ERRORS as error:
                self._let_go()
                for job in jobs:  # whatever was decided rests on what is undone now; alone, on nothing but itself
                    job.outcome, job.failure = None, (job.failure if len(jobs) == 1 else None) or translated(error)

    def _together(self, jobs: Sequence[Job]) -> None:
        """One transaction. All jobs stay open when one of them turns out to be waited for no more: it must be undone,
        and the decisions of the others may rest on it."""
        connection = self._open()
        run = connection.connection.driver_connection.execute  # type: ignore[union-attr]
        run("BEGIN IMMEDIATE")
        for job in jobs:
            self._one(job, connection, run, alone=len(jobs) == 1)
        kept = [job for job in jobs if job.outcome is not None and job.outcome.keep]
        if not kept:
            run("ROLLBACK")
        elif any(job.unit.abandoned for job in kept):
            run("ROLLBACK")
            for job in jobs:
                job.outcome = job.failure = None
        else:
            for job in kept:
                job.unit.committing = True
            run("COMMIT")

    def _one(self, job: Job, connection: Connection, run: Any, alone: bool) -> None:
        if not alone:
            run("SAVEPOINT own")
        try:
            job.unit.check()
            job.outcome = job.work(connection)
            job.unit.check()
        except LIBRARY_ERRORS as error:
            job.outcome, job.failure = None, translated(error)
        except Exception as error:  # noqa: BLE001 - handed to whoever waits for this job
            job.outcome, job.failure = None, error
        if alone:
            return
        if not connection.connection.driver_connection.in_transaction:  # type: ignore[union-attr]
            raise OSError("the transaction was given up")
        if job.outcome is None or not job.outcome.keep:
            run("ROLLBACK TO own")
        run("RELEASE own")

    def _open(self) -> Connection:
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._connection

    def _let_go(self) -> None:
        """What state an error left the connection in is anybody's guess: the next write opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()


def _tell(jobs: Sequence[Job]) -> None:
    """All in one wake-up of their loop."""

    def tell() -> None:
        for job in jobs:
            job.tell()

    loop = jobs[0].told.get_loop() if jobs else None
    if loop is not None and not loop.is_closed():
        loop.call_soon_threadsafe(tell)
