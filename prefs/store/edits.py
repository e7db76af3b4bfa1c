"""The hot write: an edit of one guest in as few statements as an engine can do it with, said to its driver itself.

SQLAlchemy would take longer to phrase these statements than the databases take to run them. What is rare (identifiers
and consents that change, a refusal that needs the past) goes the common way through `documents` and ends the same.

SQLite: the transaction holds the only write lock, so the guest is looked at once and written once. PostgreSQL: one
statement, and so one round trip, does the whole write if the guest is still as it was known (version and moment of the
last change); its first part takes the guest's row lock, and every other part does nothing where that one did nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import asyncpg
from sqlalchemy import Connection

from prefs.core.changes import Change, Written
from prefs.core.entries import Document, Entry
from prefs.core.errors import NotFound
from prefs.core.papers import Papers
from prefs.ports import ANSWERS_KEPT, Apply, DataKey, Once, Safe, Vault
from prefs.store import contents, documents, keys, papers, reads, records, replays
from prefs.store.documents import Kept
from prefs.store.engines import Outcome
from prefs.store.json_text import dump, load, plain
from prefs.store.reads import Known
from prefs.store.remembered import Remembered
from prefs.store.replays import Stored
from prefs.store.statements import NEXT_POSITION
from prefs.store.tables import EPOCH, MICROSECOND

_ENTRY_COLUMNS = (
    "id, key, value, strength, scope_kind, scope_id, context, provenance, actor, surface, stated_at, source, version, "
    "expires_at, entered, sealed"
)


@dataclass(frozen=True, slots=True)
class Edit:
    """What `Store.write` was asked to do."""

    guest: str
    apply: Apply
    once: Once | None
    now: datetime
    vault: Vault


def difference(before: Document, after: Document) -> tuple[list[str], list[Entry]]:
    """Ids of the entries that go, and the entries that come."""
    old = {entry.id: entry for entry in before.entries}
    new = {entry.id: entry for entry in after.entries}
    gone = [id for id, entry in old.items() if (kept := new.get(id)) is not entry and kept != entry]
    come = [entry for id, entry in new.items() if (was := old.get(id)) is not entry and was != entry]
    return gone, come


def _columns_of(entry: Entry, safe: Safe | None) -> tuple[Any, ...]:
    """An entry as columns without its guest, in the order of the table; JSON as text, moments as they are."""
    scope, provenance, entered = entry.scope, entry.provenance, entry.entered
    sealed = None if safe is None else contents.seal_entry(safe, entry)
    return (
        entry.id,
        entry.key,
        None if entry.value is None or sealed else dump(entry.value),
        contents.STRENGTH if sealed else entry.strength.value,
        scope.kind.value,
        scope.id,
        dump(entry.context.named()),
        provenance.kind.value,
        provenance.actor,
        provenance.surface,
        provenance.at,
        "" if sealed else provenance.source,
        entry.version,
        entry.expires_at,
        dump({"value": entered.value, "unit": entered.unit}) if entered and not sealed else None,
        sealed,
    )


def _columns_of_change(change: Change, safe: Safe | None) -> tuple[Any, ...]:
    told = records.keys_json(change)
    sealed = None if safe is None else contents.seal_change(safe, change.version, told)
    kept = dump(told) if sealed is None else _SEALED_CHANGE
    return change.actor, change.role, change.surface, change.action.value, change.note, kept, sealed


_SEALED_CHANGE = dump(contents.CHANGE)


# ---------------------------------------------------------------- SQLite

_CLAIMED = (
    "SELECT kept.fingerprint, kept.guest_id, kept.answer, kept.sealed, own.id, own.wrapped_by, own.wrapped "
    "FROM idempotency AS kept LEFT JOIN guest_key AS own ON own.guest_id = kept.guest_id "
    "WHERE kept.caller = ? AND kept.key = ? AND kept.expires_at > ?"
)
_CLAIM = (
    "INSERT INTO idempotency (caller, key, fingerprint, guest_id, answer, sealed, expires_at) "
    "VALUES (?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (caller, key) DO UPDATE SET fingerprint = excluded.fingerprint, guest_id = excluded.guest_id, "
    "answer = excluded.answer, sealed = excluded.sealed, expires_at = excluded.expires_at"
)
_AT = "SELECT version, updated_at FROM guest WHERE id = ?"
_DROP = "DELETE FROM entry WHERE guest_id = ? AND id = ?"
_ADD = f"INSERT INTO entry (guest_id, {_ENTRY_COLUMNS}) VALUES ({', '.join('?' * 17)})"
_SET = "UPDATE guest SET version = ?, display_name = ?, updated_at = ? WHERE id = ?"
# SQLite has one writer, so the next number is free until it commits. Trimming history must keep the newest row.
_SAY = (
    "INSERT INTO change (guest_id, version, position, at, actor, role, surface, action, note, keys, sealed) "
    f"VALUES (?, ?, {NEXT_POSITION['sqlite']}, ?, ?, ?, ?, ?, ?, ?, ?)"
)


def _number(moment: datetime) -> int:
    return (moment - EPOCH) // MICROSECOND


def write_sqlite(connection: Connection, edit: Edit, remembered: Remembered) -> Outcome[Kept]:
    """`documents.write` under SQLite's write lock, which makes version order commit order."""
    run = connection.connection.driver_connection.execute  # type: ignore[union-attr]
    guest, once, vault = edit.guest, edit.once, edit.vault
    if once and (stored := _claimed(run, once, edit.now, vault)):
        return Outcome(documents.replayed(connection, stored, vault), keep=False)
    row = run(_AT, (guest,)).fetchone()
    if row is None:
        raise NotFound("There is no such guest.")
    known = remembered.still(guest, row[0], EPOCH + timedelta(microseconds=row[1]))
    if known is None:
        known = reads.known(connection, guest, vault)
    if known is None:
        raise NotFound("There is no such guest.")
    before = known.document
    written = edit.apply(before, documents.SqlPast(connection, guest, before.version, vault))
    answer = plain(written.answer)
    if written.change is None and once is None and written.papers is None:
        return Outcome(Kept(Written(before, None, answer), known.safe), keep=False)
    safe = keys.safe_for(connection, vault, guest, edit.now, known.safe)
    if written.change is None:
        document, change = before, None
    else:
        document, change = records.settle(written, before, guest)
        _save(connection, run, before, document, change, safe)
    papers.save(connection, guest, written, safe, vault)
    if once:
        run(_CLAIM, _claim(once, guest, answer, _number(edit.now + ANSWERS_KEPT), safe))
    return Outcome(Kept(Written(document, change, answer), safe))


