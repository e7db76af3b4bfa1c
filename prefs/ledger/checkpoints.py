"""The second place: for every chain an append-only file of signed checkpoints, each enough to notice a missing tail.

A process that writes takes the first chain of its folder that no other process holds, and holds it by a lock on the
file as long as it lives: so a chain has one writer at a time, there are no more chains than processes ever ran at once,
and no process waits for another. `folder.id` keeps the chains of two machines apart.
"""

import fcntl
import os
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from prefs.core.errors import LedgerUnavailable
from prefs.ledger.chain import GENESIS
from prefs.ledger.keys import LedgerKeys

ID_FILE = "folder.id"
SEGMENT_BYTES = 8 * 2**20  # of one file; the next begins with the last checkpoint of the one before
CHAINS_MAX = 1000
CUTS = "cuts"  # the file that says where chains begin since they were pruned
_TAIL_BYTES = 4096


class CheckpointFault(Exception):
    """A file of checkpoints does not hold what was signed; the sentence says which and where."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Up to `seq` this chain ends in `hash`; or, of kind "cut", that it begins after it."""

    kind: str
    writer: str
    seq: int
    hash: str
    at: int
    signature: str = ""

    def signed(self, keys: LedgerKeys) -> "Checkpoint":
        return Checkpoint(self.kind, self.writer, self.seq, self.hash, self.at, keys.signing.sign(self._told()).hex())

    def is_signed(self, key: Ed25519PublicKey) -> bool:
        try:
            key.verify(bytes.fromhex(self.signature), self._told())
        except (InvalidSignature, ValueError):
            return False
        return True

    def line(self) -> bytes:
        return orjson.dumps([self.kind, self.writer, self.seq, self.hash, self.at, self.signature]) + b"\n"

    @classmethod
    def read(cls, line: bytes) -> Self:
        """Raises ValueError for anything else than a line."""
        members: Any = orjson.loads(line)
        kinds = (str, str, int, str, int, str)
        if not isinstance(members, list) or [type(one) for one in members] != list(kinds):
            raise ValueError("not a checkpoint")
        return cls(*members)

    def _told(self) -> bytes:
        return b"guestprefs ledger\n" + orjson.dumps([self.kind, self.writer, self.seq, self.hash, self.at])


class Slot:
    """A chain that this process writes: its name, its last checkpoint, and the file that the next one goes to."""

    def __init__(self, folder: Path, writer: str, lock: int | None, keys: LedgerKeys) -> None:
        self.writer, self._folder, self._lock, self._keys = writer, folder, lock, keys
        self._file: int | None = None
        self._size = 0
        self.last: Checkpoint | None = None

    def open(self, at: int) -> None:
        """Raises CheckpointFault where the file's end is not what this key signed."""
        segments = segments_of(self._folder, self.writer)
        path = segments[-1] if segments else self._folder / f"{self.writer}.1.chain"
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._size = _without_torn_end(self._file)
        if self._size == 0 and len(segments) < 2:
            self.write(0, GENESIS, at)
            _sync_folder(self._folder)
            return
        last = list(read_lines(path if self._size else segments[-2]))[-1]
        if last.writer != self.writer or not last.is_signed(self._keys.verifying):
            raise CheckpointFault(f"The last checkpoint in {path} is not one that this ledger's key signed.")
        self.last = last

    def write(self, seq: int, hash: str, at: int) -> None:
        """Durable when it returns. Raises OSError."""
        if self._file is None:
            raise OSError("the file of checkpoints is closed")
        if self._size > SEGMENT_BYTES and self.last is not None:
            self._begin_segment(self.last)
        made = Checkpoint("checkpoint", self.writer, seq, hash, at).signed(self._keys)
        self._append(made)
        self.last = made

    def close(self) -> None:
        """The chain is free for another process; doing it again does nothing."""
        for handle in (self._file, self._lock):
            if handle is not None:
                os.close(handle)
        self._file = self._lock = None

    def _append(self, made: Checkpoint) -> None:
        assert self._file is not None
        line = made.line()
        if os.write(self._file, line) != len(line):
            os.ftruncate(self._file, self._size)
            raise OSError("the checkpoint could not be written whole")
        os.fdatasync(self._file)
        self._size += len(line)

    def _begin_segment(self, last: Checkpoint) -> None:
        number = int(segments_of(self._folder, self.writer)[-1].name.split(".")[1]) + 1
        path = self._folder / f"{self.writer}.{number}.chain"
        following = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        if self._file is not None:
            os.close(self._file)
        self._file, self._size = following, 0
        self._append(last)
        _sync_folder(self._folder)


