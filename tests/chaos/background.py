"""An event loop in a thread of its own, for what goes on beside a test that is plain code."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any, Self

PATIENCE_S = 30.0


class Background:
    """Closed in good order: what was entered is left, then what runs is cancelled."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._entered: list[AbstractAsyncContextManager[Any]] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.run(self._end())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(PATIENCE_S)
            self._loop.close()

    async def _end(self) -> None:
        for entered in reversed(self._entered):
            await entered.__aexit__(None, None, None)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._loop.shutdown_asyncgens()
        await asyncio.sleep(0.05)  # transports are closed some turns after they were told to

    def run[T](self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_S)

    def start(self, work: Coroutine[Any, Any, Any]) -> None:
        """It goes on until it ends, or this is closed."""
        asyncio.run_coroutine_threadsafe(work, self._loop)

    def enter[T](self, context: AbstractAsyncContextManager[T]) -> T:
        self._entered.append(context)
        return self.run(_entered(context))

    def leave(self, context: AbstractAsyncContextManager[Any]) -> None:
        self._entered.remove(context)
        self.run(_left(context))


async def _entered[T](context: AbstractAsyncContextManager[T]) -> T:
    return await context.__aenter__()


async def _left(context: AbstractAsyncContextManager[Any]) -> None:
    await context.__aexit__(None, None, None)
