"""guestprefs with a planted fault: what is read is told at once and recorded a little later."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from fastapi import FastAPI

from api.app import create_app as real_app
from prefs.core.callers import Caller
from prefs.core.sightings import Sighting
from prefs.services.witness import Outcomes, Witness

LATE_S = 0.1
_recorded, _tasks = Witness.saw, set[asyncio.Task[None]]()


async def _told_first(
    self: Witness, caller: Caller, seen: Sequence[Sighting | None], request: str = "", outcomes: Outcomes | None = None
) -> bool:
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
