"""Stores of very many guests: made once, and kept for later runs where `GROWTH_DATA` names a folder.

What is kept is used again as long as it was made for the same schema and the same guests; anything else is made anew.
A run writes a little to what is kept, as any day of a service would.
"""

import hashlib
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from loadtests.bench import guests
from loadtests.bench.comparing import Say
from loadtests.bench.started import DURABLE, Grounds, House
from prefs.store.tables import REVISION, Row
from tests.servers import PostgresServer, choose_isolation

MADE = "made.json"
# What an operator gives a database of this size; the same for every size, so that only the size differs.
_MEMORY: dict[str, Any] = {"shared_buffers": "512MB", "max_wal_size": "2GB"}


class KeptPostgres(PostgresServer):
    """PostgreSQL whose data outlives it; all else lies in a temporary folder as ever."""

    def __init__(self, data: Path, **settings: Any) -> None:
        super().__init__(**{**_MEMORY, **settings})
        self.data = data


def fingerprint(engine: str, size: int) -> dict[str, object]:
    """What decides whether a store made earlier is the one that is wanted: schema, guests, and how many."""
    dialect = postgresql.dialect() if engine == "postgresql" else sqlite.dialect()  # type: ignore[no-untyped-call]
    words = [str(CreateTable(table).compile(dialect=dialect)) for table in Row.metadata.sorted_tables]
    words += [
        str(CreateIndex(index).compile(dialect=dialect))
        for table in Row.metadata.sorted_tables
        for index in sorted(table.indexes, key=lambda index: str(index.name))
    ]
    digest = hashlib.sha256("\n".join([*words, json.dumps(guests.TEN_KEYS)]).encode()).hexdigest()
    return {"revision": REVISION, "schema and guests": digest, "size": size}


def kept_in() -> Path | None:
    named = os.environ.get("GROWTH_DATA", "")
    return Path(named).resolve() if named else None


def is_made(folder: Path, wanted: dict[str, object]) -> bool:
    """The mark is written last: what a run left half made has none."""
    try:
        found = json.loads((folder / MADE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(found == wanted)


def stored(grounds: Grounds, engine: str, size: int, say: Say) -> House:
    """A running house with so many guests."""
    if engine == "postgresql" and choose_isolation() == "nobody":
        return _not_kept(grounds, size, say)
    folder = (kept_in() or grounds.folder) / f"{engine}-{size}"
    wanted = fingerprint(engine, size)
    if not is_made(folder, wanted):
        begun = time.monotonic()
        say(f"storing {size:,} guests on {engine}")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _make(folder, engine, size)
        (folder / MADE).write_text(json.dumps(wanted), encoding="utf-8")
        say(f"stored {size:,} guests on {engine} in {time.monotonic() - begun:.0f} s")
    return grounds.house(engine, f"-{size}", folder / "data", _server(folder, engine, DURABLE))


def _not_kept(grounds: Grounds, size: int, say: Say) -> House:
    """Where PostgreSQL has to run under another account it works in a folder of that account, which ends with it."""
    say(f"storing {size:,} guests on postgresql, not kept: the server runs under another account")
    house = grounds.house("postgresql", f"-{size}", None, PostgresServer(**_MEMORY, **DURABLE))
    guests.load_alone(house, guests.first_guest(house), size)
    return house


def _make(folder: Path, engine: str, size: int) -> None:
    """The first guest by the service, the copies once it has stopped."""
    making = Grounds()
    try:
        server = _server(folder, engine, {})
        house = making.house(engine, f"-{size}-made", folder / "data", server)
        template = guests.first_guest(house)
        making.end(house)
        guests.load_alone(house, template, size)
        os.sync()  # or the disk would still be busy with it while others are measured
    finally:
        making.close()


def _server(folder: Path, engine: str, settings: dict[str, Any]) -> PostgresServer | None:
    return KeptPostgres(folder / "postgres", **settings) if engine == "postgresql" else None
