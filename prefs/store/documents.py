"""Queries on guests: their history, and writing documents with it in one transaction. `reads` reads documents.

Plain functions over a connection: PostgreSQL and SQLite run the same ones, each in its own way of waiting.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from prefs.core.changes import Change, Written
from prefs.core.entries import Document, Identifier
from prefs.core.errors import IdentifierTaken, NotFound, Refused
from prefs.core.papers import Papers
from prefs.ports import Apply, DataKey, Once, Safe, Vault
from prefs.store import keys, papers, reads, records, replays
from prefs.store.engines import Outcome
from prefs.store.json_text import plain
from prefs.store.reads import Known
from prefs.store.statements import INTEGER_MAX, Among, insert_change, insert_new
from prefs.store.tables import CHANGE, CONSENT, ENTRY, GUEST, GUEST_KEY, IDENTIFIER

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

_CHANGES = (
    select(
        *(column for column in CHANGE.c if column.name not in ("keys", "position", "xid")),
        CHANGE.c["keys"].label("keys_"),  # a row has a method of the plain name
        GUEST_KEY.c.id,
        GUEST_KEY.c.wrapped_by,
        GUEST_KEY.c.wrapped,
    )
    .select_from(CHANGE.outerjoin(GUEST_KEY, GUEST_KEY.c.guest_id == CHANGE.c.guest_id))
    .where(CHANGE.c.guest_id == bindparam("of"))
)
_NEWEST_CHANGES = (
    _CHANGES.where(CHANGE.c.version < bindparam("before")).order_by(CHANGE.c.version.desc()).limit(bindparam("most"))
)
_CHANGES_SINCE = _CHANGES.where(CHANGE.c.version > bindparam("since")).order_by(CHANGE.c.version)
_CHANGE_AT = _CHANGES.where(CHANGE.c.version == bindparam("at"))

_LOCK = select(GUEST.c.id).where(GUEST.c.id == bindparam("of")).with_for_update()

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


# ---------------------------------------------------------------- reading


def find(connection: Connection, identifier: Identifier) -> str | None:
    found: str | None = connection.execute(_FIND, {"of_system": identifier.system, "of_id": identifier.id}).scalar()
    return found


def history(connection: Connection, guest: str, limit: int, before: int, vault: Vault) -> list[Change]:
    return _changes(connection, _NEWEST_CHANGES, {"of": guest, "before": before, "most": limit}, vault)


def _changes(connection: Connection, asked: Any, given: dict[str, Any], vault: Vault) -> list[Change]:
    rows = connection.execute(asked, given).all()
    key = DataKey(rows[0].id, rows[0].wrapped_by, rows[0].wrapped) if rows and rows[0].wrapped is not None else None
    safe = vault.unlock(rows[0].guest_id, key) if key else None
    return [records.change_of(row, safe) for row in rows]


def every(connection: Connection, limit: int, after: str) -> list[str]:
    return list(connection.execute(_ALL, {"after": after, "most": limit}).scalars())


def holders(connection: Connection, key: str, limit: int, after: str) -> list[str]:
    return list(connection.execute(_HOLDERS, {"of": key, "after": after, "most": limit}).scalars())


@dataclass(frozen=True, slots=True)
class SqlPast:
    """The history inside a write's own transaction, under the guest's lock."""

    connection: Connection
    guest: str
    newest: int
    vault: Vault

    def since(self, version: int) -> list[Change]:
        if version >= self.newest:
            return []
        return _changes(self.connection, _CHANGES_SINCE, {"of": self.guest, "since": clamp(version)}, self.vault)

    def papers(self) -> Papers:
        return papers.read(self.connection, self.guest, self.vault)

    def at(self, version: int) -> Change | None:
        found = _changes(self.connection, _CHANGE_AT, {"of": self.guest, "at": clamp(version)}, self.vault)
        return found[0] if found else None


def clamp(number: int) -> int:
    return max(-1, min(number, INTEGER_MAX))


# ---------------------------------------------------------------- writing


@dataclass(frozen=True, slots=True)
class Kept:
    """What a write came to, and what seals the guest's data, to be remembered with the document."""

    written: Written
    safe: Safe | None

    @property
    def known(self) -> Known:
        return Known(self.written.document, self.safe)


