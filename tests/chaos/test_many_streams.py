"""Many streams in one process (P20): what each costs in memory, and that those who take nothing slow nobody.

Of times and memory, `make test` asserts bounds far away; the numbers of the row are for the long run.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from loadtests.bench import wire
from prefs.services.readings import PROMPT_S
from tests.chaos.grounds import Grounds, wait_until
from tests.chaos.stream import StreamReader
from tests.cli.launch import launching

pytestmark = pytest.mark.timeout(900)

MIB = 2**20
STREAM_BYTES_MAX = 256 * 1024
STALLED_BYTES_MAX = 50 * MIB
WARM = 20
READS_AT_ONCE = 20
CUT_S = 30.0  # P20
GIVE_UP_S = 120.0
LIVE_MAX = 1.2
BESIDE, OTHERS = 200, 20  # writes whose telling is timed, and others before each
STALLED = 200
RECEIVED_BYTES = 4096  # what the kernel keeps for a reader that takes nothing
EVENT_BYTES = 1024  # of one change, at most
SENT_BYTES = 2 * MIB  # what it keeps at least for one who is written to, before the application hears of it


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


# ---------------------------------------------------------------- the same


FOLLOWING, CHANGES = 8, 40


def costs(grounds: Grounds, count: int) -> tuple[float, float]:
    """Of each of a few changes of one guest whom so many streams follow: CPU milliseconds of the process, readings."""
    guest = grounds.guests[0]
    with ExitStack() as stack:
        links = [_begun(stack, grounds, guest) for _ in range(count)]
        before, made = cpu_s(grounds), grounds.metric("guestprefs_stream_readings_total")
        for number in range(CHANGES):
            assert grounds.prefer(guest, number % 2 + 1).status_code == 200
            for link in links:
                until_heard(link, b"event: change\n")
        spent, made = cpu_s(grounds) - before, grounds.metric("guestprefs_stream_readings_total") - made
    wait_until(lambda: grounds.metric("guestprefs_streams_open") == 0, "all to be gone")
    return spent / CHANGES * 1000, made / CHANGES


def cpu_s(grounds: Grounds) -> float:
    return sum(sum(worker.cpu_times()[:2]) for worker in grounds.server.workers())


def test_streams_of_a_guest_share_what_a_change_costs(tmp_path: Path) -> None:
    """Told by the product's own count, over a real server: eight streams cost hardly more readings than one."""
    with Grounds(tmp_path, guests=1) as grounds:
        _, made = costs(grounds, FOLLOWING)
    assert 1 <= made < FOLLOWING / 2


@pytest.mark.prove
def test_what_a_change_costs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Grounds(tmp_path, guests=1, environ={"GUESTPREFS_STREAMS_PER_CALLER": "64"}) as grounds:
        costs(grounds, 1)
        alone, _ = costs(grounds, 0)
        for count in (1, 10, 50):
            spent, made = costs(grounds, count)
            with capsys.disabled():
                print(  # noqa: T201 - the figures of this row
                    f"{count} streams of a guest: {spent - alone:.1f} ms of CPU a change beside the write, "
                    f"{(spent - alone) / count:.2f} ms each, {made:.2f} readings"
                )


# ---------------------------------------------------------------- slow ones


@dataclass
class Sleepers:
    """Readers who take nothing after the first bytes, and what became of them."""

    links: list[socket.socket]
    grown: int = 0
    cut_s: float = 0.0

    def watch(self, grounds: Grounds, before: int) -> None:
        """Until the server has none of them any more; the memory that it took meanwhile."""
        began, theirs = time.monotonic(), {link.getsockname()[1] for link in self.links}
        while theirs & {one.raddr.port for worker in grounds.server.workers() for one in connections(worker)}:
            self.grown = max(self.grown, resident(grounds) - before)
            assert time.monotonic() - began < GIVE_UP_S, "they are not cut"
            time.sleep(0.5)  # asked of the kernel: what the server is asked takes time from those who are timed
        self.cut_s = time.monotonic() - began


def connections(worker: psutil.Process) -> list[Any]:
    return [one for one in worker.net_connections("tcp") if one.raddr]


def stall(stack: ExitStack, grounds: Grounds, guests: Sequence[str], each: int) -> Sleepers:
    stalled = Sleepers([])
    for guest in guests:
        for _ in range(each):
            link = stack.enter_context(stream(grounds.server.port, guest, grounds.token_of(guest), RECEIVED_BYTES))
            assert link.recv(12) == b"HTTP/1.1 200"  # and nothing more from now on
            stalled.links.append(link)
    return stalled


def check_resumed(grounds: Grounds, guest: str, stalled: socket.socket) -> None:
    """Who was cut finds in the end that it was, and the next stream tells it what it missed."""
    stalled.settimeout(30)
    with contextlib.suppress(ConnectionResetError):
        while stalled.recv(65536):
            pass
    version = grounds.read(guest).json()["version"]
    with stream(grounds.server.port, guest, grounds.token_of(guest)) as again:
        until_heard(again, b'"version":%d,' % version)


