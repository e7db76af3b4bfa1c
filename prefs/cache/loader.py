"""Loading what no local copy answers: shared tier, then store, for all who ask in the same tick of the event loop.

Whatever is wanted in one tick becomes one flight: one MGET, one round of leases for what is missing, one statement,
whatever the kinds. A flight begins after every request that it serves, so nobody hears of a time before his question.
A key that is in the air when someone asks for it again waits for the next flight, which then mostly finds it: so a
process never loads a key twice at once, and one refill costs at most one load a process.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any, NamedTuple

from prefs.cache.breaker import Breaker
from prefs.cache.codec import encode
from prefs.cache.keys import GUEST, KINDS, STAYS, cacheable, kind_of
from prefs.cache.lines import SharedUnavailable
from prefs.cache.local import Expectation, Kept, LocalTier
from prefs.cache.lookups import lookup_of, value_in
from prefs.cache.metrics import SILENCE, CacheMetrics
from prefs.cache.shared import BUSY, COLD, FENCED, FOUND, GRANTED, Hit, Leased, SharedTier
from prefs.core.entries import Document
from prefs.core.errors import StoreUnavailable
from prefs.ports import Record, Store

LOADS_MAX = 8  # statements at once: with the shared tier gone, misses queue here and not at the database
BUSY_WAIT_S = 0.005  # between two looks for what another process is loading
BUSY_WAIT_MAX_S = 0.1  # that process may be gone: no longer for it than this
_SILENT = "The database does not answer."
PACKED = frozenset((GUEST, STAYS))  # what belongs to one guest; the rest is few, and in every answer


class Tier(StrEnum):
    """Who answered; the words of `Cache-Status`."""

    LOCAL = "local"
    SHARED = "shared"
    STORE = "store"
    STALE = "stale"


class Freshness(IntEnum):
    """How new an answer has to be; each level may also be answered from a higher one."""

    DEFAULT = 0  # at most DELTA_S old
    SHARED = 1  # linearizable: no local copy
    STORE = 2  # from the store itself


class Answer(NamedTuple):
    """`copy`: the local copy that says the same, if there is one that may be served."""

    value: Any
    version: int
    tier: Tier
    age_s: float = 0.0
    copy: Kept | None = None


@dataclass(slots=True, eq=False)
class Request:
    """One caller and the keys that he still waits for."""

    left: set[str]
    done: asyncio.Future[None]
    answers: dict[str, Answer] = field(default_factory=dict)
    failure: BaseException | None = None

    def answer(self, key: str, answer: Answer) -> None:
        self.answers[key] = answer
        self._strike(key)

    def fail(self, key: str, failure: BaseException) -> None:
        self.failure = failure
        self._strike(key)

    def _strike(self, key: str) -> None:
        self.left.discard(key)
        if not self.left and not self.done.done():
            self.done.set_result(None)


@dataclass(slots=True, eq=False)
class Wanted:
    """A key of a flight: who waits for it, the newest version any of them knows, and whether only the store will do."""

    version: int = 0
    store: bool = False
    requests: list[Request] = field(default_factory=list)
    expected: Expectation | None = None
    token: str = ""
    copy: Kept | None = None


class Loader:
    def __init__(
        self, inner: Store, shared: SharedTier | None, local: LocalTier | None, metrics: CacheMetrics = SILENCE
    ) -> None:
        self._inner = inner
        self._shared = shared
        self._local = local
        self._metrics = metrics
        self._turns = asyncio.Semaphore(LOADS_MAX)
        self._circuit = Breaker(time.monotonic)  # with the store gone, stale copies and refusals must not queue
        self._wanted: dict[str, Wanted] = {}
        self._flying: set[str] = set()
        self._flights: set[asyncio.Task[None]] = set()
        self._scheduled = False

    async def load(self, keys: Iterable[str], version: int, level: Freshness) -> Request:
        """Answers and failures of these keys, loaded after now; documents at least at this version.

        A cancelled caller leaves the flight undisturbed."""
        request = Request(set(keys), asyncio.get_running_loop().create_future())
        for key in tuple(request.left):
            wanted = self._wanted.get(key)
            if wanted is None:
                wanted = self._wanted[key] = Wanted()
            wanted.version = max(wanted.version, version if kind_of(key) == GUEST else 0)
            wanted.store |= level is Freshness.STORE
            wanted.requests.append(request)
        self._schedule()
        if request.left:
            await request.done
        return request

    def _schedule(self) -> None:
        if not self._scheduled and self._wanted:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._depart)

    def _depart(self) -> None:
        self._scheduled = False
        boarding = {key: wanted for key, wanted in self._wanted.items() if key not in self._flying}
        if not boarding:
            return
        for key in boarding:
            del self._wanted[key]
        self._flying |= boarding.keys()
        self._metrics.flight(len(boarding), sum(len(wanted.requests) for wanted in boarding.values()))
        flight = asyncio.ensure_future(self._fly(boarding))
        self._flights.add(flight)
        flight.add_done_callback(lambda done: self._land(done, boarding))

    def _land(self, flight: "asyncio.Task[None]", boarded: Mapping[str, Wanted]) -> None:
        self._flights.discard(flight)
        self._flying -= boarded.keys()
        failure = StoreUnavailable("closed") if flight.cancelled() else flight.exception()
        for key, wanted in boarded.items():
            if wanted.expected is not None and self._local is not None:
                self._local.give_up(key, wanted.expected)
            if failure is not None:
                for request in wanted.requests:
                    if key in request.left:
                        request.fail(key, failure)
        if self._wanted and not flight.get_loop().is_closed():
            self._schedule()

    # ------------------------------------------------------------ a flight

    async def _fly(self, boarded: dict[str, Wanted]) -> None:
        through = {key: wanted for key, wanted in boarded.items() if wanted.store or not cacheable(key)}
        asked = {key: wanted for key, wanted in boarded.items() if key not in through}
        if self._local is not None:
            self._local.attend()
            for key, wanted in asked.items():
                wanted.expected = self._local.expect(key)
        namespace = self._local.namespace if self._local is not None and self._shared is None else None
        if self._shared is not None and asked:
            try:
                namespace = await self._ask(self._shared, asked)
            except SharedUnavailable:
                for wanted in asked.values():
                    wanted.token = ""
        loaded = await self._load([*asked, *through])
        packed: dict[str, bytes] = {}
        for key, (value, version) in loaded.items():
            packed[key] = encode(kind_of(key), value) if boarded[key].expected or boarded[key].token else b""
            self._settle(key, boarded[key], Answer(value, version, Tier.STORE), packed[key], namespace)
        if self._shared is not None and namespace is not None:
            filled = [(key, wanted.token, loaded[key][1], packed[key]) for key, wanted in asked.items() if wanted.token]
            await self._fill(self._shared, namespace, filled, asked)

    async def _ask(self, shared: SharedTier, asked: dict[str, Wanted]) -> str:
        """Answer what the shared tier has, taking it out of `asked`; what stays is to be loaded."""
        found = await shared.look(list(asked))
        unfit = [*found.broken, *self._take(asked, found.hits, found.namespace)]
        if unfit:
            await shared.forget(unfit)
        if not asked:
            return found.namespace
        leased = await shared.lease(list(asked))
        busy = self._heed(asked, leased)
        # Another process is loading the rest now. It is waited for, or this process, flight after flight, would read
        # what one lease is to read once; but not by one who is waited for himself.
        until = time.monotonic() + (0.0 if any(one.token for one in asked.values()) else BUSY_WAIT_MAX_S)
        while busy:
            await asyncio.sleep(BUSY_WAIT_S)
            again = await shared.lease(busy)
            if again.namespace != leased.namespace:  # another server: what it grants is of another world
                for key in busy:
                    self._expect_nothing(key, asked[key])
                break
            busy = self._heed(asked, again)
            if time.monotonic() >= until:
                break
        return leased.namespace

    def _heed(self, asked: dict[str, Wanted], leased: Leased) -> list[str]:
        """Do as the leases say; keys that another process is loading are returned."""
        busy = []
        for key, lease in leased.leases.items():
            if lease.outcome == GRANTED:
                asked[key].token = lease.token
            elif lease.outcome == BUSY:
                busy.append(key)
            elif lease.outcome == FOUND and lease.hit is not None:
                self._take(asked, {key: lease.hit}, leased.namespace)
            elif lease.outcome in (FENCED, COLD):
                self._expect_nothing(key, asked[key])
        return busy

    def _take(self, asked: dict[str, Wanted], hits: Mapping[str, Hit[Any]], namespace: str) -> list[str]:
        """Settle hits that are new enough; the others are returned."""
        old = []
        for key, hit in hits.items():
            if hit.version < asked[key].version:
                old.append(key)
            else:
                answer = Answer(hit.value, hit.version, Tier.SHARED)
                self._settle(key, asked.pop(key), answer, hit.payload, namespace, hit.seal)
        return old

    def _expect_nothing(self, key: str, wanted: Wanted) -> None:
        """Past a fence, seen or lost, the old value may be read once more: not to be remembered, not even as stale."""
        if wanted.expected is not None and self._local is not None:
            self._local.give_up(key, wanted.expected)
            wanted.expected = None

    def _settle(
        self, key: str, wanted: Wanted, answer: Answer, packed: bytes, namespace: str | None, seal: bytes = b""
    ) -> None:
        if wanted.expected is not None and self._local is not None:
            held = packed if kind_of(key) in PACKED else answer.value
            wanted.copy = self._local.keep(key, wanted.expected, held, answer.version, namespace, seal)
            wanted.expected = None
        told = answer._replace(copy=wanted.copy)
        for request in wanted.requests:
            request.answer(key, told)
        self._metrics.served(KINDS[kind_of(key)], answer.tier, len(wanted.requests))

    async def _fill(
        self,
        shared: SharedTier,
        namespace: str,
        filled: Sequence[tuple[str, str, int, bytes]],
        wanted: Mapping[str, Wanted],
    ) -> None:
        """After the answers went out: who asks meanwhile waits for the next flight, and finds what this one left."""
        if not filled:
            return
        try:
            seals = await shared.fill(namespace, filled)
        except SharedUnavailable:
            return  # its leases run out by themselves
        for (key, *_), seal in zip(filled, seals, strict=True):
            if seal and (copy := wanted[key].copy) is not None:
                copy.seal = seal

    # ------------------------------------------------------------ the store behind

    async def _load(self, keys: Sequence[str]) -> dict[str, tuple[Any, int]]:
        """Values with versions, all in one statement that begins now. Raises StoreUnavailable."""
        if not keys:
            return {}
        async with self._turns:
            if not self._circuit.admits():
                raise StoreUnavailable(_SILENT)
            if not self._circuit.closed:
                probe = asyncio.ensure_future(self._probe())
                self._flights.add(probe)
                probe.add_done_callback(self._flights.discard)
                raise StoreUnavailable(_SILENT)
            try:
                found = await self._inner.look_up(lookup_of(keys))
            except StoreUnavailable:
                self._circuit.failed()
                raise
            except BaseException:
                self._circuit.withdrew()
                raise
            self._circuit.succeeded()
        values = {key: value_in(found, key) for key in keys}
        return {key: (value, version_of(value)) for key, value in values.items()}

    async def in_turn[T](self, look: Callable[[], Awaitable[T]]) -> T:
        """What a process asks the store of its own accord: no more at once for that, and nobody waits for it."""
        async with self._turns:
            return await look()

    async def _probe(self) -> None:
        """Whether the store is back is found out on nobody's time."""
        try:
            await self._inner.ping()
        except StoreUnavailable:
            self._circuit.failed()
        except BaseException:
            self._circuit.withdrew()
            raise
        else:
            self._circuit.succeeded()

    async def close(self) -> None:
        """Let what is in the air land."""
        if self._flights:
            await asyncio.wait(set(self._flights))


def version_of(value: Any) -> int:
    """0 for what is not there. What has no version of its own is at 1: only documents are asked for by version."""
    if value is None:
        return 0
    return value.version if isinstance(value, Document | Record) else 1
