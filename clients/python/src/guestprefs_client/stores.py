"""Where answers and edits are kept: in memory, or in a SQLite file that survives a restart."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from guestprefs_client.ports import Record, Seal

# Kinds that may be dropped when there are too many: they can be asked for again.
_REPLACEABLE = "answer"
ANSWERS_MAX = 5_000

_SCHEMA = """
CREATE TABLE IF NOT EXISTS records (
    place INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    account TEXT NOT NULL,
    guest TEXT NOT NULL,
    name TEXT NOT NULL,
    data BLOB NOT NULL,
    UNIQUE (guest, kind, account, name)
)
"""


class MemoryStore:
    """Forgets everything with the process: right for devices that many people share."""

    blocking = False

    def __init__(self, answers_max: int = ANSWERS_MAX) -> None:
        self._records: dict[tuple[str, str, str, str], Record] = {}
        self._answers_max = answers_max
        self._answers = 0
        self._lock = threading.Lock()

    def put(self, record: Record) -> None:
        name = (record.kind, record.account, record.guest, record.name)
        with self._lock:
            if record.kind == _REPLACEABLE:
                self._answers += name not in self._records
                if self._answers > self._answers_max:
                    del self._records[next(known for known in self._records if known[0] == _REPLACEABLE)]
                    self._answers -= 1
            self._records[name] = record

    def get(self, kind: str, account: str, guest: str, name: str) -> bytes | None:
        found = self._records.get((kind, account, guest, name))
        return found.data if found else None

    def listed(self, kind: str, account: str, guest: str | None = None) -> Sequence[Record]:
        with self._lock:
            return [
                record
                for (its_kind, its_account, its_guest, _), record in self._records.items()
                if its_kind == kind and its_account == account and guest in (None, its_guest)
            ]

    def drop(self, kind: str, account: str, guest: str | None = None, name: str | None = None) -> None:
        self._forget((kind, account, guest, name))

    def wipe(self, guest: str | None = None) -> None:
        self._forget((None, None, guest, None))

    def _forget(self, wanted: tuple[str | None, ...]) -> None:
        with self._lock:
            for known in list(self._records):
                if all(part in (None, own) for part, own in zip(wanted, known, strict=True)):
                    del self._records[known]
                    self._answers -= known[0] == _REPLACEABLE

    def close(self) -> None: ...


class SQLiteStore:
    """One file, readable by its owner only. With a `seal` its values are encrypted; what is deleted is overwritten.

    Several processes may share it. A write is on disk when `put` comes back.
    """

    blocking = True

    def __init__(self, path: str | Path, *, seal: Seal | None = None, answers_max: int = ANSWERS_MAX) -> None:
        self._seal = seal
        self._answers_max = answers_max
        self._lock = threading.Lock()
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        self._connection = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
        # A rollback journal that is deleted, not a write-ahead log, which would keep what was erased.
        for pragma in ("journal_mode = DELETE", "secure_delete = ON", "synchronous = FULL", "temp_store = MEMORY"):
            self._connection.execute(f"PRAGMA {pragma}").fetchall()
        self._connection.execute(_SCHEMA)

    def put(self, record: Record) -> None:
        data = self._seal.encrypt(record.data) if self._seal else record.data
        with self._lock:
            self._connection.execute(
                "INSERT INTO records (kind, account, guest, name, data) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT (guest, kind, account, name) DO UPDATE SET data = excluded.data",
                (record.kind, record.account, record.guest, record.name, data),
            )
            if record.kind == _REPLACEABLE:
                self._connection.execute(
                    "DELETE FROM records WHERE place IN (SELECT place FROM records WHERE kind = ? "
                    "ORDER BY place LIMIT max(0, (SELECT count(*) FROM records WHERE kind = ?) - ?))",
                    (_REPLACEABLE, _REPLACEABLE, self._answers_max),
                )

    def get(self, kind: str, account: str, guest: str, name: str) -> bytes | None:
        with self._lock:
            found = self._connection.execute(
                "SELECT data FROM records WHERE guest = ? AND kind = ? AND account = ? AND name = ?",
                (guest, kind, account, name),
            ).fetchone()
        return self._opened(found[0]) if found else None

    def listed(self, kind: str, account: str, guest: str | None = None) -> Sequence[Record]:
        with self._lock:
            rows = self._connection.execute(
                "SELECT guest, name, data FROM records WHERE kind = ? AND account = ? AND (? IS NULL OR guest = ?) "
                "ORDER BY place",
                (kind, account, guest, guest),
            ).fetchall()
        return [Record(kind, account, its_guest, name, self._opened(data)) for its_guest, name, data in rows]

    def drop(self, kind: str, account: str, guest: str | None = None, name: str | None = None) -> None:
        with self._lock:
            self._connection.execute(
                "DELETE FROM records WHERE kind = ? AND account = ? AND (? IS NULL OR guest = ?) "
                "AND (? IS NULL OR name = ?)",
                (kind, account, guest, guest, name, name),
            )

    def wipe(self, guest: str | None = None) -> None:
        with self._lock:
            gone = self._connection.execute("DELETE FROM records WHERE ? IS NULL OR guest = ?", (guest, guest)).rowcount
            if gone:
                self._connection.execute("VACUUM")  # pages that became free hold nothing of it either

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def _opened(self, data: bytes) -> bytes:
        return self._seal.decrypt(data) if self._seal else data

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
