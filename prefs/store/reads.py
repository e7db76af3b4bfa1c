"""One statement for all that one moment of reading needs: documents, stays with presses, properties, the extension.

It is a UNION ALL of one query a table, each padded to the columns of `entry` and led by a letter that says what the row
is. A statement sees one snapshot on both engines, so a document, its guest's stays and the catalogue are of one moment
without a transaction: on PostgreSQL a read is one round trip, whatever it asks for and for however many guests. Only
the tables that are asked for take part. Rows come in no order, and are put in order here: sorting is by code point in
Python as in SQL.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from operator import attrgetter
from typing import Any

from sqlalchemy import (
    CompoundSelect,
    Connection,
    FromClause,
    Select,
    cast,
    literal_column,
    null,
    select,
    type_coerce,
    union_all,
)
from sqlalchemy.types import NullType

from prefs.core.entries import Consent, Document, Entry, Identifier
from prefs.core.stays import Party, Stay, StayStatus
from prefs.ports import DataKey, Found, Lodging, Lookup, Record, Safe, Vault
from prefs.store import contents, records
from prefs.store.json_text import load
from prefs.store.statements import Among
from prefs.store.tables import (
    CONSENT,
    ENTRY,
    EPOCH,
    EXTENSION,
    EXTENSION_VERSION,
    GUEST,
    GUEST_KEY,
    IDENTIFIER,
    LIVE,
    PROPERTY,
    STAY,
)

# Without the types' own processing of results, most of which would be of padding: `_Rows` does what is left of it.
_PADDING = {
    column.name: type_coerce(cast(null(), column.type), NullType())
    for column in (*ENTRY.c, STAY.c.adults, STAY.c.children, GUEST_KEY.c.wrapped, GUEST_KEY.c.wrapped_by)
}

_in_order = attrgetter("key", "id")
_by_arrival = attrgetter("arrival", "id")


def _arm(letter: str, table: FromClause, /, **columns: Any) -> Select[Any]:
    kind: Any = literal_column(f"'{letter}'").label("kind")
    raw = {name: type_coerce(column, NullType()) for name, column in columns.items()}
    padded = (raw.get(name, empty).label(name) for name, empty in _PADDING.items())
    return select(kind, *padded).select_from(table)


def _document_arms() -> list[Select[Any]]:
    g, e, i, c, k = GUEST.c, ENTRY.c, IDENTIFIER.c, CONSENT.c, GUEST_KEY.c
    return [
        _arm("e", ENTRY, **{column.name: column for column in e}).where(Among(e.guest_id, "guests")),
        _arm(
            "g",
            GUEST.outerjoin(GUEST_KEY, k.guest_id == g.id),
            guest_id=g.id,
            id=g.display_name,
            version=g.version,
            stated_at=g.created_at,
            expires_at=g.updated_at,
            source=k.id,
            wrapped_by=k.wrapped_by,
            wrapped=k.wrapped,
        ).where(Among(g.id, "guests")),
        _arm("i", IDENTIFIER, guest_id=i.guest_id, id=i.id, key=i.system).where(Among(i.guest_id, "guests")),
        _arm(
            "c",
            CONSENT,
            guest_id=c.guest_id,
            key=c.purpose,
            stated_at=c.granted_at,
            actor=c.actor,
            surface=c.surface,
            expires_at=c.expires_at,
            source=c.notice,
            provenance=c.method,
            version=c.receipt,
        ).where(Among(c.guest_id, "guests")),
    ]


def _stay_arms() -> list[Select[Any]]:
    s, p, k = STAY.c, LIVE.c, GUEST_KEY.c
    pressed = STAY.join(LIVE, p.stay_id == s.id).outerjoin(GUEST_KEY, k.guest_id == s.guest_id)
    return [
        _arm(
            "s",
            STAY,
            guest_id=s.guest_id,
            id=s.id,
            key=s.property,
            stated_at=s.arrival,
            expires_at=s.departure,
            scope_id=s.room,
            source=s.trip,
            strength=s.status,
            version=s.version,
            adults=s.adults,
            children=s.children,
        ).where(Among(s.guest_id, "lodgers")),
        _arm(
            "l",
            pressed,
            guest_id=s.guest_id,
            id=s.id,
            key=p.key,
            actor=p.id,
            value=p.entry,
            sealed=p.sealed,
            source=k.id,
            wrapped_by=k.wrapped_by,
            wrapped=k.wrapped,
        ).where(Among(s.guest_id, "lodgers")),
    ]


@cache
def _statement(documents: bool, stays: bool, properties: bool, extensions: bool) -> CompoundSelect[Any]:
    arms: list[Select[Any]] = []
    if documents:
        arms += _document_arms()
    if stays:
        arms += _stay_arms()
    if properties:
        p = PROPERTY.c
        arms.append(_arm("p", PROPERTY, id=p.id, value=p.body, version=p.version).where(Among(p.id, "properties")))
    if extensions:
        x = EXTENSION.c
        arms.append(_arm("x", EXTENSION, id=x.key, value=x.body, version=x.version))
        arms.append(_arm("v", EXTENSION_VERSION, version=EXTENSION_VERSION.c.version))
    return union_all(*arms)


class _Rows:
    """The rows of one read by their letters, and what is left to do to moments and JSON on this engine: the driver of
    PostgreSQL reads JSON itself, SQLite gives text (but a number as a number) and microseconds since 1970."""

    def __init__(self, rows: Sequence[Any], dialect: str, vault: Vault) -> None:
        sqlite = dialect == "sqlite"
        self._vault = vault
        self._safes: dict[str, Safe | None] = {}
        self.moment: Callable[[Any], datetime] = _moment_of_sqlite if sqlite else _moment_of_postgresql
        self.data: Callable[[Any], Any] = _data_of_sqlite if sqlite else _same
        self._by_letter: dict[str, list[Any]] = {}
        for row in rows:
            self._by_letter.setdefault(row[0], []).append(row)

    def of(self, letter: str) -> Sequence[Any]:
        return self._by_letter.get(letter, ())

    def safe(self, row: Any) -> Safe | None:
        """The guest's, from a row that has the data key."""
        guest = row.guest_id
        if guest not in self._safes:
            key = None if row.wrapped is None else DataKey(row.source, row.wrapped_by, row.wrapped)
            self._safes[guest] = None if key is None else self._vault.unlock(guest, key)
        return self._safes[guest]

    def entry(self, row: Any, safe: Safe | None) -> Entry:
        (_, guest, id, key, value, strength, scope_kind, scope_id, context) = row[:9]
        (provenance, actor, surface, stated_at, source, version, expires_at, entered, sealed) = row[9:18]
        named = (guest, id, key, self.data(value), strength, scope_kind, scope_id, self.data(context))
        expires = None if expires_at is None else self.moment(expires_at)
        known = (provenance, actor, surface, self.moment(stated_at), source, version, expires, self.data(entered))
        return records.entry_of((*named, *known, sealed), safe)

    def press(self, row: Any) -> Entry:
        if row.sealed is None:
            return records.entry_from_json(self.data(row.value))
        opened = contents.open_press(records.needed(self.safe(row)), row.sealed, row.id, row.key, row.actor)
        return records.entry_from_json(opened)

    def consent(self, row: Any) -> Consent:
        ends = None if row.expires_at is None else self.moment(row.expires_at)
        given = row.key, self.moment(row.stated_at), row.actor, row.surface
        return Consent(*given, ends, row.source, row.provenance, row.version)


