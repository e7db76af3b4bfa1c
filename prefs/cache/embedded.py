"""The local tier of one machine on SQLite: trusted while the file did not change, looked at anew for every read.

`PRAGMA data_version` on a connection of its own changes with every commit of any other connection, of this process or
another. Asking costs some three microseconds and no lock; so a write is seen by the very next read, whoever made it,
and no message, heartbeat or fence is needed. Each commit distrusts everything that is kept: embedded houses are small.

One look serves every read of a round of the event loop. That is no less exact: the end of the round is put into the
loop's queue before the look, so whatever runs until then was in the queue, and so had been asked, before the look.
"""

from asyncio import get_running_loop
from pathlib import Path

import pysqlite3.dbapi2 as sqlite

from prefs.cache.local import BYTES_MAX, Kept, LocalTier
from prefs.cache.metrics import SILENCE, CacheMetrics

_PLACE = "file"
_UNKNOWN = -1
_FOREVER = float("inf")  # what is of the present epoch is what the file says


class EmbeddedTier(LocalTier):
    """Lives on the event loop's thread, as its connection does, which never waits: a locked file counts as changed."""

    def __init__(self, path: Path, bytes_max: int = BYTES_MAX, metrics: CacheMetrics = SILENCE) -> None:
        super().__init__(bytes_max, metrics, ttl_s=_FOREVER, negative_ttl_s=_FOREVER)
        address = f"{path.resolve().as_uri()}?mode=ro"
        self._connection = sqlite.connect(address, uri=True, isolation_level=None, timeout=0)
        self._ask = self._connection.cursor().execute
        self._seen = _UNKNOWN
        self._looked = False

    def attend(self) -> None:
        """Before every run of reads, and of loads: a commit during a load distrusts what it brings."""
        if self._looked:
            return
        get_running_loop().call_soon(self._end_round)  # before the look: see above
        self._looked = True
        self._look()

    def _end_round(self) -> None:
        self._looked = False

    def _look(self) -> None:
        try:
            seen: int = self._ask("PRAGMA data_version").fetchone()[0]
        except sqlite.Error:
            seen = _UNKNOWN  # the same as changed
        if seen != self._seen or seen == _UNKNOWN:
            self._seen = seen
            self._begin(_PLACE, "changed")
            self._vouched_at = -_FOREVER if seen == _UNKNOWN else _FOREVER

    def _last_true(self, kept: Kept) -> float:
        """Nobody tells when the file changed: only when the copy was made is known."""
        return kept.loaded_at if kept.doubted_at is None else kept.doubted_at

    def close(self) -> None:
        self._connection.close()