def _save(
    connection: Connection, run: Any, before: Document, after: Document, change: Change, safe: Safe | None
) -> None:
    guest, at = after.guest, _number(change.at)
    gone, come = difference(before, after)
    for id in gone:
        run(_DROP, (guest, id))
    for entry in come:
        (*start, stated_at, source, version, expires_at, entered, sealed) = _columns_of(entry, safe)
        ends = _number(expires_at) if expires_at else None
        run(_ADD, (guest, *start, _number(stated_at), source, version, ends, entered, sealed))
    if (before.identifiers, before.consents) != (after.identifiers, after.consents):
        documents.save_around(connection, before, after)
    run(_SET, (after.version, after.display_name, at, guest))
    run(_SAY, (guest, change.version, at, *_columns_of_change(change, safe)))


def _claimed(run: Any, once: Once, now: datetime, vault: Vault) -> Stored | None:
    row = run(_CLAIMED, (once.caller, once.key, _number(now))).fetchone()
    if row is None:
        return None
    fingerprint, guest, answer, sealed, *key = row
    told = None if answer is None else load(answer)
    return replays.heard(once, vault, fingerprint, guest, told, sealed, DataKey(*key) if key[2] else None)


def _claim(once: Once, guest: str, answer: Any, expires_at: Any, safe: Safe | None) -> tuple[Any, ...]:
    kept = (dump(answer), None) if safe is None else (None, contents.seal_answer(safe, once, answer))
    return once.caller, once.key, once.fingerprint, guest, *kept, expires_at


# ---------------------------------------------------------------- PostgreSQL

# Zero where the key was claimed for a write that then did not happen: the error takes the claim back.
MOVED = asyncpg.DivisionByZeroError
CLOCK = "SELECT extract(epoch FROM clock_timestamp())::float8"

_TYPES = "text text text text text text text text text text timestamptz text int timestamptz text bytea".split()


