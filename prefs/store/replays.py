"""Answers kept for repeats: one effect for any number of requests with the same idempotency key.

The claim is the first statement of the write's own transaction. A duplicate that arrives meanwhile waits at the claim
until the first one has committed (and hears its answer) or rolled back (and takes its place).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, select, tuple_, update

from prefs.core.errors import KeyReused, NotFound
from prefs.ports import ANSWERS_KEPT, DataKey, Once, Safe, Vault
from prefs.store import contents
from prefs.store.engines import Outcome
from prefs.store.statements import upsert
from prefs.store.tables import GUEST_KEY, IDEMPOTENCY

PURGED_AT_ONCE_MAX = 1000  # rows; a purge must not hold a write up

_OF = (IDEMPOTENCY.c.caller == bindparam("of_caller")) & (IDEMPOTENCY.c.key == bindparam("of_key"))
_STORED = (
    select(
        IDEMPOTENCY.c.fingerprint,
        IDEMPOTENCY.c.guest_id,
        IDEMPOTENCY.c.answer,
        IDEMPOTENCY.c.sealed,
        GUEST_KEY.c.id,
        GUEST_KEY.c.wrapped_by,
        GUEST_KEY.c.wrapped,
    )
    .select_from(IDEMPOTENCY.outerjoin(GUEST_KEY, GUEST_KEY.c.guest_id == IDEMPOTENCY.c.guest_id))
    .where(_OF)
)
_ANSWER = update(IDEMPOTENCY).where(_OF)


@dataclass(frozen=True, slots=True)
class Stored:
    guest: str
    answer: dict[str, Any]


def claim(connection: Connection, once: Once, guest: str, now: datetime, vault: Vault) -> Stored | None:
    """None when this transaction is the first with the key, else the first one's answer.

    Raises KeyReused, and NotFound where the guest of the first one was erased."""
    fresh = {
        "fingerprint": once.fingerprint,
        "guest_id": guest,
        "answer": None,
        "expires_at": now + ANSWERS_KEPT,
        "sealed": None,
    }
    statement = (
        upsert(connection, IDEMPOTENCY)
        .values(caller=once.caller, key=once.key, **fresh)
        .on_conflict_do_update(index_elements=["caller", "key"], set_=fresh, where=IDEMPOTENCY.c.expires_at <= now)
        .returning(IDEMPOTENCY.c.caller)
    )
    if connection.execute(statement).first() is not None:
        return None
    row = connection.execute(_STORED, {"of_caller": once.caller, "of_key": once.key}).one()
    key = None if row.wrapped is None else DataKey(row.id, row.wrapped_by, row.wrapped)
    return heard(once, vault, row.fingerprint, row.guest_id, row.answer, row.sealed, key)


def heard(
    once: Once, vault: Vault, fingerprint: str, guest: str, answer: Any, sealed: bytes | None, key: DataKey | None
) -> Stored:
    """What a repeat may hear of what is kept. Raises as `claim`."""
    if fingerprint != once.fingerprint:
        raise KeyReused("This idempotency key was used before with another request.")
    if sealed is not None:
        if key is None:
            raise NotFound("There is no such guest.")
        answer = contents.open_answer(vault.unlock(guest, key), sealed, once)
    return Stored(guest, answer)


def keep(connection: Connection, once: Once, answer: dict[str, Any], safe: Safe | None) -> None:
    sealed = None if safe is None else contents.seal_answer(safe, once, answer)
    kept = {"answer": answer if safe is None else None, "sealed": sealed}
    connection.execute(_ANSWER, {"of_caller": once.caller, "of_key": once.key, **kept})


def outdated(connection: Connection, now: datetime) -> int:
    """How many answers are past their time."""
    counted = select(func.count()).select_from(IDEMPOTENCY).where(IDEMPOTENCY.c.expires_at <= now)
    return int(connection.execute(counted).scalar_one())


def purge(connection: Connection, now: datetime) -> Outcome[int]:
    """Forget answers that are past their time, some at a time: how many."""
    key = (IDEMPOTENCY.c.caller, IDEMPOTENCY.c.key)
    old = select(*key).where(IDEMPOTENCY.c.expires_at <= now).limit(PURGED_AT_ONCE_MAX)
    gone = connection.execute(delete(IDEMPOTENCY).where(tuple_(*key).in_(old))).rowcount
    return Outcome(gone)
