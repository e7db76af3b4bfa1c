"""The pool of connections, measured: how long work waits for one, and how many are out."""

from time import perf_counter
from typing import Any

from prometheus_client import Gauge, Histogram
from sqlalchemy.pool import AsyncAdaptedQueuePool

from prefs.telemetry import BUCKETS

_WAITED = Histogram(
    "guestprefs_database_wait_seconds", "Waiting for a connection to the database, or for a new one.", buckets=BUCKETS
)
_OUT = Gauge("guestprefs_database_connections_out", "Connections to the database that work holds now.")


class MeasuredPool(AsyncAdaptedQueuePool):
    """One a process counts: the newest, which replaces the one before after a failover."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        _OUT.set_function(self.checkedout)

    def _do_get(self) -> Any:
        asked_at = perf_counter()
        try:
            return super()._do_get()
        finally:
            _WAITED.observe(perf_counter() - asked_at)
