"""`python -m loadtests.bench.remembering URL GUEST FOLDER READS`: Python clients that know a guest, and once a line
comes on stdin, how many microseconds each takes to tell so. In a process of its own: the client is no package here."""

import base64
import json
import os
import sys
import time
from pathlib import Path

from cryptography.fernet import Fernet
from guestprefs_client import GuestPrefs, MemoryStore, SQLiteStore
from guestprefs_client.ports import Store


def main(url: str, guest: str, folder: Path, reads: int) -> None:
    clients = {
        name: GuestPrefs(url, "a-token", store=store, outbox=True, account="a-guest")
        for name, store in stores(folder).items()
    }
    for client in clients.values():
        client.get(guest)
    sys.stdout.write("known\n")
    sys.stdout.flush()
    sys.stdin.readline()
    sys.stdout.write(json.dumps({name: times(client, guest, reads) for name, client in clients.items()}))


def stores(folder: Path) -> dict[str, Store]:
    seal = Fernet(base64.urlsafe_b64encode(os.urandom(32)))
    plain, sealed = SQLiteStore(folder / "python.db"), SQLiteStore(folder / "python-sealed.db", seal=seal)
    return {"memory": MemoryStore(), "SQLite": plain, "sealed SQLite": sealed}


def times(client: GuestPrefs, guest: str, reads: int) -> list[float]:
    client.edit(guest, {"room.quiet": False})  # by which it notices that the server is away
    found = []
    for _ in range(reads):
        begun = time.perf_counter()
        known = client.get(guest)
        found.append((time.perf_counter() - begun) * 1e6)
        if not (known.meta.stale and known.meta.pending_writes):
            raise SystemExit("what was told is not what was known last")
    return found


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
