"""Ledgers of processes that share a database and a second place, and a hand that tampers with either."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from prefs.bootstrap import SystemClock
from prefs.core.accesses import Access, Chained, Deed, Outcome
from prefs.ledger.chained import ChainedLedger
from prefs.ledger.keys import LedgerKeys
from prefs.ledger.verify import Report, verify
from prefs.store.engines import Outcome as Kept
from prefs.store.engines import parse
from prefs.store.ledger_rows import SqlLedgerRows, beside
from prefs.store.runners import open_runner
from prefs.store.tables import LEDGER, LEDGER_NAME

KEYS = LedgerKeys(bytes(range(32)))
START = datetime(2026, 7, 1, 12, tzinfo=UTC)
type Rows = list[tuple[Any, ...]]


def access(number: int, guest: str = "", **more: Any) -> Access:
    told: dict[str, Any] = {
        "at": SystemClock().now(),
        "actor": f"staff-{number % 7}",
        "role": "staff",
        "surface": "food",
        "act": Deed.READ,
        "outcome": Outcome.SHOWN,
        "property": "dallas",
        "guest": guest or f"gst_{number % 5}",
        "version": number,
        "keys": ("food.allergens", "food.diet"),
        "purposes": ("food_safety",),
        "request": f"r-{number}",
    }
    return Access(**{**told, **more})


@dataclass
class Desk:
    """One database and one folder of checkpoints."""

    url: str
    folder: Path
    keys: LedgerKeys = KEYS
    opened: list[ChainedLedger] = field(default_factory=list)

    def ledger(self) -> ChainedLedger:
        """As a process of its own has it."""
        made = ChainedLedger(SqlLedgerRows(beside(self.url)), self.folder, lambda: self.keys, SystemClock())
        self.opened.append(made)
        return made

    async def verify(self, *folders: Path) -> Report:
        rows = SqlLedgerRows(beside(self.url))
        try:
            return await verify(rows, folders or (self.folder,), self.keys, lambda _done, _all: None)
        finally:
            await rows.close()

    async def close(self) -> None:
        for ledger in self.opened:
            await ledger.close()
        self.opened.clear()

    # ------------------------------------------------------------ past the ledger's own code

    async def run(self, *statements: Any) -> list[Any]:
        runner = open_runner(parse(beside(self.url)))

        def work(connection: Connection) -> Kept[list[Any]]:
            found: list[Any] = []
            for statement in statements:
                result = connection.execute(statement)
                found = list(result) if result.returns_rows else []
            return Kept(found)

        try:
            return await runner.run(work)
        finally:
            await runner.close()

    async def rows(self) -> Rows:
        return [tuple(row) for row in await self.run(select(LEDGER).order_by(LEDGER.c.writer, LEDGER.c.seq))]

    async def names(self) -> Rows:
        return [tuple(row) for row in await self.run(select(LEDGER_NAME).order_by(LEDGER_NAME.c.digest))]

    async def put(self, rows: Rows, names: Rows | None = None) -> None:
        """Make the tables hold these rows and no others."""
        said: list[Any] = [delete(LEDGER)]
        said += [insert(LEDGER).values(_named(LEDGER, rows))] if rows else []
        if names is not None:
            said += [delete(LEDGER_NAME), insert(LEDGER_NAME).values(_named(LEDGER_NAME, names))]
        await self.run(*said)


def _named(table: Any, rows: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(table.c.keys(), row, strict=True)) for row in rows]


def chained(row: Sequence[Any]) -> Chained:
    return Chained(*row)
