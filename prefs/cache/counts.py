"""Counts that processes share in Redis, kept by the `limits` library: what callers have taken of their allowance.

Asked in the background only, over connections of its own. Nothing is asked twice, nobody waits longer than a moment,
and after a failure nobody is asked for a while.
"""

import time
from typing import Any

from limits.aio.storage import RedisStorage
from redis.asyncio.connection import Connection, ConnectionPool, parse_url
from redis.exceptions import RedisError

from prefs.cache.lines import connection_options
from prefs.ports import CountsUnavailable

PREFIX = "guestprefs-counts"
KEPT_S = 60
TIMEOUT_S = 0.05
PAUSE_S = 5.0  # after a failure


class RedisCounts:
    """Keys are digests: Redis learns no caller's name."""

    def __init__(self, url: str) -> None:
        options = connection_options(url) | {"socket_timeout": TIMEOUT_S, "socket_connect_timeout": TIMEOUT_S}
        kind: Any = parse_url(url).get("connection_class", Connection)
        self._pool: Any = ConnectionPool(connection_class=kind, **options)
        more: Any = {"connection_pool": self._pool}
        self._storage = RedisStorage(url, implementation="redispy", key_prefix=PREFIX, **more)
        self._again_at = 0.0

    async def add(self, key: str, amount: int, kept_s: int = KEPT_S) -> int:
        if time.monotonic() < self._again_at:
            raise CountsUnavailable
        try:
            return await self._storage.incr(key, kept_s, amount)
        except (RedisError, OSError) as error:  # a timeout is one of these
            self._again_at = time.monotonic() + PAUSE_S
            raise CountsUnavailable from error

    async def close(self) -> None:
        await self._pool.disconnect()
