"""What Prometheus collects of the tiers: every number moves with what it counts, and no label names anyone."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import REGISTRY

from prefs.cache.loader import Freshness
from prefs.cache.metrics import PrometheusMetrics
from prefs.core.errors import StoreUnavailable
from prefs.store.memory import MemoryStore
from prefs.telemetry import expose
from tests.cache.conftest import OpenPlace
from tests.cache.watched import Watched, caught_up, listening, newborn_guest, until
from tests.servers import ValkeyServer
from tests.store.samples import put

PREFIX = "guestprefs_cache_"


def numbers() -> dict[tuple[str, ...], float]:
    expose()  # what was tallied is told when somebody looks
    return {
        (sample.name.removeprefix(PREFIX), *sample.labels.values()): sample.value
        for family in REGISTRY.collect()
        if family.name.startswith(PREFIX)
        for sample in family.samples
    }


async def test_every_number_moves(open_place: OpenPlace) -> None:
    with ValkeyServer() as server:
        place = await open_place("memory", server.url())
        inner = Watched(MemoryStore(place.clock))
        before = numbers()
        store = await place.open_at(Freshness.DEFAULT, metrics=PrometheusMetrics(), inner=inner)
        await listening(store)
        guest = await newborn_guest(store)
        for level in (Freshness.DEFAULT, Freshness.DEFAULT, Freshness.SHARED):
            await store.read([guest], level)
            await until(lambda: not store._loader._flights, "the fill")
        await store.write(guest, put("prf_a", 1))
        await caught_up(store)
        await store.get(guest)
        server.freeze()
        for _ in range(4):
            await store.read([guest], Freshness.SHARED)
        await store.write(guest, put("prf_a", 2))
        inner.gone = True
        await store.read([guest], Freshness.STORE, stale=True)
        with pytest.raises(StoreUnavailable):
            await store.read([guest], Freshness.STORE)
        broken = numbers()
        server.thaw()
        await until(lambda: not store._fences.waiting, "the repair")
        await asyncio.sleep(0)
        after = numbers()

    moved = {key: after[key] - before.get(key, 0) for key in after}
    for key in [
        *(("served_total", "guest", tier) for tier in ("local", "shared", "store", "stale")),
        *(("fences_total", outcome) for outcome in ("raised", "lifted", "not_raised", "not_lifted", "repaired")),
        ("leases_total", "granted"),
        ("doubts_total", "subscribed"),
        *((name,) for name in ("flight_keys_count", "flight_requests_count", "wait_seconds_count")),
        ("heartbeat_seconds_count",),
    ]:
        assert moved.get(key, 0) > 0, key
    assert after[("local_entries",)] > 0 and after[("local_bytes",)] > 0  # gauges: other tests moved them before
    assert (broken["breaker", "open"], after["breaker", "closed"]) == (1, 1)
    assert [key for key in after if any("gst_" in word or ":" in word for word in key)] == []
