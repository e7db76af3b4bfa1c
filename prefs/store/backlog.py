"""Sealing what rests open: rows of a release without a vault, or of one that was told not to seal yet.

A guest is one transaction under the guest's lock. Nothing that is told changes, so neither does the version.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, exists, or_, select, update

from prefs.ports import Once, Safe, Vault
from prefs.store import contents, keys, records
from prefs.store.engines import Outcome
from prefs.store.statements import Among
from prefs.store.tables import CHANGE, ENTRY, GUEST, IDEMPOTENCY, LIVE, STAY, WAITING

_LOCK = select(GUEST.c.id).where(GUEST.c.id == bindparam("of")).with_for_update()
_OPEN_ANSWER = IDEMPOTENCY.c.sealed.is_(None) & IDEMPOTENCY.c.answer.is_not(None)
_OPEN = (
    select(GUEST.c.id)
    .where(
        Among(GUEST.c.id, "guests"),
        or_(
            exists().where(ENTRY.c.guest_id == GUEST.c.id, ENTRY.c.sealed.is_(None)),
            exists().where(CHANGE.c.guest_id == GUEST.c.id, CHANGE.c.sealed.is_(None)),
            exists().where(STAY.c.guest_id == GUEST.c.id, LIVE.c.stay_id == STAY.c.id, LIVE.c.sealed.is_(None)),
            exists().where(IDEMPOTENCY.c.guest_id == GUEST.c.id, _OPEN_ANSWER),
            exists().where(WAITING.c.guest_id == GUEST.c.id, WAITING.c.sealed.is_(None)),
        ),
    )
    .order_by(GUEST.c.id)
)
_ENTRIES = select(ENTRY).where(ENTRY.c.guest_id == bindparam("of"), ENTRY.c.sealed.is_(None))
_CHANGES = select(CHANGE.c.version, CHANGE.c["keys"].label("keys_")).where(
    CHANGE.c.guest_id == bindparam("of"), CHANGE.c.sealed.is_(None)
)
_PRESSES = (
    select(LIVE)
    .join(STAY, STAY.c.id == LIVE.c.stay_id)
    .where(STAY.c.guest_id == bindparam("of"), LIVE.c.sealed.is_(None))
)
_ANSWERS = select(IDEMPOTENCY).where(IDEMPOTENCY.c.guest_id == bindparam("of"), _OPEN_ANSWER)
_WAITING = select(WAITING).where(WAITING.c.guest_id == bindparam("of"), WAITING.c.sealed.is_(None))

_SET_ENTRY = update(ENTRY).where(ENTRY.c.guest_id == bindparam("of"), ENTRY.c.id == bindparam("of_id"))
_SET_CHANGE = update(CHANGE).where(CHANGE.c.guest_id == bindparam("of"), CHANGE.c.version == bindparam("of_version"))
_SET_PRESS = update(LIVE).where(
    LIVE.c.stay_id == bindparam("of_stay"), LIVE.c.key == bindparam("of_key"), LIVE.c.id == bindparam("of_id")
)
_SET_ANSWER = update(IDEMPOTENCY).where(
    IDEMPOTENCY.c.caller == bindparam("of_caller"),
    IDEMPOTENCY.c.key == bindparam("of_key"),
    IDEMPOTENCY.c.fingerprint == bindparam("of_fingerprint"),
)
_SET_WAITING = update(WAITING).where(WAITING.c.guest_id == bindparam("of"), WAITING.c.id == bindparam("of_id"))


def with_open_rows(connection: Connection, guests: Sequence[str]) -> list[str]:
    """Those of the guests of whom anything rests open, by id."""
    return list(connection.execute(_OPEN, {"guests": list(guests)}).scalars())


def seal(connection: Connection, vault: Vault, guest: str, now: datetime) -> Outcome[int]:
    """Seal what rests open of a guest; how many rows."""
    connection.execute(_LOCK, {"of": guest})
    safe = keys.safe_for(connection, vault, guest, now)
    if safe is None:
        return Outcome(0, keep=False)
    rows = 0
    for asked, told, written in _of(guest, safe):
        found: list[dict[str, Any]] = [written(row) for row in connection.execute(asked, {"of": guest})]
        if found:
            connection.execute(told, found)
        rows += len(found)
    return Outcome(rows)


def _of(guest: str, safe: Safe) -> list[tuple[Any, Any, Any]]:
    """What rests open, how it is written back, and as what."""

    def entry(row: Any) -> dict[str, Any]:
        sealed = contents.seal_entry(safe, records.entry_of(row, None))
        return {"of": guest, "of_id": row.id, **records.sealed_columns(sealed)}

    def change(row: Any) -> dict[str, Any]:
        sealed = contents.seal_change(safe, row.version, row.keys_)
        return {"of": guest, "of_version": row.version, "keys": contents.CHANGE, "sealed": sealed}

    def press(row: Any) -> dict[str, Any]:
        sealed = contents.seal_press(safe, row.stay_id, row.key, row.id, row.entry)
        place = {"of_stay": row.stay_id, "of_key": row.key, "of_id": row.id}
        return {**place, "entry": contents.PRESS, "sealed": sealed}

    def answer(row: Any) -> dict[str, Any]:
        once = Once(row.caller, row.key, row.fingerprint)
        place = {"of_caller": row.caller, "of_key": row.key, "of_fingerprint": row.fingerprint}
        return {**place, "answer": None, "sealed": contents.seal_answer(safe, once, row.answer)}

    def waiting(row: Any) -> dict[str, Any]:
        sealed = contents.seal_waiting(safe, row.id, row.key, row.member)
        return {"of": guest, "of_id": row.id, "member": contents.MEMBER, "sealed": sealed}

    return [
        (_ENTRIES, _SET_ENTRY, entry),
        (_WAITING, _SET_WAITING, waiting),
        (_CHANGES, _SET_CHANGE, change),
        (_PRESSES, _SET_PRESS, press),
        (_ANSWERS, _SET_ANSWER, answer),
    ]
