"""A planted fault: a server whose store acknowledges a write before it is committed. The kill test must catch it.

Everything is the product's own but the store, which is wrapped: a write is decided on what this process knows,
answered, and only then, a moment later, written for real. Nobody who reads through this process can tell.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

from api.app import create_app as real_app
from prefs.bootstrap import SystemClock, furnish, open_store
from prefs.core.changes import Change, Written
from prefs.core.entries import Document
from prefs.core.errors import NotFound
from prefs.ports import Apply, Once, Store
from prefs.settings import Settings

LATE_S = 0.1


class Remembered:
    """A guest's past as far as this process made it."""

    def __init__(self, changes: list[Change]) -> None:
        self._changes = changes

    def since(self, version: int) -> list[Change]:
        return [change for change in self._changes if change.version > version]

    def at(self, version: int) -> Change | None:
        return next((change for change in self._changes if change.version == version), None)


class EarlyStore:
    """A Store that says yes first. Reads see what was promised."""

    def __init__(self, inner: Store) -> None:
        self._inner = inner
        self._promised: dict[str, Document] = {}
        self._changes: dict[str, list[Change]] = {}
        self._queues: dict[str, asyncio.Queue[tuple[Apply, Once | None]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def get(self, guest: str) -> Document | None:
        return self._promised.get(guest) or await self._inner.get(guest)

    async def write(self, guest: str, apply: Apply, once: Once | None = None) -> Written:
        document = await self.get(guest)
        if document is None:
            raise NotFound("no such guest")
        changes = self._changes.setdefault(guest, [])
        written = apply(document, Remembered(changes))
        if written.change is not None:
            changes.append(written.change)
            self._promised[guest] = written.document
            self._queue(guest).put_nowait((apply, once))
        return written

    def _queue(self, guest: str) -> asyncio.Queue[tuple[Apply, Once | None]]:
        if guest not in self._queues:
            self._queues[guest] = asyncio.Queue()
            task = asyncio.get_running_loop().create_task(self._catch_up(guest))
            self._tasks.add(task)
        return self._queues[guest]

    async def _catch_up(self, guest: str) -> None:
        while True:
            apply, once = await self._queues[guest].get()
            await asyncio.sleep(LATE_S)
            await self._inner.write(guest, apply, once)


def create_app() -> FastAPI:
    """The product's application on the wrapped store."""
    settings = Settings()
    app = real_app(settings)
    life = app.router.lifespan_context

    @asynccontextmanager
    async def early_life(inner: FastAPI) -> AsyncIterator[Any]:
        async with life(inner) as state:
            clock = SystemClock()
            store = await open_store(settings, clock)
            inner.state.house = furnish(EarlyStore(store), clock)  # type: ignore[arg-type]
            yield state

    app.router.lifespan_context = early_life
    return app
