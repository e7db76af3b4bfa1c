"""Guests by the hundred thousand: one is made through the API, the rest are copies of its rows.

So every copy has exactly what the service itself would have stored, and a million of them take minutes, not hours. The
database copies what it can; what rests sealed is sealed for each copy under a key of its own (`sealed`).
"""

import asyncio
import json
from collections.abc import Sequence

import asyncpg
from pysqlite3 import dbapi2
from sqlalchemy import Table

from loadtests.bench.sealed import COLUMNS, Template, columns_of
from loadtests.bench.started import House, ask
from loadtests.bench.wire import ETAG, VALUE, Request, request
from prefs.store.tables import GUEST, IDENTIFIER

# Ten keys; the desk sees five of them and five defaults of the catalogue, which is ten keys again.
TEN_KEYS = {
    "climate.temperature.occupied": {"value": 21.5, "unit": "Cel"},
    "climate.fan_mode": "auto",
    "lighting.brightness": 40,
    "lighting.arrival_scene": "relax",
    "tv.volume_default": 20,
    "bed.type": ["king"],
    "room.floor_level": "high",
    "room.quiet": True,
    "housekeeping.frequency": "daily",
    "privacy.name_display": "full",
}
CHUNK = 20_000
_ALONE = """PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE;
PRAGMA cache_size = -1000000;"""
MERGE_PATCH = "application/merge-patch+json"


def guest_id(number: int) -> str:
    """Rising like the ids of real guests, which begin with a time."""
    return f"gst_019b0000000070008{number:015x}"


def first_guest(house: House) -> str:
    """The guest that the others are copies of."""
    body = {"display_name": "Bench", "identifiers": [{"system": "bench", "id": "first"}]}
    made = ask(house.port, request("/v1/guests", "POST", body, token=house.importer))
    if made[0] != 201:
        raise SystemExit(f"{house.name} made no guest: {made[2]!r}")
    guest = str(json.loads(made[2])["guest"])
    patch = request(f"/v1/guests/{guest}/preferences", "PATCH", TEN_KEYS, {"content-type": MERGE_PATCH}, house.importer)
    written = ask(house.port, patch)
    if written[0] != 200:
        raise SystemExit(f"{house.name} refused the ten keys: {written[2]!r}")
    return guest


def load(house: House, template: str, first: int, after: int) -> None:
    """Copies number `first` up to, not including, `after`, beside whatever the house is doing."""
    if house.engine == "sqlite":
        _load_sqlite(house, template, first, after, "")
    else:
        asyncio.run(_load_postgresql(house, template, first, after))


def load_alone(house: House, template: str, after: int) -> None:
    """As many copies as fast as can be: nobody else has the database, and one that is half made is thrown away.

    Nothing is synced meanwhile; afterwards the database is left as its operator would leave it after an import.
    """
    if house.engine == "sqlite":
        _load_sqlite(house, template, 0, after, _ALONE)
    else:
        asyncio.run(_load_postgresql(house, template, 0, after, vacuum=True))


def sqlite_file(house: House) -> str:
    return house.database.removeprefix("sqlite:///")


def _load_sqlite(house: House, template: str, first: int, after: int, pragmas: str) -> None:
    connection = dbapi2.connect(sqlite_file(house), timeout=30, isolation_level=None)
    try:
        connection.executescript(pragmas)
        rows = {
            table: connection.execute(f'SELECT {columns_of(table)} FROM "{table}" WHERE guest_id = ?', (template,))
            for table in COLUMNS
        }
        copied = Template(house.data, template, {table: found.fetchall() for table, found in rows.items()})
        for begin in range(first, after, CHUNK):
            numbers = (
                f"n(i) AS (SELECT {begin} UNION ALL SELECT i + 1 FROM n WHERE i < {min(begin + CHUNK, after) - 1})"
            )
            (position,) = connection.execute("SELECT coalesce(max(position), 0) FROM change").fetchone()
            connection.execute("BEGIN IMMEDIATE")
            for table in (GUEST, IDENTIFIER):
                target, source = _columns(table, "printf('%015x', i)")
                own = _own(table)
                connection.execute(
                    f'WITH RECURSIVE {numbers} INSERT INTO "{table.name}" ({target}) '
                    f'SELECT {source} FROM n, "{table.name}" t WHERE t.{own} = ? ORDER BY i',
                    (template,),
                )
            ids = [guest_id(number) for number in range(begin, min(begin + CHUNK, after))]
            for name in COLUMNS:
                more = ", position" if name == "change" else ""
                made = copied.rows(name, ids)
                numbered = ((*row, position + n) for n, row in enumerate(made, 1)) if more else made
                marks = ", ".join("?" * (len(COLUMNS[name]) + bool(more)))
                into = f'INSERT INTO "{name}" ({columns_of(name)}{more}) VALUES ({marks})'
                connection.executemany(into, numbered)
            connection.execute("COMMIT")
        connection.execute("ANALYZE")
        if pragmas:
            connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
    finally:
        connection.close()


