"""A store around a store: reads come from the nearest tier that may answer, writes go through under fences.

Read this file first; then `reader` (one request), `loader` (reads that no local copy answers), `confirmations` (what
lies ready and needs only a look), `fences` (writes), `local` and `heartbeat` (what this process may trust), `shared`,
`scripts` and `lines` (Redis). The protocol and its limits stand in README.md.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self

from prefs.cache.breaker import Breaker
from prefs.cache.confirmations import Confirmations
from prefs.cache.embedded import EmbeddedTier
from prefs.cache.fences import Fenced, Fences
from prefs.cache.heartbeat import Heartbeat
from prefs.cache.keys import CATALOGUE, GUEST, KINDS, PROPERTY, STAYS, Heard, id_of, kind_of
from prefs.cache.lines import COLD_GUARD_S, Lines
from prefs.cache.loader import Answer, Freshness, Loader, Tier
from prefs.cache.local import BYTES_MAX, LocalTier, Prepared
from prefs.cache.lookups import keys_of
from prefs.cache.metrics import SILENCE, CacheMetrics
from prefs.cache.reader import Reader
from prefs.cache.sealing import Seal
from prefs.cache.shared import SharedTier
from prefs.core.changes import Change, Written
from prefs.core.entries import Document, Entry, Identifier
from prefs.core.erasure import Tombstone
from prefs.core.errors import StoreUnavailable
from prefs.core.papers import Papers
from prefs.core.stays import Stay
from prefs.ports import Apply, Buried, Clock, Committed, Found, Lookup, Once, Put, Reads, Record, Store, Traced, Usage


@dataclass(frozen=True, slots=True)
class Reading:
    """A document and where it came from. `regressed`: the store itself is behind the version the reader knows, so
    history was lost. `age_s` is more than 0 only for what is served stale because the store is gone."""

    document: Document
    tier: Tier
    age_s: float = 0.0
    regressed: bool = False


class CachedStore:
    """Keeps the promises of `Store` at the level it was made with, DEFAULT unless said otherwise."""

    def __init__(
        self,
        inner: Store,
        shared: SharedTier | None,
        local: LocalTier | None,
        clock: Clock,
        *,
        heartbeat: Heartbeat | None = None,
        metrics: CacheMetrics = SILENCE,
        level: Freshness = Freshness.DEFAULT,
    ) -> None:
        self.inner = inner
        self.credentials = inner.credentials  # nothing of a guest that a cache could tell
        self.feed = inner.feed
        self.webhooks = inner.webhooks
        self.clock = clock
        self._shared = shared
        self._local = local
        self._heartbeat = heartbeat
        self._metrics = metrics
        self._loader = Loader(inner, shared, local, metrics)
        self._fences = Fences(shared, local, metrics)
        self._confirmations = Confirmations(shared) if shared is not None else None
        self._reader = Reader(self.answer, level, traced=False)

    def start(self) -> Self:
        """Begin to listen for invalidations; until the first heartbeat came back no local copy is served."""
        if self._heartbeat is not None:
            self._heartbeat.start()
        return self

    async def close(self) -> None:
        if self._heartbeat is not None:
            await asyncio.to_thread(self._heartbeat.stop)
        await self._fences.close()
        await self._loader.close()
        if self._confirmations is not None:
            await self._confirmations.close()
        if self._shared is not None:
            await self._shared.close()
        if self._local is not None:
            self._local.close()
        await self.inner.close()

    # ------------------------------------------------------------ reading at a level

    def reader(self, level: Freshness = Freshness.DEFAULT, *, min_version: int = 0, stale: bool = False) -> Reader:
        """The reading half of `Store` at a level, for one request; it remembers the farthest tier that answered.

        `min_version` is a version of every guest asked about that the caller has seen. With `stale`, what is known is
        served for up to 15 minutes while the store is gone; without, StoreUnavailable is raised."""
        return Reader(self.answer, level, min_version, stale)

    async def read(
        self,
        guests: Sequence[str],
        level: Freshness = Freshness.DEFAULT,
        *,
        min_version: int = 0,
        stale: bool = False,
    ) -> dict[str, Reading]:
        """Documents with where each came from; unknown guests are left out."""
        answers = await self.answer([GUEST + ":" + guest for guest in guests], level, min_version, stale)
        return {
            id_of(key): Reading(answer.value, answer.tier, answer.age_s, answer.version < min_version)
            for key, answer in answers.items()
            if answer.value is not None
        }

    def reading(self, *, linearizable: bool = False, min_version: int = 0) -> Reader:
        """For one request of a caller, who may also be told what is stale."""
        level = Freshness.SHARED if linearizable else Freshness.DEFAULT
        return Reader(self.answer, level, min_version, stale=True)

    async def wait_as_for_nobody(self, reads: Reads) -> None:
        if isinstance(reads, Reader) and reads.tier in (Tier.LOCAL, Tier.SHARED):
            level = Freshness.SHARED if reads.tier is Tier.LOCAL else Freshness.STORE
            await self.answer([f"{STAYS}:gst_{secrets.token_hex(16)}"], level)

    def prepared(self, guest: str, name: Hashable, min_version: int = 0) -> Any | None:
        """The answer laid down under this name, if every value it was made from may be served this moment."""
        local = self._local
        if local is None:
            return None
        local.attend()
        found = local.ready(GUEST + ":" + guest, name, min_version)
        if found is None:
            return None
        self._metrics.served("prepared", Tier.LOCAL)
        return found.answer

    async def confirmed(self, guest: str, name: Hashable, min_version: int = 0) -> Any | None:
        """The same, if every value is what the shared tier says now; None also where there is no shared tier."""
        known = self._local.known(GUEST + ":" + guest, name, min_version) if self._local else None
        if known is None or self._confirmations is None:
            return None
        kept, found = known
        if not await self._confirmations.stand((kept, *found.parts)):
            return None
        self._metrics.served("prepared", Tier.SHARED)
        return found.answer

    def prepared_of(self, guests: Iterable[str], name: Hashable) -> dict[str, Any]:
        """What `prepared` says for many, at one moment; guests without an answer are left out."""
        if self._local is None:
            return {}
        self._local.attend()
        ready = {guest: self._local.ready(GUEST + ":" + guest, name) for guest in guests}
        found = {guest: prepared.answer for guest, prepared in ready.items() if prepared is not None}
        self._metrics.served("prepared", Tier.LOCAL, len(found))
        return found

    def prepare(
        self, reads: Traced, guest: str, name: Hashable, answer: Any, size_bytes: int, property: str | None = None
    ) -> None:
        """Lay down an answer made from what these reads told, and from nothing else that can change. Where they told of
        many guests, `property` says for which place this one's was made."""
        key, parts = GUEST + ":" + guest, dict(reads.parts)
        if property is not None:
            parts = {part: parts.get(part) for part in keys_of(Lookup([guest], [guest], [property], True))}
        kept = parts.pop(key, None)
        if self._local is not None and kept is not None and None not in parts.values():
            self._local.prepare(kept, Prepared(name, answer, tuple(parts.values()), size_bytes))

    async def answer(
        self, keys: Iterable[str], level: Freshness, min_version: int = 0, stale: bool = False
    ) -> dict[str, Answer]:
        """Raises StoreUnavailable unless every key is answered."""
        answers: dict[str, Answer] = {}
        missing: list[str] = []
        if self._local is not None:
            self._local.attend()
        for key in dict.fromkeys(keys):
            least = min_version if kind_of(key) == GUEST else 0
            kept = self._local.fresh(key, least) if self._local and level is Freshness.DEFAULT else None
            if self._local is None or kept is None:
                missing.append(key)
            else:
                answers[key] = Answer(self._local.value(kept), kept.version, Tier.LOCAL, copy=kept)
                self._metrics.served(KINDS[key[0]], Tier.LOCAL)
        if missing:
            request = await self._loader.load(missing, min_version, level)
            answers |= request.answers
            if request.failure is not None:
                self._make_do(missing, answers, request.failure, min_version, stale)
        return answers

    def _make_do(
        self, missing: Sequence[str], answers: dict[str, Answer], failure: BaseException, version: int, stale: bool
    ) -> None:
        """Answer from stale copies what the store did not, or raise."""
        if not isinstance(failure, StoreUnavailable):
            raise failure
        for key in missing:
            if key not in answers:
                least = version if kind_of(key) == GUEST else 0
                known = self._local.stale(key, least) if self._local and stale else None
                if self._local is None or known is None:
                    raise StoreUnavailable(str(failure)) from failure
                kept, age_s = known
                answers[key] = Answer(self._local.value(kept), kept.version, Tier.STALE, age_s)
                self._metrics.served(KINDS[key[0]], Tier.STALE)

    # ------------------------------------------------------------ Store: reading

    async def get(self, guest: str) -> Document | None:
        return await self._reader.get(guest)

    async def get_many(self, guests: Sequence[str]) -> dict[str, Document]:
        return await self._reader.get_many(guests)

    async def stays_of(self, guests: Sequence[str]) -> dict[str, list[Stay]]:
        return await self._reader.stays_of(guests)

    async def live(self, stay: Stay) -> list[Entry]:
        return await self._reader.live(stay)

    async def property(self, property_id: str) -> Record | None:
        return await self._reader.property(property_id)

    async def extensions(self) -> tuple[int, list[Record]]:
        return await self._reader.extensions()

    async def look_up(self, wanted: Lookup) -> Found:
        return await self._reader.look_up(wanted)

    # What is asked rarely, or by something that no write names, is asked of the store itself.

    async def find(self, identifier: Identifier) -> str | None:
        return await self.inner.find(identifier)

    async def history(self, guest: str, limit: int, before: int | None = None) -> list[Change]:
        return await self.inner.history(guest, limit, before)

    async def stay(self, stay: str) -> Stay | None:
        return await self.inner.stay(stay)

    async def properties(self, limit: int, after: str = "") -> list[Record]:
        return await self.inner.properties(limit, after)

    async def usage(self, key: str) -> list[Usage]:
        return await self.inner.usage(key)

    async def guests_with(self, key: str, limit: int, after: str = "") -> list[str]:
        return await self.inner.guests_with(key, limit, after)

    async def guests(self, limit: int, after: str = "") -> list[str]:
        return await self.inner.guests(limit, after)

    async def guests_at(self, property_id: str, limit: int, after: str = "") -> list[str]:
        return await self.inner.guests_at(property_id, limit, after)

    async def ping(self) -> None:
        await self.inner.ping()

    # ------------------------------------------------------------ Store: writing

    async def create(self, written: Written, once: Once | None = None) -> Written:
        keys = [GUEST + ":" + written.document.guest]
        create = self._fences.around(keys, lambda: self.inner.create(written, once), lambda told: told.document.version)
        return _marked(await create)

    async def write(self, guest: str, apply: Apply, once: Once | None = None, *, strict: bool = False) -> Written:
        """With `strict`: refused with StoreUnavailable, before anything is written, unless every tier can be told; and
        when it returns no tier serves what was before."""
        return _marked(await self._write(guest, apply, once, strict=strict, refuse=strict))

    async def withdraw(self, guest: str, apply: Apply, once: Once | None = None) -> Committed:
        """For withdrawn consent and erasure: committed in any case; undegraded only when no tier can serve the data
        any more, not even as stale."""
        return _committed(await self._write(guest, apply, once, strict=True))

    async def _write(
        self, guest: str, apply: Apply, once: Once | None, *, strict: bool = False, refuse: bool = False
    ) -> Fenced[Written]:
        return await self._fences.around(
            [GUEST + ":" + guest],
            lambda: self.inner.write(guest, apply, once),
            lambda told: told.document.version,
            strict=strict,
            refuse=refuse,
        )

    async def papers(self, guest: str) -> Papers:
        return await self.inner.papers(guest)

    async def drop_waiting(self, until: datetime, limit: int) -> int:
        return await self.inner.drop_waiting(until, limit)

    async def erase(self, guest: str, tombstone: Tombstone, once: Once | None = None) -> Buried | None:
        fenced = await self._fences.around(
            [GUEST + ":" + guest, STAYS + ":" + guest],
            lambda: self.inner.erase(guest, tombstone, once),
            lambda _: 0,
            strict=True,
        )
        if fenced.result is None:
            return None
        gone_after = timedelta(seconds=fenced.gone_after_s)
        return replace(fenced.result, degraded=fenced.degraded, gone_after=gone_after)

    async def tombstone(self, digest: str) -> Tombstone | None:
        return await self.inner.tombstone(digest)

    async def tombstones(self, since: datetime | None = None) -> list[Tombstone]:
        return await self._loader.in_turn(lambda: self.inner.tombstones(since))

    async def bury(self, tombstones: Sequence[Tombstone]) -> None:
        await self.inner.bury(tombstones)

    async def keep_receipt(self, digest: str, signed: str) -> None:
        await self.inner.keep_receipt(digest, signed)

    async def rewrite_history(self, guest: str, changes: Sequence[Change]) -> None:
        await self.inner.rewrite_history(guest, changes)

    async def forget_answers(self, *, dry: bool = False) -> int:
        return await self.inner.forget_answers(dry=dry)

    def held(self) -> list[str]:
        kept = self._local.keys() if self._local is not None else ()
        return [*self.inner.held(), *(id_of(key) for key in kept if kind_of(key) in (GUEST, STAYS))]

    def forget(self, guest: str) -> None:
        self.inner.forget(guest)
        if self._local is not None:
            for kind in (GUEST, STAYS):
                self._local.hear(kind + ":" + guest, 0, purge=True)

    async def put_live(self, stay: Stay, entries: Sequence[Entry], cleared: Sequence[str] = ()) -> Put[None]:
        return await self._fenced([STAYS + ":" + stay.guest], lambda: self.inner.put_live(stay, entries, cleared))

    async def put_stay(self, stay: Stay, once: Once | None = None) -> Put[Stay]:
        return await self._fenced([STAYS + ":" + stay.guest], lambda: self.inner.put_stay(stay, once))

    async def put_property(self, property_id: str, body: Mapping[str, Any]) -> Put[Record]:
        return await self._fenced([PROPERTY + ":" + property_id], lambda: self.inner.put_property(property_id, body))

    async def delete_property(self, property_id: str) -> Put[bool]:
        return await self._fenced([PROPERTY + ":" + property_id], lambda: self.inner.delete_property(property_id))

    async def put_extension(self, key: str, body: Mapping[str, Any]) -> Put[int]:
        return await self._fenced([CATALOGUE], lambda: self.inner.put_extension(key, body))

    async def _fenced[T](self, keys: Sequence[str], work: Callable[[], Awaitable[Put[T]]]) -> Put[T]:
        fenced = await self._fences.around(keys, work, lambda _: 0)
        return replace(fenced.result, coherence=fenced.coherence) if fenced.coherence else fenced.result


