"""Queries on erasure: everything of one guest goes in one transaction, and a tombstone comes in its place.

Which tables hold what belongs to a guest is read from the tables themselves: each that names its guest in `guest_id`.
A table that is added later is erased without anybody remembering to say so here.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cache

from sqlalchemy import Connection, Delete, Table, bindparam, delete, select, update

from prefs.core.erasure import Tombstone
from prefs.core.errors import KeyReused
from prefs.core.revocations import Revocable, pseudonym
from prefs.ports import Buried, Once
from prefs.store import feed
from prefs.store.engines import Outcome
from prefs.store.statements import Among, insert_new
from prefs.store.tables import ERASURE, GUEST, IDEMPOTENCY, LIVE, REVOCATION, STAY, Row

_LOCK = select(GUEST.c.id).where(GUEST.c.id == bindparam("of")).with_for_update()
_STAYS = select(STAY.c.id).where(STAY.c.guest_id == bindparam("of")).order_by(STAY.c.id).with_for_update()
_PLACES = select(STAY.c.property).distinct().where(STAY.c.guest_id == bindparam("of"))
_DROP_LIVE = delete(LIVE).where(Among(LIVE.c.stay_id, "stays"))
_DROP_GUEST = delete(GUEST).where(GUEST.c.id == bindparam("of"))
_DROP_OWN_ANSWERS = delete(IDEMPOTENCY).where(IDEMPOTENCY.c.caller == bindparam("of"))
# Kept, so that what was taken back stays taken back; without the name.
_RENAME_REVOKED = (
    update(REVOCATION)
    .where(REVOCATION.c.kind == Revocable.SUBJECT.value, REVOCATION.c.value == bindparam("of"))
    .values(value=bindparam("pseudonym"))
)
_REPEATED = select(IDEMPOTENCY.c.fingerprint).where(
    IDEMPOTENCY.c.caller == bindparam("of_caller"),
    IDEMPOTENCY.c.key == bindparam("of_key"),
    IDEMPOTENCY.c.expires_at > bindparam("now"),
)
_TOMBSTONE = select(ERASURE).where(ERASURE.c.digest == bindparam("of"))
_TOMBSTONES = select(ERASURE.c.digest, ERASURE.c.at, ERASURE.c.receipt, ERASURE.c.places, ERASURE.c.request)
_TOMBSTONES_SINCE = _TOMBSTONES.where(ERASURE.c.at >= bindparam("since"))
_SIGN = update(ERASURE).where(ERASURE.c.digest == bindparam("of"))


@cache
def tables_of_a_guest() -> tuple[Table, ...]:
    """Every table whose rows name the guest they belong to, those that point at others first."""
    found = reversed(Row.metadata.sorted_tables)
    return tuple(table for table in found if "guest_id" in table.c)


def erase(connection: Connection, guest: str, tombstone: Tombstone, once: Once | None) -> Outcome[Buried | None]:
    if once:
        asked = {"of_caller": once.caller, "of_key": once.key, "now": tombstone.at}
        if connection.execute(_REPEATED, asked).scalar() not in (None, once.fingerprint):
            raise KeyReused("This idempotency key was used before with another request.")
    # The lock makes writers wait until this has committed; then they find nobody. Stays are locked for their presses.
    if connection.execute(_LOCK, {"of": guest}).first() is None:
        known = find(connection, tombstone.digest)
        return Outcome(Buried(known, fresh=False) if known else None, keep=False)
    stays = list(connection.execute(_STAYS, {"of": guest}).scalars())
    houses = list(connection.execute(_PLACES, {"of": guest}).scalars())
    feed.say_erased(connection, tombstone.digest, houses, tombstone.at)
    places = {LIVE.name: connection.execute(_DROP_LIVE, {"stays": stays}).rowcount}
    for table in tables_of_a_guest():
        places[table.name] = connection.execute(_drop(table), {"of": guest}).rowcount
    places[IDEMPOTENCY.name] += connection.execute(_DROP_OWN_ANSWERS, {"of": f"guest:{guest}"}).rowcount
    renamed = {"of": guest, "pseudonym": pseudonym(guest)}
    places[REVOCATION.name] = connection.execute(_RENAME_REVOKED, renamed).rowcount
    places[GUEST.name] = connection.execute(_DROP_GUEST, {"of": guest}).rowcount
    placed = Tombstone(tombstone.digest, tombstone.at, tombstone.receipt, places, tombstone.request)
    bury(connection, (placed,))
    return Outcome(Buried(placed))


@cache
def _drop(table: Table) -> Delete:
    return delete(table).where(table.c.guest_id == bindparam("of"))


def bury(connection: Connection, tombstones: Iterable[Tombstone]) -> Outcome[None]:
    for one in tombstones:
        columns = {"digest": one.digest, "at": one.at, "receipt": one.receipt, "places": dict(one.places)}
        insert_new(connection, ERASURE, {**columns, "request": one.request, "signed": one.signed})
    return Outcome(None)


def find(connection: Connection, digest: str) -> Tombstone | None:
    row = connection.execute(_TOMBSTONE, {"of": digest}).first()
    return Tombstone(row.digest, row.at, row.receipt, row.places, row.request, row.signed) if row else None


def every(connection: Connection, since: datetime | None) -> Sequence[Tombstone]:
    rows = connection.execute(_TOMBSTONES_SINCE, {"since": since}) if since else connection.execute(_TOMBSTONES)
    return [Tombstone(*row) for row in rows]


def keep_receipt(connection: Connection, digest: str, signed: str) -> Outcome[None]:
    connection.execute(_SIGN, {"of": digest, "signed": signed})
    return Outcome(None)
