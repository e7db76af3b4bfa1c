"""The writer's side of FENCE + LEASE: no tier may remember what a write is about to change.

Order is everything: fence, then begin; commit, then lift and tell; then answer. A fence that could not be lifted keeps
readers on SQL until its deadline, and lifting is tried again in the background. When the outcome of a write is not
known (SQL stopped answering while it committed), the fence stays until its deadline on purpose: a commit may still
land, and a fill before it would outlive it.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from prefs.cache.keys import cacheable
from prefs.cache.lines import LineLost, SharedUnavailable
from prefs.cache.local import DELTA_S, TTL_S, LocalTier
from prefs.cache.metrics import SILENCE, CacheMetrics
from prefs.cache.shared import ENTRY_TTL_MAX_S, SharedTier
from prefs.core.changes import Coherence
from prefs.core.errors import StoreUnavailable

REPAIR_PAUSE_S = 0.1
REPAIRS_MAX = 10_000  # fences waiting to be lifted; one more pushes the oldest out, which its entry's end then repairs
REPAIR_BATCH = 100
MARGIN_S = 0.01
# By when no tier serves an old copy any more although nobody could be told: a local copy of an entry read at its end.
GONE_AFTER_S = ENTRY_TTL_MAX_S + TTL_S


class Fenced[T](NamedTuple):
    """What a write came to. `degraded`: neither fenced nor told, so another process may serve the old copy until it
    was told, at the latest `gone_after_s` from now."""

    result: T
    coherence: Coherence

    @property
    def degraded(self) -> bool:
        return self.coherence is Coherence.DEGRADED

    @property
    def gone_after_s(self) -> float:
        return GONE_AFTER_S if self.degraded else 0.0


@dataclass(frozen=True, slots=True)
class Repair:
    """A fence that is to be lifted when the shared tier is back."""

    writer: str
    key: str
    version: int
    purge: bool
    until: float


class Fences:
    def __init__(self, shared: SharedTier | None, local: LocalTier | None, metrics: CacheMetrics = SILENCE) -> None:
        self._shared = shared
        self._local = local
        self._metrics = metrics
        self._writes: set[asyncio.Future[Any]] = set()
        self._repairs: dict[tuple[str, str], Repair] = {}
        self._repairing: asyncio.Task[None] | None = None

    async def around[T](
        self,
        keys: Sequence[str],
        work: Callable[[], Awaitable[T]],
        version: Callable[[T], int],
        *,
        strict: bool = False,
        refuse: bool = False,
    ) -> Fenced[T]:
        """Run a write under fences. It goes on when the caller is cancelled: a commit without its end would leave
        readers on SQL for the whole life of the fence.

        `strict`: not even stale copies survive, and when this returns undegraded no tier can serve one.
        `refuse`: raises StoreUnavailable, with nothing written, when the fence cannot be raised."""
        guarded = self._guarded([key for key in keys if cacheable(key)], work, version, strict, refuse)
        task = asyncio.ensure_future(guarded)
        self._writes.add(task)
        task.add_done_callback(self._written)
        return await asyncio.shield(task)

    def _written(self, task: "asyncio.Future[Any]") -> None:
        self._writes.discard(task)
        if not task.cancelled():
            task.exception()  # seen: a caller that left does not want it any more

    async def _guarded[T](
        self,
        keys: Sequence[str],
        work: Callable[[], Awaitable[T]],
        version: Callable[[T], int],
        strict: bool,
        refuse: bool,
    ) -> Fenced[T]:
        writer = secrets.token_hex(8)
        up = await self._raise(writer, keys, strict)
        if refuse and not up:
            self._later(writer, keys, 0, strict)  # it may have arrived after all
            raise StoreUnavailable("The cache does not answer: this cannot take effect everywhere yet.")
        written = 0
        try:
            result = await work()
            written = version(result)
        except StoreUnavailable:
            raise  # perhaps committed, perhaps not: the fence stays
        except BaseException:
            await self._lift(writer, keys, 0, strict)
            raise
        finally:
            self._forget(keys, written, strict)
        lifted = await self._lift(writer, keys, written, strict)
        if strict and self._shared is not None:
            await asyncio.sleep((self._local.delta_s if self._local else DELTA_S) + MARGIN_S)
        if up:
            return Fenced(result, Coherence.WHOLE)
        return Fenced(result, Coherence.UNFENCED if lifted else Coherence.DEGRADED)

    async def _raise(self, writer: str, keys: Sequence[str], purge: bool) -> bool:
        self._forget(keys, 0, purge)
        if self._shared is None or not keys:
            return True
        try:
            try:
                await self._shared.fence(writer, keys, purge=purge)
            except LineLost:  # a connection ended, which says nothing of the server: once more, on another
                await self._shared.fence(writer, keys, purge=purge)
        except SharedUnavailable:
            self._metrics.fenced("not_raised")
            return False
        self._metrics.fenced("raised")
        return True

    async def _lift(self, writer: str, keys: Sequence[str], version: int, purge: bool) -> bool:
        if self._shared is None or not keys:
            return True
        try:
            await self._shared.unfence([(writer, key, version, purge) for key in keys])
        except SharedUnavailable:
            self._metrics.fenced("not_lifted")
            self._later(writer, keys, version, purge)
            return False
        return True

    def _forget(self, keys: Sequence[str], version: int, purge: bool) -> None:
        """This process does not wait to hear of its own writes."""
        if self._local is not None:
            for key in keys:
                self._local.hear(key, version, purge=purge)

    # ------------------------------------------------------------ lifting later

    def _later(self, writer: str, keys: Sequence[str], version: int, purge: bool) -> None:
        until = asyncio.get_running_loop().time() + GONE_AFTER_S
        for key in keys:
            self._repairs[writer, key] = Repair(writer, key, version, purge, until)
        while len(self._repairs) > REPAIRS_MAX:
            del self._repairs[next(iter(self._repairs))]
            self._metrics.fenced("given_up")
        if self._repairs and (self._repairing is None or self._repairing.done()):
            self._repairing = asyncio.ensure_future(self._repair())

    async def _repair(self) -> None:
        while self._repairs:
            await asyncio.sleep(REPAIR_PAUSE_S)
            await self._repair_some()

    async def _repair_some(self) -> None:
        now = asyncio.get_running_loop().time()
        for place, repair in list(self._repairs.items()):
            if repair.until < now:
                del self._repairs[place]
                self._metrics.fenced("given_up")
        some = list(self._repairs.items())[:REPAIR_BATCH]
        if not some or self._shared is None:
            return
        try:
            await self._shared.unfence([(r.writer, r.key, r.version, r.purge) for _, r in some])
        except SharedUnavailable:
            return
        for place, _ in some:
            self._repairs.pop(place, None)
            self._metrics.fenced("repaired")

    @property
    def waiting(self) -> int:
        """Fences that could not be lifted yet."""
        return len(self._repairs)

    async def close(self) -> None:
        """Let writes end, and try once more to lift what is left."""
        if self._writes:
            await asyncio.wait(set(self._writes))
        if self._repairing is not None:
            self._repairing.cancel()
            await asyncio.wait((self._repairing,))
        await self._repair_some()
