"""Connections to Redis, each with the namespace of the server it is connected to.

A line learns the server's run_id when it connects, so what it says always bears the name of the server that hears it.
redis-py's own defaults (five seconds of timeout, ten retries) would make a hung server cost a minute a call: here a
call is one exchange, without any retry, and is given up after 20 ms of silence. Silence is counted in slices of the
event loop's own time: a loop that is late reads what has come in before it gives up.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from redis.asyncio.connection import Connection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from prefs.cache.breaker import Breaker
from prefs.cache.keys import namespace_of
from prefs.cache.metrics import SILENCE, CacheMetrics
from prefs.cache.scripts import ALL

LINES_MAX = 8  # calls at once; they are coalesced, so few are enough
SLICE_S = 0.005
SLICES_MAX = 4  # 20 ms
KEYS_A_SLICE = 25  # a batch of a thousand documents is megabytes, and each of its leases a script
CONNECT_TIMEOUT_S = 1.0  # for what no slice covers; an exchange that connects is given up after 20 ms like any other
# After a start the fences of before are gone: nothing is filled while a write of before may yet commit. That is as long
# as the store lets a write take: WRITE_MAX_S until its COMMIT, and STATEMENT_TIMEOUT_MS for that.
COLD_GUARD_S = 4.0

type Command = Sequence[str | bytes | int]


class SharedUnavailable(Exception):
    """Redis did not answer, or is not asked because it did not lately. Never leaves this package."""


class LineLost(SharedUnavailable):
    """A connection ended or could not be made; nothing is known of what was said over it."""


class Server(NamedTuple):
    """What a line knows of the server at its other end."""

    namespace: str
    scripts: dict[str, bytes]
    cold: bool


type Build = Callable[[Server], Sequence[Command]]


class Answer(NamedTuple):
    server: Server
    replies: list[Any]


def connection_options(url: str) -> dict[str, Any]:
    """Options of a connection, ours winning over any in the URL."""
    options: dict[str, Any] = dict(parse_url(url))
    options.pop("connection_class", None)
    ours = {
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),
        "retry_on_error": [],
        "retry_on_timeout": False,
        "socket_timeout": None,  # the exchange as a whole is timed
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        "health_check_interval": 0,
        "decode_responses": False,
        "driver_info": None,  # no CLIENT SETINFO: a round trip, and a command to allow
    }
    return {**options, **ours}


class Line:
    """One connection; used by one exchange at a time."""

    def __init__(self, url: str, cold_guard_s: float) -> None:
        kind: Any = parse_url(url).get("connection_class", Connection)
        self._connection = kind(**connection_options(url))
        self._cold_guard_s = cold_guard_s
        self._namespace = ""
        self._scripts: dict[str, bytes] = {}
        self._warm_at = 0.0

    async def exchange(self, build: Build) -> Answer:
        """Connect if need be, send all commands, read all replies. Raises RedisError, and then is disconnected."""
        connection = self._connection
        if connection.is_connected and await connection.can_read():
            await connection.disconnect(nowait=True)  # closed from the other side, or something is left over
        if not connection.is_connected:
            await connection.connect()
            await self._greet()
        cold = asyncio.get_running_loop().time() < self._warm_at
        server = Server(self._namespace, self._scripts, cold)
        return Answer(server, await self._say(build(server)))

    async def _say(self, commands: Sequence[Command]) -> list[Any]:
        connection = self._connection
        await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
        replies = []
        for _ in commands:
            try:
                replies.append(await connection.read_response())
            except ResponseError:
                await connection.disconnect(nowait=True)  # out of memory, read-only, scripts flushed: begin anew
                raise
        return replies

    async def _greet(self) -> None:
        info, *shas = await self._say([("INFO", "server"), *(("SCRIPT", "LOAD", script) for script in ALL.values())])
        facts = dict(line.split(":", 1) for line in info.decode().splitlines() if ":" in line)
        self._namespace = namespace_of(facts["run_id"])
        self._scripts = dict(zip(ALL, shas, strict=True))
        self._warm_at = asyncio.get_running_loop().time() + max(0.0, self._cold_guard_s - _least_uptime_s(facts))

    async def close(self) -> None:
        await self._connection.disconnect(nowait=True)


class Lines:
    """The pool: waiters are served in order, and a line that failed comes back disconnected, to be dialled anew."""

    def __init__(
        self,
        url: str,
        breaker: Breaker,
        metrics: CacheMetrics = SILENCE,
        *,
        cold_guard_s: float = COLD_GUARD_S,
    ) -> None:
        self._breaker = breaker
        self._metrics = metrics
        self._free = [Line(url, cold_guard_s) for _ in range(LINES_MAX)]
        self._turns = asyncio.Semaphore(LINES_MAX)
        self._probe: asyncio.Task[None] | None = None

    async def call(self, build: Build, keys: int = 1) -> Answer:
        """Raises SharedUnavailable. Patience grows with the number of keys that are asked for or written at once.
        Not to be cancelled by clients: its callers are tasks of the cache's own."""
        patience = SLICES_MAX + keys // KEYS_A_SLICE
        if not self._breaker.admits():
            raise SharedUnavailable("not asked")
        if not self._breaker.closed:
            self._probe = asyncio.ensure_future(self._probe_once())
            raise SharedUnavailable("not asked")
        return await self._in_turn(build, patience, probing=False)

    async def _probe_once(self) -> None:
        """Whether Redis is back is found out on nobody's time."""
        with suppress(SharedUnavailable):
            await self._in_turn(lambda server: [("PING",)], SLICES_MAX, probing=True)

    async def _in_turn(self, build: Build, patience: int, *, probing: bool) -> Answer:
        asked_at = asyncio.get_running_loop().time()
        async with self._turns:
            self._metrics.waited(asyncio.get_running_loop().time() - asked_at)
            if not probing and not self._breaker.closed:
                raise SharedUnavailable("not asked")  # it opened while this call waited for its turn
            line = self._free.pop()
            try:
                return await self._watch(line, build, patience)
            finally:
                self._free.append(line)

    async def _watch(self, line: Line, build: Build, patience: int) -> Answer:
        task = asyncio.ensure_future(line.exchange(build))
        slices = 0
        try:
            while not task.done() and slices < patience:
                await asyncio.wait((task,), timeout=SLICE_S)
                slices += not task.done()
            for _ in range(SLICES_MAX):  # what came in while the loop was busy is read, not given up
                if not task.done():
                    await asyncio.sleep(0)
            if not task.done():
                await _end(task)
                self._breaker.failed()
                raise SharedUnavailable("silent")
            answer = task.result()
        except asyncio.CancelledError:
            await _end(task)
            self._breaker.withdrew()
            raise
        except (RedisError, OSError, KeyError, ValueError) as error:
            self._breaker.failed()
            raise LineLost(type(error).__name__) from error
        self._breaker.succeeded(slowly=slices > patience - 2)
        return answer

    async def close(self) -> None:
        if self._probe is not None:
            self._probe.cancel()
            await asyncio.wait((self._probe,))
        for line in self._free:
            await line.close()


def _least_uptime_s(facts: Mapping[str, str]) -> float:
    """It counts the seconds of its clock that began since its start: the first may have been almost over by then."""
    uptime_s = int(facts["uptime_in_seconds"])
    now_s = int(facts.get("server_time_usec", 0)) / 1e6
    return max(0.0, uptime_s - 1 + now_s % 1)


async def _end(task: "asyncio.Future[Answer]") -> None:
    """Cancelled, an exchange closes its connection: nobody will ever read a late reply for his own."""
    task.cancel()
    await asyncio.wait((task,))
    if not task.cancelled():
        task.exception()
