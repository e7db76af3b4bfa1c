"""What is stored under a key, counted by value: over all guests, some at a time: values are opened first."""

from collections import Counter

from sqlalchemy import Connection, bindparam, select

from prefs.core.entries import Entry, ScopeKind, Strength
from prefs.ports import DataKey, Safe, Usage, Vault
from prefs.store import documents, records
from prefs.store.json_text import dump, load
from prefs.store.statements import Among
from prefs.store.tables import ENTRY, GUEST_KEY

GUESTS_AT_ONCE = 500  # some ten milliseconds of opening, between two of which others have their turn

_ENTRIES = (
    select(ENTRY, GUEST_KEY.c.id.label("key_id"), GUEST_KEY.c.wrapped_by, GUEST_KEY.c.wrapped)
    .select_from(ENTRY.outerjoin(GUEST_KEY, GUEST_KEY.c.guest_id == ENTRY.c.guest_id))
    .where(ENTRY.c.key == bindparam("of"), Among(ENTRY.c.guest_id, "guests"))
)


type Counts = Counter[tuple[str, Strength, ScopeKind]]


def usage(connection: Connection, key: str, vault: Vault) -> list[Usage]:
    """Raises Sealed."""
    counts: Counts = Counter()
    after = ""
    while guests := documents.holders(connection, key, GUESTS_AT_ONCE, after):
        after = guests[-1]
        safes: dict[str, Safe] = {}
        for row in connection.execute(_ENTRIES, {"of": key, "guests": guests}):
            if row.wrapped is not None and row.guest_id not in safes:
                safes[row.guest_id] = vault.unlock(row.guest_id, DataKey(row.key_id, row.wrapped_by, row.wrapped))
            count(counts, records.entry_of(row[: len(ENTRY.c)], safes.get(row.guest_id)))
    return told(counts)


def count(counts: Counts, entry: Entry) -> None:
    counts[dump(entry.value), entry.strength, entry.scope.kind] += 1


def told(counts: Counts) -> list[Usage]:
    """In the order of the values as text."""
    return [Usage(load(value), strength, scope, many) for (value, strength, scope), many in sorted(counts.items())]
