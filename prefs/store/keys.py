"""Queries on keys: data keys of guests and of endpoints, each wrapped, and which wrapping keys may wrap them.

A data key can only be kept while its wrapping key is registered, and a wrapping key can only be retired while it wraps
nothing: the foreign key between them holds against any process that has not heard of a rotation.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, exists, func, or_, select, update

from prefs.core.errors import Sealed, WrappingKeyMissing
from prefs.ports import DataKey, Safe, Vault
from prefs.store.engines import Outcome
from prefs.store.statements import insert_new
from prefs.store.tables import GUEST, GUEST_KEY, RETIRED_KEY, WEBHOOK, WRAPPING_KEY

_IS_USED = or_(
    exists().where(GUEST_KEY.c.wrapped_by == WRAPPING_KEY.c.id),
    exists().where(WEBHOOK.c.wrapped_by == WRAPPING_KEY.c.id),
)
_REGISTERED = select(WRAPPING_KEY.c.id, WRAPPING_KEY.c.proof, _IS_USED.label("used"))
_IS_REGISTERED = (
    select(WRAPPING_KEY.c.id).where(WRAPPING_KEY.c.id == bindparam("of")).with_for_update(read=True, key_share=True)
)
_LOCK = select(WRAPPING_KEY.c.id).where(WRAPPING_KEY.c.id == bindparam("of")).with_for_update()
_IS_FORGETD = select(RETIRED_KEY.c.id).where(RETIRED_KEY.c.id == bindparam("of"))
_HELD = select(GUEST_KEY.c.id, GUEST_KEY.c.wrapped_by, GUEST_KEY.c.wrapped).where(
    GUEST_KEY.c.guest_id == bindparam("of")
)
_DESTROY = delete(GUEST_KEY).where(GUEST_KEY.c.guest_id == bindparam("of"))
_IS_GUEST = select(GUEST.c.id).where(GUEST.c.id == bindparam("of"))
_NEXT_VERSION = update(GUEST).where(GUEST.c.id == bindparam("of")).values(version=GUEST.c.version + 1)
_COUNTS = [
    select(one.c.wrapped_by, func.count().label("many")).group_by(one.c.wrapped_by) for one in (GUEST_KEY, WEBHOOK)
]
_WRAPPED_OTHERWISE = (
    select(GUEST_KEY.c.guest_id, GUEST_KEY.c.id, GUEST_KEY.c.wrapped_by, GUEST_KEY.c.wrapped)
    .where(GUEST_KEY.c.wrapped_by == bindparam("old"))
    .order_by(GUEST_KEY.c.guest_id)
    .limit(bindparam("most"))
)
_REWRAP = (
    update(GUEST_KEY)
    .where(GUEST_KEY.c.guest_id == bindparam("of"), GUEST_KEY.c.wrapped_by == bindparam("old"))
    .values(wrapped_by=bindparam("new"), wrapped=bindparam("data"))
)
_FORGET = delete(WRAPPING_KEY).where(
    WRAPPING_KEY.c.id == bindparam("of"),
    ~exists().where(GUEST_KEY.c.wrapped_by == bindparam("of")),
    ~exists().where(WEBHOOK.c.wrapped_by == bindparam("of")),
)
_ENDPOINTS_OTHERWISE = (
    select(WEBHOOK.c.id.label("endpoint"), WEBHOOK.c.key_id.label("id"), WEBHOOK.c.wrapped_by, WEBHOOK.c.wrapped)
    .where(WEBHOOK.c.wrapped_by == bindparam("old"))
    .order_by(WEBHOOK.c.id)
    .limit(bindparam("most"))
)
_REWRAP_ENDPOINT = (
    update(WEBHOOK)
    .where(WEBHOOK.c.id == bindparam("of"), WEBHOOK.c.wrapped_by == bindparam("old"))
    .values(wrapped_by=bindparam("new"), wrapped=bindparam("data"))
)


# ---------------------------------------------------------------- wrapping keys


@dataclass(frozen=True, slots=True)
class Registered:
    """What the database knows of a wrapping key: its proof, and whether it wraps anything."""

    proof: str
    used: bool


def registered(connection: Connection) -> dict[str, Registered]:
    """The wrapping keys that may wrap data keys here, by id."""
    return {row.id: Registered(row.proof, bool(row.used)) for row in connection.execute(_REGISTERED)}


def register(connection: Connection, id: str, proof: str) -> Outcome[None]:
    """Raises Sealed for a key that was retired: whoever still puts it first has not heard of a rotation."""
    if connection.execute(_IS_FORGETD, {"of": id}).first() is not None:
        raise Sealed(
            f"The wrapping key {id} was taken out of use by a rotation, and this process was given it as the newest. "
            "Give it the key file (or variable, or command) of today."
        )
    return Outcome(None, keep=insert_new(connection, WRAPPING_KEY, {"id": id, "proof": proof}))


def examine(known: Mapping[str, Registered], proofs: Mapping[str, str]) -> None:
    """Raises Sealed when what wrapping keys in use have wrapped cannot be opened with the keys that are there."""
    used = {id: one.proof for id, one in known.items() if one.used}
    if lost := sorted(set(used) - set(proofs)):
        raise Sealed(
            f"What guests said rests sealed under the wrapping key{'s' if len(lost) > 1 else ''} {', '.join(lost)}, "
            "which this process was not given. Restore the key file (or variable, or command) that holds "
            f"{'them' if len(lost) > 1 else 'it'} from its backup."
        )
    if wrong := sorted(id for id, proof in used.items() if proofs[id] != proof):
        raise Sealed(
            f"The wrapping key {', '.join(wrong)} is not the one that sealed what this database holds: same name, "
            "another key. Restore the right one from its backup."
        )


def forget(connection: Connection, id: str) -> Outcome[bool]:
    """Let go of a key that wraps nothing; False while it does."""
    connection.execute(_LOCK, {"of": id})  # whoever is wrapping with it ends first, and the next statement sees that
    return Outcome(connection.execute(_FORGET, {"of": id}).rowcount == 1)


def retire(connection: Connection, id: str) -> Outcome[bool]:
    """False while the key still wraps something."""
    gone = forget(connection, id).result
    return Outcome(gone and insert_new(connection, RETIRED_KEY, {"id": id}), keep=gone)


# ---------------------------------------------------------------- data keys


def data_key(row: Any) -> DataKey:
    return DataKey(row.id, row.wrapped_by, row.wrapped)


def safe_of(connection: Connection, vault: Vault, guest: str) -> Safe | None:
    row = connection.execute(_HELD, {"of": guest}).first()
    return None if row is None else vault.unlock(guest, data_key(row))


def safe_for(connection: Connection, vault: Vault, guest: str, now: datetime, known: Safe | None = None) -> Safe | None:
    """What seals the guest's data in this transaction, made if need be; None where nothing is to be sealed, or nobody
    is there whose data it would be."""
    if not vault.sealing:
        return None
    safe = known or safe_of(connection, vault, guest)
    if safe is not None or connection.execute(_IS_GUEST, {"of": guest}).first() is None:
        return safe
    return make(connection, vault, guest, now) or safe_of(connection, vault, guest)


def make(connection: Connection, vault: Vault, guest: str, now: datetime) -> Safe | None:
    """A data key for a guest; None when somebody else made one at this moment."""
    safe = vault.make(guest)
    key = safe.key
    _need_registered(connection, key.wrapped_by)
    columns = {"guest_id": guest, "id": key.id, "wrapped_by": key.wrapped_by, "wrapped": key.wrapped, "created_at": now}
    return safe if insert_new(connection, GUEST_KEY, columns) else None


def destroy(connection: Connection, guest: str) -> int:
    """How many keys went: 1 or 0. The version moves on, so that no process seals with a key it remembers."""
    connection.execute(_NEXT_VERSION, {"of": guest})
    return connection.execute(_DESTROY, {"of": guest}).rowcount


# ---------------------------------------------------------------- rotation


def counts(connection: Connection) -> dict[str, int]:
    """How many data keys each wrapping key wraps."""
    found: Counter[str] = Counter()
    for counting in _COUNTS:
        found.update({row.wrapped_by: row.many for row in connection.execute(counting)})
    return dict(found)


def rewrap(connection: Connection, vault: Vault, old: str, most: int) -> Outcome[int]:
    """Wrap anew some data keys that an old key wraps; how many. Processes that do the same share them."""
    return Outcome(_rewrap_guests(connection, vault, old, most) or _rewrap_endpoints(connection, vault, old, most))


def _rewrap_guests(connection: Connection, vault: Vault, old: str, most: int) -> int:
    picked = _WRAPPED_OTHERWISE.with_for_update(skip_locked=True)
    rows = connection.execute(picked, {"old": old, "most": most}).all()
    wrapped = [(row.guest_id, vault.rewrap(row.guest_id, data_key(row))) for row in rows]
    if wrapped:
        connection.execute(
            _REWRAP, [{"of": of, "old": old, "new": key.wrapped_by, "data": key.wrapped} for of, key in wrapped]
        )
    return len(rows)


def _rewrap_endpoints(connection: Connection, vault: Vault, old: str, most: int) -> int:
    picked = _ENDPOINTS_OTHERWISE.with_for_update(skip_locked=True)
    rows = connection.execute(picked, {"old": old, "most": most}).all()
    for row in rows:
        key = vault.rewrap(endpoint_owner(row.endpoint), data_key(row))
        connection.execute(
            _REWRAP_ENDPOINT, {"of": row.endpoint, "old": old, "new": key.wrapped_by, "data": key.wrapped}
        )
    return len(rows)


# ---------------------------------------------------------------- endpoints


def endpoint_owner(id: str) -> str:
    """Whose data key it is, as the vault is told: no guest is called so."""
    return f"webhook {id}"


def make_for_endpoint(connection: Connection, vault: Vault, id: str) -> Safe:
    """A data key for an endpoint, which keeps it itself. Raises WrappingKeyMissing."""
    safe = vault.make(endpoint_owner(id))
    _need_registered(connection, safe.key.wrapped_by)
    return safe


def _need_registered(connection: Connection, wrapped_by: str) -> None:
    if connection.execute(_IS_REGISTERED, {"of": wrapped_by}).first() is None:
        raise WrappingKeyMissing(f"instead of {wrapped_by}", f"The wrapping key {wrapped_by} was retired.")
