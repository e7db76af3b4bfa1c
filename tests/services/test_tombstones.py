"""What each process does every few seconds for those who were erased elsewhere."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from prefs.bootstrap import SystemClock
from prefs.core.erasure import Tombstone
from prefs.ledger.memory import MemoryLedger
from prefs.services.tombstones import SWEEPS, Tombstones
from prefs.signing.receipts import SigningKeys
from prefs.store.memory import MemoryStore
from prefs.store.second_place import NoSecondPlace

LOOKS = SWEEPS + 2


async def test_what_is_never_freed_is_overwritten_at_every_look_and_with_the_erased_while_they_are_new() -> None:
    clock, signer, told, enough = SystemClock(), SigningKeys.make(), list[bool](), asyncio.Event()
    store = MemoryStore(clock)

    async def overwrite(erased: bool) -> None:
        told.append(erased)
        if len(told) == 1:
            await store.bury([Tombstone(signer.digest("gst_a"), clock.now(), "rcp_1")])
        if len(told) == LOOKS:
            enough.set()

    tombstones = Tombstones(store, clock, signer, NoSecondPlace(), MemoryLedger(), overwrite)
    watching = asyncio.create_task(tombstones.watch(0))
    async with asyncio.timeout(10):
        await enough.wait()
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
    assert told[:LOOKS] == [False] + [True] * SWEEPS + [False]
