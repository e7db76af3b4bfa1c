"""P13 over HTTP: whatever is written anywhere reaches every stream everywhere, in each guest's order, however often
streams are cut. Versions told never go back, and what is told at a version is what was written at it."""

from __future__ import annotations

import asyncio
import random
import signal
import socket
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from loadtests.bench import wire
from prefs.bootstrap import SystemClock
from prefs.core.callers import ALL_GUESTS, Role
from tests.chaos.grounds import KEY, PROPERTY, Grounds, wait_until
from tests.chaos.stream import StreamReader
from tests.cli.launch import launching
from tests.cli.served import Served, bearer, guestprefs
from tests.histories.trio import Trio

# Starts servers of its own; on a machine that does everything else beside this, that takes a while.
pytestmark = pytest.mark.timeout(300)

GUESTS = 4
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


class Writers:
    """Write now here, now there, each guest by one hand; `written` is what was acknowledged, by guest and version."""

    def __init__(self, urls: Sequence[str], tokens: dict[str, str]) -> None:
        self.urls, self.tokens = urls, tokens
        self.written: dict[str, dict[int, int]] = {guest: {} for guest in tokens}
        self.stop = False

    async def write(self, guest: str, chance: random.Random) -> None:
        async with httpx2.AsyncClient(timeout=30) as http:
            while not self.stop:
                value = chance.randrange(1, 99)
                answer = await http.patch(
                    f"{chance.choice(self.urls)}/v1/guests/{guest}/preferences",
                    json={KEY: value},
                    headers=bearer(self.tokens[guest]),
                )
                assert answer.status_code == 200, answer.text
                self.written[guest][answer.json()["version"]] = value
                await asyncio.sleep(chance.uniform(0, 0.02))


async def cut_and_come_back(reader: StreamReader, urls: Sequence[str], cuts: int, chance: random.Random) -> None:
    """Cut by the clock, wherever that finds the stream, or after it told a few things more."""
    for number in range(cuts):
        reading = asyncio.ensure_future(reader.read(chance.choice(urls)))
        if number % 2:
            await asyncio.sleep(chance.uniform(0.02, 0.4))
        else:
            enough = len(reader.events) + chance.randrange(1, 9)
            await reader.until(lambda enough=enough: len(reader.events) >= enough, "something more")
        reading.cancel()
        with suppress(asyncio.CancelledError, httpx2.TransportError):
            await reading


def is_complete(reader: StreamReader, writers: Writers) -> bool:
    return all(reader.versions(guest)[-1:] == [max(of, default=1)] for guest, of in writers.written.items() if of)


async def flap(urls: Sequence[str], service: str, tokens: dict[str, str], cuts: int, seed: int) -> list[str]:
    """Readers of the property and of single guests, cut at random, while everybody writes; what was wrong."""
    chance = random.Random(seed)
    writers = Writers(urls, tokens)
    readers = [StreamReader(service, {"property": PROPERTY}) for _ in range(2)]
    writing = [asyncio.ensure_future(writers.write(guest, random.Random(seed + n))) for n, guest in enumerate(tokens)]
    share = cuts // len(readers)
    await asyncio.gather(
        *(cut_and_come_back(reader, urls, share, random.Random(chance.random())) for reader in readers)
    )
    writers.stop = True
    await asyncio.gather(*writing)
    for reader in readers:  # what was written since the last cut
        reading = asyncio.ensure_future(reader.read(urls[0]))
        await reader.until(lambda reader=reader: is_complete(reader, writers), "the end")
        reading.cancel()
        await asyncio.wait((reading,))
    return [fault for reader in readers for fault in faults_of(reader, writers)]


def faults_of(reader: StreamReader, writers: Writers) -> list[str]:
    faults = []
    for guest, written in writers.written.items():
        versions = reader.versions(guest)
        if versions != sorted(versions):
            faults.append(f"{guest}: told in the order {versions}")
        if versions[-1] != max(written):
            faults.append(f"{guest}: last told {versions[-1]}, written {max(written)}")
    for body in reader.bodies():
        value = writers.written[body["guest"]].get(body["version"])
        told = body["preferences"].get(KEY, {}).get("value")
        if value is not None and told != value:
            faults.append(f"{body['guest']}: {told} told at version {body['version']}, {value} written")
    return faults


def test_20_cuts_lose_nothing_between_three_processes(tmp_path: Path, postgres_url: str) -> None:
    assert guestprefs(tmp_path, "migrate", environ={"DATABASE_URL": postgres_url}).returncode == 0
    with Trio(tmp_path, postgres_url) as trio:
        assert _flap_trio(trio, 20, 13) == []
        heard = [sum(v for name, v in trio.measured(n).items() if "feed_events_total" in name) for n in range(3)]
    assert sum(heard) > 0, heard


@pytest.mark.prove
@pytest.mark.timeout(600)
def test_p13_at_its_cuts(tmp_path: Path, postgres_url: str) -> None:
    assert guestprefs(tmp_path, "migrate", environ={"DATABASE_URL": postgres_url}).returncode == 0
    with Trio(tmp_path, postgres_url) as trio:
        trio.make_late()
        assert _flap_trio(trio, 200, 14) == []


def _flap_trio(trio: Trio, cuts: int, seed: int) -> list[str]:
    urls = [worker.url for worker in trio.workers]
    service = trio.token(Role.SERVICE, "guest_app", "pms", permissions=[ALL_GUESTS])
    guests = trio.make_guests(GUESTS)
    check_in(urls[0], trio.operator_token(), service, guests)
    return asyncio.run(flap(urls, service, {guest: trio.guest_token(guest) for guest in guests}, cuts, seed))


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
        urls = [server.url for server in servers]
        tokens = {guest: people["of"](guest) for guest in guests}
        assert asyncio.run(flap(urls, people["service"], tokens, 6, 15)) == []


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