def _moment_of_sqlite(stored: int) -> datetime:
    return EPOCH + timedelta(microseconds=stored)


def _moment_of_postgresql(stored: datetime) -> datetime:
    return stored.astimezone(UTC)


def _data_of_sqlite(stored: Any) -> Any:
    return load(stored) if isinstance(stored, str) else stored


def _same(stored: Any) -> Any:
    return stored


@dataclass(frozen=True, slots=True)
class Known:
    """A document and what seals it, for a write that goes on from it."""

    document: Document
    safe: Safe | None


def read(connection: Connection, wanted: Lookup, vault: Vault) -> Found:
    """What is asked for, of one moment, in one statement. Ids that cannot be stored must not be asked for.

    Raises Sealed."""
    rows = _rows(connection, wanted, vault)
    return Found(
        _documents(rows),
        _lodgings(wanted.stays, rows),
        {row.id: Record(row.id, rows.data(row.value), row.version) for row in rows.of("p")},
        _extensions(rows) if wanted.extensions else None,
    )


def _rows(connection: Connection, wanted: Lookup, vault: Vault) -> _Rows:
    asked = bool(wanted.documents), bool(wanted.stays), bool(wanted.properties), wanted.extensions
    given = {"guests": wanted.documents, "lodgers": wanted.stays, "properties": wanted.properties}
    parameters = {name: list(ids) for name, ids in given.items() if ids}
    told = connection.execute(_statement(*asked), parameters).all() if any(asked) else ()
    return _Rows(told, connection.dialect.name, vault)


