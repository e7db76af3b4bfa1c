"""Where answers and edits are kept: in memory, or in a SQLite file that survives a restart."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from guestprefs_client.errors import WrongSeal
from guestprefs_client.ports import Record, Seal
from guestprefs_client.sealing import MARK, Sealing, decrypted, new_key

# Kinds that may be dropped when there are too many: they can be asked for again.
_REPLACEABLE = "answer"
ANSWERS_MAX = 5_000
# The row with the key of digests, under the seal. It says nothing about anybody and outlives a wipe.
_SEAL = "seal"

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
    """One file, readable by its owner only; what is deleted is overwritten. With a `seal` its values are encrypted, and
    guests, accounts and questions are digests. What a file held before it had one is sealed when it is opened.

    Several processes may share it. A write is on disk when `put` comes back.
    """

    blocking = True

    def __init__(self, path: str | Path, *, seal: Seal | None = None, answers_max: int = ANSWERS_MAX) -> None:
        """Raises WrongSeal for a file that was sealed with another key, or that is sealed and no `seal` given."""
        self._path = path
        self._answers_max = answers_max
        self._lock = threading.Lock()
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        self._connection = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
        try:
            # A rollback journal that is deleted, not a write-ahead log, which would keep what was erased.
            for pragma in ("journal_mode = DELETE", "secure_delete = ON", "synchronous = FULL", "temp_store = MEMORY"):
                self._connection.execute(f"PRAGMA {pragma}").fetchall()
            self._connection.execute(_SCHEMA)
            if seal is None:
                self._refuse_what_is_sealed()
            self._sealing = None if seal is None else self._sealed(seal)
        except BaseException:
            self._connection.close()
            raise

    # ---- what is asked for ----

    def put(self, record: Record) -> None:
        resting = self._sealing.closed(record) if self._sealing else record
        with self._lock:
            self._connection.execute(
                "INSERT INTO records (kind, account, guest, name, data) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT (guest, kind, account, name) DO UPDATE SET data = excluded.data",
                (resting.kind, resting.account, resting.guest, resting.name, resting.data),
            )
            if record.kind == _REPLACEABLE:
                self._connection.execute(
                    "DELETE FROM records WHERE place IN (SELECT place FROM records WHERE kind = ? "
                    "ORDER BY place LIMIT max(0, (SELECT count(*) FROM records WHERE kind = ?) - ?))",
                    (_REPLACEABLE, _REPLACEABLE, self._answers_max),
                )

    def get(self, kind: str, account: str, guest: str, name: str) -> bytes | None:
        place = (kind, self._word("account", account), self._word("guest", guest), self._word("name", name))
        with self._lock:
            found = self._connection.execute(
                "SELECT data FROM records WHERE kind = ? AND account = ? AND guest = ? AND name = ?", place
            ).fetchone()
        if found is None or self._sealing is None:
            return found[0] if found else None
        if record := self._sealing.opened(Record(*place, found[0])):
            return record.data
        with self._lock:  # unless it was put again meanwhile
            self._connection.execute(
                "DELETE FROM records WHERE kind = ? AND account = ? AND guest = ? AND name = ? AND data = ?",
                (*place, found[0]),
            )
        return None

    def listed(self, kind: str, account: str, guest: str | None = None) -> Sequence[Record]:
        drawer, its_guest = self._word("account", account), self._guest(guest)
        with self._lock:
            rows = self._connection.execute(
                "SELECT guest, name, data FROM records WHERE kind = ? AND account = ? AND (? IS NULL OR guest = ?) "
                "ORDER BY place",
                (kind, drawer, its_guest, its_guest),
            ).fetchall()
        resting = [Record(kind, drawer, *row) for row in rows]
        if self._sealing is None:
            return resting
        return [
            self._sealing.opened(one) or Record(kind, account, guest or one.guest, one.name, b"") for one in resting
        ]

    def drop(self, kind: str, account: str, guest: str | None = None, name: str | None = None) -> None:
        its_guest, its_name = self._guest(guest), None if name is None else self._word("name", name)
        with self._lock:
            self._connection.execute(
                "DELETE FROM records WHERE kind = ? AND account = ? AND (? IS NULL OR guest = ?) "
                "AND (? IS NULL OR name = ?)",
                (kind, self._word("account", account), its_guest, its_guest, its_name, its_name),
            )

    def wipe(self, guest: str | None = None) -> None:
        its_guest = self._guest(guest)
        with self._lock:
            gone = self._connection.execute(
                "DELETE FROM records WHERE kind != ? AND (? IS NULL OR guest = ?)", (_SEAL, its_guest, its_guest)
            ).rowcount
            if gone:
                self._connection.execute("VACUUM")  # pages that became free hold nothing of it either

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ---- under a seal ----

    def _word(self, column: str, said: str) -> str:
        return self._sealing.word(column, said) if self._sealing else said

    def _guest(self, guest: str | None) -> str | None:
        return None if guest is None else self._word("guest", guest)

    def _refuse_what_is_sealed(self) -> None:
        if self._resting_key() is not None:
            raise WrongSeal(f"{self._path} is sealed: give SQLiteStore the seal= that it was made with.")

    def _sealed(self, seal: Seal) -> Sealing:
        """The sealing of this file. Processes that open it at once agree on one key of digests."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            resting = self._resting_key()
            key = new_key() if resting is None else decrypted(seal, resting)
            if key is None:
                raise self._other_key()
            if resting is None:
                self._connection.execute(
                    "INSERT INTO records (kind, account, guest, name, data) VALUES (?, '', '', '', ?)",
                    (_SEAL, seal.encrypt(key)),
                )
            sealing = Sealing(seal, key)
            moved = self._seal_in_place(sealing, seal)
            self._connection.execute("COMMIT")
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        if moved:
            self._connection.execute("VACUUM")  # nothing that was readable stays on pages that became free
        return sealing

    def _resting_key(self) -> bytes | None:
        found = self._connection.execute("SELECT data FROM records WHERE kind = ?", (_SEAL,)).fetchone()
        return found[0] if found else None

    def _seal_in_place(self, sealing: Sealing, seal: Seal) -> int:
        """Records without a seal, or from when only values had one; each keeps its place."""
        rows = self._connection.execute(
            "SELECT place, kind, account, guest, name, data FROM records WHERE kind != ? AND guest NOT LIKE ? || '%'",
            (_SEAL, MARK),
        ).fetchall()
        for place, kind, account, guest, name, data in rows:
            told = decrypted(seal, data)
            if told is None and not _is_readable(data):
                raise self._other_key()
            closed = sealing.closed(Record(kind, account, guest, name, data if told is None else told))
            self._connection.execute(
                "UPDATE OR REPLACE records SET account = ?, guest = ?, name = ?, data = ? WHERE place = ?",
                (closed.account, closed.guest, closed.name, closed.data, place),
            )
        return len(rows)

    def _other_key(self) -> WrongSeal:
        (waiting,) = self._connection.execute("SELECT count(*) FROM records WHERE kind = 'edit'").fetchone()
        return WrongSeal(
            f"{self._path} was sealed with another key: open it with that one, or remove the file "
            f"and with it {waiting} edits that wait to be sent."
        )


def _is_readable(data: bytes) -> bool:
    try:
        json.loads(data)
    except ValueError:
        return False
    return True
