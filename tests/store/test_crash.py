"""Processes killed while they write: what they acknowledged is there, nothing is torn, the file is whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from sqlalchemy import text

from tests.store.conftest import Place
from tests.store.samples import born, document

ROOT = Path(__file__).parents[2]
ROUNDS, WRITERS, ACKNOWLEDGED = 3, 2, 40


def killed_while_writing(url: str, guest: str) -> list[int]:
    """Start several writers, kill them all in the middle, and return the versions they had acknowledged."""
    command = [sys.executable, "-m", "tests.store.writer", url, guest]
    writers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(WRITERS)]
    lines: list[str] = []
    try:
        for writer in writers:
            assert writer.stdout is not None
            lines.extend(writer.stdout.readline() for _ in range(ACKNOWLEDGED))
    finally:
        for writer in writers:
            writer.kill()
    lines.extend(line for writer in writers for line in writer.communicate()[0].splitlines())
    return [int(line) for line in lines if line.strip()]


async def test_what_was_acknowledged_outlives_its_writers(sql_place: Place) -> None:
    guest = await born(await sql_place.open())
    acknowledged: list[int] = []

    for _ in range(ROUNDS):
        acknowledged += killed_while_writing(sql_place.url, guest)

        store = await sql_place.open()
        found = await document(store, guest)
        history = await store.history(guest, 1_000_000)
        assert found.version >= max(acknowledged)
        assert len(set(acknowledged)) == len(acknowledged) >= WRITERS * ACKNOWLEDGED
        assert [change.version for change in history] == list(range(found.version, 0, -1))
        newest = {change.keys[0].added[0].id: change.keys[0].added[0] for change in reversed(history) if change.keys}
        assert {entry.id: entry for entry in found.entries if entry.id != "prf_a"} == newest

    if sql_place.kind == "sqlite":
        checked = await store._runner.look(  # type: ignore[attr-defined]
            lambda connection: connection.execute(text("PRAGMA integrity_check")).scalars().all()
        )
        assert checked == ["ok"]
