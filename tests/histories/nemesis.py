"""What is done to the three workers and their Redis while they serve, and how often it really happened."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import psutil

from prefs.cache.local import DELTA_S
from tests.histories.trio import WORKERS, Trio
from tests.servers import ValkeyServer

EVICT, CUT, DROP, STOP, RESTART = "evict", "kill pubsub", "kill normal", "redis stop", "redis restart"
FREEZE, KILL = "worker stop", "worker kill"
BLINK = "worker blink"  # stopped for less than a local copy is trusted: it comes back and believes what it has
EVERY_DEED = (EVICT, CUT, DROP, STOP, RESTART, FREEZE, KILL)


def say(server: ValkeyServer, *words: str) -> str:
    """A command, and the reply as it came."""
    command = f"*{len(words)}\r\n" + "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in words)
    return server.ask(command.encode()).decode(errors="replace").strip()


def evict(server: ValkeyServer, leases: bool) -> None:
    """Entries, and leases or not: a policy may take either. Fences have no end of life, so none takes them."""
    ends = (":e", ":l") if leases else (":e",)
    held = [word for word in say(server, "KEYS", "*").split() if word.endswith(ends) or word.startswith("classic")]
    for start in range(0, len(held), 100):
        say(server, "DEL", *held[start : start + 100])


class Nemesis:
    """Does the deeds of a deck one after the other; shuffled, so that each happens as often as it was put in."""

    def __init__(self, trio: Trio, deck: Sequence[str], pause_s: float, seed: int = 5) -> None:
        self._trio = trio
        self._deck = deck
        self._pause_s = pause_s
        self._chance = random.Random(seed)
        self.done: Counter[str] = Counter()
        self.stops: list[tuple[float, float]] = []  # from when to when some worker was stopped
        self._frozen: psutil.Process | None = None

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        task = asyncio.ensure_future(self._run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await asyncio.to_thread(self._heal)

    async def _run(self) -> None:
        while True:
            for deed in self._chance.sample(self._deck, len(self._deck)):
                await asyncio.sleep(self._pause_s * self._chance.uniform(0.5, 1.5))
                self.done[deed] += await self._do(deed)

    async def _do(self, deed: str) -> bool:
        """Whether it could be done: a worker that is gone can be neither stopped nor killed."""
        valkey = self._trio.valkey
        match deed:
            case "evict":
                await asyncio.to_thread(evict, valkey, self._chance.random() < 0.3)
            case "kill pubsub":
                await asyncio.to_thread(say, valkey, "CLIENT", "KILL", "TYPE", "pubsub")
            case "kill normal":
                await asyncio.to_thread(say, valkey, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            case "redis stop":
                valkey.freeze()
                await asyncio.sleep(self._chance.uniform(0.05, 0.4))
                valkey.thaw()
            case "redis restart":
                await asyncio.to_thread(valkey.kill9)
                await asyncio.sleep(self._chance.uniform(0.05, 0.4))
                await asyncio.to_thread(valkey.start)
            case "worker stop":
                return await self._freeze(self._chance.randrange(WORKERS), 0.05, 1.0)
            case "worker blink":
                return await self._freeze(self._chance.randrange(WORKERS), DELTA_S / 4, DELTA_S * 0.9)
            case "worker kill":
                return await self._kill(self._chance.randrange(WORKERS))
        return True

    async def _freeze(self, number: int, least_s: float, most_s: float) -> bool:
        worker = self._trio.process(number)
        if worker is None:
            return False
        self._frozen = worker
        begun_at = time.monotonic()
        try:
            worker.suspend()
            await asyncio.sleep(self._chance.uniform(least_s, most_s))
            worker.resume()
        except psutil.NoSuchProcess:
            return False
        finally:
            self.stops.append((begun_at, time.monotonic()))
        self._frozen = None
        return True

    async def _kill(self, number: int) -> bool:
        """Its supervisor starts another; the deed is done when that one serves."""
        worker = self._trio.process(number)
        if worker is None:
            return False
        worker.kill()
        await asyncio.to_thread(self._trio.workers[number].wait_until_ready)
        return True

    def _heal(self) -> None:
        if self._frozen is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                self._frozen.resume()
        if self._trio.valkey.running:
            self._trio.valkey.thaw()
        self._trio.valkey.start()
        deadline = time.monotonic() + 30
        while not self._trio.valkey.is_ready() and time.monotonic() < deadline:
            time.sleep(0.05)
        self._trio.wait_until_ready()
