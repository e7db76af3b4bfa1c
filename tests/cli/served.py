"""A `guestprefs` process for tests: started in a folder of its own, spoken to over HTTP, ended in whatever way."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx2
import psutil

from api.cli.main import main
from tests.servers import free_port

HOST = "127.0.0.1"
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
OURS = ("GUESTPREFS_", "DATABASE_URL", "DRAIN_DELAY", "STOP_TIMEOUT", "LOG_LEVEL")


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without settings of the machine that runs the tests."""
    skipped = (*OURS, "PYTHONDONTWRITEBYTECODE")  # a process would compile everything anew
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(skipped)}
    return {**inherited, "COLUMNS": "200", "NO_COLOR": "1", **(extra or {})}


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "api.cli.main", *words]


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


def guestprefs(folder: Path, *words: str, environ: Mapping[str, str] | None = None) -> Done:
    """Run a command to its end with `folder` as its working folder, so that its `data` and `.env` are the test's own.

    In this process: starting Python and importing everything takes seconds, the command takes none of them.
    """
    said, complained = io.StringIO(), io.StringIO()
    wanted = environment(environ)
    before, arguments = dict(os.environ), sys.argv
    try:
        os.environ.clear()
        os.environ.update(wanted)
        sys.argv = ["guestprefs", *words]
        with contextlib.chdir(folder), contextlib.redirect_stdout(said), contextlib.redirect_stderr(complained):
            code = _exit_code()
    finally:
        sys.argv = arguments
        os.environ.clear()
        os.environ.update(before)
    return Done(code, said.getvalue(), complained.getvalue())


def _exit_code() -> int:
    try:
        main()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return 0


def guestprefs_process(folder: Path, *words: str, environ: Mapping[str, str] | None = None) -> Done:
    """The same as a process of its own, as a user starts it."""
    done = subprocess.run(
        command(*words),
        cwd=folder,
        env=environment({"PYTHONPATH": os.getcwd(), **(environ or {})}),
        capture_output=True,
        text=True,
        timeout=START_TIMEOUT_S,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Done(done.returncode, done.stdout, done.stderr)


class Served:
    """One `guestprefs serve` with its workers, in a process group of its own."""

    def __init__(
        self,
        folder: Path,
        *words: str,
        environ: Mapping[str, str] | None = None,
        launch: Sequence[str] | None = None,
    ) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.log = folder / "serve.log"
        self.port = free_port()
        self.url = f"http://{HOST}:{self.port}"
        self._words = words
        self._environ = environ or {}
        self._launch = list(launch or command("serve"))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *, wait: bool = True) -> Self:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self._launch, "--host", HOST, "--port", str(self.port), "--data", str(self.data), *self._words],
                cwd=self.folder,
                env=environment({"PYTHONPATH": os.getcwd(), **self._environ}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if wait:
            self.wait_until_ready()
        return self

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while self.status("/readyz") != 200:
            ended = self.process is None or self.process.poll() is not None
            assert not ended and time.monotonic() < deadline, f"the server did not start:\n{self.output()}"
            time.sleep(0.05)

    def status(self, path: str) -> int | None:
        """The status of a plain GET; None when nobody answers."""
        try:
            return httpx2.get(self.url + path, timeout=5).status_code
        except httpx2.TransportError:
            return None

    def output(self) -> str:
        return self.log.read_text(encoding="utf-8") if self.log.exists() else ""

    def demo(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.data / "demo.json").read_text(encoding="utf-8"))
        return found

    def workers(self) -> list[psutil.Process]:
        """The processes that serve, without the helper that Python starts beside them."""
        found = []
        for child in psutil.Process(self.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):  # a zombie is one that is gone
                if "spawn_main" in " ".join(child.cmdline()):
                    found.append(child)
        return found

    def terminate(self) -> int:
        """End it in good order and answer its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_TIMEOUT_S)

    def kill_group(self) -> None:
        """What a power cut does to processes: supervisor and workers are gone at once."""
        assert self.process is not None
        family = [*psutil.Process(self.pid).children(recursive=True)]
        os.killpg(self.pid, signal.SIGKILL)
        self.process.wait(STOP_TIMEOUT_S)
        gone, left = psutil.wait_procs(family, timeout=STOP_TIMEOUT_S)
        assert not left, left

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill_group()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