def known(connection: Connection, guest: str, vault: Vault) -> Known | None:
    rows = _rows(connection, Lookup((guest,)), vault)
    return next((Known(document, rows.safe(rows.of("g")[0])) for document in _documents(rows).values()), None)


def _documents(rows: _Rows) -> dict[str, Document]:
    entries: dict[str, list[Entry]] = {}
    identifiers: dict[str, list[Identifier]] = {}
    consents: dict[str, list[Consent]] = {}
    moment = rows.moment
    safes = {row.guest_id: rows.safe(row) for row in rows.of("g")}
    for row in rows.of("e"):
        entries.setdefault(row[1], []).append(rows.entry(row, safes[row[1]]))
    for row in rows.of("i"):
        identifiers.setdefault(row[1], []).append(Identifier(row.key, row.id))
    for row in rows.of("c"):
        consents.setdefault(row[1], []).append(rows.consent(row))
    return {
        row.guest_id: Document(
            row.guest_id,
            row.version,
            tuple(sorted(entries.get(row.guest_id, ()), key=_in_order)),
            tuple(sorted(identifiers.get(row.guest_id, ()))),
            tuple(sorted(consents.get(row.guest_id, ()), key=attrgetter("purpose"))),
            row.id,
            moment(row.stated_at),
            moment(row.expires_at),
        )
        for row in rows.of("g")
    }


def _lodgings(guests: Sequence[str], rows: _Rows) -> dict[str, Lodging]:
    stays: dict[str, list[Stay]] = {guest: [] for guest in guests}
    live: dict[str, dict[str, list[Entry]]] = {}
    for row in rows.of("s"):
        stays[row.guest_id].append(
            Stay(
                row.id,
                row.guest_id,
                row.key,
                rows.moment(row.stated_at),
                rows.moment(row.expires_at),
                row.scope_id,
                row.source,
                None if row.adults is None else Party(row.adults, row.children),
                StayStatus(row.strength),
                row.version,
            )
        )
    for row in rows.of("l"):
        live.setdefault(row.guest_id, {}).setdefault(row.id, []).append(rows.press(row))
    return {
        guest: Lodging(
            tuple(sorted(of_guest, key=_by_arrival)),
            {stay: tuple(sorted(presses, key=_in_order)) for stay, presses in live.get(guest, {}).items()},
        )
        for guest, of_guest in stays.items()
    }


def _extensions(rows: _Rows) -> tuple[int, list[Record]]:
    version = rows.of("v")[0].version if rows.of("v") else 0
    found = [Record(row.id, rows.data(row.value), row.version) for row in rows.of("x")]
    return version, sorted(found, key=attrgetter("id"))
