"""Whether a SQLite file was changed by anybody, asked on a connection of its own that never reads or writes rows.

The answer takes a few microseconds and touches no disk (it stands in the shared memory of the write-ahead log), so it
is asked on the event loop itself: a hop to a thread would cost ten times as much.
"""

from collections.abc import Callable

import pysqlite3.dbapi2 as pysqlite

from prefs.store.engines import parse, sqlite_path

_ASK = "PRAGMA data_version"


class FileWatch:
    """Call it for a number that is another one after every commit of another connection; None while it cannot tell."""

    def __init__(self, url: str) -> None:
        # Without waiting: a file that is locked for a moment counts as changed, and the event loop goes on.
        self._connection = pysqlite.connect(
            sqlite_path(parse(url)), timeout=0, isolation_level=None, check_same_thread=False
        )
        self._execute: Callable[[str], pysqlite.Cursor] = self._connection.cursor().execute

    def __call__(self) -> int | None:
        try:
            found: int = self._execute(_ASK).fetchone()[0]
        except pysqlite.Error:
            return None
        return found

    def close(self) -> None:
        self._connection.close()
