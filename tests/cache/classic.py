"""Cache-aside as it is usually written: read through, write, delete after commit. It is wrong, and the tests show it.

A reader that missed and is slow puts back what it read before a write, after the write has deleted it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from redis.asyncio import Redis

from prefs.cache.codec import decode, encode
from prefs.cache.keys import GUEST
from prefs.cache.loader import Freshness, Tier
from prefs.cache.read_through import Reading
from prefs.core.changes import Written
from prefs.ports import Apply, Found, Lookup, Once, Store


class Classic:
    """Documents only; all else is the store's behind."""

    def __init__(self, inner: Store, redis: Redis) -> None:
        self.inner = inner
        self.redis = redis

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def read(
        self, guests: Sequence[str], level: Freshness = Freshness.DEFAULT, *, min_version: int = 0
    ) -> Mapping[str, Reading]:
        return {guest: await self._read(guest, min_version) for guest in guests}

    async def _read(self, guest: str, min_version: int = 0) -> Reading:
        found = await self.redis.get("classic:" + guest)
        if found is not None and (document := decode(GUEST, found)).version >= min_version:
            return Reading(document, Tier.SHARED)
        document = (await self.inner.get_many([guest]))[guest]
        await self.redis.set("classic:" + guest, encode(GUEST, document))
        return Reading(document, Tier.STORE)

    async def look_up(self, wanted: Lookup) -> Found:
        """As the service asks: documents from here, all else from behind."""
        rest = await self.inner.look_up(replace(wanted, documents=()))
        return replace(rest, documents={guest: (await self._read(guest)).document for guest in wanted.documents})

    async def write(self, guest: str, apply: Apply, once: Once | None = None) -> Written:
        written = await self.inner.write(guest, apply, once)
        await self.redis.delete("classic:" + guest)
        return written

    async def close(self) -> None:
        await self.redis.aclose()
