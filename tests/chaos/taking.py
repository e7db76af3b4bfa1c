"""A receiver of webhooks that keeps account of what it took, and what was wrong with what it was told."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from dataclasses import dataclass

from standardwebhooks.webhooks import WebhookVerificationError

from prefs.core.webhooks import Kind
from tests.chaos.flapping import Writers
from tests.receiver import Received, Receiver

HELD_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Taken:
    """A message that was answered with 204."""

    id: str
    guest: str
    version: int
    at: float


class Taking:
    """What a receiver does with what comes: it verifies, takes it, and does not take what it was held over."""

    def __init__(self, receiver: Receiver, secret: str) -> None:
        self.receiver, self._secret = receiver, secret
        self.taken: list[Taken] = []
        self.held: list[str] = []  # messages that were on the way when their sender died, and never answered well
        self._fails: Received | None = None
        receiver.answer = self._answer

    def _answer(self, found: Received) -> int:
        if found is self._fails:
            return 500
        try:
            told = found.verified(self._secret)
        except WebhookVerificationError:
            return 400  # it is never taken, so that it shows as lost
        if told["type"] == Kind.CHANGED:
            data = told["data"]
            self.taken.append(Taken(found.id, data["guest"], data["version"], time.monotonic()))
        return 204

    async def hold(self) -> None:
        """Return with a message that has come and is not answered until `let_go`."""
        self.receiver.holds = asyncio.Event()
        await self.receiver.has(len(self.receiver.received) + 1, HELD_TIMEOUT_S)

    def let_go(self) -> None:
        """What was held is not taken; what comes next is."""
        self._fails = self.receiver.received[-1]
        self.held.append(self._fails.id)
        if self.receiver.holds is not None:
            self.receiver.holds.set()
        self.receiver.holds = None

    async def takes(self, more: int) -> None:
        """Return once so many more were taken."""
        enough = len(self.taken) + more
        async with asyncio.timeout(HELD_TIMEOUT_S):
            while len(self.taken) < enough:  # noqa: ASYNC110 - counted by the server beside this
                await asyncio.sleep(0.005)

    def has_all(self, writers: Writers) -> bool:
        took = {(one.guest, one.version) for one in self.taken}
        return all((guest, version) in took for guest, of in writers.written.items() for version in of)

    def faults(self, writers: Writers) -> list[str]:
        """Changes that never came, an order that is not each guest's, and repeats under another name."""
        found, last = [], dict[str, int]()
        names = defaultdict[tuple[str, int], set[str]](set)
        for one in self.taken:
            known = names[one.guest, one.version]
            if not known and one.version < last.get(one.guest, 0):
                found.append(f"{one.guest}: {one.version} came after {last[one.guest]}")
            if known and one.id not in known:
                found.append(f"{one.guest}: {one.version} came as {one.id} and as {known}")
            known.add(one.id)
            last[one.guest] = max(one.version, last.get(one.guest, 0))
        if len({id for ids in names.values() for id in ids}) != len(names):
            found.append("one name stands for several changes")
        lost = [
            (guest, version) for guest, of in writers.written.items() for version in of if (guest, version) not in names
        ]
        return [*found, *(f"{guest}: {version} is lost" for guest, version in lost)]

    @property
    def repeats(self) -> int:
        return len(self.taken) - len({one.id for one in self.taken})

    def delays_ms(self, writers: Writers, calm_since: float) -> tuple[list[float], list[float]]:
        """From the acknowledgement of each change to its first taking: of those before this moment, and of the rest."""
        first = dict[tuple[str, int], float]()
        for one in self.taken:
            first.setdefault((one.guest, one.version), one.at)
        waits = [(at, (first[change] - at) * 1000) for change, at in writers.acknowledged_at.items() if change in first]
        return sorted(ms for at, ms in waits if at < calm_since), sorted(ms for at, ms in waits if at >= calm_since)
