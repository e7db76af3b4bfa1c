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
    (REPORT / "load.json").unlink(missing_ok=True)
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
    rows = _rows(REPORT / "load.json")
    failures = sum(row["num_failures"] for row in rows)
    sys.stdout.write(_table(rows) + f"Report: {REPORT / 'report.html'}\n")
    if done.returncode != 0 or failures or not rows:
        sys.stdout.write(f"FAILED: {failures} answers were wrong; locust ended with {done.returncode}\n")
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


def _rows(path: Path) -> list[dict[str, Any]]:
    """A row a kind of request, as locust left them; none when nobody asked anything."""
    if not path.exists():
        return []
    rows: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return sorted((row for row in rows if row["num_requests"]), key=lambda row: str(row["name"]))


def _table(rows: list[dict[str, Any]]) -> str:
    lines = [f"{'request':28}{'answers':>9}{'wrong':>7}{'p50 ms':>9}{'p95 ms':>9}{'p99 ms':>9}"]
    for row in rows:
        shares = "".join(f"{_percentile(row['response_times'], share):>9g}" for share in (0.5, 0.95, 0.99))
        lines.append(f"{row['name'][:27]:28}{row['num_requests']:>9}{row['num_failures']:>7}{shares}")
    return "\n".join(lines) + "\n"


def _percentile(counts: dict[str, int], share: float) -> float:
    """Of locust's own histogram: rounded milliseconds to how often they were seen."""
    left = share * sum(counts.values())
    for time_ms, count in sorted((float(name), count) for name, count in counts.items()):
        left -= count
        if left <= 0:
            return time_ms
    return 0.0


def _stop(server: subprocess.Popen[bytes]) -> None:
    server.send_signal(signal.SIGTERM)
    try:
        server.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


if __name__ == "__main__":
    sys.exit(main())
