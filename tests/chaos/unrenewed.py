"""guestprefs with a planted fault: a process that never looks for wrapping keys which came after it started."""

from __future__ import annotations

from fastapi import FastAPI

from api.app import create_app as real_app
from prefs.vault.envelope import Envelope


async def _never(self: Envelope, missing: str) -> None:
    return None


def create_app() -> FastAPI:
    Envelope.renew = _never  # type: ignore[method-assign]
    return real_app()
