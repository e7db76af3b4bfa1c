"""FENCE and LEASE step by step on a real server: who may fill, what a fence forbids, what a late step can still do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from prefs.cache.breaker import Breaker
from prefs.cache.codec import encode
from prefs.cache.keys import names, namespace_of
from prefs.cache.lines import Lines, SharedUnavailable
from prefs.cache.sealing import Seal
from prefs.cache.shared import BUSY, COLD, FENCED, FOUND, GRANTED, LEASE_MS, SharedTier
from prefs.core.entries import Document
from tests.cache.conftest import SEAL_KEY
from tests.cache.watched import until
from tests.servers import ValkeyServer
from tests.store.samples import NOW, entry

KEY = "g:gst_1"


def document(version: int) -> Document:
    return Document("gst_1", version, (entry("prf_a"),), (), (), "Ann", NOW, NOW)


def open_tier(url: str, cold_guard_s: float = 0, key: bytes = SEAL_KEY) -> SharedTier:
    return SharedTier(Lines(url, Breaker(time.monotonic), cold_guard_s=cold_guard_s), Seal(key))


@pytest.fixture
async def tier(valkey_url: str) -> AsyncIterator[SharedTier]:
    tier = open_tier(valkey_url)
    yield tier
    await tier.close()


def say(server: ValkeyServer, *words: str) -> str:
    """A command, and the reply as it came."""
    command = f"*{len(words)}\r\n" + "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in words)
    return server.ask(command.encode()).decode(errors="replace").strip()


async def fill(tier: SharedTier, token: str, version: int) -> bool:
    namespace = (await tier.look([KEY])).namespace
    value = document(version) if version else None
    return (await tier.fill(namespace, [(KEY, token, version, encode("g", value))]))[0]


async def ask(tier: SharedTier) -> tuple[str, str]:
    lease = (await tier.lease([KEY])).leases[KEY]
    return lease.outcome, lease.token


async def cached_version(tier: SharedTier) -> int | None:
    hit = (await tier.look([KEY])).hits.get(KEY)
    return None if hit is None else hit.version


async def test_one_who_misses_may_fill_and_the_others_wait(tier: SharedTier) -> None:
    first, token = await ask(tier)
    second, _ = await ask(tier)

    assert (first, second) == (GRANTED, BUSY)
    assert await fill(tier, token, 1)
    assert (await tier.look([KEY])).hits[KEY].value == document(1)
    assert (await ask(tier))[0] == FOUND


async def test_a_lease_fills_once(tier: SharedTier) -> None:
    _, token = await ask(tier)

    assert await fill(tier, token, 1)
    assert not await fill(tier, token, 2)
    assert await cached_version(tier) == 1


async def test_a_fence_takes_entry_and_lease_and_refuses_fills(tier: SharedTier) -> None:
    _, token = await ask(tier)
    await fill(tier, token, 1)
    await tier.forget([KEY])
    _, late = await ask(tier)
    await tier.fence("writer", [KEY], purge=False)

    assert await cached_version(tier) is None
    assert (await ask(tier))[0] == FENCED
    assert not await fill(tier, late, 1)


async def test_a_lease_of_before_a_write_fills_nothing_after_it(tier: SharedTier) -> None:
    _, late = await ask(tier)
    await tier.fence("writer", [KEY], purge=False)
    await tier.unfence([("writer", KEY, 2, False)])

    assert not await fill(tier, late, 1)
    outcome, token = await ask(tier)
    assert outcome == GRANTED
    assert await fill(tier, token, 2)


async def test_the_fence_stands_until_the_last_writer_is_done(tier: SharedTier) -> None:
    await tier.fence("one", [KEY], purge=False)
    await tier.fence("two", [KEY], purge=False)
    await tier.unfence([("one", KEY, 2, False)])

    assert (await ask(tier))[0] == FENCED
    await tier.unfence([("two", KEY, 3, False)])
    assert (await ask(tier))[0] == GRANTED


async def test_lifting_a_fence_that_is_gone_invalidates(tier: SharedTier) -> None:
    """It may have expired, or never arrived: entries and leases of meanwhile prove nothing."""
    _, token = await ask(tier)
    await fill(tier, token, 1)
    await tier.unfence([("nobody", KEY, 2, False)])
    assert await cached_version(tier) is None

    _, token = await ask(tier)
    await tier.unfence([("nobody", KEY, 2, False)])
    assert not await fill(tier, token, 1)


async def test_the_fence_of_a_dead_writer_ends_by_itself(tier: SharedTier, valkey_server: ValkeyServer) -> None:
    await tier.fence("dead", [KEY], purge=False)
    namespace = (await tier.look([KEY])).namespace
    fences = names(namespace, KEY).fences
    assert say(valkey_server, "TTL", fences) == ":-1", "an evictable fence protects nothing"
    assert (await ask(tier))[0] == FENCED

    say(valkey_server, "HSET", fences, "dead", "1")  # as if its deadline had passed

    assert (await ask(tier))[0] == GRANTED
    assert say(valkey_server, "EXISTS", fences) == ":0"


async def test_a_lease_of_a_dead_reader_ends_by_itself(tier: SharedTier, valkey_server: ValkeyServer) -> None:
    await ask(tier)
    lease = names((await tier.look([KEY])).namespace, KEY).lease

    left_ms = int(say(valkey_server, "PTTL", lease).removeprefix(":"))

    assert 0 < left_ms <= LEASE_MS


async def test_that_there_is_no_such_guest_is_remembered_briefly(tier: SharedTier, valkey_server: ValkeyServer) -> None:
    _, token = await ask(tier)
    await fill(tier, token, 0)
    found = await tier.look([KEY])

    assert (found.hits[KEY].value, found.hits[KEY].version) == (None, 0)
    assert 0 < int(say(valkey_server, "PTTL", names(found.namespace, KEY).entry).removeprefix(":")) <= 5500


async def test_nothing_is_filled_soon_after_a_start(valkey_url: str) -> None:
    """Writers may have lost their fences with the server that was before."""
    careful = open_tier(valkey_url, cold_guard_s=1e9)
    outcome, token = await ask(careful)

    assert outcome == COLD
    await asyncio.sleep(0.01)
    assert not await fill(careful, token, 1)
    await careful.close()


async def test_a_restarted_server_has_another_namespace() -> None:
    with ValkeyServer() as server:
        tier = open_tier(server.url())
        before = await tier.look([KEY])
        _, token = await ask(tier)
        await asyncio.to_thread(server.kill9)
        await asyncio.to_thread(server.start)
        after = await tier.look([KEY])

        run_id = next(line for line in server.ask(b"INFO server\r\n").decode().split() if line.startswith("run_id:"))
        assert after.namespace == namespace_of(run_id.removeprefix("run_id:")) != before.namespace
        assert not (await tier.fill(before.namespace, [(KEY, token, 1, b"")]))[0]
        await tier.close()


async def test_scripts_that_were_flushed_are_loaded_anew(tier: SharedTier, valkey_server: ValkeyServer) -> None:
    await ask(tier)
    say(valkey_server, "SCRIPT", "FLUSH")

    with pytest.raises(SharedUnavailable):
        await ask(tier)
    assert (await ask(tier))[0] == BUSY


async def test_an_entry_sealed_with_another_key_is_no_hit(tier: SharedTier, valkey_url: str) -> None:
    _, token = await ask(tier)
    await fill(tier, token, 1)
    other = open_tier(valkey_url, key=bytes(32))

    found = await other.look([KEY])

    assert (found.hits, found.broken) == ({}, [KEY])
    await other.close()


async def test_connections_closed_by_the_server_cost_no_call(tier: SharedTier, valkey_server: ValkeyServer) -> None:
    await ask(tier)
    say(valkey_server, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    await until(lambda: "cmd=mget" not in say(valkey_server, "CLIENT", "LIST"), "the kill")
    await asyncio.sleep(0.05)

    assert (await ask(tier))[0] == BUSY


async def test_replies_never_go_to_another_caller(tier: SharedTier, valkey_server: ValkeyServer) -> None:
    """Exchanges given up in the middle take their connections with them."""
    for number in range(8):
        name = f"g:gst_{number}"
        lease = (await tier.lease([name])).leases[name]
        namespace = (await tier.look([name])).namespace
        payload = encode("g", Document(f"gst_{number}", number + 1))
        await tier.fill(namespace, [(name, lease.token, number + 1, payload)])
    wrong = answered = 0

    async def reader(number: int) -> None:
        nonlocal wrong, answered
        for turn in range(25):
            key = f"g:gst_{(number + turn) % 8}"
            task = asyncio.ensure_future(tier.look([key]))
            for _ in range(turn % 7):
                await asyncio.sleep(0)
            if turn % 3 == 0:
                task.cancel()
            try:
                found = await task
            except (asyncio.CancelledError, SharedUnavailable):
                continue
            answered += 1
            wrong += found.hits[key].value.guest != key[2:]

    await asyncio.gather(*(reader(number) for number in range(16)))

    assert wrong == 0
    assert answered > 100
