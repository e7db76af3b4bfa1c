"""Keeping what rests sealed in order: rotating wrapping keys, destroying data keys, sealing what an old release left.

All of it works beside running servers, some rows at a time, and can be broken off and begun again: what is done
shows in the rows themselves.
"""

from dataclasses import dataclass
from functools import partial

from prefs.ports import Clock, Vault
from prefs.store import backlog, documents, keys
from prefs.store.engines import Outcome, Runner, parse
from prefs.store.runners import open_runner

REWRAPPED_AT_ONCE = 200
GUESTS_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Sealing:
    """How far a pass went: the last guest looked at (empty: there is none left), how many were looked at, and how many
    guests had how many rows open that are sealed now."""

    after: str
    seen: int
    guests: int
    rows: int


class Custody:
    """Over the runner of a store, and gone with it."""

    def __init__(self, runner: Runner, clock: Clock, vault: Vault) -> None:
        self._runner, self._clock, self._vault = runner, clock, vault

    async def open(self) -> None:
        """Raises Sealed when a wrapping key in use is not among the vault's, or is another one."""
        keys.examine(await self._runner.look(keys.registered, snapshot=False), self._vault.proofs)
        await self.register()

    async def register(self) -> None:
        """Let the newest wrapping key wrap data keys here."""
        known = await self._runner.look(keys.registered, snapshot=False)
        proofs = self._vault.proofs
        if self.newest in known and known[self.newest].proof != proofs[self.newest]:
            await self._runner.run(partial(keys.forget, id=self.newest))  # another key of this name that wraps nothing
            del known[self.newest]
        if self.newest not in known:
            await self._runner.run(partial(keys.register, id=self.newest, proof=proofs[self.newest]))

    @property
    def newest(self) -> str:
        return next(iter(self._vault.proofs))

    async def wrapped(self) -> dict[str, int]:
        """How many data keys each wrapping key in use wraps, those that wrap none included."""
        known = await self._runner.look(keys.registered, snapshot=False)
        counts = await self._runner.survey(keys.counts)
        return {id: counts.get(id, 0) for id in sorted(known, key=lambda id: (id != self.newest, id))}

    async def rewrap_some(self, most: int = REWRAPPED_AT_ONCE) -> int:
        """Wrap some data keys under the newest wrapping key; 0 when no other key wraps any."""
        await self.register()
        for old in await self._older():
            if done := await self._runner.run(partial(keys.rewrap, vault=self._vault, old=old, most=most)):
                return done
        return 0

    async def retire(self) -> list[str]:
        """Take wrapping keys other than the newest out of use, as far as they wrap nothing; which ones went."""
        return [old for old in await self._older() if await self._runner.run(partial(keys.retire, id=old))]

    async def _older(self) -> list[str]:
        known = await self._runner.look(keys.registered, snapshot=False)
        return sorted(set(known) - {self.newest})

    async def destroy(self, guest: str) -> int:
        """Destroy a guest's data key; how many went. What rests sealed of them never opens again."""
        return await self._runner.run(lambda connection: Outcome(keys.destroy(connection, guest)))

    async def seal_some(self, after: str = "", most: int = GUESTS_AT_ONCE) -> Sealing:
        """Seal what rests open of the next guests by id, each in a transaction of its own."""
        guests = await self._runner.look(lambda connection: documents.every(connection, most, after), snapshot=False)
        wanting = await self._runner.look(partial(backlog.with_open_rows, guests=guests), snapshot=False)
        rows = 0
        for guest in wanting:
            work = partial(backlog.seal, vault=self._vault, guest=guest, now=self._clock.now())
            rows += await self._runner.run(work)
        return Sealing(guests[-1] if guests else "", len(guests), len(wanting), rows)

    async def scrub(self) -> None:
        """Leave nothing of what was replaced on the disk, where the engine can be told to."""
        await self._runner.scrub()


async def wrapping_keys_in_use(url: str) -> list[str]:
    """The wrapping keys without which a database cannot be read, asked before there are any keys to open it with."""
    runner = open_runner(parse(url))
    try:
        known = await runner.look(keys.registered, snapshot=False)
        return sorted(id for id, one in known.items() if one.used)
    finally:
        await runner.close()
