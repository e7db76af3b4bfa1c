"""What reaches the log: no guest's id, and of an error its place and kind, never the values that were at hand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

PROGRAM = """
from prefs import telemetry

telemetry.configure()
log = telemetry.logger("test")

def fail(token, guest):
    raise ValueError("no such thing")

log.info("saw gst_0192aabbccddeeff", guest="gst_0192aabbccddeeff")
try:
    fail("eyJhbGciOi", {"dietary": "halal"})
except ValueError:
    log.exception("failed")
"""


def test_the_log_names_no_guest_and_shows_no_values() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, cwd=ROOT)
    seen, failed = [json.loads(line) for line in done.stdout.splitlines()]
    assert (seen["event"], seen["guest"]) == ("saw gst_*", "gst_*")
    assert failed["exception"][0]["exc_value"] == "no such thing"
    assert failed["exception"][0]["frames"][-1]["name"] == "fail"
    assert not [word for word in ("eyJhbGciOi", "halal", "0192aabb") if word in done.stdout]
