"""guestprefs with a planted fault: what is read is told at once and recorded a little later."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from fastapi import FastAPI

from api.app import create_app as real_app
from api.cli import running
from api.cli.configuration import read_settings
from prefs.core.callers import Caller
from prefs.core.sightings import Sighting
from prefs.services.witness import Witness

LATE_S = 0.1
_recorded, _tasks = Witness.saw, set[asyncio.Task[None]]()


async def _told_first(self: Witness, caller: Caller, seen: Sequence[Sighting | None], request: str = "") -> bool:
    async def later() -> None:
        await asyncio.sleep(LATE_S)
        await _recorded(self, caller, seen, request)

    task = asyncio.get_running_loop().create_task(later())
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
    return True


def create_app() -> FastAPI:
    Witness.saw = _told_first  # type: ignore[method-assign]
    return real_app()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host")
    parser.add_argument("--port", type=int)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--workers", type=int)
    given = parser.parse_args()
    return running.run(read_settings(**vars(given)), application="tests.chaos.unrecorded:create_app")


if __name__ == "__main__":
    sys.exit(main())