def test_the_kernel_cuts_who_takes_nothing(tmp_path: Path) -> None:
    """Long before its buffers are full. Whoever reads, however slowly, stays."""
    launch = launching("tests.chaos.hasty:create_stalled")
    with ExitStack() as stack:
        grounds = stack.enter_context(Grounds(tmp_path, guests=2, launch=launch))
        follower = _begun(stack, grounds, grounds.guests[0])
        stalled = stall(stack, grounds, grounds.guests[1:], 4)
        wait_until(lambda: grounds.metric("guestprefs_streams_open") == 5, "the streams")
        over, written = threading.Event(), list[int]()

        def write() -> None:
            while not over.is_set():
                for guest in grounds.guests:
                    assert grounds.prefer(guest, len(written) % 2 + 1).status_code == 200
                written.append(1)

        with ThreadPoolExecutor(1) as beside:
            writing = beside.submit(write)
            try:
                stalled.watch(grounds, resident(grounds))
            finally:
                over.set()
            writing.result()
        assert len(written) * EVENT_BYTES < SENT_BYTES, "the kernel had no room left for them"
        until_heard(follower, b"id: ")
        check_resumed(grounds, grounds.guests[1], stalled.links[0])


def test_what_a_slow_reader_did_not_take_is_read_again(tmp_path: Path) -> None:
    """The server gives back what it had no room for: it is not sent later as it was, and nothing comes out of order."""
    changes = 200  # fewer than a listener may be behind
    with ExitStack() as stack:
        launch = launching("tests.chaos.hasty:create_narrow")
        grounds = stack.enter_context(Grounds(tmp_path, guests=1, launch=launch))
        (slow,) = stall(stack, grounds, grounds.guests, 1).links
        # A value comes again after a while, but the last: nothing is told of what is as it was told before.
        for value in [*(number % 100 for number in range(changes - 1)), 100]:
            version = grounds.prefer(grounds.guests[0], value).json()["version"]
        time.sleep(2 * PROMPT_S)
        heard = until_heard(slow, b'"version":%d,' % version)
        versions = [int(one) for one in re.findall(rb'"version":(\d+),', heard)]
        assert grounds.metric("guestprefs_stream_events_read_again_total") >= 1

    assert versions == sorted(set(versions)) and len(versions) < changes


@pytest.mark.prove
def test_p20_200_slow_readers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """200 guests with a stalled reader each are written to until all are cut; somebody else follows a guest, and is
    told as soon as when nobody else listens."""
    ratios = list[float]()
    for number in range(3):
        with ExitStack() as stack:
            folder = tmp_path / str(number)
            folder.mkdir()
            grounds = stack.enter_context(Grounds(folder, guests=1 + STALLED))
            watched, *others = grounds.guests
            alone = asyncio.run(_told(grounds, watched, others))
            before = resident(grounds)
            stalled = stall(stack, grounds, others, 1)
            wait_until(lambda grounds=grounds: grounds.metric("guestprefs_streams_open") == STALLED, "the streams")
            with ThreadPoolExecutor(1) as beside:
                watching = beside.submit(stalled.watch, grounds, before)
                found = asyncio.run(_told(grounds, watched, others))
                watching.result()
            check_resumed(grounds, others[0], stalled.links[0])
        ratios.append(_at(found, 0.99) / _at(alone, 0.99))
        told = [f"p50 {_at(one, 0.5):.1f} ms, p99 {_at(one, 0.99):.1f} ms" for one in (alone, found)]
        with capsys.disabled():
            print(  # noqa: T201 - the figures of this row
                f"{STALLED} stalled readers cut within {stalled.cut_s:.1f} s; +{stalled.grown / MIB:.1f} MiB; a live"
                f" reader is told in {told[0]} without them, {told[1]} beside them ({ratios[-1]:.2f}x)"
            )
        assert stalled.grown < STALLED_BYTES_MAX
        assert stalled.cut_s <= CUT_S
    assert min(ratios) <= LIVE_MAX, ratios


async def _told(grounds: Grounds, watched: str, others: Sequence[str]) -> list[float]:
    """Milliseconds from sending a write to its telling, each after writes to some of the others in turn."""
    live, found = StreamReader(grounds.token_of(watched), {"guest": watched}), []
    reading = asyncio.ensure_future(live.read(grounds.server.url))
    await live.until(lambda: live.events, "the snapshot")
    for number in range(BESIDE):
        for turn in range(number * OTHERS, (number + 1) * OTHERS):
            await asyncio.to_thread(grounds.prefer, others[turn % len(others)], number % 90 + 1)
        sent = time.monotonic()
        written = await asyncio.to_thread(grounds.prefer, watched, number % 90 + (1 if number % 2 else 3))
        version = written.json()["version"]
        await live.until(lambda version=version: live.last_versions()[watched] >= version, "the change")
        found.append((live.told_at[-1] - sent) * 1000)
    reading.cancel()
    await asyncio.wait((reading,))
    return found


def _at(found: Sequence[float], share: float) -> float:
    return sorted(found)[min(len(found) - 1, int(share * len(found)))]
