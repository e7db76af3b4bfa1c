"""Clients with copies of their own of what a guest said: an answer, and an edit that waits in the outbox; how they are
kept from hearing of an erasure, or not, and what is left in their files, byte by byte."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from guestprefs_client import GuestPrefs, GuestPrefsError, NotFound, SQLiteStore

from tests.clients import node

PATIENCE_S = 60.0
KEEPING = Path(__file__).with_name("copies.mts")
SAID = "comms.addressed_as"


class Copy(Protocol):
    """One client of one guest. `told` once it has everything it is going to keep; `leave` and `come_back` go off line
    and on again; `over` is waited for after the erasure."""

    name: str

    def wait_until_told(self) -> None: ...
    def leave(self) -> None: ...
    def come_back(self) -> None: ...
    def is_over(self) -> bool: ...
    def held(self) -> bytes:
        """All that it keeps, as it lies there."""
        ...

    def close(self) -> None: ...


def files(path: Path) -> bytes:
    """A SQLite file and whatever lies beside it, free pages and journals and all."""
    return b"".join(one.read_bytes() for one in sorted(path.parent.glob(f"{path.name}*")))


class PythonCopy:
    """Watches in a thread. One that is `shut` is closed instead of going off line, and asks when it is opened again."""

    def __init__(
        self,
        url: str,
        token: str,
        guest: str,
        words: str,
        path: Path,
        store: Callable[[Path], SQLiteStore] = SQLiteStore,
        *,
        shut: bool = False,
    ) -> None:
        self.name = f"python {path.stem}"
        self._url, self._token, self._guest, self._words = url, token, guest, words
        self._path, self._store, self._shut = path, store, shut
        self._told, self._over, self.failed = threading.Event(), threading.Event(), ""
        self._client = self._opened()
        self._thread = threading.Thread(target=self._live)
        self._thread.start()

    def _opened(self) -> GuestPrefs:
        return GuestPrefs(self._url, self._token, store=self._store(self._path), outbox=True)

    def _live(self) -> None:
        client = self._client
        try:
            client.get(self._guest)
            client.offline = True
            assert client.edit(self._guest, {SAID: {"name": f"{self._words} waits"}}).queued
            client.offline = False
            if self._shut:
                self._told.set()
                return
            for known in client.watch(self._guest):
                assert known.meta.pending_writes
                self._told.set()
            self._over.set()
        except (GuestPrefsError, AssertionError) as error:
            self.failed = repr(error)

    def wait_until_told(self) -> None:
        assert self._told.wait(PATIENCE_S), self.failed or f"{self.name}: it was told nothing"

    def leave(self) -> None:
        if self._shut:
            self._thread.join(PATIENCE_S)
            self._client.close()
        else:
            self._client.offline = True

    def come_back(self) -> None:
        if not self._shut:
            self._client.offline = False
            return
        self._client = self._opened()
        try:
            self._client.get(self._guest)
        except NotFound:
            self._over.set()

    def is_over(self) -> bool:
        return self._over.is_set()

    def held(self) -> bytes:
        return files(self._path)

    def close(self) -> None:
        self._client.close()
        self._thread.join(PATIENCE_S)


class NodeCopy:
    """The TypeScript client in a Node of its own, with a file and with its memory alone, which it shows on demand."""

    def __init__(self, url: str, token: str, guest: str, words: str, path: Path) -> None:
        self.name = f"typescript {path.stem}"
        self._path = path
        self._said: queue.Queue[dict[str, Any]] = queue.Queue()
        self._over, self._memory = False, b""
        self._process = subprocess.Popen(
            [str(node.NODE), str(KEEPING), url, token, guest, words, str(path)],
            env=node.environ(NODE_NO_WARNINGS="1"),
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._said.put(json.loads(line))

    def _tell(self, order: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{order}\n")
        self._process.stdin.flush()

    def wait_until_told(self) -> None:
        assert self._said.get(timeout=PATIENCE_S) == {"told": True}

    def leave(self) -> None:
        self._tell("offline")

    def come_back(self) -> None:
        self._tell("online")

    def is_over(self) -> bool:
        while not self._over and not self._said.empty():
            self._over = "over" in self._said.get()
        return self._over

    def held(self) -> bytes:
        self._tell("memory")
        while "memory" not in (said := self._said.get(timeout=PATIENCE_S)):
            self._over = self._over or "over" in said
        return files(self._path) + json.dumps(said["memory"]).encode()

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE_S)
        self._thread.join(PATIENCE_S)
        self._process.stdout.close()


class CarelessStore(SQLiteStore):
    """Deletes rows as SQLite does by itself: what they held stays in the file until something else lies there."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._connection.execute("PRAGMA secure_delete = OFF").fetchall()

    def wipe(self, guest: str | None = None) -> None:
        with self._lock:
            self._connection.execute("DELETE FROM records WHERE ? IS NULL OR guest = ?", (guest, guest))
