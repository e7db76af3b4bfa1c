"""A process that records reads without a pause, many at once, and says each once it may be answered; made to be killed.

`early` says it before: the fault that the test has to catch."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from tests.ledger.desk import Desk, access

AT_ONCE = 8


async def read(url: str, folder: str, name: str, most: int, early: bool) -> None:
    ledger = Desk(url, Path(folder)).ledger()

    async def one(lane: int) -> None:
        for number in range(lane, most, AT_ONCE):
            request = f"{name}-{number}"
            if early:
                os.write(1, f"{request}\n".encode())
            await ledger.append([access(number, request=request)])
            if not early:
                os.write(1, f"{request}\n".encode())

    await ledger.append([access(0, request=f"{name}-begun")])
    os.write(1, f"{name}-begun\n".encode())
    await asyncio.to_thread(sys.stdin.readline)  # whoever started it may want others to have begun as well
    await asyncio.gather(*(one(lane) for lane in range(AT_ONCE)))
    await ledger.close()


if __name__ == "__main__":
    url, folder, name, most, early = sys.argv[1:]
    asyncio.run(read(url, folder, name, int(most), early == "early"))
