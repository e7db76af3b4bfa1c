"""Rows that rest sealed, copied for other guests: opened once, and sealed again under a key of each copy's own."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from prefs.ports import DataKey, Safe
from prefs.settings import VAULT_FILE
from prefs.store.contents import change_place, entry_place
from prefs.store.tables import CHANGE, ENTRY, GUEST_KEY
from prefs.vault.envelope import Envelope
from prefs.vault.providers import FileProvider

# What databases number by themselves is left out.
COLUMNS: Mapping[str, list[str]] = {
    table.name: [column.name for column in table.c if column.name not in ("position", "xid")]
    for table in (GUEST_KEY, ENTRY, CHANGE)
}


def columns_of(table: str) -> str:
    return ", ".join(f'"{name}"' for name in COLUMNS[table])


class Template:
    """The rows of one guest, in the columns above."""

    def __init__(self, data: Path, guest: str, rows: Mapping[str, Sequence[Sequence[Any]]]) -> None:
        self._vault = Envelope(FileProvider(data / VAULT_FILE))
        (self._key,) = (dict(zip(COLUMNS["guest_key"], row, strict=True)) for row in rows["guest_key"])
        safe = self._vault.unlock(guest, DataKey(self._key["id"], self._key["wrapped_by"], self._key["wrapped"]))
        self._rows = {name: [_opened(safe, name, row) for row in rows[name]] for name in ("entry", "change")}
        self._safes: dict[str, Safe] = {}

    def rows(self, table: str, guests: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        """Data keys first, then what they seal."""
        if table == "guest_key":
            self._safes = {guest: self._vault.make(guest) for guest in guests}
            for guest, safe in self._safes.items():
                key = safe.key
                yield guest, key.id, key.wrapped_by, key.wrapped, self._key["created_at"]
            return
        own, sealed = (COLUMNS[table].index(name) for name in ("guest_id", "sealed"))
        for guest in guests:
            safe = self._safes[guest]
            for row, told, place in self._rows[table]:
                copy = list(row)
                copy[own], copy[sealed] = guest, safe.seal(told, *place)
                yield tuple(copy)


def _opened(safe: Safe, table: str, row: Sequence[Any]) -> tuple[Sequence[Any], bytes, tuple[str, ...]]:
    named = dict(zip(COLUMNS[table], row, strict=True))
    version = named["version"]
    place = change_place(version) if table == "change" else entry_place(named["id"], named["key"], version)
    return row, safe.open(named["sealed"], *place), place
