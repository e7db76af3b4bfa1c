"""Erased during traffic, a guest is nowhere: not in a table, not in Redis, not in an object of a worker, not in a log;
nor in what streams and webhooks tell from then on, nor in the files of clients that were told of them.

What a guest said is marked with a canary, which is then looked for in everything that lives in the workers. Memory that
a process has freed shows what it held until it is used again; nobody can reach it from the process, and SECURITY.md
says so.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Protocol

import httpx2
import pytest
import redis
from sqlalchemy import text

from prefs.store.engines import Outcome, parse
from prefs.store.runners import open_runner
from prefs.store.tables import Row
from tests.chaos import holding
from tests.chaos.copies import CarelessStore
from tests.chaos.followers import NETWORKS, Followers
from tests.chaos.grounds import KEY, PROPERTY, Grounds
from tests.chaos.memory import memory
from tests.cli.launch import launching
from tests.cli.served import bearer
from tests.servers import run_anywhere

ONLINE_S = 60.0
TURNS_S = 240.0  # by when so much traffic should have been; erasure itself has ONLINE_S
LOUD = {"LOG_LEVEL": "info", **NETWORKS}
ENOUGH = 8  # of ten guests, on a machine that may do other things beside; of two, none may be erased at once
HELD_S = 20.0  # by then each process has looked three times for what it remembers of the erased
NOBODY_BYTES = 64  # version, nonce, tag, and next to nothing inside


def planted(application: str) -> tuple[str, ...]:
    return launching(f"tests.chaos.holding:{application}")


PRODUCT = planted("create_app")


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
        here = {"scope": f"stay:stay-{self.canary}"}
        assert http.patch(self._path, json={KEY: 40}, params=here, headers=self.token).status_code == 200

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
        copies = answer.json()["copies"]
        # 202 is the answer where Redis was too slow to be waited for: the guest is gone by then, not from now on.
        assert (answer.status_code, copies["everywhere"]) in ((200, True), (202, False)), answer.text
        self.acknowledged_at = time.monotonic() if copies["everywhere"] else 0.0


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


class Used(Protocol):
    def use(self, http: httpx2.Client, turn: int) -> None: ...


@contextmanager
def traffic(grounds: Grounds, guests: Sequence[Used], clients: int) -> Iterator[Callable[[], int]]:
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


def objects(grounds: Grounds, needles: list[str]) -> list[str]:
    """What living objects of the workers hold any of it."""
    said = holding.ask(grounds.folder, needles, [worker.pid for worker in grounds.server.workers()])
    return sorted({one for found in said.values() for one in found})


@dataclass(frozen=True, slots=True)
class Left:
    """Where something was found after guests were erased."""

    told: list[str]
    tables: list[str]
    shared: list[str]
    log: list[str]
    objects: list[str]
    streams: list[str]
    webhooks: list[str]
    clients: list[str]

    @property
    def places(self) -> set[str]:
        return {one.name for one in fields(self) if getattr(self, one.name)}


@dataclass(frozen=True, slots=True)
class Work:
    """How many guests are erased, reads and writes before and after that, guests whose clients have copies; for how
    long it is waited for everybody to hear of it and let go."""

    count: int
    turns: int
    after: int
    keepers: int
    patience_s: float = HELD_S


def left_after_erasing(grounds: Grounds, work: Work) -> Left:
    """Erase while so many reads and writes go on, and look everywhere; with none afterwards: erase in silence."""
    guests = [Guest(grounds, number) for number in range(work.count)]
    with Followers(grounds, guests, work.keepers) as followers:
        names, ids = [guest.canary for guest in guests], [guest.id for guest in guests]
        with traffic(grounds, guests, 3) as turned:
            assert wait_for(lambda: turned() >= work.turns, TURNS_S)
            workers = grounds.server.workers()
            assert len(workers) == 2
            assert all(memory(worker, names) for worker in workers), "every worker held something, or this is no proof"
            assert wait_for(lambda: shared(grounds.valkey.url(), ids) != [])
            followers.wait_until_told()
            followers.leave()
            if work.after:
                for guest in guests:
                    guest.erase()
                erased = sum(guest.acknowledged_at > 0 for guest in guests)
                assert erased >= work.count // 10 * ENOUGH, "too few erased at once"
                before = turned()
                assert wait_for(lambda: turned() >= before + work.after, TURNS_S)
        if not work.after:
            assert objects(grounds, names), "nothing lives in the workers"
            for guest in guests:
                guest.erase()
        followers.come_back()
        wait_for(followers.are_over, work.patience_s)
        return look_everywhere(grounds, guests, followers, work.patience_s)


def look_everywhere(grounds: Grounds, guests: list[Guest], followers: Followers, patience_s: float) -> Left:
    names, ids = [guest.canary for guest in guests], [guest.id for guest in guests]
    held: list[str] = []

    def let_go() -> bool:
        held[:] = objects(grounds, names)
        return not held

    wait_for(let_go, patience_s)
    for guest in guests:
        again = grounds.http.delete(f"/v1/guests/{guest.id}", headers=guest.token)
        assert (again.status_code, again.content) == (204, b"")
    log = grounds.server.output()
    return Left(
        told=[told for guest in guests for told in guest.told_late],
        tables=tables(grounds.postgres.url("chaos"), names + ids),
        shared=shared(grounds.valkey.url(), ids),
        log=[needle for needle in names + ids if needle in log],
        objects=held,
        streams=followers.streams.faults(),
        webhooks=followers.hooks.faults(),
        clients=followers.copies.faults(),
    )


SMALL, SILENT = Work(2, turns=60, after=60, keepers=2), Work(2, turns=60, after=0, keepers=1)
HASTY = replace(SILENT, patience_s=5.0)


def test_erased_during_traffic_a_guest_is_nowhere(tmp_path: Path) -> None:
    with Grounds(tmp_path, guests=4, workers=2, environ=LOUD, launch=PRODUCT) as grounds:
        left = left_after_erasing(grounds, SMALL)
    assert left.places == set(), left


@pytest.mark.prove
@pytest.mark.parametrize(
    ("fault", "work", "places"),
    [
        ("answers_left", SILENT, {"tables"}),
        ("tier_left", SILENT, {"objects"}),
        ("told_on", HASTY, {"streams", "webhooks", "tables", "clients", "objects"}),
    ],
    ids=("answers left", "tier left", "told on"),
)
def test_what_an_erasure_leaves_is_found(tmp_path: Path, fault: str, work: Work, places: set[str]) -> None:
    with Grounds(tmp_path, guests=4, workers=2, environ=LOUD, launch=planted(fault)) as grounds:
        left = left_after_erasing(grounds, work)
    assert left.places == places, left


def test_what_a_client_keeps_is_found(tmp_path: Path) -> None:
    with Grounds(tmp_path, guests=0, environ=LOUD) as grounds:
        guest = Guest(grounds, 0)
        with Followers(grounds, [guest], 1, CarelessStore) as followers:
            followers.copies.wait_until_told()
            followers.copies.leave()
            guest.erase()
            followers.copies.come_back()
            assert wait_for(followers.copies.are_over)
            left = followers.copies.faults()
    assert len(left) >= 3 and all("python" in one and "holds" in one for one in left), left


@pytest.mark.prove
def test_erased_during_much_traffic_guests_are_nowhere(tmp_path: Path) -> None:
    with Grounds(tmp_path, guests=50, workers=2, environ=LOUD, launch=PRODUCT) as grounds:
        left = left_after_erasing(grounds, Work(40, turns=4000, after=4000, keepers=12))
    assert left.places == set(), left
