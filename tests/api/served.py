"""The app in a server process of its own, for tools that want to speak HTTP to it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from prefs.settings import Settings

START_SECONDS_MAX = 30


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def served(settings: Settings, log: Path) -> Iterator[str]:
    """The base URL of a running server over this database; stopped at the end, killed if it does not stop."""
    port = free_port()
    command = [sys.executable, "-m", "granian", "--interface", "asgi", "--factory", "--no-ws", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers-kill-timeout", "5", "api.app:create_app"]
    with log.open("wb") as output:
        server = subprocess.Popen(
            command, env={**os.environ, **settings.environment()}, stdout=output, stderr=output, start_new_session=True
        )
        try:
            base = f"http://127.0.0.1:{port}"
            _wait_until_ready(base, server, log)
            yield base
        finally:
            server.terminate()
            try:
                server.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)
                server.wait()


def _wait_until_ready(base: str, server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < until:
        try:
            if httpx2.get(f"{base}/readyz").status_code == 200:
                return
        except httpx2.TransportError:
            pass
        if server.poll() is not None:
            break
        time.sleep(0.1)
    raise AssertionError("the server did not start:\n" + log.read_text(encoding="utf-8")[-4000:])
