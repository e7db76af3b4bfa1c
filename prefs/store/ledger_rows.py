"""The ledger's records in SQL: beside everything else on PostgreSQL, in a file of their own on SQLite.

A file of their own because every commit to the main file makes all processes doubt what they keep of guests, and a
record a read would leave nothing to be kept. Records go in by the driver's own means: they are many and plain.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from sqlalchemy import URL, Connection, bindparam, delete, func, select, tuple_, update

from prefs.core.accesses import Chained, Name
from prefs.store.engines import Outcome, Runner, parse, sqlite_path
from prefs.store.runners import open_runner
from prefs.store.statements import Among, upsert
from prefs.store.tables import LEDGER, LEDGER_NAME, Row

SUFFIX = ".ledger.db"

_COLUMNS = ", ".join(Chained._fields)
_ARRAYS = ", ".join(
    f"${number}::{'bigint' if name in ('seq', 'at', 'version') else 'text'}[]"
    for number, name in enumerate(Chained._fields, 1)
)
_MANY_POSTGRESQL = f"INSERT INTO ledger ({_COLUMNS}) SELECT * FROM unnest({_ARRAYS})"
_MANY_SQLITE = f"INSERT INTO ledger ({_COLUMNS}) VALUES ({', '.join('?' * len(Chained._fields))})"
_ROW = [LEDGER.c[name] for name in Chained._fields]
_NAME = [LEDGER_NAME.c[name] for name in Name._fields]
_POSITION = tuple_(LEDGER.c.at, LEDGER.c.writer, LEDGER.c.seq)
_NEWEST_FIRST = (LEDGER.c.at.desc(), LEDGER.c.writer.desc(), LEDGER.c.seq.desc())
_AFTER = (
    select(*_ROW)
    .where(LEDGER.c.writer == bindparam("writer"), LEDGER.c.seq > bindparam("seq"))
    .order_by(LEDGER.c.seq)
    .limit(bindparam("most"))
)
_CHAINS = select(LEDGER.c.writer, func.count(), func.min(LEDGER.c.seq)).group_by(LEDGER.c.writer)
_NAMES = select(*_NAME).where(Among(LEDGER_NAME.c.digest, "digests"))
_NAMES_OF = select(LEDGER_NAME.c.pseudonym, LEDGER_NAME.c.guest).where(Among(LEDGER_NAME.c.pseudonym, "pseudonyms"))
_ALL_NAMES = (select(*_NAME).where(LEDGER_NAME.c.digest > bindparam("after")).order_by(LEDGER_NAME.c.digest)).limit(
    bindparam("most")
)


def beside(url: str) -> str:
    """The URL of the ledger's own database: the same on PostgreSQL, a file beside the main one on SQLite."""
    place = parse(url)
    if place.get_backend_name() == "postgresql":
        return url
    return f"sqlite:///{sqlite_path(place).with_suffix(SUFFIX)}"


