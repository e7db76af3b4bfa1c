"""The local tier of one machine on SQLite: trusted while the file did not change, looked at anew for every read.

`PRAGMA data_version` on a connection of its own changes with every commit of any other connection, of this process or
another. Asking costs some three microseconds and no lock; so a write is seen by the very next read, whoever made it,
and no message, heartbeat or fence is needed. Each commit distrusts everything that is kept: embedded houses are small.
"""

from pathlib import Path

import pysqlite3.dbapi2 as sqlite

from prefs.cache.local import BYTES_MAX, Expectation, Kept, LocalTier
from prefs.cache.metrics import SILENCE, CacheMetrics

_PLACE = "file"


class EmbeddedTier(LocalTier):
    """Lives on the event loop's thread, as its connection does."""

    def __init__(self, path: Path, bytes_max: int = BYTES_MAX, metrics: CacheMetrics = SILENCE) -> None:
        super().__init__(bytes_max, metrics)
        self._connection = sqlite.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)
        self._ask = self._connection.execute
        self._seen = -1

    def fresh(self, key: str, version: int = 0) -> Kept | None:
        self._look()
        return super().fresh(key, version)

    def expect(self, key: str) -> Expectation:
        self._look()  # before the load: a commit during it distrusts what it brings
        return super().expect(key)

    def _look(self) -> None:
        try:
            ((seen,),) = self._ask("PRAGMA data_version").fetchall()
        except sqlite.Error:
            seen = -1  # not known: the same as changed
        if seen != self._seen or seen == -1:
            self._seen = seen
            self._begin(_PLACE, "changed")
        self._vouched_at = self._monotonic() if seen != -1 else float("-inf")

    def close(self) -> None:
        self._connection.close()
