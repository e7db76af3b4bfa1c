"""The service with little patience for readers of streams who take nothing."""

from __future__ import annotations

from typing import Any

from api import app, streams

TIMEOUT_S = 1.0


def create_app() -> Any:
    streams.SEND_TIMEOUT_S = TIMEOUT_S
    return app.create_app()
