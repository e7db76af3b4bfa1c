"""The heartbeat of the local tier on a real server: what is heard, and what silence and gaps do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from prefs.cache.heartbeat import Heartbeat
from prefs.cache.keys import Heard, channel, message
from prefs.cache.local import LocalTier
from tests.cache.test_local import KEY, keep
from tests.cache.test_shared import say
from tests.cache.watched import until
from tests.servers import ValkeyServer


@pytest.fixture
async def listening(valkey_url: str) -> AsyncIterator[tuple[LocalTier, list[Heard]]]:
    tier, heard = LocalTier(), list[Heard]()
    heartbeat = Heartbeat(valkey_url, tier, heard.append)
    heartbeat.start()
    await until(tier.trusted, "the first heartbeat")
    yield tier, heard
    heartbeat.stop()
    assert not tier.trusted()


def namespace_of_server(server: ValkeyServer) -> str:
    said = server.ask(b"INFO server\r\n").decode()
    return said.split("run_id:")[1][:8]


async def test_published_invalidations_are_heard(
    listening: tuple[LocalTier, list[Heard]], valkey_server: ValkeyServer
) -> None:
    tier, heard = listening
    place = namespace_of_server(valkey_server)
    assert keep(tier, 1, namespace=place)
    say(valkey_server, "PUBLISH", channel(place), message(KEY, 2, False))
    await until(lambda: bool(heard), "the message")

    assert heard == [Heard(KEY, 2, False)]
    assert tier.fresh(KEY) is None
    assert tier.trusted()


@pytest.mark.parametrize("event", ["killed", "rubbish"])
async def test_trouble_on_the_subscription_distrusts_and_begins_anew(
    listening: tuple[LocalTier, list[Heard]], valkey_server: ValkeyServer, event: str
) -> None:
    tier, _ = listening
    place = namespace_of_server(valkey_server)
    keep(tier, 1, namespace=place)
    await until(lambda: tier.fresh(KEY) is not None, "the copy")
    if event == "killed":
        assert say(valkey_server, "CLIENT", "KILL", "TYPE", "pubsub") == ":1"
    else:
        say(valkey_server, "PUBLISH", channel(place), "what?")
    await until(lambda: tier.fresh(KEY) is None, "distrust")
    await until(tier.trusted, "the heartbeat's return")

    assert tier.fresh(KEY) is None, "what was kept before the gap is never fresh again"
    assert tier.stale(KEY) is not None
    assert keep(tier, 2, namespace=place)
    assert tier.fresh(KEY) is not None


async def test_a_stopped_server_is_trusted_no_more_and_again_when_it_goes_on() -> None:
    with ValkeyServer() as server:
        tier = LocalTier()
        heartbeat = Heartbeat(server.url(), tier)
        heartbeat.start()
        await until(tier.trusted, "the first heartbeat")
        server.freeze()
        await until(lambda: not tier.trusted(), "the silence")
        server.thaw()
        await until(tier.trusted, "the heartbeat's return")
        await asyncio.to_thread(server.kill9)
        await until(lambda: not tier.trusted(), "the end")
        await asyncio.to_thread(server.start)
        await until(tier.trusted, "the new server")
        assert keep(tier, 1, namespace=namespace_of_server(server))
        heartbeat.stop()


async def test_a_busy_event_loop_does_not_silence_the_heartbeat(listening: tuple[LocalTier, list[Heard]]) -> None:
    """Overload must not switch the local tier off: nothing else then stands between it and the database."""
    tier, _ = listening
    trusted = 0
    for _ in range(20):
        sum(n * n for n in range(400_000))  # some 30 ms in which no other task of the loop gets a turn
        trusted += tier.trusted()

    assert trusted >= 15
