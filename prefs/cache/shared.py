"""The shared tier: entries in Redis under FENCE + LEASE. Every method is one round trip and raises SharedUnavailable.

What the steps mean stands in `scripts`; what they add up to, in README.md.
"""

import asyncio
import random
import secrets
from collections.abc import Sequence
from typing import NamedTuple

from prefs.cache.codec import UnknownForm, decode
from prefs.cache.keys import channel, entry_name, kind_of, message, names
from prefs.cache.lines import Answer, Command, Lines, Server
from prefs.cache.metrics import SILENCE, CacheMetrics
from prefs.cache.sealing import Seal, seal_of

ENTRY_TTL_MS = 300_000
JITTER = 0.1  # entries filled together do not end together
ENTRY_TTL_MAX_S = ENTRY_TTL_MS * (1 + JITTER) / 1000
NEGATIVE_TTL_MS = 5_000  # "there is no such guest": for whoever asks for ids at random
LEASE_MS = 2_000
FENCE_MS = 10_000  # far beyond the time limits of a write in the store

GRANTED, BUSY, FENCED, FOUND, COLD = "granted", "busy", "fenced", "found", "cold"
OPENED_AT_ONCE = 50  # then others get a turn: a thousand documents take long to decode
_LEASES = {1: FOUND, 2: FENCED, 3: GRANTED, 4: BUSY}


class Hit[T](NamedTuple):
    """A value out of Redis, also as it was packed; `version` 0 says there is no such thing. `seal` tells this entry
    from every other that ever stood or will stand under its name."""

    value: T
    version: int
    payload: bytes
    seal: bytes


class Lease(NamedTuple):
    outcome: str
    token: str
    hit: Hit[object] | None


class Found(NamedTuple):
    """What a look found, on which server, and which keys hold something that cannot be read."""

    namespace: str
    hits: dict[str, Hit[object]]
    broken: list[str]


class Leased(NamedTuple):
    namespace: str
    leases: dict[str, Lease]


class Raised(NamedTuple):
    """A fence as its writer holds it; `up` False when it may not stand."""

    writer: str
    keys: Sequence[str]
    up: bool


class SharedTier:
    def __init__(self, lines: Lines, seal: Seal, metrics: CacheMetrics = SILENCE) -> None:
        self._lines = lines
        self._seal = seal
        self._metrics = metrics

    async def look(self, keys: Sequence[str]) -> Found:
        """All in one MGET."""
        answer = await self._lines.call(
            lambda server: [("MGET", *(entry_name(server.namespace, key) for key in keys))], len(keys)
        )
        namespace = answer.server.namespace
        hits: dict[str, Hit[object]] = {}
        broken: list[str] = []
        for number, (key, sealed) in enumerate(zip(keys, answer.replies[0], strict=True), 1):
            if number % OPENED_AT_ONCE == 0:
                await asyncio.sleep(0)
            if sealed is None:
                continue
            hit = self._open(namespace, key, sealed)
            if hit is None:
                broken.append(key)
            else:
                hits[key] = hit
        return Found(namespace, hits, broken)

    async def lease(self, keys: Sequence[str]) -> Leased:
        """Ask to fill. On a server that started lately nobody may, nor remember what it reads: fences may be lost."""
        token = secrets.token_hex(8)

        def build(server: Server) -> list[Command]:
            script = server.scripts["lease"]
            return [
                ("EVALSHA", script, 3, *names(server.namespace, key), token, 1 if server.cold else LEASE_MS)
                for key in keys
            ]

        answer = await self._lines.call(build, len(keys))
        namespace = answer.server.namespace
        leases = {}
        for key, reply in zip(keys, answer.replies, strict=True):
            outcome = _LEASES[reply[0]]
            hit = self._open(namespace, key, reply[1]) if outcome == FOUND else None
            if outcome != FOUND and answer.server.cold:
                outcome = COLD
            self._metrics.leased(outcome)
            leases[key] = Lease(outcome, token, hit)
        return Leased(namespace, leases)

    async def seals(self, keys: Sequence[str]) -> list[bytes | None]:
        """The seals of the entries that stand there now, None where none does; all in one MGET."""
        answer = await self._lines.call(
            lambda server: [("MGET", *(entry_name(server.namespace, key) for key in keys))], len(keys)
        )
        return [None if sealed is None else seal_of(sealed) for sealed in answer.replies[0]]

    async def fill(self, namespace: str, filled: Sequence[tuple[str, str, int, bytes]]) -> list[bytes]:
        """Entries as (key, token, version, payload); their seals, or nothing for what was refused.

        The namespace of the lease decides: elsewhere it is refused."""
        sealed = []
        for key, token, version, payload in filled:
            name = entry_name(namespace, key)
            ttl_ms = ENTRY_TTL_MS if version else NEGATIVE_TTL_MS
            ttl_ms = int(ttl_ms * random.uniform(1 - JITTER, 1 + JITTER))
            sealed.append((*names(namespace, key), token, self._seal.close(name, version, payload), ttl_ms))
        answer = await self._lines.call(
            lambda server: [("EVALSHA", server.scripts["fill"], 3, *words) for words in sealed], len(sealed)
        )
        return [seal_of(words[4]) if reply == 1 else b"" for words, reply in zip(sealed, answer.replies, strict=True)]

    async def forget(self, keys: Sequence[str]) -> None:
        """Remove entries that cannot be read or are older than a reader knows; removing is always right."""
        await self._lines.call(
            lambda server: [("DEL", *(entry_name(server.namespace, key) for key in keys))], len(keys)
        )

    async def fence(self, writer: str, keys: Sequence[str], *, purge: bool) -> None:
        def build(server: Server) -> list[Command]:
            script, heard_on = server.scripts["fence"], channel(server.namespace)
            return [
                (
                    *("EVALSHA", script, 3, *names(server.namespace, key)),
                    *(writer, FENCE_MS, heard_on, message(key, 0, purge)),
                )
                for key in keys
            ]

        await self._lines.call(build)

    async def unfence(self, lifted: Sequence[tuple[str, str, int, bool]]) -> None:
        """Fences as (writer, key, version written or 0, purge). One that is not there invalidates instead."""

        def build(server: Server) -> list[Command]:
            script, heard_on = server.scripts["unfence"], channel(server.namespace)
            return [
                (
                    *("EVALSHA", script, 3, *names(server.namespace, key)),
                    *(writer, heard_on, message(key, version, purge)),
                )
                for writer, key, version, purge in lifted
            ]

        answer: Answer = await self._lines.call(build, len(lifted))
        for reply in answer.replies:
            self._metrics.fenced("lifted" if reply else "gone")

    def _open(self, namespace: str, key: str, sealed: bytes) -> Hit[object] | None:
        opened = self._seal.open(entry_name(namespace, key), sealed)
        if opened is None:
            return None
        try:
            return Hit(decode(kind_of(key), opened.payload), opened.version, opened.payload, seal_of(sealed))
        except UnknownForm:
            return None

    async def close(self) -> None:
        await self._lines.close()
