"""The local tier of one machine on SQLite: exact, without heartbeats, because the file itself says when it changed.

`PRAGMA data_version` on a connection that does nothing else changes with every commit of every other connection, of
this process or another. It is looked at before anything is served or loaded, by a direct call of a few microseconds.
As long as it stands still, what was loaded since it last moved is the truth; when it moved, everything is distrusted.
"""

import time
from collections.abc import Callable
from typing import Protocol

from prefs.cache.local import BYTES_MAX, Expectation, Kept, LocalTier
from prefs.cache.metrics import SILENCE, CacheMetrics

NAMESPACE = "embedded"


class Changes(Protocol):
    def __call__(self) -> int | None:
        """A number that moves with every commit of anybody; None while that cannot be told."""
        ...

    def close(self) -> None: ...


class EmbeddedTier(LocalTier):
    def __init__(
        self,
        changes: Changes,
        bytes_max: int = BYTES_MAX,
        metrics: CacheMetrics = SILENCE,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(bytes_max, metrics, monotonic)
        self._changes = changes
        self._seen: int | None = None

    def attend(self) -> None:
        found = self._changes()
        if found is None:
            self._seen = None
            self.distrust("untold")
        elif found != self._seen:
            self._seen = found
            self._begin(NAMESPACE, "changed")

    def trusted(self) -> bool:
        return self._seen is not None

    def fresh(self, key: str, version: int = 0) -> Kept | None:
        """No time limit: what is of the present epoch is what the file says."""
        kept = self._kept.get(key)
        if kept is None or kept.epoch != self._epoch or kept.version < version or self._seen is None:
            return None
        kept.used = True
        return kept

    def keep(self, key: str, expected: Expectation, value: object, version: int, namespace: str | None) -> bool:
        return super().keep(key, expected, value, version, namespace or NAMESPACE)

    def close(self) -> None:
        self._changes.close()
