"""Start a demo server on a free port, let the users loose on it, print a table, leave a report, fail on any error.

`USERS` (20), `DURATION` in seconds (20) and `SPAWN` users a second (10) come from the environment. Nothing is asserted
about times here: a busy machine is no bug. An answer that is not a success is one.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
REPORT = HERE / "report"
GUESTS = "60"
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0


def main() -> int:
    users, duration, spawn = (os.environ.get(*pair) for pair in (("USERS", "20"), ("DURATION", "20"), ("SPAWN", "10")))
    REPORT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="guestprefs-load-") as folder:
        server = _start(Path(folder))
        try:
            demo = _wait_for(Path(folder), server)
            demo_file = Path(folder) / "load.json"
            demo_file.write_text(json.dumps({**demo, "in_sight": _in_sight(demo)}), encoding="utf-8")
            done = subprocess.run(
                [
                    *(sys.executable, "-m", "locust", "--locustfile", str(HERE / "locustfile.py"), "--headless"),
                    *("--host", demo["base_url"], "--users", str(users), "--spawn-rate", str(spawn)),
                    *(
                        "--run-time",
                        f"{duration}s",
                        "--html",
                        str(REPORT / "report.html"),
                        "--csv",
                        str(REPORT / "load"),
                    ),
                    *("--json-file", str(REPORT / "load"), "--only-summary", "--loglevel", "WARNING"),
                ],
                cwd=HERE.parent,
                env={**os.environ, "DEMO_FILE": str(demo_file), "PYTHONPATH": str(HERE.parent)},
                check=False,
            )
        finally:
            _stop(server)
    failures = _failures(REPORT / "load.json")
    sys.stdout.write(f"Report: {REPORT / 'report.html'}\n")
    if done.returncode != 0 or failures is None or failures:
        sys.stdout.write(f"FAILED: locust ended with {done.returncode}; failed requests: {failures}\n")
        return 1
    sys.stdout.write("Every request was answered as it should be.\n")
    return 0


def _start(folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "api.cli.main", "serve", "--demo", "--guests", GUESTS, "--port", "0"]
    log = (folder / "server.log").open("wb")
    with log:
        return subprocess.Popen(
            [*command, "--data", str(folder / "data")],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=HERE.parent,
            start_new_session=True,
            env={**os.environ, "DRAIN_DELAY": "0"},
        )


def _wait_for(folder: Path, server: subprocess.Popen[bytes]) -> dict[str, Any]:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            demo: dict[str, Any] = json.loads((folder / "data" / "demo.json").read_text(encoding="utf-8"))
            with urllib.request.urlopen(f"{demo['base_url']}/readyz", timeout=2):
                return demo
        except (OSError, urllib.error.URLError):
            time.sleep(0.1)
    raise SystemExit("The demo server did not start:\n" + (folder / "server.log").read_text(encoding="utf-8"))


def _in_sight(demo: dict[str, Any]) -> list[str]:
    """Guests that the property's staff may see: the others answer 404, which is right and no load worth measuring."""
    body = json.dumps({"guests": demo["guests"], "property": demo["property"]}).encode()
    token = demo["tokens"]["staff"]["front_desk"]
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{demo['base_url']}/v1/preferences/batch", body, headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return [item["guest"] for item in json.load(answer)["items"] if "problem" not in item]


def _failures(path: Path) -> int | None:
    """How many requests failed; None when there is no report or nobody asked anything."""
    if not path.exists():
        return None
    rows = json.loads(path.read_text(encoding="utf-8"))
    return sum(row["num_failures"] for row in rows) if sum(row["num_requests"] for row in rows) else None


def _stop(server: subprocess.Popen[bytes]) -> None:
    server.send_signal(signal.SIGTERM)
    try:
        server.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


if __name__ == "__main__":
    sys.exit(main())
