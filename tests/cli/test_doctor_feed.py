"""What `doctor` says of transactions that hold the feed back, and the number that shows it while streams are open."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from api.cli import doctor
from tests.chaos.grounds import Grounds, wait_until
from tests.chaos.stream import StreamReader
from tests.cli.served import guestprefs
from tests.servers import PostgresServer


@contextmanager
def holding_a_transaction(url: str) -> Iterator[int]:
    """Somebody who began to write and went for lunch; the number of the session."""
    held, release, told = threading.Event(), threading.Event(), []

    async def hold() -> None:
        connection = await asyncpg.connect(url, server_settings={"application_name": "forgotten"})
        try:
            await connection.execute("BEGIN")
            await connection.execute("SELECT pg_current_xact_id()")
            told.append(connection.get_server_pid())
            held.set()
            await asyncio.to_thread(release.wait)
        finally:
            await connection.close()

    thread = threading.Thread(target=lambda: asyncio.run(hold()))
    thread.start()
    try:
        assert held.wait(20)
        yield told[0]
    finally:
        release.set()
        thread.join()


def elsewhere(url: str) -> str:
    """Another database of the same cluster."""
    return url.rpartition("/")[0].replace("+asyncpg", "") + "/postgres"


def test_whoever_holds_the_feed_back_is_named(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = {"DATABASE_URL": postgres_url}
    for words in (("keys",), ("migrate",)):
        assert guestprefs(tmp_path, *words, environ=environ).returncode == 0
    with holding_a_transaction(elsewhere(postgres_url)) as session:
        assert "no old transaction" in guestprefs(tmp_path, "doctor", environ=environ).stdout, "it may end any moment"
        monkeypatch.setattr(doctor, "FEED_PATIENCE", timedelta(0))
        done = guestprefs(tmp_path, "doctor", environ=environ)
    assert done.returncode == 1
    found = re.search(r"WRONG +Feed: (.*)", done.stdout)
    assert found and f"session {session} (account " in found[1] and "program forgotten, database postgres" in found[1]
    assert f"pg_terminate_backend({session})" in found[1]


def test_a_prepared_transaction_is_named_with_what_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's session holds it, so there is nothing to terminate: it outlives even a restart of the server."""

    async def prepare(url: str) -> None:
        connection = await asyncpg.connect(url)
        await connection.execute("BEGIN")
        await connection.execute("SELECT pg_current_xact_id()")
        await connection.execute("PREPARE TRANSACTION 'payroll-7'")
        await connection.close()

    with PostgresServer(max_prepared_transactions="2") as server:
        environ = {"DATABASE_URL": server.create_database()}
        for words in (("keys",), ("migrate",)):
            assert guestprefs(tmp_path, *words, environ=environ).returncode == 0
        asyncio.run(prepare(elsewhere(environ["DATABASE_URL"])))
        monkeypatch.setattr(doctor, "FEED_PATIENCE", timedelta(0))
        done = guestprefs(tmp_path, "doctor", environ=environ)
    assert done.returncode == 1
    found = re.search(r"WRONG +Feed: (.*)", done.stdout)
    assert found and "session payroll-7 (account postgres" in found[1] and "database postgres, prepared)" in found[1]
    assert "ROLLBACK PREPARED 'payroll-7' (or COMMIT PREPARED)" in found[1] and "terminate" not in found[1]


def test_a_feed_that_cannot_be_held_back_or_is_not_there_yet_is_fine(tmp_path: Path, postgres_url: str) -> None:
    assert guestprefs(tmp_path, "keys").returncode == 0
    assert "ok    Feed: one writer at a time; nothing can hold it back." in guestprefs(tmp_path, "doctor").stdout
    done = guestprefs(tmp_path, "doctor", environ={"DATABASE_URL": postgres_url})
    assert "ok    Feed: not looked at before the database has its tables." in done.stdout


@pytest.mark.timeout(300)
def test_a_feed_that_is_held_back_shows_and_then_tells_all(tmp_path: Path) -> None:
    with Grounds(tmp_path, guests=1) as grounds:
        guest = grounds.guests[0]
        reader = StreamReader(grounds.token_of(guest), {"guest": guest})

        async def follow() -> None:
            reading = asyncio.ensure_future(reader.read(grounds.server.url))
            await reader.until(lambda: reader.events, "the snapshot")
            with holding_a_transaction(elsewhere(grounds.postgres.url("postgres"))):
                for value in (11, 12, 13):
                    version = (await asyncio.to_thread(grounds.prefer, guest, value)).json()["version"]
                await asyncio.to_thread(
                    wait_until, lambda: grounds.metric("guestprefs_feed_stalled_seconds") > 0.5, "the number"
                )
                assert len(reader.events) == 1, "nothing is told that something older could still precede"
            await reader.until(lambda: reader.versions(guest)[-1] == version, "all that waited")
            await asyncio.to_thread(
                wait_until, lambda: grounds.metric("guestprefs_feed_stalled_seconds") == 0, "no more stalled"
            )
            reading.cancel()
            await asyncio.wait((reading,))

        asyncio.run(follow())