def create(
    connection: Connection, written: Written, once: Once | None, now: datetime, vault: Vault
) -> Outcome[Written]:
    guest = written.document.guest
    if once and (stored := replays.claim(connection, once, guest, now, vault)):
        return Outcome(replayed(connection, stored, vault).written, keep=False)
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
    safe = keys.make(connection, vault, guest, now) if vault.sealing else None
    _save_parts(connection, Document(guest, 0), document, safe)
    connection.execute(insert_change(connection.dialect.name), records.change_columns(change, safe))
    return Outcome(_told(connection, Written(document, change, written.answer), once, safe).written)


def write(
    connection: Connection, guest: str, apply: Apply, once: Once | None, now: datetime, vault: Vault
) -> Outcome[Kept]:
    if once and (stored := replays.claim(connection, once, guest, now, vault)):
        return Outcome(replayed(connection, stored, vault), keep=False)
    connection.execute(_NEXT_VERSION, {"of": guest})  # the row lock makes version order commit order
    present = reads.known(connection, guest, vault)
    if present is None:
        raise NotFound("There is no such guest.")
    before = replace(present.document, version=present.document.version - 1)
    written = apply(before, SqlPast(connection, guest, before.version, vault))
    if written.change is None and once is None and written.papers is None:
        same = Written(before, None, plain(written.answer))
        return Outcome(Kept(same, present.safe), keep=False)
    safe = keys.safe_for(connection, vault, guest, now, present.safe)
    if written.change is None:
        papers.save(connection, guest, written, safe, vault)
        # The document is not to be kept: take back the version, nobody has seen it.
        connection.execute(_SET_GUEST, {"of": guest, "version": before.version})
        return Outcome(_told(connection, Written(before, None, written.answer), once, safe))
    document, change = records.settle(written, before, guest)
    connection.execute(
        _SET_GUEST, {"of": guest, "display_name": document.display_name, "updated_at": document.updated_at}
    )
    _save_parts(connection, before, document, safe)
    connection.execute(insert_change(connection.dialect.name), records.change_columns(change, safe))
    papers.save(connection, guest, written, safe, vault)
    return Outcome(_told(connection, Written(document, change, written.answer), once, safe))


def rewrite_history(connection: Connection, guest: str, changes: Sequence[Change], vault: Vault) -> Outcome[None]:
    if connection.execute(_LOCK, {"of": guest}).first() is None:
        raise NotFound("There is no such guest.")
    safe = keys.safe_of(connection, vault, guest)
    for change in changes:
        papers.rewrite(connection, change, safe)
    return Outcome(None)


def _told(connection: Connection, written: Written, once: Once | None, safe: Safe | None) -> Kept:
    answer = plain(written.answer)
    if once:
        replays.keep(connection, once, answer, safe)
    return Kept(replace(written, answer=answer), safe)


def replayed(connection: Connection, stored: replays.Stored, vault: Vault) -> Kept:
    present = reads.known(connection, stored.guest, vault)
    if present is None:
        raise NotFound("There is no such guest.")
    return Kept(Written(present.document, None, stored.answer, replayed=True), present.safe)


def _save_parts(connection: Connection, before: Document, after: Document, safe: Safe | None) -> None:
    """Write what differs between two documents of one guest, and nothing else."""
    guest = after.guest
    old, new = ({entry.id: entry for entry in document.entries} for document in (before, after))
    if gone := [entry.id for entry in before.entries if new.get(entry.id) != entry]:
        connection.execute(_DROP_ENTRIES, {"of": guest, "ids": gone})
    if come := [entry for entry in after.entries if old.get(entry.id) != entry]:
        connection.execute(_ADD_ENTRIES, [records.entry_columns(guest, entry, safe) for entry in come])
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
