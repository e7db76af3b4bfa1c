"""A process that writes one guest without a pause and says each version once it is acknowledged; made to be killed."""

from __future__ import annotations

import asyncio
import sys

from prefs.core.errors import StoreUnavailable
from prefs.store.sql import SqlStore
from tests.store.samples import SetClock, put
from tests.vaults import vault


async def write(url: str, guest: str) -> None:
    store = await SqlStore.open(url, SetClock(), vault())
    for number in range(1_000_000):
        try:
            told = await store.write(guest, put(f"prf_{number % 5}", number))
        except StoreUnavailable as error:
            sys.stderr.write(f"{error}\n")
            continue
        sys.stdout.write(f"{told.document.version}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(write(*sys.argv[1:]))
