"""A TCP proxy that a test can make slow, or make swallow what it is given."""

from __future__ import annotations

import asyncio
import random
import threading
from typing import Self


class Proxy:
    """In front of a port of this machine.

    `late` is the share of chunks that come up to twice `delay_s` late (1: all of them, by just that much), `swallow`
    the share of chunks after which a connection hears nothing, `cut` how many of the next words of clients end their
    connection instead of being passed on. A connection is busy from a word of its client to the next word of its
    server; `most_busy` is how many were at once.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._random = random.Random(7)
        self._busy: set[asyncio.StreamWriter] = set()
        self.most_busy = 0
        self.heal()

    def heal(self) -> None:
        self.delay_s, self.late, self.swallow, self.cut = 0.0, 1.0, 0.0, 0

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection("127.0.0.1", self._target)
        for source, sink, asks in ((reader, there[1], True), (there[0], writer, False)):
            task = asyncio.ensure_future(self._carry(source, sink, writer, asks))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _pause_s(self) -> float:
        if self.late >= 1:
            return self.delay_s
        return 2 * self.delay_s * self._random.random() if self._random.random() < self.late else 0.0

    async def _carry(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, client: asyncio.StreamWriter, asks: bool
    ) -> None:
        swallowed = False
        try:
            while chunk := await source.read(65536):
                if asks and self.cut:
                    self.cut -= 1
                    break
                if asks:
                    self._busy.add(client)
                    self.most_busy = max(self.most_busy, len(self._busy))
                if self.delay_s and (pause_s := self._pause_s()):
                    await asyncio.sleep(pause_s)
                if not asks:
                    self._busy.discard(client)
                swallowed = swallowed or self._random.random() < self.swallow
                if not swallowed:
                    sink.write(chunk)
                    await sink.drain()
        except OSError:
            return
        finally:
            self._busy.discard(client)
            sink.close()


class ProxyThread:
    """A proxy on a thread of its own, for tests that start servers before they have a loop."""

    def __init__(self, port: int) -> None:
        self.proxy = Proxy(port)
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._over: asyncio.Event | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    async def _run(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        async with self.proxy:
            self._ready.set()
            await self._over.wait()

    def __enter__(self) -> Proxy:
        self._thread.start()
        assert self._ready.wait(10), "the proxy did not start"
        return self.proxy

    def __exit__(self, *_: object) -> None:
        if self._loop is not None and self._over is not None:
            self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(10)
