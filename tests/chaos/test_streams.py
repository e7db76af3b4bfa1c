"""P13 over HTTP: whatever is written anywhere reaches every stream everywhere, in each guest's order, however often
streams are cut. Versions told never go back, and what is told at a version is what was written at it."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from loadtests.bench import wire
from prefs.bootstrap import SystemClock
from prefs.core.callers import ALL_GUESTS, Role
from tests.chaos.flapping import Writers, delays, flap
from tests.chaos.grounds import PROPERTY, Grounds, wait_until
from tests.chaos.stream import StreamReader
from tests.cli.launch import launching
from tests.cli.served import Served, bearer, guestprefs
from tests.histories.trio import Trio

# Starts servers of its own; on a machine that does everything else beside this, that takes a while.
pytestmark = pytest.mark.timeout(300)

GUESTS = 4
CHANGES = 50_000
STALLED = 10
GIVE_UP_S = 120.0


def check_in(url: str, operator: str, service: str, guests: Sequence[str]) -> None:
    """Everybody is in house at the one property."""
    now = SystemClock().now()
    with httpx2.Client(base_url=url, timeout=30) as http:
        hotel = {"name": "Dallas", "time_zone": "UTC"}
        assert http.put(f"/v1/properties/{PROPERTY}", json=hotel, headers=bearer(operator)).status_code < 300
        for number, guest in enumerate(guests):
            stay = {
                "guest": guest,
                "property": PROPERTY,
                "arrival": (now - timedelta(days=1)).isoformat(),
                "departure": (now + timedelta(days=2)).isoformat(),
                "room": f"12{number:02}",
                "status": "in_house",
            }
            put = http.put(f"/v1/stays/sty-{number}", json=stay, headers=bearer(service))
            assert put.status_code < 300, put.text


def test_cuts_and_a_killed_worker_lose_nothing_between_three_processes(tmp_path: Path, postgres_url: str) -> None:
    assert guestprefs(tmp_path, "migrate", environ={"DATABASE_URL": postgres_url}).returncode == 0
    with Trio(tmp_path, postgres_url) as trio:
        faults, _, writers = _flap_trio(trio, 20, 13, kills=1)
        heard = [sum(v for name, v in trio.measured(n).items() if "feed_events_total" in name) for n in range(3)]
    assert faults == []
    assert sum(heard) > 0 and writers.count > 0, heard


@pytest.mark.prove
@pytest.mark.timeout(900)
def test_p13_at_its_number(tmp_path: Path, postgres_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """50,000 changes, 200 cuts, and workers that are killed, while commits are late now and then."""
    assert guestprefs(tmp_path, "migrate", environ={"DATABASE_URL": postgres_url}).returncode == 0
    with Trio(tmp_path, postgres_url) as trio:
        trio.make_late()
        began = time.monotonic()
        faults, readers, writers = _flap_trio(trio, 200, 14, kills=3, enough=CHANGES, guests=24)
        took_s = time.monotonic() - began
    waits = delays(readers[2], writers)
    with capsys.disabled():
        print(  # noqa: T201 - the figures of this row
            f"{writers.count} changes in {took_s:.0f} s, {len(faults)} faults; told in"
            f" {[len(one.events) for one in readers]} events of {[len(one.statuses) for one in readers]} streams; from"
            f" acknowledgement to telling p50 {waits[len(waits) // 2]:.0f} ms, p99"
            f" {waits[len(waits) * 99 // 100]:.0f} ms, longest {waits[-1]:.0f} ms, with workers killed meanwhile"
        )
    assert faults == []
    assert writers.count >= CHANGES and len(waits) == writers.count


def _flap_trio(
    trio: Trio, cuts: int, seed: int, kills: int = 0, enough: int = 0, guests: int = GUESTS
) -> tuple[list[str], list[StreamReader], Writers]:
    urls = [worker.url for worker in trio.workers]
    service = trio.token(Role.SERVICE, "guest_app", "pms", permissions=[ALL_GUESTS])
    people = trio.make_guests(guests)
    check_in(urls[0], trio.operator_token(), service, people)
    writers = Writers(urls, {guest: trio.guest_token(guest) for guest in people})
    if enough:
        writers.enough, writers.pause_s = enough, 0.0

    async def run() -> tuple[list[str], list[StreamReader]]:
        return await flap(writers, service, cuts, seed, asyncio.ensure_future(_kill(trio, kills, writers)))

    return *asyncio.run(run()), writers


async def _kill(trio: Trio, kills: int, writers: Writers) -> None:
    """Workers die at once, one after the other; each is back before the next one goes."""
    for number in range(kills):
        before = writers.count
        async with asyncio.timeout(120):
            while writers.count < before + 20:  # noqa: ASYNC110 - others count
                await asyncio.sleep(0.01)
        process = trio.process(number % len(trio.workers))
        assert process is not None
        process.kill()
        await asyncio.to_thread(process.wait, 30)
        await asyncio.to_thread(trio.workers[number % len(trio.workers)].wait_until_ready)


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_without_redis_processes_hear_each_other_by_looking(
    tmp_path: Path, engine: str, request: pytest.FixtureRequest
) -> None:
    """Two servers that share nothing but the database."""
    environ = {"GUESTPREFS_CALLER_RATE": "0"}
    environ["DATABASE_URL"] = (
        request.getfixturevalue("postgres_url") if engine == "postgresql" else f"sqlite:///{tmp_path / 'g.db'}"
    )
    for words in (("keys",), ("migrate",)):
        assert guestprefs(tmp_path, *words, environ=environ).returncode == 0
    with ExitStack() as stack:
        servers = [Served(tmp_path, "--workers", "1", environ=environ) for _ in range(2)]
        for server in servers:
            stack.callback(server.close)
            server.start()
        people = _people(tmp_path)
        guests = _guests(servers[0].url, people["service"], 2)
        check_in(servers[0].url, people["operator"], people["service"], guests)
        writers = Writers([server.url for server in servers], {guest: people["of"](guest) for guest in guests})
        faults, _ = asyncio.run(flap(writers, people["service"], 6, 15))
        assert faults == []


def _people(folder: Path) -> dict[str, Any]:
    """Tokens signed with the key of this folder."""

    def token(role: str, *more: str) -> str:
        done = guestprefs(folder, "token", "--role", role, *more)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip().splitlines()[-1]

    return {
        "service": token("service", "--surface", "guest_app", "--permission", "guests.all"),
        "operator": token("operator", "--surface", "front_desk", "--permission", "guests.all"),
        "of": lambda guest: token("guest", "--guest", guest, "--surface", "guest_app"),
    }


def _guests(url: str, service: str, count: int) -> list[str]:
    with httpx2.Client(base_url=url, timeout=30, headers=bearer(service)) as http:
        return [http.post("/v1/guests", json={"display_name": f"Guest {n}"}).json()["guest"] for n in range(count)]


# ---------------------------------------------------------------- slow readers, many streams, the end


def _stalled(port: int, path: str, token: str) -> socket.socket:
    """A reader who asks and then takes nothing."""
    link = socket.socket()
    link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    link.connect(("127.0.0.1", port))
    link.sendall(wire.request(path, token=token).as_bytes())
    return link


def test_a_slow_reader_is_cut_and_slows_nobody(tmp_path: Path) -> None:
    environ = {"GUESTPREFS_STREAMS_PER_CALLER": "100"}
    with ExitStack() as stack:
        launch = launching("tests.chaos.hasty:create_app")
        grounds = stack.enter_context(Grounds(tmp_path, guests=1, environ=environ, launch=launch))
        path = f"/v1/changes?guest={grounds.guests[0]}"
        for _ in range(STALLED):
            stack.enter_context(_stalled(grounds.server.port, path, grounds.token_of(grounds.guests[0])))
        wait_until(lambda: grounds.metric("guestprefs_streams_open") == STALLED, "the streams")
        asyncio.run(_live_beside(grounds))


async def _live_beside(grounds: Grounds) -> None:
    """Somebody else follows every change while those who take nothing are cut one after the other."""
    guest = grounds.guests[0]
    live = StreamReader(grounds.token_of(guest), {"guest": guest})
    reading = asyncio.ensure_future(live.read(grounds.server.url))
    await live.until(lambda: live.events, "the snapshot")
    written, began = 1, time.monotonic()
    while grounds.metric("guestprefs_streams_open") > 1 and time.monotonic() - began < GIVE_UP_S:
        version = grounds.prefer(guest, written % 99).json()["version"]
        written += 1
        await live.until(lambda version=version: live.versions(guest)[-1] >= version, "the change")
    reading.cancel()
    await asyncio.wait((reading,))
    assert grounds.metric("guestprefs_streams_ended_total", why="slow") == STALLED, f"after {written} changes"


def test_streams_are_asked_to_leave_when_the_server_stops(tmp_path: Path) -> None:
    with Grounds(tmp_path, guests=3, environ={"DRAIN_DELAY": "1"}) as grounds:
        readers = [StreamReader(grounds.token_of(guest), {"guest": guest}) for guest in grounds.guests]
        process = grounds.server.process
        assert process is not None

        async def read() -> None:
            reading = [asyncio.ensure_future(reader.read(grounds.server.url)) for reader in readers]
            for reader in readers:
                await reader.until(lambda reader=reader: reader.events, "the snapshot")
            process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(asyncio.gather(*reading), 20)

        asyncio.run(read())
        code = process.wait(30)

    assert code == 0
    assert all(len(reader.retries_ms) == 2 and 500 <= reader.retries_ms[1] <= 5000 for reader in readers)


def test_a_caller_has_only_so_many_streams(tmp_path: Path) -> None:
    with Grounds(tmp_path, guests=1) as grounds:
        guest, url = grounds.guests[0], grounds.server.url
        readers = [StreamReader(grounds.token_of(guest), {"guest": guest}) for _ in range(9)]
        *first, last = readers

        async def read() -> None:
            reading = [asyncio.ensure_future(reader.read(url)) for reader in first]
            for reader in first:
                await reader.until(lambda reader=reader: reader.events, "the snapshot")
            await last.read(url)
            reading[0].cancel()
            await asyncio.wait((reading[0],))
            await last.until(lambda: grounds.metric("guestprefs_streams_open") == 7, "a free seat")
            again = asyncio.ensure_future(last.read(url))
            await last.until(lambda: last.events, "the snapshot")
            assert grounds.read(guest).status_code == 200
            for task in (*reading, again):
                task.cancel()
            await asyncio.wait((*reading, again))

        asyncio.run(read())
        assert last.statuses == [429, 200]
