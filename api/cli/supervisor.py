"""Keeps the server processes: starts them, tells them to drain before it stops them, and leaves none behind when it
dies.

granian alone waits for open streams and then kills a worker without the end of its lifespan, and a killed granian
leaves its workers serving. So SIGTERM is taken here: every worker first hears SIGUSR1 (`/readyz` turns 503), and only
after the drain delay does granian stop them. Each worker asks the kernel, or where there is none to ask a thread of
its own, to end it together with this process.
"""

import contextlib
import ctypes
import gc
import importlib
import multiprocessing
import multiprocessing.connection
import os
import resource
import signal
import socket
import stat
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from functools import partial
from typing import Any

from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server import Server

from api.cli import wiping
from prefs import telemetry
from prefs.settings import Settings

APPLICATION = "api.app:create_app"
PR_SET_PDEATHSIG = 1
READY_POLL_S = 0.05
READY_TIMEOUT_S = 60.0
# Of a worker. Devices keep theirs open and are mostly silent: beyond this number the server leaves new ones unanswered,
# probes of its health too. What is worked on at once is bounded by admission.
CONNECTIONS_MAX = 16_384
FILES_BESIDE = 256
# For how long a reader may take nothing of what was written to it. The kernel keeps megabytes for each, so the
# application would hear of one that stalls only after hours of changes; the kernel hears of it at once.
STALLED_S = 20.0
LISTENING_POLL_S = 0.01
# Of one connection, before a request is understood: a token, a long query and the usual headers fit four times.
HEAD_BYTES_MAX = 65_536

# The server's own words go the way of all others, in the same form.
_SERVER_LOG = {"loggers": {"_granian": {"handlers": [], "level": "WARNING", "propagate": True}}}


def free_port(host: str) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def port_is_taken(host: str, port: int) -> bool:
    """Whether a bind would fail. Without SO_REUSEPORT here, unlike the server's own sockets, so that a second server on
    the same port is refused rather than given half of the requests."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return True
    return False


def base_url(host: str, port: int) -> str:
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{shown}:{port}"


def serve(settings: Settings, ready: Callable[[], None], application: str = APPLICATION) -> int:
    """Serve until told to stop; `ready` is called once when the first worker can serve. Returns the exit code."""
    os.environ.update(settings.environment())
    if settings.wipe_freed:
        os.environ.update(wiping.environment(os.environ))
    # A worker starts from a clean interpreter: forking would copy this process's threads' locks and descriptors.
    multiprocessing.set_start_method("spawn", force=True)
    # Inherited: a drain must not kill a worker that is still starting, but wait until it takes the signal.
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    server = Server(
        application,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGI,
        workers=settings.workers,
        backpressure=_connections_max(),
        loop=Loops.uvloop if sys.platform != "win32" else Loops.auto,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(
            header_read_timeout=round(settings.head_timeout * 1000), max_buffer_size=HEAD_BYTES_MAX
        ),
        websockets=False,
        log_level=LogLevels.debug if settings.log_level == "debug" else LogLevels.warning,
        log_dictconfig=_SERVER_LOG,
        respawn_failed_workers=True,
        workers_kill_timeout=settings.stop_timeout,
    )
    stopping = _Stopping(server, settings.drain_delay)
    server.on_startup(stopping.install)
    announcer = threading.Thread(target=_announce, args=(settings, ready, stopping.begun), daemon=True)
    server.on_startup(announcer.start)
    try:
        server.serve(
            target_loader=partial(load_worker, application, os.getpid(), settings.log_level), wrap_loader=False
        )
    except SystemExit as stopped:
        return stopped.code if isinstance(stopped.code, int) else 1
    return 0


def _connections_max() -> int:
    """Each takes a file of those that a process may have; workers inherit that limit."""
    limit, highest = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS_MAX + FILES_BESIDE
    if limit != resource.RLIM_INFINITY and limit < wanted:
        limit = wanted if highest == resource.RLIM_INFINITY else min(wanted, highest)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, highest))
    return CONNECTIONS_MAX if limit == resource.RLIM_INFINITY else max(1, min(CONNECTIONS_MAX, limit - FILES_BESIDE))


class _Stopping:
    """SIGTERM and SIGINT as this supervisor takes them: the first begins the drain, a second one ends the wait."""

    def __init__(self, server: Any, delay: float) -> None:
        self._server = server
        self._delay = delay
        self.begun = threading.Event()

    def install(self) -> None:
        signal.signal(signal.SIGTERM, self._hear)
        signal.signal(signal.SIGINT, self._hear)

    def _hear(self, signum: int, _frame: Any) -> None:
        if self.begun.is_set():
            self._server.signal_handler_interrupt()
            return
        self.begun.set()
        for worker in list(self._server.wrks):
            _tell(worker.inner.pid, signal.SIGUSR1)
        # Nobody routes by /readyz to a server that is stopped with Ctrl-C: there is nothing to wait for.
        delay = 0.0 if signum == signal.SIGINT else self._delay
        timer = threading.Timer(delay, self._server.signal_handler_interrupt)
        timer.daemon = True
        timer.start()


def _tell(pid: int | None, what: signal.Signals) -> None:
    if pid is None:
        return
    try:
        os.kill(pid, what)
    except ProcessLookupError:
        return


def _announce(settings: Settings, ready: Callable[[], None], stopping: threading.Event) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline and not stopping.is_set():
        try:
            with urllib.request.urlopen(f"{base_url(settings.host, settings.port)}/readyz", timeout=1):
                ready()
                return
        except (urllib.error.URLError, OSError):
            time.sleep(READY_POLL_S)


def load_worker(application: str, supervisor: int, log_level: str) -> Any:
    """What a worker does first: tie its life to the supervisor's, then make the application."""
    _end_with(supervisor)
    _run_in_batches()
    # Ctrl-C reaches the whole foreground group; the supervisor decides when workers stop.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    telemetry.configure(log_level)
    module, _, factory = application.partition(":")
    made = getattr(importlib.import_module(module), factory)()
    _keep_for_good()
    threading.Thread(target=_give_up_on_stalled, args=(STALLED_S,), daemon=True).start()
    return made


