"""Erased during traffic, a guest is nowhere: not in a table, not in Redis, not in the memory of a worker, not in a log.

What a guest said is marked with a canary, which is then looked for byte by byte. Memory that a process has freed still
shows what it held until it is used again, which nobody can help; so these servers run with an allocator that overwrites
what is freed, and what is found is what is still held.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import psutil
import pytest
import redis
from sqlalchemy import text

from prefs.store.engines import Outcome, parse
from prefs.store.runners import open_runner
from prefs.store.tables import Row
from tests.chaos.grounds import PROPERTY, Grounds
from tests.cli.served import bearer
from tests.servers import run_anywhere

ONLINE_S = 60.0
# Python's own allocator keeps freed small objects as they were; glibc's overwrites what is freed when it is told to.
SCRUBBED = {"PYTHONMALLOC": "malloc", "MALLOC_PERTURB_": "165", "LOG_LEVEL": "info"}
CHUNK = 2**24
NOBODY_BYTES = 64  # version, nonce, tag, and next to nothing inside
_WRITABLE = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) rw")


@dataclass
class Guest:
    """One who said a canary wherever anything can be said."""

    grounds: Grounds
    number: int
    id: str = ""
    acknowledged_at: float = 0.0
    told_late: list[str] = field(default_factory=list)

    @property
    def canary(self) -> str:
        return f"canary{self.number:04d}q7x"

    @property
    def token(self) -> dict[str, str]:
        return bearer(self.grounds.token_of(self.id))

    def settle(self) -> None:
        http, service = self.grounds.http, bearer(self.grounds.service)
        known = [{"system": "loyalty", "id": self.canary}]
        made = http.post("/v1/guests", json={"display_name": self.canary, "identifiers": known}, headers=service)
        self.id = made.json()["guest"]
        stay = {"guest": self.id, "property": PROPERTY, "room": "1", "status": "in_house"}
        stay |= {"arrival": "2026-01-01T00:00:00Z", "departure": "2099-01-01T00:00:00Z"}
        assert http.put(f"/v1/stays/stay-{self.canary}", json=stay, headers=service).status_code == 200
        for key in ("a", "b", "c"):
            headers = {**self.token, "idempotency-key": key}
            assert http.patch(self._path, json=self._said(key), headers=headers).status_code == 200

    def _said(self, what: str) -> dict[str, object]:
        return {"comms.addressed_as": {"name": f"{self.canary} {what}"}}

    @property
    def _path(self) -> str:
        return f"/v1/guests/{self.id}/preferences"

    def use(self, http: httpx2.Client, turn: int) -> None:
        """A read or a write, on whichever worker takes the connection."""
        asked_at, acknowledged_at = time.monotonic(), self.acknowledged_at
        headers = {**self.token, **({"cache-control": "no-cache"} if turn % 5 == 0 else {})}
        if turn % 3 == 0:
            answer = http.patch(self._path, json=self._said(str(turn)), headers=headers)
        elif turn % 7 == 0:
            answer = http.get(f"/v1/guests/{self.id}/export", headers=headers)
        else:
            answer = http.get(self._path, headers=headers)
        if acknowledged_at and asked_at > acknowledged_at and self.canary in answer.text:
            self.told_late.append(f"{answer.request.method} {answer.status_code}")

    def erase(self) -> None:
        answer = self.grounds.http.delete(f"/v1/guests/{self.id}", headers=self.token)
        self.acknowledged_at = time.monotonic()
        assert answer.status_code == 200, answer.text
        assert answer.json()["copies"]["everywhere"] is True


def tables(url: str, needles: list[str]) -> list[str]:
    runner = open_runner(parse(url))

    def look(connection: object) -> Outcome[list[str]]:
        found = []
        for table in Row.metadata.sorted_tables:
            rows = repr(connection.execute(text(f'SELECT * FROM "{table.name}"')).all())  # type: ignore[attr-defined]
            found += [f"{table.name}: {needle}" for needle in needles if needle in rows]
        return Outcome(found, keep=False)

    async def ask() -> list[str]:
        try:
            return await runner.run(look)
        finally:
            await runner.close()

    return run_anywhere(ask)


def shared(url: str, ids: list[str]) -> list[str]:
    """Keys of Redis that hold anything about these guests. Values are sealed: how long one is tells it from the copy
    that says "nobody", which whoever asks for an erased guest leaves behind."""
    with redis.Redis.from_url(url) as server:
        about = [key for key in server.scan_iter(_type="STRING") if any(one.encode() in key for one in ids)]
        return [key.decode() for key in about if len(server.get(key) or b"") > NOBODY_BYTES]


def memory(process: psutil.Process, needles: list[str]) -> list[str]:
    """Which needles a process holds in memory it can write."""
    wanted, found = [needle.encode() for needle in needles], set[bytes]()
    maps = Path(f"/proc/{process.pid}/maps").read_text(encoding="ascii", errors="replace").splitlines()
    with Path(f"/proc/{process.pid}/mem").open("rb", buffering=0) as file:
        for line in maps:
            if not (area := _WRITABLE.match(line)):
                continue
            at, end = (int(edge, 16) for edge in area.groups())
            while at < end:
                size = min(CHUNK, end - at)
                try:
                    file.seek(at)
                    held = file.read(size)
                except OSError:
                    break  # gone, or not to be read
                found |= {needle for needle in wanted if needle in held}
                at += size
    return sorted(needle.decode() for needle in found)


@contextmanager
def traffic(grounds: Grounds, guests: list[Guest], clients: int) -> Iterator[Callable[[], int]]:
    over, turns = threading.Event(), [0] * clients

    def go(number: int) -> None:
        while not over.is_set():
            with httpx2.Client(base_url=grounds.server.url, timeout=15) as http:  # a new connection, any worker
                for guest in guests:
                    turns[number] += 1
                    guest.use(http, turns[number])
                    grounds.read(grounds.guests[turns[number] % len(grounds.guests)])

    threads = [threading.Thread(target=go, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield lambda: sum(turns)
    finally:
        over.set()
        for thread in threads:
            thread.join()


def wait_for(enough: Callable[[], bool], limit_s: float = ONLINE_S) -> bool:
    until = time.monotonic() + limit_s
    while not enough():
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
    return True


def erase_during_traffic(grounds: Grounds, count: int, turns: int) -> None:
    guests = [Guest(grounds, number) for number in range(count)]
    for guest in guests:
        guest.settle()
    names, ids = [guest.canary for guest in guests], [guest.id for guest in guests]
    with traffic(grounds, guests, 3) as turned:
        assert wait_for(lambda: turned() >= turns)
        workers = grounds.server.workers()
        assert len(workers) == 2
        held = [set(memory(worker, names)) for worker in workers]
        assert wait_for(lambda: shared(grounds.valkey.url(), ids) != [])
        assert all(held), "every worker held something, or this proves nothing"
        for guest in guests:
            guest.erase()
        before = turned()
        assert wait_for(lambda: turned() >= before + turns)
    assert [guest.told_late for guest in guests] == [[]] * count
    assert tables(grounds.postgres.url("chaos"), names + ids) == []
    assert shared(grounds.valkey.url(), ids) == []
    log = grounds.server.output()
    assert [needle for needle in names + ids if needle in log] == []
    for guest in guests:
        again = grounds.http.delete(f"/v1/guests/{guest.id}", headers=guest.token)
        assert (again.status_code, again.content) == (204, b"")


def test_erased_during_traffic_a_guest_is_nowhere(tmp_path: Path) -> None:
    with Grounds(tmp_path, guests=4, workers=2, environ=SCRUBBED) as grounds:
        erase_during_traffic(grounds, count=2, turns=60)


@pytest.mark.prove
def test_erased_during_much_traffic_guests_are_nowhere(tmp_path: Path) -> None:
    with Grounds(tmp_path, guests=50, workers=2, environ=SCRUBBED) as grounds:
        erase_during_traffic(grounds, count=40, turns=4000)
