"""Very many readers at one moment, and how many statements of the database they cost."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from typing import NamedTuple

import asyncpg

from tests.histories.client import Caller, Unanswered, callers, request
from tests.histories.nemesis import say
from tests.histories.trio import WORKERS, Trio
from tests.servers import PostgresServer

_OF_A_GUEST = re.compile(rb"(?:execute [^\n]*|statement): [^;]*?FROM guest\b", re.DOTALL)

STILL_LOOK_S = 0.02


class Statements:
    """Reads of guests as PostgreSQL itself writes them down, on a server whose log this process can read."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._from = 0

    def __enter__(self) -> Statements:
        self._set("all")
        return self

    def __exit__(self, *_: object) -> None:
        self._set("none")

    def _set(self, what: str) -> None:
        self._server.execute(f"ALTER SYSTEM SET log_statement = '{what}'")
        self._server.execute("SELECT pg_reload_conf()")
        time.sleep(0.2)

    def begin(self) -> None:
        self._from = self._server.log.stat().st_size

    def count(self) -> int:
        """Since `begin`."""
        with self._server.log.open("rb") as log:
            log.seek(self._from)
            return len(_OF_A_GUEST.findall(log.read()))


class Cost(NamedTuple):
    """`given_up` is how many calls to Redis were: each may cost a statement more, on a machine too busy to answer."""

    statements: int
    given_up: int


def _given_up(trio: Trio) -> int:
    return sum(int(trio.measured(number)["guestprefs_cache_given_up_total"]) for number in range(WORKERS))


async def stampede(trio: Trio, guest: str, readers: int, statements: Statements) -> Cost:
    """Everybody reads one guest past local copies, at the moment its entry is gone; what that cost."""
    asked = request(
        "GET", f"/v1/guests/{guest}/preferences", trio.guest_token(guest), headers={"cache-control": "no-cache"}
    )
    async with callers(trio.ports, readers) as herd:

        async def all_ask() -> None:
            answers = await asyncio.gather(*(caller.ask(n % WORKERS, asked) for n, caller in enumerate(herd)))
            assert Counter(answer.status for answer in answers) == {200: readers}

        await all_ask()
        held = say(trio.valkey, "KEYS", f"*{guest}*:e").split()
        entries = [word for word in held if word.endswith(":e")]
        assert entries, "nothing was filled"
        await asyncio.to_thread(statements.begin)
        before = await asyncio.to_thread(_given_up, trio)
        say(trio.valkey, "DEL", *entries)
        await all_ask()
    given_up = await asyncio.to_thread(_given_up, trio) - before
    return Cost(await asyncio.to_thread(statements.count), given_up)


class Start(NamedTuple):
    """Answers by status, and for how long at most the database stood still, or this process with the proxies in it."""

    statuses: Counter[int]
    still_s: float


async def cold_start(trio: Trio, guests: list[str], rate: int, seconds: float, database: str) -> Start:
    """Reads at a rate, whatever comes of them, while Redis dies and comes back empty. The database is asked directly
    too, all the while."""
    statuses: Counter[int] = Counter()
    tokens = {guest: trio.guest_token(guest) for guest in guests}
    idle: asyncio.Queue[Caller] = asyncio.Queue()

    async def read(number: int) -> None:
        guest = guests[number * 7919 % len(guests)]
        caller = await idle.get()
        try:
            asked = request("GET", f"/v1/guests/{guest}/preferences", tokens[guest])
            statuses[(await caller.ask(number % WORKERS, asked)).status] += 1
        except Unanswered:
            statuses[0] += 1
        finally:
            idle.put_nowait(caller)

    async def restart() -> None:
        await asyncio.sleep(seconds / 4)
        await asyncio.to_thread(trio.valkey.kill9)
        await asyncio.to_thread(trio.valkey.start)

    async with callers(trio.ports, 60) as everybody:
        for caller in everybody:
            idle.put_nowait(caller)
        over = asyncio.Event()
        watching = asyncio.ensure_future(_longest_still(database, over))
        restarting = asyncio.ensure_future(restart())
        begun_at, reads = time.monotonic(), []
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, begun_at + number / rate - time.monotonic()))
            reads.append(asyncio.ensure_future(read(number)))
        await asyncio.gather(*reads)
        await restarting
        over.set()
        return Start(statuses, await watching)


async def _longest_still(database: str, over: asyncio.Event) -> float:
    connection = await asyncpg.connect(database)
    longest_s, said_at = 0.0, time.monotonic()
    try:
        while not over.is_set():
            await connection.fetchval("SELECT 1")
            longest_s, said_at = max(longest_s, time.monotonic() - said_at), time.monotonic()
            await asyncio.sleep(STILL_LOOK_S)
        return longest_s
    finally:
        await connection.close()
