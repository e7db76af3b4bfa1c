"""The service with leases on webhooks that end soon, so that a test need not wait half a minute for each takeover."""

from __future__ import annotations

from datetime import timedelta

from fastapi import FastAPI

from api.app import create_app as real_app
from prefs.services import deliveries


def create_app() -> FastAPI:
    deliveries.LEASE = timedelta(seconds=4)
    deliveries.LEASE_RENEWED = timedelta(seconds=3)
    deliveries.LEASE_LEFT = timedelta(seconds=1)
    deliveries.POLL_S = deliveries.IDLE_POLL_S = 0.5
    return real_app()
