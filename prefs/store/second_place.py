"""Tombstones in a file beside the database: a line each, only ever added to, so that restoring cannot take one away.

The file names nobody (a tombstone knows its guest by a keyed digest). A line that a crash cut short is
passed over: the database still has that tombstone, and the next comparison adds it again.
"""

import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from prefs.core.erasure import Tombstone
from prefs.core.errors import Unavailable


class TombstoneFile:
    """`path` need not be there yet."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, Tombstone]:
        try:
            lines = self.path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise Unavailable(f"The tombstones {self.path} cannot be read: {error.strerror}.") from error
        found: dict[str, Tombstone] = {}
        for number, line in enumerate(lines, 1):
            if not line.endswith(b"}"):
                continue  # nothing, or cut
            try:
                said = json.loads(line)
                at = datetime.fromisoformat(said["at"]).astimezone(UTC)
                one = Tombstone(said["digest"], at, said["receipt"])
            except (ValueError, KeyError, TypeError) as error:
                raise Unavailable(f"Line {number} of the tombstones {self.path} cannot be read.") from error
            found.setdefault(one.digest, one)
        return found

    def append(self, tombstones: Sequence[Tombstone]) -> None:
        lines = b"".join(
            json.dumps({"digest": one.digest, "at": one.at.isoformat(), "receipt": one.receipt}).encode() + b"\n"
            for one in tombstones
        )
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                if lines and _is_cut(handle):
                    lines = b"\n" + lines
                while lines:
                    lines = lines[os.write(handle, lines) :]
                os.fsync(handle)
            finally:
                os.close(handle)
        except OSError as error:
            raise Unavailable(f"The tombstones {self.path} cannot be written: {error.strerror}.") from error


def _is_cut(handle: int) -> bool:
    size = os.fstat(handle).st_size
    return size > 0 and os.pread(handle, 1, size - 1) != b"\n"


class NoSecondPlace:
    """For a store that forgets everything with its process: nothing can be restored into it."""

    def read(self) -> dict[str, Tombstone]:
        return {}

    def append(self, tombstones: Sequence[Tombstone]) -> None:
        """Nothing outlives it."""
