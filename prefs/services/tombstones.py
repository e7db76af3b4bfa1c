"""Keeping the erased from coming back: in the database after a restore, and in the memory of every process.

Two places know who was erased, the database and a file that restoring does not reach. Where the file knows more, the
database was restored: whoever it holds although they have a tombstone is erased again before anybody is served. Where
the database knows more, a process died in between: the file is told.

Each process looks every few seconds for new tombstones, and lets go of what it remembers of those guests. The fences
of an erasure have kept it from telling anything since; this is for what merely lies there.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta

from prefs.core.erasure import Tombstone
from prefs.core.errors import Unavailable
from prefs.ports import Clock, Ledger, SecondPlace, Signer, Store

PAGE = 500
POLL_S = 5.0
LOOKS_BACK = timedelta(minutes=10)  # commits take their time and clocks differ
SWEEPS = 3  # a copy may be laid down by a read that began before the erasure
AT_A_TIME = 500  # digests between two turns of the event loop


async def _as_it_is(erased: bool) -> None:
    return


@dataclass
class Tombstones:
    store: Store
    clock: Clock
    signer: Signer
    second_place: SecondPlace
    ledger: Ledger
    overwrite: Callable[[bool], Awaitable[None]] = _as_it_is  # what lies in memory that is never freed
    _sweeps: dict[str, int] = field(default_factory=dict)

    async def outstanding(self) -> dict[str, Tombstone]:
        """Tombstones that the database does not know; and the second place is told of those that it does not know."""
        here = {one.digest: one for one in await self.store.tombstones()}
        there = await asyncio.to_thread(self.second_place.read)
        if untold := [one for digest, one in here.items() if digest not in there]:
            await asyncio.to_thread(self.second_place.append, untold)
        return {digest: one for digest, one in there.items() if digest not in here}

    async def replay(self, missing: dict[str, Tombstone], progress: Callable[[int], None] = lambda _: None) -> int:
        """Erase again whoever has one of these tombstones; how many were there. `progress` hears of guests seen."""
        found, after = 0, ""
        while page := await self.store.guests(PAGE, after):
            for guest in page:
                tombstone = missing.get(self.signer.digest(guest))
                if tombstone is not None and await self.store.erase(guest, tombstone) is not None:
                    await self.ledger.pseudonymise(guest)
                    found += 1
            after = page[-1]
            progress(len(page))
        await self.store.bury(list(missing.values()))
        return found

    async def compare(self) -> int:
        """Both at once: how many guests had come back."""
        missing = await self.outstanding()
        return await self.replay(missing) if missing else 0

    async def sweep(self) -> bool:
        """Let go of what this process remembers of guests who were erased lately; whether there were any."""
        lately = await self.store.tombstones(self.clock.now() - LOOKS_BACK)
        self._sweeps = {one.digest: self._sweeps.get(one.digest, 0) for one in lately}
        due = {digest for digest, sweeps in self._sweeps.items() if sweeps < SWEEPS}
        if not due:
            return False
        for holder in (self.store, self.ledger):
            for number, guest in enumerate(holder.held(), 1):
                if self.signer.digest(guest) in due:
                    holder.forget(guest)
                if number % AT_A_TIME == 0:
                    await asyncio.sleep(0)
        for digest in due:
            self._sweeps[digest] += 1
        return True

    async def watch(self, poll_s: float = POLL_S) -> None:
        """Until it is cancelled."""
        while True:
            await asyncio.sleep(poll_s)
            erased = False
            with suppress(Unavailable):  # it is looked again
                erased = await self.sweep()
            await self.overwrite(erased)