@cache
def _whole_write(claims: bool) -> str:
    """The write as one statement. $1 guest, $2 new version, $3 display name, $4 at, $5 and $6 version and moment that
    the guest must have, $7 by when (seconds since 1970) it must run, $8 gone, $9-$15 the change, $16-$31 what comes,
    $32-$38 the claim."""
    arrays = ", ".join(f"${16 + n}::{kind}[]" for n, kind in enumerate(_TYPES))
    columns = _ENTRY_COLUMNS.replace("value", "value::json").replace("context", "context::json")
    claimed = (
        "claimed AS (INSERT INTO idempotency AS kept (caller, key, fingerprint, guest_id, answer, sealed, expires_at) "
        "VALUES ($32, $33, $34, $1, $35::json, $36, $37) ON CONFLICT (caller, key) DO UPDATE SET "
        "fingerprint = excluded.fingerprint, guest_id = excluded.guest_id, answer = excluded.answer, "
        "sealed = excluded.sealed, expires_at = excluded.expires_at WHERE kept.expires_at <= $38 RETURNING 1), "
    )
    return (
        f"WITH {claimed if claims else ''}"
        "own AS (UPDATE guest SET version = $2, display_name = $3, updated_at = $4 "
        "WHERE id = $1 AND version = $5 AND updated_at = $6 AND extract(epoch FROM clock_timestamp()) < $7::float8 "
        f"{'AND EXISTS (SELECT FROM claimed) ' if claims else ''}RETURNING id), "
        "gone AS (DELETE FROM entry WHERE guest_id = $1 AND id = ANY($8::text[]) AND EXISTS (SELECT FROM own)), "
        f"come AS (INSERT INTO entry (guest_id, {_ENTRY_COLUMNS}) "
        f"SELECT own.id, {columns.replace('id,', 'come.id,', 1).replace('entered', 'entered::json')} "
        f"FROM own, unnest({arrays}) AS come ({_ENTRY_COLUMNS})), "
        "said AS (INSERT INTO change (guest_id, version, at, actor, role, surface, action, note, keys, sealed) "
        "SELECT own.id, $2, $4, $9, $10, $11, $12, $13, $14::json, $15 FROM own) "
        "SELECT (SELECT count(*) FROM own), extract(epoch FROM clock_timestamp())::float8"
        f"{', 1 / CASE WHEN EXISTS (SELECT FROM claimed) THEN (SELECT count(*) FROM own) ELSE 1 END' if claims else ''}"
    )


class NeedsLock(Exception):
    """What was asked can only be told under the guest's lock."""


@dataclass(frozen=True, slots=True)
class Unlocked:
    """The past of a document as far as it is known without looking: nothing came after it."""

    version: int

    def since(self, version: int) -> Sequence[Change]:
        if version < self.version:
            raise NeedsLock
        return []

    def at(self, version: int) -> Change | None:
        raise NeedsLock

    def papers(self) -> Papers:
        raise NeedsLock


@dataclass(frozen=True, slots=True)
class Statement:
    """A write made ready for PostgreSQL, all but the time by which it must run."""

    written: Written
    text: str
    parameters: tuple[Any, ...]

    def by(self, deadline: float) -> tuple[Any, ...]:
        return *self.parameters[:6], deadline, *self.parameters[6:]


def statement(edit: Edit, known: Known) -> Statement | None:
    """The whole write as one statement, if that can be; raises what `apply` raises, or NeedsLock."""
    before, safe = known.document, known.safe if edit.vault.sealing else None
    if edit.vault.sealing and safe is None:
        return None  # the guest's first data key is made under the lock
    written = edit.apply(before, Unlocked(before.version))
    if (
        written.change is None
        or written.papers is not None
        or (before.identifiers, before.consents)
        != (
            written.document.identifiers,
            written.document.consents,
        )
    ):
        return None
    document, change = records.settle(written, before, edit.guest)
    gone, come = difference(before, document)
    if any(entry.id in gone for entry in come):
        return None  # within one statement the place of a row that goes is not free yet
    answer = plain(written.answer)
    once = edit.once
    come_columns = [_columns_of(entry, safe) for entry in come]
    return Statement(
        replace(written, document=document, change=change, answer=answer),
        _whole_write(once is not None),
        (
            *(edit.guest, document.version, document.display_name, change.at, before.version, before.updated_at, gone),
            *_columns_of_change(change, safe),
            *(zip(*come_columns, strict=True) if come else [()] * len(_TYPES)),
            *(_claim_of(once, answer, edit.now, safe) if once else ()),
        ),
    )


def _claim_of(once: Once, answer: Any, now: datetime, safe: Safe | None) -> tuple[Any, ...]:
    kept = (dump(answer), None) if safe is None else (None, contents.seal_answer(safe, once, answer))
    return once.caller, once.key, once.fingerprint, *kept, now + ANSWERS_KEPT, now
