"""Whether copies of this process still are what the shared tier holds: one MGET for all who ask at about the same time.

An entry that stands proves that no write is under way and none was since it was filled. So an answer made from copies
of entries that all still stand is as fresh as one made from the entries themselves, and nothing has to be opened,
decoded or resolved for it. Two questions at most are in the air; who asks meanwhile shares the next one, which begins
after his own beginning.
"""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from prefs.cache.lines import SharedUnavailable
from prefs.cache.local import Kept
from prefs.cache.shared import SharedTier

IN_THE_AIR_MAX = 2


class Asked(NamedTuple):
    copies: Sequence[Kept]
    stand: asyncio.Future[bool]


class Confirmations:
    def __init__(self, shared: SharedTier) -> None:
        self._shared = shared
        self._waiting: list[Asked] = []
        self._flights: set[asyncio.Task[None]] = set()

    async def stand(self, copies: Sequence[Kept]) -> bool:
        """Whether each of these copies is of the entry that stands under its key at some moment after now."""
        if not all(kept.seal for kept in copies):
            return False
        asked = Asked(copies, asyncio.get_running_loop().create_future())
        self._waiting.append(asked)
        if len(self._waiting) == 1 and len(self._flights) < IN_THE_AIR_MAX:
            asyncio.get_running_loop().call_soon(self._depart)
        return await asked.stand

    def _depart(self) -> None:
        if not self._waiting or len(self._flights) >= IN_THE_AIR_MAX:
            return
        boarding, self._waiting = self._waiting, []
        flight = asyncio.ensure_future(self._fly(boarding))
        self._flights.add(flight)
        flight.add_done_callback(lambda done: self._land(done, boarding))

    async def _fly(self, boarded: list[Asked]) -> None:
        keys = list(dict.fromkeys(kept.key for asked in boarded for kept in asked.copies))
        try:
            seals = dict(zip(keys, await self._shared.seals(keys), strict=True))
        except SharedUnavailable:
            seals = {}
        for asked in boarded:
            if not asked.stand.done():
                asked.stand.set_result(all(seals.get(kept.key) == kept.seal for kept in asked.copies))

    def _land(self, flight: "asyncio.Task[None]", boarded: list[Asked]) -> None:
        self._flights.discard(flight)
        if not flight.cancelled() and (failure := flight.exception()) is not None:
            for asked in boarded:
                if not asked.stand.done():
                    asked.stand.set_exception(failure)
        if not flight.get_loop().is_closed():
            self._depart()

    async def close(self) -> None:
        """Let what is in the air land."""
        while self._flights:
            await asyncio.wait(set(self._flights))
