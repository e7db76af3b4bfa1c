"""A TCP proxy on a thread of its own, with the faults that a network or a stalled server can have.

It counts what goes through it, so that a test can say how often a server that does not answer was asked all the same.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Coroutine, Sequence
from typing import Any, Self

HOLD_S = 0.005
START_TIMEOUT_S = 10.0


class Link:
    """In front of a port of this machine, on a port that stays the same. Attributes may be set at any time:

    - `hung`: connections are taken and words are taken, none is passed on before it is over, as with SIGSTOP;
    - `delay_s`: every word comes so much later;
    - `swallow`: the share of words after which a connection hears nothing more, and says nothing.

    `calls` counts words of clients that hold one of `counted`.
    """

    def __init__(self, port: int, counted: Sequence[bytes] = ()) -> None:
        self._target = port
        self._counted = counted
        self._random = random.Random(7)
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.port = 0
        self.calls = 0
        self.hung, self.delay_s, self.swallow = False, 0.0, 0.0

    def heal(self) -> None:
        self.hung, self.delay_s, self.swallow = False, 0.0, 0.0
        if self._server is None:
            self._do(self._listen())

    def cut(self) -> None:
        """Every connection is reset; new ones are taken."""
        self._do(self._reset())

    def refuse(self) -> None:
        """Every connection is reset, and new ones are refused until `heal`."""
        self._do(self._close())

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._close())
        self._do(self._drop_tasks())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(START_TIMEOUT_S)
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(START_TIMEOUT_S)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._reset()

    async def _reset(self) -> None:
        for writer in tuple(self._writers):
            writer.transport.abort()

    async def _drop_tasks(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            there = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            self._let_go(writer)
            return
        self._writers.add(there[1])
        await asyncio.gather(self._carry(reader, there[1], asks=True), self._carry(there[0], writer, asks=False))

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, asks: bool) -> None:
        swallowed = False
        try:
            while chunk := await source.read(65536):
                if asks and any(word in chunk for word in self._counted):
                    self.calls += 1
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                while self.hung:  # noqa: ASYNC110 - set from another thread
                    await asyncio.sleep(HOLD_S)
                swallowed = swallowed or self._random.random() < self.swallow
                if not swallowed:
                    sink.write(chunk)
                    await sink.drain()
        except OSError:
            return
        finally:
            self._let_go(sink)

    def _let_go(self, writer: asyncio.StreamWriter) -> None:
        self._writers.discard(writer)
        writer.close()