def claim(folder: Path, keys: LedgerKeys, at: int, broken: set[str]) -> Slot:
    """The first chain of this folder that no living process writes; one whose file is not what was signed joins the
    broken ones, which are left as they are. Raises LedgerUnavailable, OSError."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    name = _id_of(folder)
    for number in range(CHAINS_MAX):
        writer = f"{name}-{number}"
        if writer in broken:
            continue
        lock = os.open(folder / f"{writer}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        slot = Slot(folder, writer, lock, keys)
        try:
            slot.open(at)
        except CheckpointFault:
            slot.close()
            broken.add(writer)
            continue
        except BaseException:
            slot.close()
            raise
        return slot
    raise LedgerUnavailable(f"More than {CHAINS_MAX} processes write to the ledger from {folder}.")


def _id_of(folder: Path) -> str:
    path = folder / ID_FILE
    if not path.exists():
        made = folder / f"{ID_FILE}.{os.getpid()}.{secrets.token_hex(4)}"
        made.write_text(secrets.token_hex(4), encoding="ascii")
        try:
            os.link(made, path)  # whoever is first names it
        except FileExistsError:
            pass
        finally:
            made.unlink()
    name = path.read_text(encoding="ascii").strip()
    if len(name) != 8 or not set(name) <= set("0123456789abcdef"):
        raise LedgerUnavailable(f"{path} does not hold the name of this folder: 8 hexadecimal digits are expected.")
    return name


def chains_in(folder: Path) -> list[str]:
    """The chains that have checkpoints in this folder."""
    found = {path.name.split(".")[0] for path in folder.glob("*.chain")}
    return sorted(found, key=lambda writer: (writer.split("-")[0], int(writer.split("-")[-1])))


def segments_of(folder: Path, writer: str) -> list[Path]:
    return sorted(folder.glob(f"{writer}.*.chain"), key=lambda path: int(path.name.split(".")[1]))


def lines_of(folder: Path, writer: str) -> list[Checkpoint]:
    """All checkpoints of a chain, oldest first. Raises CheckpointFault."""
    return [line for path in segments_of(folder, writer) for line in read_lines(path)]


def cuts_of(folder: Path, key: Ed25519PublicKey) -> dict[str, Checkpoint]:
    """Where each pruned chain begins. Raises CheckpointFault for a cut that nobody signed."""
    path = folder / CUTS
    found: dict[str, Checkpoint] = {}
    for line in read_lines(path) if path.exists() else ():
        if line.kind != "cut" or not line.is_signed(key):
            raise CheckpointFault(
                f"{path} says where chain {line.writer} begins, but not with this ledger's signature."
            )
        found[line.writer] = line
    return found


def cut(folder: Path, made: Sequence[Checkpoint]) -> None:
    """Say where chains begin from now on; durable when it returns."""
    handle = os.open(folder / CUTS, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        _without_torn_end(handle)
        os.write(handle, b"".join(one.line() for one in made))
        os.fsync(handle)
    finally:
        os.close(handle)
    _sync_folder(folder)


def read_lines(path: Path) -> Iterator[Checkpoint]:
    """A last line that was never finished is passed over: nobody was answered on the strength of it."""
    content = path.read_bytes()
    for number, line in enumerate(content[: content.rfind(b"\n") + 1].splitlines(), 1):
        try:
            yield Checkpoint.read(line)
        except ValueError as error:
            raise CheckpointFault(f"Line {number} of {path} is not a checkpoint.") from error


def _without_torn_end(handle: int) -> int:
    """Take away what a process that died left unfinished; answers the size."""
    size = os.fstat(handle).st_size
    start = max(0, size - _TAIL_BYTES)
    tail = os.pread(handle, size - start, start)
    whole = start + tail.rfind(b"\n") + 1
    if whole != size:
        os.ftruncate(handle, whole)
    return whole


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