class SqlLedgerRows:
    """`LedgerRows` of one database, opened on first use."""

    def __init__(self, url: str) -> None:
        self._place: URL = parse(url)
        self._opened: Runner | None = None
        self._opening = asyncio.Lock()

    async def append(self, rows: Sequence[Chained]) -> None:
        await (await self._runner()).run(lambda connection: _append(connection, rows))

    async def after(self, writer: str, seq: int, limit: int) -> Sequence[Sequence[Any]]:
        asked = {"writer": writer, "seq": seq, "most": limit}
        found: Sequence[Sequence[Any]] = await self._look(lambda connection: connection.execute(_AFTER, asked).all())
        return found

    async def chains(self) -> list[tuple[str, int, int]]:
        found = await (await self._runner()).survey(lambda connection: connection.execute(_CHAINS).all())
        return [(writer, count, first) for writer, count, first in found]

    async def about(self, pseudonym: str, limit: int, before: tuple[int, str, int] | None) -> list[Chained]:
        return await self._page(select(*_ROW).where(LEDGER.c.guest == pseudonym), limit, before)

    async def between(self, since: int, until: int, limit: int, before: tuple[int, str, int] | None) -> list[Chained]:
        return await self._page(select(*_ROW).where(LEDGER.c.at.between(since, until)), limit, before)

    async def count(self, pseudonym: str) -> int:
        asked = select(func.count()).select_from(LEDGER).where(LEDGER.c.guest == pseudonym)
        found: int = await self._look(lambda connection: connection.execute(asked).scalar_one())
        return found

    async def last_before(self, writer: str, at: int) -> Chained | None:
        own = LEDGER.c.writer == writer
        first_kept = select(func.min(LEDGER.c.seq)).where(own, LEDGER.c.at >= at).scalar_subquery()
        past = select(*_ROW).where(own, LEDGER.c.at < at, LEDGER.c.seq < func.coalesce(first_kept, 2**62))
        asked = past.order_by(LEDGER.c.seq.desc()).limit(1)
        row = await (await self._runner()).survey(lambda connection: connection.execute(asked).first())
        return Chained(*row) if row else None

    async def drop(self, writer: str, seq: int) -> int:
        asked = delete(LEDGER).where(LEDGER.c.writer == writer, LEDGER.c.seq <= seq)
        return await (await self._runner()).run(lambda connection: Outcome(connection.execute(asked).rowcount))

    async def names(self, digests: Sequence[str]) -> dict[str, Name]:
        found = await self._look(lambda connection: connection.execute(_NAMES, {"digests": list(digests)}).all())
        return {row[0]: Name(*row) for row in found}

    async def names_of(self, pseudonyms: Sequence[str]) -> dict[str, str]:
        asked = {"pseudonyms": list(pseudonyms)}
        found = await self._look(lambda connection: connection.execute(_NAMES_OF, asked).all())
        return {pseudonym: guest for pseudonym, guest in found if guest}

    async def all_names(self, after: str, limit: int) -> list[Name]:
        asked = {"after": after, "most": limit}
        return [Name(*row) for row in await self._look(lambda connection: connection.execute(_ALL_NAMES, asked).all())]

    async def add_names(self, names: Sequence[Name]) -> None:
        def add(connection: Connection) -> Outcome[None]:
            statement = upsert(connection, LEDGER_NAME).on_conflict_do_nothing(index_elements=["digest"])
            connection.execute(statement, [name._asdict() for name in sorted(names)])
            return Outcome(None)

        await (await self._runner()).run(add)

    async def put_name(self, name: Name) -> None:
        asked = update(LEDGER_NAME).where(LEDGER_NAME.c.digest == name.digest).values(name._asdict())

        def put(connection: Connection) -> Outcome[None]:
            connection.execute(asked)
            return Outcome(None)

        await (await self._runner()).run(put)

    async def close(self) -> None:
        if self._opened is not None:
            await self._opened.close()

    async def _page(self, asked: Any, limit: int, before: tuple[int, str, int] | None) -> list[Chained]:
        if before is not None:
            asked = asked.where(_POSITION < tuple_(*before))
        ordered = asked.order_by(*_NEWEST_FIRST).limit(limit)
        return [Chained(*row) for row in await self._look(lambda connection: connection.execute(ordered).all())]

    async def _look(self, work: Any) -> Any:
        return await (await self._runner()).look(work, snapshot=False)

    async def _runner(self) -> Runner:
        if self._opened is not None:
            return self._opened
        async with self._opening:
            if self._opened is None:
                runner = open_runner(self._place)
                if self._place.get_backend_name() == "sqlite":
                    await runner.run(_make)
                self._opened = runner
        return self._opened


def _make(connection: Connection) -> Outcome[None]:
    Row.metadata.create_all(connection, tables=[LEDGER, LEDGER_NAME])
    return Outcome(None)


def _append(connection: Connection, rows: Sequence[Chained]) -> Outcome[None]:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(_MANY_POSTGRESQL, tuple(map(list, zip(*rows, strict=True))))
    else:
        connection.exec_driver_sql(_MANY_SQLITE, [tuple(row) for row in rows])
    return Outcome(None)
