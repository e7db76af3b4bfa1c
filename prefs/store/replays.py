"""Answers kept for repeats: one effect for any number of requests with the same idempotency key.

The claim is the first statement of the write's own transaction. A duplicate that arrives meanwhile waits at the claim
until the first one has committed (and hears its answer) or rolled back (and takes its place).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, delete, select, tuple_, update

from prefs.core.errors import KeyReused
from prefs.ports import Once
from prefs.store.engines import Outcome
from prefs.store.statements import upsert
from prefs.store.tables import IDEMPOTENCY

KEPT = timedelta(hours=24)
PURGED_AT_ONCE_MAX = 1000  # rows; a purge must not hold a write up

_OF = (IDEMPOTENCY.c.caller == bindparam("of_caller")) & (IDEMPOTENCY.c.key == bindparam("of_key"))
_STORED = select(IDEMPOTENCY.c.fingerprint, IDEMPOTENCY.c.guest_id, IDEMPOTENCY.c.answer).where(_OF)
_ANSWER = update(IDEMPOTENCY).where(_OF)


@dataclass(frozen=True, slots=True)
class Stored:
    guest: str
    answer: dict[str, Any]


def claim(connection: Connection, once: Once, guest: str, now: datetime) -> Stored | None:
    """None when this transaction is the first with the key, else the first one's answer. Raises KeyReused."""
    fresh = {"fingerprint": once.fingerprint, "guest_id": guest, "answer": None, "expires_at": now + KEPT}
    statement = (
        upsert(connection, IDEMPOTENCY)
        .values(caller=once.caller, key=once.key, **fresh)
        .on_conflict_do_update(index_elements=["caller", "key"], set_=fresh, where=IDEMPOTENCY.c.expires_at <= now)
        .returning(IDEMPOTENCY.c.caller)
    )
    if connection.execute(statement).first() is not None:
        return None
    row = connection.execute(_STORED, {"of_caller": once.caller, "of_key": once.key}).one()
    if row.fingerprint != once.fingerprint:
        raise KeyReused("This idempotency key was used before with another request.")
    return Stored(row.guest_id, row.answer)


def keep(connection: Connection, once: Once, answer: dict[str, Any]) -> None:
    connection.execute(_ANSWER, {"of_caller": once.caller, "of_key": once.key, "answer": answer})


def purge(connection: Connection, now: datetime) -> Outcome[None]:
    """Forget answers that are past their time, some at a time."""
    key = (IDEMPOTENCY.c.caller, IDEMPOTENCY.c.key)
    old = select(*key).where(IDEMPOTENCY.c.expires_at <= now).limit(PURGED_AT_ONCE_MAX)
    connection.execute(delete(IDEMPOTENCY).where(tuple_(*key).in_(old)))
    return Outcome(None)
