"""The service with little patience for readers who take nothing."""

from __future__ import annotations

from typing import Any

from api import app, streams
from api.cli import supervisor

TIMEOUT_S = 1.0


def create_app() -> Any:
    """Of the application, for readers of streams; the kernel has more."""
    streams.SEND_TIMEOUT_S, supervisor.STALLED_S = TIMEOUT_S, 600.0
    return app.create_app()


def create_stalled() -> Any:
    """Of the kernel, for all."""
    supervisor.STALLED_S = TIMEOUT_S
    return app.create_app()
