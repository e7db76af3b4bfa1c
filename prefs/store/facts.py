"""Queries on what resolving needs beside documents: stays, live presses, properties and catalogue extensions.

What a resolving read needs of them, `reads` reads together with the document."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from prefs.core.changes import EventKind
from prefs.core.entries import Entry
from prefs.core.errors import NotFound, Refused, StayTaken
from prefs.core.stays import Stay, StayStatus
from prefs.ports import Once, Record, Safe, Vault
from prefs.store import contents, feed, keys, records, replays
from prefs.store.engines import Outcome
from prefs.store.json_text import plain
from prefs.store.statements import Among, insert_new, upsert
from prefs.store.tables import EXTENSION, EXTENSION_VERSION, GUEST, LIVE, PROPERTY, STAY

OPEN = (StayStatus.BOOKED.value, StayStatus.IN_HOUSE.value)

_STAY = select(STAY).where(STAY.c.id == bindparam("of"))
_OPEN_STAYS = select(STAY.c.id).where(STAY.c.property == bindparam("of"), STAY.c.status.in_(OPEN)).limit(1)
_LODGERS = (
    select(STAY.c.guest_id)
    .distinct()
    .where(STAY.c.property == bindparam("of"), STAY.c.status.in_(OPEN), STAY.c.guest_id > bindparam("after"))
    .order_by(STAY.c.guest_id)
    .limit(bindparam("most"))
)
_SET_STAY = update(STAY).where(STAY.c.id == bindparam("of"))
_GUEST = select(GUEST.c.id).where(GUEST.c.id == bindparam("of"))
_DROP_LIVE = delete(LIVE).where(LIVE.c.stay_id == bindparam("of"))
_DROP_LIVE_KEYS = _DROP_LIVE.where(Among(LIVE.c.key, "keys"))
_PROPERTY = select(PROPERTY).where(PROPERTY.c.id == bindparam("of"))
_PROPERTIES = (
    select(PROPERTY).where(PROPERTY.c.id > bindparam("after")).order_by(PROPERTY.c.id).limit(bindparam("most"))
)
_SET_PROPERTY = update(PROPERTY).where(PROPERTY.c.id == bindparam("of"))
_DROP_PROPERTY = delete(PROPERTY).where(PROPERTY.c.id == bindparam("of"))
_EXTENSION = select(EXTENSION).where(EXTENSION.c.key == bindparam("of"))
_SET_EXTENSION = update(EXTENSION).where(EXTENSION.c.key == bindparam("of"))


# ---------------------------------------------------------------- stays


def stay(connection: Connection, stay_id: str) -> Stay | None:
    row = connection.execute(_STAY, {"of": stay_id}).first()
    return records.stay_of(row) if row else None


def lodgers(connection: Connection, property_id: str, limit: int, after: str) -> list[str]:
    return list(connection.execute(_LODGERS, {"of": property_id, "after": after, "most": limit}).scalars())


def put_stay(connection: Connection, given: Stay, once: Once | None, now: datetime, vault: Vault) -> Outcome[Stay]:
    if once and (stored := replays.claim(connection, once, given.guest, now, vault)):
        return Outcome(records.stay_from_json(stored.answer), keep=False)
    # Share locks: neither may go away before this commits. SQLite has one writer and ignores them.
    if connection.execute(_GUEST.with_for_update(read=True, key_share=True), {"of": given.guest}).first() is None:
        raise NotFound("There is no such guest.")
    if connection.execute(_PROPERTY.with_for_update(read=True), {"of": given.property}).first() is None:
        raise NotFound("There is no such property.")
    fresh = records.settle_stay(given, 1)
    changed = True
    if not insert_new(connection, STAY, records.stay_columns(fresh)):
        fresh, changed = _replace_stay(connection, fresh)
    if changed:
        feed.say(connection, EventKind.STAY, now, given.guest, given.property)
    if once:
        safe = keys.safe_for(connection, vault, given.guest, now)
        replays.keep(connection, once, records.stay_json(fresh), safe)
    return Outcome(fresh, keep=changed or once is not None)


def _replace_stay(connection: Connection, fresh: Stay) -> tuple[Stay, bool]:
    present = records.stay_of(connection.execute(_STAY.with_for_update(), {"of": fresh.id}).one())
    if (present.guest, present.property) != (fresh.guest, fresh.property):
        raise StayTaken(f"The stay {fresh.id} belongs to another guest or property.")
    if records.settle_stay(fresh, present.version) == present:
        return present, False
    fresh = records.settle_stay(fresh, present.version + 1)
    connection.execute(_SET_STAY, {"of": fresh.id, **records.stay_columns(fresh)})
    if fresh.room != present.room:
        connection.execute(_DROP_LIVE, {"of": fresh.id})
    return fresh, True


def put_live(
    connection: Connection, given: Stay, entries: Sequence[Entry], cleared: Sequence[str], now: datetime, vault: Vault
) -> Outcome[None]:
    safe = keys.safe_for(connection, vault, given.guest, now) if entries else None
    row = connection.execute(_STAY.with_for_update(), {"of": given.id}).first()  # two panels of a room take turns
    if row is None or row.guest_id != given.guest:
        raise NotFound("There is no such stay.")
    pressed = list({entry.key for entry in entries} | set(cleared))
    connection.execute(_DROP_LIVE_KEYS, {"of": given.id, "keys": pressed})
    if rows := [_press_columns(given.id, entry, safe) for entry in map(records.settle_entry, entries)]:
        connection.execute(insert(LIVE), rows)
    feed.say(connection, EventKind.PRESS, now, given.guest, given.property)
    return Outcome(None)


def _press_columns(stay: str, entry: Entry, safe: Safe | None) -> dict[str, Any]:
    told = records.entry_json(entry)
    return {
        "stay_id": stay,
        "id": entry.id,
        "key": entry.key,
        "entry": told if safe is None else contents.PRESS,
        "sealed": None if safe is None else contents.seal_press(safe, stay, entry.key, entry.id, told),
    }


# ---------------------------------------------------------------- properties


def properties(connection: Connection, limit: int, after: str) -> list[Record]:
    rows = connection.execute(_PROPERTIES, {"after": after, "most": limit})
    return [Record(row.id, row.body, row.version) for row in rows]


def put_property(connection: Connection, property_id: str, given: Mapping[str, Any], now: datetime) -> Outcome[Record]:
    body = plain(dict(given))
    if insert_new(connection, PROPERTY, {"id": property_id, "body": body, "version": 1}):
        feed.say(connection, EventKind.PROPERTY, now, place=property_id)
        return Outcome(Record(property_id, body, 1))
    row = connection.execute(_PROPERTY.with_for_update(), {"of": property_id}).first()
    if row is None:
        raise Refused(f"The property {property_id} was deleted at this moment.")
    if row.body == body:
        return Outcome(Record(property_id, row.body, row.version), keep=False)
    connection.execute(_SET_PROPERTY, {"of": property_id, "body": body, "version": row.version + 1})
    feed.say(connection, EventKind.PROPERTY, now, place=property_id)
    return Outcome(Record(property_id, body, row.version + 1))


def delete_property(connection: Connection, property_id: str) -> Outcome[bool]:
    if connection.execute(_PROPERTY.with_for_update(), {"of": property_id}).first() is None:
        return Outcome(False, keep=False)
    if connection.execute(_OPEN_STAYS, {"of": property_id}).first() is not None:
        raise Refused(f"The property {property_id} has open stays.")
    connection.execute(_DROP_PROPERTY, {"of": property_id})
    return Outcome(True)


# ---------------------------------------------------------------- catalogue extensions


def put_extension(connection: Connection, key: str, given: Mapping[str, Any], now: datetime) -> Outcome[int]:
    body = plain(dict(given))
    # The version's row is the lock: extensions are put one after another.
    version: int = connection.execute(
        upsert(connection, EXTENSION_VERSION)
        .values(id=1, version=1)
        .on_conflict_do_update(index_elements=["id"], set_={"version": EXTENSION_VERSION.c.version + 1})
        .returning(EXTENSION_VERSION.c.version)
    ).scalar_one()
    row = connection.execute(_EXTENSION, {"of": key}).first()
    if row is not None and row.body == body:
        return Outcome(version - 1, keep=False)
    if row is None:
        connection.execute(insert(EXTENSION), {"key": key, "body": body, "version": version})
    else:
        connection.execute(_SET_EXTENSION, {"of": key, "body": body, "version": version})
    feed.say(connection, EventKind.CATALOGUE, now)
    return Outcome(version)
