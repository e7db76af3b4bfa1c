"""The clock and the chance of the machine that the client runs on."""

from __future__ import annotations

import secrets
import time
import uuid

import anyio


class SystemClock:
    def now(self) -> float:
        return time.time()

    def elapsed(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    async def sleep_async(self, seconds: float) -> None:
        await anyio.sleep(seconds)


class SystemChance:
    def between(self, low: float, high: float) -> float:
        return low + (high - low) * secrets.randbelow(1 << 32) / (1 << 32)

    def key(self) -> str:
        return str(uuid.uuid4())