def _give_up_on_stalled(after_s: float) -> None:
    """Has the kernel close connections whose reader takes nothing for so long (TCP_USER_TIMEOUT, RFC 5482). What is
    accepted inherits it from the socket that listens, which the server opens when the application is ready."""
    deadline = time.monotonic() + READY_TIMEOUT_S
    while hasattr(socket, "TCP_USER_TIMEOUT") and time.monotonic() < deadline:
        if (listening := _listening()) is not None:
            with listening, contextlib.suppress(OSError):  # a sandbox may forbid it: the application has patience too
                listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(after_s * 1000))
            return
        time.sleep(LISTENING_POLL_S)


def _listening() -> socket.socket | None:
    """The socket on which this process accepts connections, under a descriptor of its own."""
    for name in os.listdir("/dev/fd"):
        with contextlib.suppress(OSError):  # of a descriptor that is closed by now
            if not stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                continue
            found = socket.socket(fileno=os.dup(int(name)))
            if found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) and found.family != socket.AF_UNIX:
                return found
            found.close()
    return None


def _keep_for_good() -> None:
    """Let no collection look again through what is loaded by now and lives as long as the process: a full one stopped
    every request for a tenth of a second."""
    gc.collect()
    gc.freeze()


def _run_in_batches() -> None:
    """Let no thread of this process interrupt another just because it woke up.

    The server reads sockets on one thread and runs Python on another. Where they share a core, each request would
    otherwise cost two switches between them; in turns they do many at once. Measured: 18 microseconds instead of 35 for
    an answer of bare ASGI. Threads that are started from here on inherit it."""
    if hasattr(os, "SCHED_BATCH"):
        with contextlib.suppress(OSError):  # a sandbox may forbid it: then it is only slower
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def _end_with(supervisor: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != supervisor:  # it died before we asked
            os.kill(os.getpid(), signal.SIGKILL)
        return
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_watch, args=(parent.sentinel,), daemon=True).start()


def _watch(sentinel: int) -> None:
    multiprocessing.connection.wait([sentinel])
    os.kill(os.getpid(), signal.SIGKILL)
