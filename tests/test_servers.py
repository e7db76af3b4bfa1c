"""The servers that other tests lean on: they answer, come back after a crash, and end with the tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import redis.asyncio

from tests.servers import PostgresServer, ValkeyServer

ROOT = Path(__file__).resolve().parents[1]


def test_postgres_answers_with_version_18(postgres_server: PostgresServer) -> None:
    assert postgres_server.execute("SHOW server_version")[0][0].startswith("18")


def test_each_database_is_empty_and_its_own(postgres_server: PostgresServer, postgres_url: str) -> None:
    name = postgres_url.rpartition("/")[2]
    assert postgres_server.execute("SELECT * FROM pg_tables WHERE schemaname = 'public'", name) == []
    assert postgres_server.execute("SELECT current_database()", name)[0][0] == name


async def test_valkey_answers_and_starts_empty(valkey_url: str) -> None:
    async with redis.asyncio.from_url(valkey_url) as client:
        assert await client.dbsize() == 0
        await client.set("key", b"value")
        assert await client.get("key") == b"value"


def test_postgres_keeps_what_was_committed_over_a_kill() -> None:
    with PostgresServer() as server:
        server.execute("CREATE TABLE kept (n int)")
        server.execute("INSERT INTO kept VALUES (7)")
        port = server.port
        server.kill9()
        assert not server.running
        server.start()
        assert server.port == port
        assert server.execute("SELECT n FROM kept")[0][0] == 7
        server.stop()
        server.start()
        assert server.execute("SELECT n FROM kept")[0][0] == 7
    assert not server.folder.exists()


def test_valkey_forgets_over_a_kill_and_keeps_its_port() -> None:
    with ValkeyServer() as server:
        port = server.port
        assert server.ask(b"SET key value\r\n") == b"+OK\r\n"
        server.kill9()
        server.start()
        assert (server.port, server.ask(b"EXISTS key\r\n")) == (port, b":0\r\n")


def test_a_frozen_server_is_silent_and_then_goes_on() -> None:
    with ValkeyServer() as server:
        server.freeze()
        assert server.ask(b"PING\r\n") == b""
        server.thaw()
        assert server.ask(b"PING\r\n") == b"+PONG\r\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another account, and only root may take it")
def test_postgres_runs_as_nobody_where_namespaces_are_forbidden() -> None:
    with PostgresServer(isolation="nobody") as server:
        assert psutil.Process(server.pid).uids().real == 65534
        assert server.execute("SELECT 1")[0][0] == 1


def alive(pid: int) -> bool:
    """A process that ended but was not yet collected by its parent counts as gone."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_servers_go_when_the_tests_are_killed() -> None:
    program = (
        "import time; from tests.servers import PostgresServer, ValkeyServer\n"
        "p, v = PostgresServer(), ValkeyServer(); p.start(); v.start()\n"
        "print(p.pid, v.pid, p.folder, v.folder, flush=True); time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        first, second, *folders = process.stdout.readline().split()
        pids = [int(first), int(second)]
        assert all(alive(pid) for pid in pids)
        process.send_signal(signal.SIGKILL)
    for _ in range(200):
        if not any(alive(pid) for pid in pids) and not any(Path(folder).exists() for folder in folders):
            break
        time.sleep(0.05)
    assert not [pid for pid in pids if alive(pid)]
    assert not [folder for folder in folders if Path(folder).exists()]
