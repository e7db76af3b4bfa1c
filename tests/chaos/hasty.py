"""The service with little patience for readers who take nothing."""

from __future__ import annotations

import socket
import time
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


def create_narrow() -> Any:
    """With patience, but a kernel that keeps next to nothing of what a reader does not take."""
    supervisor._give_up_on_stalled = _narrow
    return app.create_app()


def _narrow(_: float) -> None:
    while (listening := supervisor._listening()) is None:
        time.sleep(supervisor.LISTENING_POLL_S)
    with listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
