"""Waiting for database work that nobody may cancel.

Cancelling a query drops its connection, and reconnecting is what an overloaded service can afford least: so work is
started as a task of the store's own and finishes whatever its caller does. The caller waits as long as the database
shows life; once it has been silent for a while, everybody hears `StoreUnavailable` without waiting for a timeout of
the driver. Silence is counted in short slices of waiting, so that a stalled event loop is not taken for a dead server.
From then on one piece of work every half second finds out whether it is over, and nobody else waits for that.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from prefs.core.errors import Refused, StoreUnavailable
from prefs.store.engines import Unit

SLICE_S = 0.1
IN_FLIGHT_MAX = 2000  # pieces of work at once; beyond it the database is not keeping up, and a queue would only hide it
CLOSE_TIMEOUT_S = 3.0
PROBE_S = 0.5
_SILENT = "The database does not answer."


class Waiter:
    """Owns the tasks of one store; `progress` counts every sign of life from its database."""

    def __init__(self, silent_slices_max: int) -> None:
        self._silent_slices_max = silent_slices_max
        self._tasks: set[asyncio.Future[Any]] = set()
        self._closed = False
        self._silent_at = -1  # the progress at which the database fell silent
        self._probe_at = 0.0
        self.progress = 0

    def sign_of_life(self, *_: object) -> None:
        self.progress += 1

    @property
    def in_flight(self) -> int:
        return len(self._tasks)

    async def wait[T](
        self, start: Callable[[Unit], Awaitable[T]], silent_slices_max: int = 0, unit: Unit | None = None
    ) -> T:
        """Start work and wait for it; the work goes on when the caller is cancelled. Raises StoreUnavailable.

        A unit is given where this is one more try of the same."""
        if self._closed:
            raise StoreUnavailable("The store is closed.")
        if len(self._tasks) >= IN_FLIGHT_MAX:
            raise StoreUnavailable("Too much work is waiting for the database.")
        if self._silent_at == self.progress:
            if time.monotonic() < self._probe_at:
                raise StoreUnavailable(_SILENT)
            self._probe_at = time.monotonic() + PROBE_S
        unit = unit or Unit()
        task: asyncio.Future[T] = asyncio.ensure_future(start(unit))
        self._tasks.add(task)
        task.add_done_callback(self._done)
        silent, seen = 0, self.progress
        while True:
            await asyncio.wait((task,), timeout=SLICE_S)
            if task.done():
                return task.result()
            silent = silent + 1 if self.progress == seen else 0
            seen = self.progress
            if silent >= (silent_slices_max or self._silent_slices_max):
                unit.abandoned = True
                self._silent_at = self.progress
                raise StoreUnavailable(_SILENT)

    def _done(self, task: asyncio.Future[Any]) -> None:
        self._tasks.discard(task)
        failure = None if task.cancelled() else task.exception()  # seen: a caller that left does not want it any more
        if not task.cancelled() and (failure is None or isinstance(failure, Refused)):
            self.progress += 1  # a driver that gave up says nothing of a database that lives

    async def close(self) -> None:
        """Take no more work and let what is running finish, for a while."""
        self._closed = True
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=CLOSE_TIMEOUT_S)
