"""A ledger that keeps accesses in the process's memory, in no chain: for trying things out, and beside `memory://`."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from prefs.core.accesses import Access, Recorded


class MemoryLedger:
    def __init__(self) -> None:
        self.accesses: list[Access] = []

    async def append(self, accesses: Sequence[Access]) -> None:
        await asyncio.sleep(0)
        self.accesses.extend(accesses)

    async def of_guest(self, guest: str, limit: int, before: str | None = None) -> list[Recorded]:
        found = [one for one in self._newest_first(before) if one.access.guest == guest]
        return found[:limit]

    async def listed(
        self, limit: int, before: str | None = None, since: datetime | None = None, until: datetime | None = None
    ) -> list[Recorded]:
        found = self._newest_first(before)
        return [
            one
            for one in found
            if (since is None or one.access.at >= since) and (until is None or one.access.at <= until)
        ][:limit]

    async def pseudonymise(self, guest: str) -> int:
        theirs = [number for number, access in enumerate(self.accesses) if access.guest == guest]
        for number in theirs:
            self.accesses[number] = replace(self.accesses[number], guest="")
        return len(theirs)

    def held(self) -> Sequence[str]:
        return ()  # the accesses are all there is

    def forget(self, guest: str) -> None:
        return

    async def close(self) -> None:
        return

    def _newest_first(self, before: str | None) -> list[Recorded]:
        end = len(self.accesses) if before is None else int(before.rpartition(".")[2])
        return [Recorded(self.accesses[number], f"0.00000000-0.{number}") for number in reversed(range(end))]