async def _load_postgresql(house: House, template: str, first: int, after: int, vacuum: bool = False) -> None:
    connection = await asyncpg.connect(house.database.replace("+asyncpg", ""))
    try:
        rows = {
            table: await connection.fetch(f'SELECT {columns_of(table)} FROM "{table}" WHERE guest_id = $1', template)
            for table in COLUMNS
        }
        copied = Template(house.data, template, rows)
        # The rows refer to each other rightly since the template's do; checking each costs more than writing it.
        await connection.execute("SET session_replication_role = replica")
        await connection.execute("SET synchronous_commit = off")
        for begin in range(first, after, CHUNK):
            end = min(begin + CHUNK, after) - 1
            async with connection.transaction():
                for table in (GUEST, IDENTIFIER):
                    target, source = _columns(table, "lpad(to_hex(i), 15, '0')")
                    await connection.execute(
                        f'INSERT INTO "{table.name}" ({target}) SELECT {source} '
                        f'FROM generate_series({begin}, {end}) i, "{table.name}" t '
                        f"WHERE t.{_own(table)} = $1 ORDER BY i",
                        template,
                    )
                ids = [guest_id(number) for number in range(begin, end + 1)]
                for name, columns in COLUMNS.items():
                    await connection.copy_records_to_table(name, records=copied.rows(name, ids), columns=columns)
        for statement in ("VACUUM (ANALYZE)", "CHECKPOINT") if vacuum else ("ANALYZE",):
            await connection.execute(statement)
    finally:
        await connection.close()


def _own(table: Table) -> str:
    return "id" if table is GUEST else "guest_id"


def _columns(table: Table, digits: str) -> tuple[str, str]:
    """The columns to fill and what fills them: as the template has it, but for what must differ."""
    guest = f"'{guest_id(0)[:-15]}' || {digits}"
    different = {_own(table): guest}
    if table is IDENTIFIER:
        different["id"] = "'bench-' || i"
    names = [column.name for column in table.c]
    target = ", ".join(f'"{name}"' for name in names)
    return target, ", ".join(different.get(name, f't."{name}"') for name in names)


# What is asked of guestprefs about these guests.


def path_of(house: House, guest: str) -> str:
    return f"/v1/guests/{guest}/preferences?property={house.property}"


def reads(house: House, numbers: Sequence[int], fresh: bool = False) -> list[Request]:
    """Reads by the desk; `fresh` says no-cache, which skips the local tier."""
    headers = {"cache-control": "no-cache"} if fresh else {}
    return [request(path_of(house, guest_id(n)), headers=headers, token=house.token) for n in numbers]


def ledgered(house: House, count: int) -> list[Request]:
    """Reads by a service of guests with an allergy; the guests are made for it, since consents are not copied."""
    asked = []
    for number in range(count):
        body = {"display_name": "Ledgered", "identifiers": [{"system": "bench", "id": f"ledgered-{number}"}]}
        made = ask(house.port, request("/v1/guests", "POST", body, token=house.importer))
        guest = json.loads(made[2])["guest"]
        ask(house.port, request(f"/v1/guests/{guest}/consents/food_safety", "PUT", token=house.importer))
        patch = {**TEN_KEYS, "food.allergens": [{"code": "peanuts"}]}
        path = f"/v1/guests/{guest}/preferences"
        written = ask(house.port, request(path, "PATCH", patch, {"content-type": MERGE_PATCH}, house.importer))
        if written[0] != 200:
            raise SystemExit(f"{house.name} refused an allergy: {written[2]!r}")
        asked.append(request(path_of(house, guest), token=house.importer))
    _, _, shown = ask(house.port, asked[-1])
    if b"peanuts" not in shown:
        raise SystemExit(f"{house.name} shows no allergy: {shown!r}")
    return asked


def batch(house: House, numbers: Sequence[int]) -> Request:
    body = {"guests": [guest_id(number) for number in numbers], "property": house.property}
    return request("/v1/preferences/batch", "POST", body, token=house.token)


def writes(house: House, numbers: Sequence[int]) -> list[tuple[Request, Request]]:
    """One key with the entity tag of the answer before as its precondition; history is always written."""
    headers = {"content-type": MERGE_PATCH, "if-match": ETAG.decode()}
    body = b'{"tv.volume_default":' + VALUE + b"}"
    pairs = []
    for number in numbers:
        path = f"/v1/guests/{guest_id(number)}/preferences"
        pairs.append((request(path, token=house.importer), request(path, "PATCH", body, headers, token=house.importer)))
    return pairs