def cached(
    inner: Store,
    clock: Clock,
    redis_url: str,
    key: bytes,
    *,
    bytes_max: int = BYTES_MAX,
    metrics: CacheMetrics = SILENCE,
    level: Freshness = Freshness.DEFAULT,
    heard: Callable[[Heard], None] | None = None,
    cold_guard_s: float = COLD_GUARD_S,
) -> CachedStore:
    """All three tiers over a store, listening. Redis need not be there, now or ever. `heard` is told of every
    invalidation, by any process, on another thread."""
    local = LocalTier(bytes_max, metrics)
    lines = Lines(redis_url, Breaker(time.monotonic, metrics), metrics, cold_guard_s=cold_guard_s)
    shared = SharedTier(lines, Seal(key), metrics)
    heartbeat = Heartbeat(redis_url, local, heard)
    return CachedStore(inner, shared, local, clock, heartbeat=heartbeat, metrics=metrics, level=level).start()


def embedded(
    inner: Store, clock: Clock, path: Path, *, bytes_max: int = BYTES_MAX, metrics: CacheMetrics = SILENCE
) -> CachedStore:
    """A local tier alone, over a store on this SQLite file, and exact: there must be a file."""
    return CachedStore(inner, None, EmbeddedTier(path, bytes_max, metrics), clock, metrics=metrics)


def _marked(fenced: Fenced[Written]) -> Written:
    return replace(fenced.result, coherence=fenced.coherence) if fenced.coherence else fenced.result


def _committed(fenced: Fenced[Written]) -> Committed:
    return Committed(fenced.result, fenced.degraded, timedelta(seconds=fenced.gone_after_s))
