"""P9: before an acknowledgement leaves, the write is on disk. kill -9 cannot show that, since the page cache survives
it.

strace writes down, in one order for all processes, when a sync of the log returned and when an answer went out.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx2
import psutil
import pytest

from tests.chaos.load import KEY, Trial
from tests.cli.launch import launching
from tests.cli.served import bearer
from tests.servers import PostgresServer

WRITES = 200
LAX = launching("tests.chaos.lax:create_app")
SYNC = re.compile(r"\b(?:fsync|fdatasync)\((?:\d+<([^>]*)>)?")
RESUMED = re.compile(r"<\.\.\. (?:fsync|fdatasync) resumed>.*= 0")
ANSWER = re.compile(r"\b(?:write|writev|sendto|sendmsg)\(\d+<(?:TCP|TCPv6|socket):.*HTTP/1\.1 200")


@dataclass(frozen=True, slots=True)
class Trace:
    """What strace saw of answers: how many there were, and how many had no finished sync since the one before."""

    answers: int
    without_sync: int
    synced_files: frozenset[str]


def read_trace(lines: Sequence[str], log: str) -> Trace:
    """`log` is what the path of the write-ahead log contains; a sync of another file counts for nothing."""
    answers = without = 0
    synced = False
    files: set[str] = set()
    pending: dict[str, str] = {}  # thread -> path of the sync it is in
    for line in lines:
        thread = line.split(maxsplit=1)[0]
        if ANSWER.search(line):
            answers += 1
            without += not synced
            synced = False
        elif RESUMED.search(line):
            path = pending.pop(thread, "")
            files.add(path)
            synced = synced or log in path
        elif found := SYNC.search(line):
            path = found.group(1) or ""
            if "<unfinished" in line:
                pending[thread] = path
            elif line.rstrip().endswith("= 0"):
                files.add(path)
                synced = synced or log in path
    return Trace(answers, without, frozenset(files))


def family(pid: int) -> list[int]:
    return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]


@pytest.fixture
def strace() -> str:
    found = shutil.which("strace")
    if found is None:
        pytest.skip("NOT RUN: strace is not installed (apt-get install strace)")
    probe = subprocess.run([found, "-o", "/dev/null", "true"], capture_output=True, check=False)
    if probe.returncode != 0:
        pytest.skip(f"NOT RUN: strace may not trace here: {probe.stderr.decode()[:200]}")
    return found


def traced_writes(strace: str, trial: Trial, others: Callable[[], Sequence[int]], log: str) -> Trace:
    """So many writes, one after the other, under strace of the worker and of whoever syncs for it."""
    server = trial.start()
    try:
        (guest,) = trial.make_guests(1)
        (worker,) = server.workers()
        pids = [str(pid) for pid in (worker.pid, *others())]  # after the first write: its connection is open
        out = trial.folder / "strace.txt"
        calls = "trace=fsync,fdatasync,write,writev,sendto,sendmsg"
        tracer = subprocess.Popen(
            [strace, "-f", "-yy", "-s", "64", "-e", calls, "-o", str(out), *(w for pid in pids for w in ("-p", pid))],
            stderr=subprocess.PIPE,
        )
        try:
            with httpx2.Client(base_url=server.url, timeout=30, headers=bearer(trial.token_of(guest))) as client:
                _wait_until_attached(client, out)
                # From here on every answer is an acknowledged write.
                mark = len(out.read_text(errors="replace").splitlines())
                for number in range(WRITES):
                    answer = client.patch(f"/v1/guests/{guest}/preferences", json={KEY: number % 100 + 1})
                    assert answer.status_code == 200, answer.text
        finally:
            tracer.send_signal(signal.SIGINT)
            tracer.communicate(timeout=30)
        return read_trace(out.read_text(errors="replace").splitlines()[mark:], log)
    finally:
        trial.close()


def _wait_until_attached(client: httpx2.Client, out: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        client.get("/livez")
        time.sleep(0.2)
        if out.exists() and ANSWER.search(out.read_text(errors="replace")):
            return
    pytest.fail("strace saw no answer of the server")


@pytest.mark.prove
def test_sqlite_syncs_its_log_before_every_answer(tmp_path: Path, strace: str) -> None:
    trace = traced_writes(strace, Trial(tmp_path, None, workers=1), list, "-wal")
    assert (trace.answers, trace.without_sync) == (WRITES, 0), trace


@pytest.mark.prove
def test_synchronous_normal_is_seen(tmp_path: Path, strace: str) -> None:
    trace = traced_writes(strace, Trial(tmp_path, None, workers=1, launch=LAX), list, "-wal")
    assert trace.answers == WRITES
    assert trace.without_sync > WRITES * 0.9


@pytest.fixture(params=["on", "off"])
def postgres(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    with PostgresServer(fsync=request.param, full_page_writes="on") as server:
        yield server


@pytest.mark.prove
def test_postgresql_syncs_its_log_before_every_answer(tmp_path: Path, strace: str, postgres: PostgresServer) -> None:
    """With `fsync=off` the same trace has to show that nothing is synced, or it would prove nothing."""
    trial = Trial(tmp_path, postgres.create_database("chaos"), workers=1)
    trace = traced_writes(strace, trial, lambda: family(postgres.pid), "pg_wal")
    assert trace.answers == WRITES
    if postgres.settings["fsync"] == "on":
        assert trace.without_sync == 0, trace
    else:
        assert trace.without_sync == WRITES, trace


def test_the_reading_of_a_trace() -> None:
    """Synced before, synced after, another file's sync, and a sync that spans two lines."""
    answer = '1 write(9<TCP:[127.0.0.1:1->127.0.0.1:2]>, "HTTP/1.1 200 OK\\r\\n", 64) = 64'
    lines = [
        "2 fdatasync(7</d/g.db-wal>) = 0",
        answer,
        answer,
        "2 fdatasync(8</d/g.db>) = 0",
        answer,
        "2 fdatasync(7</d/g.db-wal> <unfinished ...>",
        answer,
        "2 <... fdatasync resumed>) = 0",
        answer,
    ]
    assert read_trace(lines, "-wal") == Trace(5, 3, frozenset({"/d/g.db-wal", "/d/g.db"}))
