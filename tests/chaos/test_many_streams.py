"""Many streams in one process (P20): what each costs in memory, and that those who take nothing slow nobody.

Times and memory are printed and judged by who runs this; what is asserted is counted, but for bounds far away.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from loadtests.bench import wire
from tests.chaos.grounds import Grounds, wait_until
from tests.chaos.stream import StreamReader

pytestmark = pytest.mark.timeout(900)

MIB = 2**20
STREAM_BYTES_MAX = 256 * 1024
STALLED_BYTES_MAX = 50 * MIB
WARM = 20
READS_AT_ONCE = 20
CUT_S = 180.0
BESIDE = 60  # writes whose telling is timed


def resident(grounds: Grounds) -> int:
    return sum(worker.memory_info().rss for worker in grounds.server.workers())


def stream(port: int, guest: str, token: str, buffer: int = 0) -> socket.socket:
    link = socket.socket()
    if buffer:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    link.connect(("127.0.0.1", port))
    link.sendall(wire.request(f"/v1/changes?guest={guest}", token=token).as_bytes())
    return link


def until_heard(link: socket.socket, words: bytes) -> bytes:
    link.settimeout(90)
    heard = b""
    while words not in heard:
        part = link.recv(65536)
        assert part, heard
        heard += part
    return heard


# ---------------------------------------------------------------- many


def many(folder: Path, count: int) -> tuple[int, int, int]:
    """Open so many, have every one of them tell an edit, end them; bytes of the process before, while they were open,
    and after."""
    with ExitStack() as stack:
        grounds = stack.enter_context(Grounds(folder, guests=count))
        port, guests = grounds.server.port, grounds.guests
        links = [_begun(stack, grounds, guest) for guest in guests[:WARM]]
        before = resident(grounds)
        links += [_begun(stack, grounds, guest) for guest in guests[WARM:]]
        assert grounds.metric("guestprefs_streams_open") == count and port
        opened = resident(grounds)
        for begin in range(0, count, READS_AT_ONCE):
            some = range(begin, min(begin + READS_AT_ONCE, count))
            for number in some:
                assert grounds.prefer(guests[number], 99 - number % 50).status_code == 200
            for number in some:
                assert b'"changed":["lighting.brightness"]' in until_heard(links[number], b"event: change\n")
        for link in links:
            link.close()
        wait_until(lambda: grounds.metric("guestprefs_streams_open") == 0, "all to be gone")
        assert grounds.metric("guestprefs_feed_listeners") == 0
        assert grounds.metric("guestprefs_streams_ended_total", why="left") == count
        return before, opened, resident(grounds)


def _begun(stack: ExitStack, grounds: Grounds, guest: str) -> socket.socket:
    link = stack.enter_context(stream(grounds.server.port, guest, grounds.token_of(guest)))
    until_heard(link, b"event: snapshot\n")
    return link


def test_every_stream_of_many_tells_and_is_let_go(tmp_path: Path) -> None:
    before, opened, _ = many(tmp_path, 60)
    assert opened - before < 60 * STREAM_BYTES_MAX


@pytest.mark.prove
def test_2000_streams_in_one_process(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    count = 2000
    before, opened, after = many(tmp_path, count)
    with capsys.disabled():
        print(  # noqa: T201 - the figures of this row
            f"{count} streams of as many guests: {(opened - before) / (count - WARM) / 1024:.1f} KiB each"
            f" of resident memory ({before / MIB:.0f} MiB with {WARM}, "
            f"{opened / MIB:.0f} MiB with all, {after / MIB:.0f} MiB without)"
        )
    assert opened - before < count * STREAM_BYTES_MAX


# ---------------------------------------------------------------- slow ones


@pytest.mark.prove
def test_p20_200_slow_readers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """20 guests with ten stalled readers each are written to until all are cut; somebody else follows a guest."""
    with ExitStack() as stack:
        environ = {"GUESTPREFS_STREAMS_PER_CALLER": "100"}
        grounds = stack.enter_context(Grounds(tmp_path, guests=21, environ=environ))
        watched, *others = grounds.guests
        alone = asyncio.run(_told(grounds, watched, ()))
        before = resident(grounds)
        for guest in others:
            for _ in range(10):
                link = stack.enter_context(stream(grounds.server.port, guest, grounds.token_of(guest), 4096))
                assert link.recv(12) == b"HTTP/1.1 200"  # and nothing more from now on
        wait_until(lambda: grounds.metric("guestprefs_streams_open") == 200, "the streams")
        began, beside, grown = time.monotonic(), list[float](), 0
        while grounds.metric("guestprefs_streams_open") > 0 and time.monotonic() - began < CUT_S:
            beside += asyncio.run(_told(grounds, watched, others))
            grown = max(grown, resident(grounds) - before)
        ways = {why: grounds.metric("guestprefs_streams_ended_total", why=why) for why in ("slow", "left", "told")}
        told = [f"p50 {_at(found, 0.5):.1f} ms, p99 {_at(found, 0.99):.1f} ms" for found in (alone, beside)]
        with capsys.disabled():
            print(  # noqa: T201 - the figures of this row
                f"{ways} of 200 after {time.monotonic() - began:.0f} s; +{grown / MIB:.1f} MiB; a live"
                f" reader is told in {told[0]} alone, {told[1]} beside them"
            )
        assert sum(ways.values()) - ways["left"] == 200, ways
        assert grown < STALLED_BYTES_MAX


async def _told(grounds: Grounds, watched: str, others: Sequence[str]) -> list[float]:
    """Milliseconds from sending a write to its telling, each after one write to each of the others."""
    live, found = StreamReader(grounds.token_of(watched), {"guest": watched}), []
    reading = asyncio.ensure_future(live.read(grounds.server.url))
    await live.until(lambda: live.events, "the snapshot")
    for number in range(BESIDE):
        for guest in others:
            await asyncio.to_thread(grounds.prefer, guest, number + 1)
        sent = time.monotonic()
        written = await asyncio.to_thread(grounds.prefer, watched, number + 1 if number % 2 else number + 3)
        version = written.json()["version"]
        await live.until(lambda version=version: live.last_versions()[watched] >= version, "the change")
        found.append((live.told_at[-1] - sent) * 1000)
    reading.cancel()
    await asyncio.wait((reading,))
    return found


def _at(found: Sequence[float], share: float) -> float:
    return sorted(found)[min(len(found) - 1, int(share * len(found)))]
