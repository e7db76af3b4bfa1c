"""The local tier of one machine on SQLite: trusted while the file did not change, looked at anew for every read.

`PRAGMA data_version` on a connection of its own changes with every commit of any other connection, of this process or
another. Asking costs some three microseconds and no lock; so a write is seen by the very next read, whoever made it,
and no message, heartbeat or fence is needed. Each commit distrusts everything that is kept: embedded houses are small.
"""

from pathlib import Path

import pysqlite3.dbapi2 as sqlite

from prefs.cache.local import BYTES_MAX, Kept, LocalTier
from prefs.cache.metrics import SILENCE, CacheMetrics

_PLACE = "file"
_UNKNOWN = -1


class EmbeddedTier(LocalTier):
    """Lives on the event loop's thread, as its connection does, which never waits: a locked file counts as changed."""

    def __init__(self, path: Path, bytes_max: int = BYTES_MAX, metrics: CacheMetrics = SILENCE) -> None:
        super().__init__(bytes_max, metrics)
        address = f"{path.resolve().as_uri()}?mode=ro"
        self._connection = sqlite.connect(address, uri=True, isolation_level=None, timeout=0)
        self._ask = self._connection.cursor().execute
        self._seen = _UNKNOWN

    def attend(self) -> None:
        """Before every run of reads, and of loads: a commit during a load distrusts what it brings."""
        try:
            seen: int = self._ask("PRAGMA data_version").fetchone()[0]
        except sqlite.Error:
            seen = _UNKNOWN  # the same as changed
        if seen != self._seen or seen == _UNKNOWN:
            self._seen = seen
            self._begin(_PLACE, "changed")

    def trusted(self) -> bool:
        return self._seen != _UNKNOWN

    def fresh(self, key: str, version: int = 0) -> Kept | None:
        """No time limit: what is of the present epoch is what the file says."""
        kept = self._kept.get(key)
        if kept is None or kept.epoch != self._epoch or kept.version < version or self._seen == _UNKNOWN:
            return None
        kept.used = True
        return kept

    def close(self) -> None:
        self._connection.close()
