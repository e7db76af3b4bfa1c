"""The guard of a Redis that has just started is short, and may be so because a write is refused that takes longer."""

from __future__ import annotations

import math
import time

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from prefs.cache.lines import COLD_GUARD_S, _least_uptime_s
from prefs.cache.shared import FENCE_MS
from prefs.core.errors import StoreUnavailable
from prefs.store.engines import STATEMENT_TIMEOUT_MS, WRITE_MAX_S, Outcome, Unit, parse, postgres_engine, transact


def test_the_guard_outlasts_every_write_and_a_fence_the_guard() -> None:
    assert COLD_GUARD_S >= WRITE_MAX_S + STATEMENT_TIMEOUT_MS / 1000
    assert FENCE_MS / 1000 > COLD_GUARD_S


@pytest.mark.parametrize("began", [100.0, 100.001, 100.5, 100.999])
@pytest.mark.parametrize("up", [0.0005, 0.3, 0.9995, 1.0, 1.5, 4.2])
@pytest.mark.parametrize("tells_time", [True, False])
def test_a_server_is_never_taken_for_older_than_it_is(began: float, up: float, tells_time: bool) -> None:
    """It tells its age in whole seconds, from the second in which it began."""
    now = began + up
    facts = {"uptime_in_seconds": str(math.floor(now) - math.floor(began))}
    if tells_time:
        facts["server_time_usec"] = str(int(now * 1e6))
    least = _least_uptime_s(facts)

    assert 0 <= least <= up
    assert least >= up - (1.001 if tells_time else 2)


@pytest.mark.parametrize("late_s", [0.0, WRITE_MAX_S + 0.1])
async def test_a_write_that_took_too_long_is_refused_before_its_commit(postgres_url: str, late_s: float) -> None:
    engine = postgres_engine(parse(postgres_url))

    def work(connection: Connection) -> Outcome[None]:
        connection.execute(text("CREATE TABLE written ()"))
        return Outcome(None)

    unit = Unit(born_at=time.monotonic() - late_s)
    async with engine.connect() as connection:
        if late_s:
            with pytest.raises(StoreUnavailable):
                await connection.run_sync(transact, work, unit)
        else:
            await connection.run_sync(transact, work, unit)
    async with engine.connect() as connection:
        if late_s:
            with pytest.raises(DBAPIError):
                await connection.execute(text("SELECT FROM written"))
        else:
            await connection.execute(text("SELECT FROM written"))
    await engine.dispose()
