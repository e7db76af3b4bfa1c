"""What is compared, started on free ports of loopback and pinned to the server's core; everything ends with the run."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from api.cli.first_start import make_keys
from loadtests.bench.cores import SERVER_CORE, on_core
from loadtests.bench.load import ROOT
from loadtests.bench.wire import Request, request
from prefs.settings import KEYS_FILE, Settings
from tests.servers import PostgresServer, ValkeyServer, free_port

# One token asks for a whole hotel here.
UNLIMITED = {f"GUESTPREFS_{name}_RATE": "0" for name in ("CALLER", "SERVICE", "PROPERTY")}

START_TIMEOUT_S = 300.0  # in valgrind, on a busy machine
STOP_TIMEOUT_S = 20.0
DEMO_GUESTS = 12
SERVING = [sys.executable, "-m", "loadtests.bench.serving"]
DATABASE = "bench"
# The test server does not sync its disk; a write that is compared must.
DURABLE: dict[str, Any] = {"fsync": "on", "full_page_writes": "on"}


@dataclass(frozen=True, slots=True)
class Place:
    """A server that answers on a port of loopback; `pids` are the processes that do its work."""

    name: str
    port: int
    pids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class House(Place):
    """guestprefs itself, over an empty database with demo hotels."""

    engine: str = "sqlite"
    database: str = ""
    property: str = ""
    token: str = ""  # of an operator at the desk, who sees every guest
    importer: str = ""  # of a service that may write every guest
    data: Path = Path()
    environment: Mapping[str, str] = field(default_factory=dict)


class Grounds:
    """Starts servers and ends them all, in the opposite order."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self.folder = Path(tempfile.mkdtemp(prefix="guestprefs-bench-"))
        self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    def close(self) -> None:
        self._stack.close()

    def run(self, name: str, command: list[str], port: int, **environment: str) -> Place:
        """Start a program that listens on `port` and come back when it does."""
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [*on_core(SERVER_CORE), *command],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                start_new_session=True,
                env={**os.environ, **environment},
            )
        self._stack.callback(_end, process)
        self._processes[port] = process
        self._wait(name, process, lambda: _listens(port))
        return Place(name, port, _family(process))

    def end(self, place: Place) -> None:
        """Before all the rest."""
        _end(self._processes.pop(place.port))

    def bare(self, name: str, application: str, body: bytes, before: Sequence[str] = ()) -> Place:
        """One of the applications of `bare.py` on the server that guestprefs runs on, with the same settings."""
        port, document = free_port(), self.folder / "document.json"
        document.write_bytes(body)
        command = [*before, *SERVING, f"loadtests.bench.bare:{application}_application", str(port)]
        return self._ready(name, command, port, BENCH_DOCUMENT=str(document))

    def webdis(self, document: bytes, keys: list[str]) -> Place | None:
        """Webdis over a Valkey that holds the document under every key; None where it is not installed."""
        program = shutil.which("webdis")
        if program is None:
            return None
        valkey = self._stack.enter_context(ValkeyServer())
        fill(valkey.port, document, keys)
        port, settings = free_port(), self.folder / "webdis.json"
        store = {"redis_host": "127.0.0.1", "redis_port": valkey.port, "database": 6, "pool_size": 5}
        face = {"http_host": "127.0.0.1", "http_port": port, "threads": 1, "daemonize": False}
        more = {"verbosity": 0, "logfile": str(self.folder / "webdis.out"), "http_max_request_size": 1 << 20}
        settings.write_text(json.dumps({**store, **face, **more}), encoding="utf-8")
        return self.run("webdis", [program, str(settings)], port)

    def house(
        self, engine: str, mark: str = "", data: Path | None = None, server: PostgresServer | None = None
    ) -> House:
        """`guestprefs serve --demo`, on SQLite, or on PostgreSQL with Valkey; both make every write durable.

        Each has databases and a cache of its own, since the guests of all have the same ids. `data` and `server` are
        given where what is stored is to outlive the run.
        """
        name, data = f"guestprefs-{engine}{mark}", data or self.folder / f"data-{engine}{mark}"
        environment = {"DRAIN_DELAY": "0", "LOG_LEVEL": "warning", **UNLIMITED}
        if not (data / KEYS_FILE).exists():
            make_keys(data / KEYS_FILE)  # a demo's own would not be served by anything but a demo
        if engine == "postgresql":
            server = self._stack.enter_context(server or PostgresServer(**DURABLE))
            cache = self._stack.enter_context(ValkeyServer())
            environment |= {"DATABASE_URL": _database(server), "REDIS_URL": cache.url()}
        else:
            environment |= {"DATABASE_URL": "", "REDIS_URL": ""}
        port = free_port()
        place = self._serve(name, port, data, environment, "--demo", "--guests", str(DEMO_GUESTS))
        demo: dict[str, Any] = json.loads((data / "demo.json").read_text(encoding="utf-8"))
        return House(
            name,
            port,
            place.pids,
            engine,
            environment["DATABASE_URL"] or f"sqlite:///{data / 'guestprefs.db'}",
            demo["property"],
            demo["tokens"]["operator"],
            demo["tokens"]["service"],
            data,
            environment,
        )

    def neighbour(self, house: House, mark: str = "2", **environment: str) -> Place:
        """A second server over the same database, cache and keys, but for what is said otherwise."""
        return self._serve(f"{house.name}-{mark}", free_port(), house.data, {**house.environment, **environment})

    def served(
        self, house: House, mark: str, application: str, before: Sequence[str] = (), **environment: str
    ) -> Place:
        """A second server over the same database that wraps the service in something, or runs in something."""
        port = free_port()
        command = [*before, *SERVING, application, str(port), str(house.data)]
        return self._ready(f"{house.name}-{mark}", command, port, **{**house.environment, **environment})

    def _serve(self, name: str, port: int, data: Path, environment: Mapping[str, str], *more: str) -> Place:
        command = [sys.executable, "-m", "api.cli.main", "serve", "--port", str(port), "--data", str(data), *more]
        return self._ready(name, command, port, **environment)

    def _ready(self, name: str, command: list[str], port: int, **environment: str) -> Place:
        """The workers, too, are there."""
        place = self.run(name, command, port, **environment)
        self._wait(name, None, lambda: _answers(port, "/readyz"))
        return Place(name, port, _family(psutil.Process(place.pids[0])))

    def _wait(self, name: str, process: subprocess.Popen[bytes] | None, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not ready():
            if (process is not None and process.poll() is not None) or time.monotonic() > deadline:
                log = (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")
                raise SystemExit(f"{name} did not start:\n{log[-3000:]}")
            time.sleep(0.05)


def _database(server: PostgresServer) -> str:
    if server.execute(f"SELECT 1 FROM pg_database WHERE datname = '{DATABASE}'"):
        return server.url(DATABASE)
    return server.create_database(DATABASE)


def has_shared_tier() -> bool:
    """Whether the service of this commit knows a shared tier at all."""
    return "REDIS_URL" in Settings.variables()


def ask(port: int, asked: Request) -> tuple[int, dict[str, str], bytes]:
    """One request by plain means, for what is looked at and not measured."""
    url, body = f"http://127.0.0.1:{port}{asked.path}", asked.body or None
    plain = urllib.request.Request(url, body, dict(asked.headers), method=asked.method)
    try:
        with urllib.request.urlopen(plain, timeout=20) as answer:
            return answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, {k.lower(): v for k, v in error.headers.items()}, error.read()


def fill(port: int, document: bytes, keys: list[str]) -> None:
    """Plain SETs in Redis's own words, in the database that Webdis reads."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as link:
        link.sendall(_command(b"SELECT", b"6") + b"".join(_command(b"SET", k.encode(), document) for k in keys))
        answered = b""
        while answered.count(b"+OK\r\n") < len(keys) + 1:
            answered += link.recv(65536)


def _command(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def _listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def _answers(port: int, path: str) -> bool:
    try:
        return ask(port, request(path))[0] == 200
    except OSError:
        return False


def _family(process: subprocess.Popen[bytes] | psutil.Process) -> tuple[int, ...]:
    return (process.pid, *(child.pid for child in psutil.Process(process.pid).children(recursive=True)))


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
