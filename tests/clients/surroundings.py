"""A clock that a test moves, and dice that always fall on the middle."""

from __future__ import annotations

import itertools

START = 1_780_000_000.0


class MovedClock:
    def __init__(self) -> None:
        self._now, self._elapsed = START, 0.0
        self.pauses: list[float] = []

    def now(self) -> float:
        return self._now

    def elapsed(self) -> float:
        return self._elapsed

    def pass_by(self, seconds: float) -> None:
        self._now += seconds
        self._elapsed += seconds

    def jump(self, seconds: float) -> None:
        self._now += seconds

    def sleep(self, seconds: float) -> None:
        self.pauses.append(round(seconds, 6))
        self.pass_by(seconds)

    async def sleep_async(self, seconds: float) -> None:
        self.sleep(seconds)


class MiddleChance:
    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def between(self, low: float, high: float) -> float:
        return (low + high) / 2

    def key(self) -> str:
        return f"key-{next(self._numbers)}"
