"""Queries on guests: their history, and writing documents with it in one transaction. `reads` reads documents.

Plain functions over a connection: PostgreSQL and SQLite run the same ones, each in its own way of waiting.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, Text, bindparam, cast, delete, func, insert, select, update

from prefs.core.changes import Change, Written
from prefs.core.entries import Document, Identifier, ScopeKind, Strength
from prefs.core.errors import IdentifierTaken, NotFound, Refused
from prefs.core.papers import Papers
from prefs.ports import Apply, Once, Usage
from prefs.store import papers, reads, records, replays
from prefs.store.engines import Outcome
from prefs.store.json_text import dump, load, plain
from prefs.store.statements import INTEGER_MAX, Among, insert_change, insert_new
from prefs.store.tables import CHANGE, CONSENT, ENTRY, GUEST, IDENTIFIER

_NEXT_VERSION = update(GUEST).where(GUEST.c.id == bindparam("of")).values(version=GUEST.c.version + 1)
_SET_GUEST = update(GUEST).where(GUEST.c.id == bindparam("of"))
_DROP_ENTRIES = delete(ENTRY).where(ENTRY.c.guest_id == bindparam("of")).where(Among(ENTRY.c.id, "ids"))
_DROP_IDENTIFIER = delete(IDENTIFIER).where(
    IDENTIFIER.c.guest_id == bindparam("of"),
    IDENTIFIER.c.system == bindparam("of_system"),
    IDENTIFIER.c.id == bindparam("of_id"),
)
_DROP_CONSENTS = (
    delete(CONSENT).where(CONSENT.c.guest_id == bindparam("of")).where(Among(CONSENT.c.purpose, "purposes"))
)
_ADD_ENTRIES = insert(ENTRY)
_ADD_CONSENTS = insert(CONSENT)

_CHANGES = select(
    *(column for column in CHANGE.c if column.name not in ("keys", "position", "xid")),
    CHANGE.c["keys"].label("keys_"),  # a row has a method of the plain name
).where(CHANGE.c.guest_id == bindparam("of"))
_NEWEST_CHANGES = (
    _CHANGES.where(CHANGE.c.version < bindparam("before")).order_by(CHANGE.c.version.desc()).limit(bindparam("most"))
)
_CHANGES_SINCE = _CHANGES.where(CHANGE.c.version > bindparam("since")).order_by(CHANGE.c.version)
_CHANGE_AT = _CHANGES.where(CHANGE.c.version == bindparam("at"))

_FIND = select(IDENTIFIER.c.guest_id).where(
    IDENTIFIER.c.system == bindparam("of_system"), IDENTIFIER.c.id == bindparam("of_id")
)
_ALL = select(GUEST.c.id).where(GUEST.c.id > bindparam("after")).order_by(GUEST.c.id).limit(bindparam("most"))
_HOLDERS = (
    select(ENTRY.c.guest_id)
    .distinct()
    .where(ENTRY.c.key == bindparam("of"), ENTRY.c.guest_id > bindparam("after"))
    .order_by(ENTRY.c.guest_id)
    .limit(bindparam("most"))
)
_VALUE_TEXT = cast(ENTRY.c.value, Text)
_USAGE = (
    select(_VALUE_TEXT.label("value"), ENTRY.c.strength, ENTRY.c.scope_kind, func.count().label("many"))
    .where(ENTRY.c.key == bindparam("of"))
    .group_by(_VALUE_TEXT, ENTRY.c.strength, ENTRY.c.scope_kind)
)


# ---------------------------------------------------------------- reading


def find(connection: Connection, identifier: Identifier) -> str | None:
    found: str | None = connection.execute(_FIND, {"of_system": identifier.system, "of_id": identifier.id}).scalar()
    return found


def history(connection: Connection, guest: str, limit: int, before: int) -> list[Change]:
    rows = connection.execute(_NEWEST_CHANGES, {"of": guest, "before": before, "most": limit})
    return [records.change_of(row) for row in rows]


def every(connection: Connection, limit: int, after: str) -> list[str]:
    return list(connection.execute(_ALL, {"after": after, "most": limit}).scalars())


def holders(connection: Connection, key: str, limit: int, after: str) -> list[str]:
    return list(connection.execute(_HOLDERS, {"of": key, "after": after, "most": limit}).scalars())


def usage(connection: Connection, key: str) -> list[Usage]:
    rows = connection.execute(_USAGE, {"of": key})
    found = [
        Usage(
            None if row.value is None else load(row.value), Strength(row.strength), ScopeKind(row.scope_kind), row.many
        )
        for row in rows
    ]
    return sorted(found, key=usage_order)


def usage_order(use: Usage) -> tuple[str, str, str]:
    return dump(use.value), use.strength.value, use.scope.value


@dataclass(frozen=True, slots=True)
class SqlPast:
    """The history inside a write's own transaction, under the guest's lock."""

    connection: Connection
    guest: str
    newest: int

    def since(self, version: int) -> list[Change]:
        if version >= self.newest:
            return []
        rows = self.connection.execute(_CHANGES_SINCE, {"of": self.guest, "since": clamp(version)})
        return [records.change_of(row) for row in rows]

    def papers(self) -> Papers:
        return papers.read(self.connection, self.guest)

    def at(self, version: int) -> Change | None:
        row = self.connection.execute(_CHANGE_AT, {"of": self.guest, "at": clamp(version)}).first()
        return records.change_of(row) if row else None


def clamp(number: int) -> int:
    return max(-1, min(number, INTEGER_MAX))


# ---------------------------------------------------------------- writing


def create(connection: Connection, written: Written, once: Once | None, now: datetime) -> Outcome[Written]:
    guest = written.document.guest
    if once and (stored := replays.claim(connection, once, guest, now)):
        return Outcome(replayed(connection, stored), keep=False)
    document, change = records.settle(written, None, guest)
    columns = {
        "id": guest,
        "version": document.version,
        "display_name": document.display_name,
        "created_at": document.created_at,
        "updated_at": document.updated_at,
    }
    if not insert_new(connection, GUEST, columns):
        raise Refused(f"The guest {guest} exists already.")
    _save_parts(connection, Document(guest, 0), document)
    connection.execute(insert_change(connection.dialect.name), records.change_columns(change))
    return Outcome(_told(connection, Written(document, change, written.answer), once))


def write(connection: Connection, guest: str, apply: Apply, once: Once | None, now: datetime) -> Outcome[Written]:
    if once and (stored := replays.claim(connection, once, guest, now)):
        return Outcome(replayed(connection, stored), keep=False)
    connection.execute(_NEXT_VERSION, {"of": guest})  # the row lock makes version order commit order
    present = reads.document(connection, guest)
    if present is None:
        raise NotFound("There is no such guest.")
    before = replace(present, version=present.version - 1)
    written = apply(before, SqlPast(connection, guest, before.version))
    if written.change is None:
        same = Written(before, None, written.answer)
        if once is None and written.papers is None:
            return Outcome(replace(same, answer=plain(same.answer)), keep=False)
        papers.save(connection, guest, written)
        # The document is not to be kept: take back the version, nobody has seen it.
        connection.execute(_SET_GUEST, {"of": guest, "version": before.version})
        return Outcome(_told(connection, same, once))
    document, change = records.settle(written, before, guest)
    connection.execute(
        _SET_GUEST, {"of": guest, "display_name": document.display_name, "updated_at": document.updated_at}
    )
    _save_parts(connection, before, document)
    connection.execute(insert_change(connection.dialect.name), records.change_columns(change))
    papers.save(connection, guest, written)
    return Outcome(_told(connection, Written(document, change, written.answer), once))


def _told(connection: Connection, written: Written, once: Once | None) -> Written:
    answer = plain(written.answer)
    if once:
        replays.keep(connection, once, answer)
    return replace(written, answer=answer)


def replayed(connection: Connection, stored: replays.Stored) -> Written:
    document = reads.document(connection, stored.guest)
    if document is None:
        raise NotFound("There is no such guest.")
    return Written(document, None, stored.answer, replayed=True)


def _save_parts(connection: Connection, before: Document, after: Document) -> None:
    """Write what differs between two documents of one guest, and nothing else."""
    guest = after.guest
    old, new = ({entry.id: entry for entry in document.entries} for document in (before, after))
    if gone := [entry.id for entry in before.entries if new.get(entry.id) != entry]:
        connection.execute(_DROP_ENTRIES, {"of": guest, "ids": gone})
    if come := [entry for entry in after.entries if old.get(entry.id) != entry]:
        connection.execute(_ADD_ENTRIES, [records.entry_columns(guest, entry) for entry in come])
    save_around(connection, before, after)


def save_around(connection: Connection, before: Document, after: Document) -> None:
    """Identifiers and consents: what differs of them."""
    guest = after.guest
    _save_identifiers(connection, guest, set(before.identifiers), set(after.identifiers))
    if left := [consent.purpose for consent in before.consents if consent not in after.consents]:
        connection.execute(_DROP_CONSENTS, {"of": guest, "purposes": left})
    if given := [consent for consent in after.consents if consent not in before.consents]:
        connection.execute(_ADD_CONSENTS, [records.consent_columns(guest, consent) for consent in given])


def _save_identifiers(
    connection: Connection, guest: str, before: Iterable[Identifier], after: Iterable[Identifier]
) -> None:
    for gone in sorted(set(before) - set(after)):
        connection.execute(_DROP_IDENTIFIER, {"of": guest, "of_system": gone.system, "of_id": gone.id})
    for come in sorted(set(after) - set(before)):  # in one order, so that two writers cannot block each other
        if not insert_new(connection, IDENTIFIER, {"guest_id": guest, "system": come.system, "id": come.id}):
            raise IdentifierTaken(come.system, come.id)
