"""Queries on what lies beside a guest's document, and on taking values out of where they were kept before.

All of it inside the write's own transaction, under the guest's lock. An answer kept for a repeat of a request stays
what it was but for the values that are gone, so that a repeat is still known and not done again.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, tuple_, update

from prefs.core.changes import Change, Erasure, Written
from prefs.core.consents import without_values
from prefs.core.papers import Invitation, Papers, Receipt, Reply, Status, Waiting
from prefs.ports import Once, Safe, Vault
from prefs.store import contents, keys, records, replays
from prefs.store.engines import Outcome
from prefs.store.statements import Among
from prefs.store.tables import CHANGE, IDEMPOTENCY, INVITATION, RECEIPT, WAITING

_RECEIPTS = select(RECEIPT).where(RECEIPT.c.guest_id == bindparam("of")).order_by(RECEIPT.c.purpose, RECEIPT.c.version)
_INVITATIONS = (
    select(*(column for column in INVITATION.c if column.name != "keys"), INVITATION.c["keys"].label("keys_"))
    .where(INVITATION.c.guest_id == bindparam("of"))
    .order_by(INVITATION.c.id)
)
_WAITING = select(WAITING).where(WAITING.c.guest_id == bindparam("of")).order_by(WAITING.c.id)
_DROP_INVITATIONS = delete(INVITATION).where(INVITATION.c.guest_id == bindparam("of"), Among(INVITATION.c.id, "ids"))
_DROP_WAITING = delete(WAITING).where(WAITING.c.guest_id == bindparam("of"), Among(WAITING.c.id, "ids"))
_SET_CHANGE = update(CHANGE).where(CHANGE.c.guest_id == bindparam("of"), CHANGE.c.version == bindparam("of_version"))
_ANSWERS = select(IDEMPOTENCY).where(IDEMPOTENCY.c.guest_id == bindparam("of"))


def read(connection: Connection, guest: str, vault: Vault) -> Papers:
    """Raises Sealed."""
    of = {"of": guest}
    waiting = connection.execute(_WAITING, of).all()
    safe = keys.safe_of(connection, vault, guest) if any(row.sealed is not None for row in waiting) else None
    return Papers(
        tuple(
            Receipt(row.record, row.purpose, row.version, Status(row.status), row.at, row.body)
            for row in connection.execute(_RECEIPTS, of)
        ),
        tuple(_invitation_of(row) for row in connection.execute(_INVITATIONS, of)),
        tuple(
            Waiting(
                *(row.id, row.purpose, row.key, row.scope, _member_of(row, safe)),
                *(row.source, row.surface, row.at, row.expires_at),
            )
            for row in waiting
        ),
    )


def _member_of(row: Any, safe: Safe | None) -> str:
    if row.sealed is None:
        return str(row.member)
    return contents.open_waiting(records.needed(safe), row.sealed, row.id, row.key)


def _invitation_of(row: Any) -> Invitation:
    asked = row.id, row.purpose, tuple(row.keys_), row.property, row.actor, row.surface
    return Invitation(*asked, row.at, row.expires_at, Reply(row.reply), row.answered_at)


def save(connection: Connection, guest: str, written: Written, safe: Safe | None, vault: Vault) -> None:
    """What a write leaves beside the document, and what it takes out of the past."""
    if written.papers is not None:
        _save(connection, guest, read(connection, guest, vault), written.papers, safe)
    if written.erasure is not None:
        _erase(connection, guest, written.erasure, safe, vault)


def _save(connection: Connection, guest: str, before: Papers, after: Papers, safe: Safe | None) -> None:
    if receipts := [one for one in after.receipts if one not in before.receipts]:
        connection.execute(insert(RECEIPT), [_receipt_columns(guest, one) for one in receipts])
    if gone := _ids(set(before.invitations) - set(after.invitations)):
        connection.execute(_DROP_INVITATIONS, {"of": guest, "ids": gone})
    if come := [one for one in after.invitations if one not in before.invitations]:
        connection.execute(insert(INVITATION), [_invitation_columns(guest, one) for one in come])
    if left := _ids(set(before.waiting) - set(after.waiting)):
        connection.execute(_DROP_WAITING, {"of": guest, "ids": left})
    if waiting := [one for one in after.waiting if one not in before.waiting]:
        connection.execute(insert(WAITING), [_waiting_columns(guest, one, safe) for one in waiting])


def _ids(papers: Iterable[Invitation | Waiting]) -> list[str]:
    return sorted(paper.id for paper in papers)


def _receipt_columns(guest: str, one: Receipt) -> records.Columns:
    named = {"record": one.record, "purpose": one.purpose, "version": one.version, "status": one.status.value}
    return {"guest_id": guest, **named, "at": one.at, "body": dict(one.body)}


def _invitation_columns(guest: str, one: Invitation) -> records.Columns:
    return {
        "guest_id": guest,
        "id": one.id,
        "purpose": one.purpose,
        "keys": list(one.keys),
        "property": one.property,
        "actor": one.actor,
        "surface": one.surface,
        "at": one.at,
        "expires_at": one.expires_at,
        "reply": one.reply.value,
        "answered_at": one.answered_at,
    }


def _waiting_columns(guest: str, one: Waiting, safe: Safe | None) -> records.Columns:
    return {
        "guest_id": guest,
        "id": one.id,
        "purpose": one.purpose,
        "key": one.key,
        "scope": one.scope,
        "member": one.member if safe is None else contents.MEMBER,
        "source": one.source,
        "surface": one.surface,
        "at": one.at,
        "expires_at": one.expires_at,
        "sealed": None if safe is None else contents.seal_waiting(safe, one.id, one.key, one.member),
    }


def _erase(connection: Connection, guest: str, erasure: Erasure, safe: Safe | None, vault: Vault) -> None:
    for change in erasure.changes:
        rewrite(connection, change, safe)
    if not erasure.keys:
        return
    opening = safe or keys.safe_of(connection, vault, guest)
    for row in connection.execute(_ANSWERS, {"of": guest}).all():
        once = Once(row.caller, row.key, row.fingerprint)
        kept = row.answer
        if row.sealed is not None:
            kept = contents.open_answer(records.needed(opening), row.sealed, once)
        left = without_values(kept, erasure.keys)
        if left != kept:
            replays.keep(connection, once, left, safe)


def rewrite(connection: Connection, change: Change, safe: Safe | None) -> None:
    """Put a change in the place of the one of the same version."""
    columns = records.change_columns(change, safe)
    connection.execute(_SET_CHANGE, {"of": change.guest, "of_version": change.version, **columns})


def drop_waiting(connection: Connection, until: datetime, limit: int) -> Outcome[int]:
    key = (WAITING.c.guest_id, WAITING.c.id)
    over = select(*key).where(WAITING.c.expires_at <= until).limit(limit)
    return Outcome(connection.execute(delete(WAITING).where(tuple_(*key).in_(over))).rowcount)
