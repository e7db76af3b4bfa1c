"""`python -m loadtests.run`: start a demo server, let the callers loose on it, leave an HTML report.

Settings by environment: USERS (40), DURATION in seconds (20), GUESTS (60), REPORT (a folder). Ends with exit code 1
when any request failed or when a kind of caller never got an answer.
"""

import csv
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from loadtests.demo import DEMO_VARIABLE

READY_WITHIN = 60  # seconds; seeding the demo guests comes first
HERE = Path(__file__).parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_ready(url: str, server: subprocess.Popen[bytes]) -> None:
    """Raises RuntimeError when the server ends or does not become ready in time."""
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise RuntimeError(f"the server ended with exit code {server.returncode} before it was ready")
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=1):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise RuntimeError(f"the server was not ready after {READY_WITHIN} s")


def add_guest_tokens(command: str, demo: Path, data: Path, count: int) -> None:
    """Give some guests a token of their own, so that the app users do not all edit one document."""
    facts = json.loads(demo.read_text(encoding="utf-8"))
    tokens = {facts["guests"][0]: facts["tokens"]["guest"]}
    for guest in facts["guests"][1:count]:
        made = subprocess.run(
            [command, "token", "--role", "guest", "--guest", guest, "--hours", "1", "--data", str(data)],
            check=True,
            capture_output=True,
            text=True,
        )
        tokens[guest] = made.stdout.strip()
    demo.write_text(json.dumps(facts | {"guest_tokens": tokens}), encoding="utf-8")


def summary(stats: Path) -> int:
    """Print locust's table again, short; answers how many requests failed, or one when a caller got nothing."""
    failures, callers = 0, set()
    sys.stdout.write(f"{'request':34}{'count':>8}{'failed':>8}{'median ms':>11}{'99 % ms':>9}{'per s':>9}\n")
    with stats.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            count, failed = int(row["Request Count"]), int(row["Failure Count"])
            sys.stdout.write(
                f"{row['Name'][:33]:34}{count:8}{failed:8}{row['Median Response Time']:>11}{row['99%']:>9}"
                f"{float(row['Requests/s']):9.1f}\n"
            )
            if row["Name"] == "Aggregated":
                failures = failed
            elif count > failed:
                callers.add(row["Name"].split(":")[0])
    missing = {"device", "guest", "kiosk", "staff"} - callers
    if missing:
        sys.stdout.write(f"No answered request from: {', '.join(sorted(missing))}\n")
    return failures or len(missing)


def main() -> int:
    users, seconds = os.environ.get("USERS", "40"), os.environ.get("DURATION", "20")
    guests = os.environ.get("GUESTS", "60")
    report = Path(os.environ.get("REPORT", HERE / "report"))
    report.mkdir(parents=True, exist_ok=True)
    command = str(Path(sys.executable).with_name("guestprefs"))
    with tempfile.TemporaryDirectory(prefix="guestprefs-load-") as folder:
        data, port = Path(folder), free_port()
        sys.stdout.write(f"Starting a demo server with {guests} guests on port {port} ...\n")
        log = (report / "server.log").open("wb")
        server = subprocess.Popen(
            [command, "serve", "--demo", "--guests", guests, "--host", "127.0.0.1"]
            + ["--port", str(port), "--data", str(data)],
            stdout=log,
            stderr=log,
        )
        try:
            wait_until_ready(f"http://127.0.0.1:{port}", server)
            add_guest_tokens(command, data / "demo.json", data, 10)
            sys.stdout.write(f"{users} callers for {seconds} s ...\n")
            sys.stdout.flush()
            subprocess.run(
                [sys.executable, "-m", "locust", "-f", str(HERE / "locustfile.py"), "--headless", "--only-summary"]
                + ["-u", users, "-r", users, "-t", f"{seconds}s", "--html", str(report / "report.html")]
                + ["--csv", str(report / "load"), "--loglevel", "WARNING", "--exit-code-on-error", "0"],
                env=os.environ | {DEMO_VARIABLE: str(data / "demo.json")},
                stdout=subprocess.DEVNULL,
                check=True,
            )
        finally:
            server.terminate()
            server.wait(30)
            log.close()
    failed = summary(report / "load_stats.csv")
    sys.stdout.write(f"Report: {report / 'report.html'}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
