"""A planted fault: webhooks count as told once they are sent, whatever the receiver answers, if it does."""

from __future__ import annotations

from fastapi import FastAPI

from prefs.core.changes import Cursor
from prefs.core.webhooks import Delivery, Message, Progress
from prefs.services.deliveries import Telling
from tests.chaos import brief


async def _send(self: Telling, delivery: Delivery, message: Message, then: Cursor) -> bool:
    self._progress = Progress(then, self._progress.at)
    await self._save(None)
    return await _sent_well(self, delivery, message, then)


_sent_well = Telling._send


def create_app() -> FastAPI:
    Telling._send = _send  # type: ignore[method-assign]
    return brief.create_app()
