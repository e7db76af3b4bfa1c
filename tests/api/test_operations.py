"""What those who run the service ask, and the page of documentation."""

from __future__ import annotations

import asyncio
import os
import re
import signal

import pytest

from api.app import create_app
from prefs.settings import Settings
from tests.api.front import Front
from tests.api.samples import make_world


@pytest.fixture
def kind() -> str:
    return "memory"


async def test_health_and_version(front: Front) -> None:
    assert await front.ok("GET", "/livez") == {"status": "alive"}
    assert await front.ok("GET", "/readyz") == {"status": "ready"}
    build = await front.ok("GET", "/version")
    assert build.keys() == {"version", "python", "catalogue_version"}


async def test_draining_is_told_and_serving_goes_on(front: Front) -> None:
    world = await make_world(front)
    os.kill(os.getpid(), signal.SIGUSR1)
    async with asyncio.timeout(10):
        while not front.app.state.draining:  # noqa: ASYNC110 - a signal sets it, and no event could be waited for
            await asyncio.sleep(0.01)
    unready = await front.call("GET", "/readyz")
    assert (unready.status_code, unready.headers["retry-after"]) == (503, "1")
    assert (await front.call("GET", "/livez")).status_code == 200
    assert (await front.read(world.guest))["guest"] == world.guest


async def test_before_it_is_opened_it_is_alive_and_not_ready(settings: Settings) -> None:
    async with Front.unopened(create_app(settings)) as http:
        assert (await http.get("/livez")).status_code == 200
        assert (await http.get("/readyz")).status_code == 503
        assert (await http.get("/v1/catalogue", headers={"authorization": "Bearer x"})).status_code == 503


async def test_metrics_name_routes_and_no_guest(front: Front) -> None:
    world = await make_world(front)
    await front.read(world.guest)
    await front.call("GET", f"/v1/guests/{world.guest}/preferences?x=1", front.guest(world.guest))
    await front.call("GET", "/no/such/path")
    await front.call("BREW", "/livez")
    told = (await front.call("GET", "/metrics")).text
    assert 'guestprefs_requests_total{method="GET",route="/v1/guests/{guest}/preferences",status="200"}' in told
    assert 'guestprefs_requests_total{method="GET",route="/v1/guests/{guest}/preferences",status="422"}' in told
    assert 'route="unmatched",status="404"' in told
    assert 'guestprefs_requests_total{method="other"' in told
    assert 'guestprefs_problems_total{code="UNKNOWN_PARAMETER"}' in told
    assert "gst_" not in told and "BREW" not in told


async def test_the_docs_page_loads_nothing_from_elsewhere(front: Front) -> None:
    page = (await front.call("GET", "/docs")).text
    assert re.findall(r"(?:https?:)?//[\w.-]+", page) == []
    files = re.findall(r"(?:src|href)=\"([^\"]+)\"", page)
    assert len(files) == 3
    for file in files:
        response = await front.call("GET", file)
        assert response.status_code == 200 and len(response.content) > 100, file
    assert "/openapi.json" in page
    assert (await front.ok("GET", "/openapi.json"))["openapi"].startswith("3.1")
