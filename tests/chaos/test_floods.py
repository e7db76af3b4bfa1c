"""One caller that floods a server gets what it may and no more; all others are answered as if it was not there."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from api.allowance import BURST_S, IN_ADVANCE
from loadtests.bench import wire
from tests.chaos.openloop import Ask, OpenLoop, statuses
from tests.cli.served import Served

# Starts a server of its own; on a machine that does everything else beside this, that takes a while.
pytestmark = pytest.mark.timeout(300)

RATE = 20  # of a caller
FLOOD = 400.0
BESIDE = 10.0
LASTS_S = 3.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    environ = {"GUESTPREFS_CALLER_RATE": str(RATE)}
    with Served(tmp_path_factory.mktemp("floods"), "--demo", "--guests", "6", environ=environ) as server:
        yield server


def asks(server: Served, token: str, **headers: str) -> list[Ask]:
    demo = server.demo()
    path = f"/v1/guests/{demo['guests'][0]}/preferences?property={demo['property']}"
    return [Ask("read", wire.request(path, headers=headers, token=token), demo["guests"][0])]


@pytest.mark.parametrize("how", [{}, {"accept": "*/*", "cache-control": "max-age=5"}], ids=["lying ready", "typed"])
def test_a_flood_is_the_trouble_of_whoever_makes_it(server: Served, how: dict[str, str]) -> None:
    tokens = server.demo()["tokens"]
    loud = tokens["guest"] if not how else tokens["staff"]["front_desk"]
    began = time.monotonic()
    with OpenLoop(server.port, asks(server, loud, **how), FLOOD) as flood:
        with OpenLoop(server.port, asks(server, tokens["device"]["tv"]), BESIDE) as device:
            with OpenLoop(server.port, asks(server, tokens["service"]), BESIDE) as service:
                time.sleep(LASTS_S)
    lasted = time.monotonic() - began
    assert statuses(device.replies) == {200: len(device.replies)} and device.replies
    assert statuses(service.replies) == {200: len(service.replies)} and service.replies
    told = statuses(flood.replies)
    assert told.keys() == {200, 429}
    assert told[200] <= RATE * (BURST_S + lasted) + IN_ADVANCE
    assert told[429] > told[200]
    assert all(int(reply.headers["retry-after"]) >= 1 for reply in flood.replies if reply.status == 429)
