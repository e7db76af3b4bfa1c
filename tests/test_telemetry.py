"""What leaves the process as a log: one JSON object a line, from every library alike, and never a guest's id."""

from __future__ import annotations

import json
import subprocess
import sys

GUEST = "gst_0199d0f0c1a27cc0a4c3f1f2b6a7d00a"

# In a process of its own: logging is set up once for a whole process.
PROGRAM = f"""
import logging
from prefs import telemetry
telemetry.configure("info")
telemetry.logger("ours").info("edited", guest="{GUEST}", count=3, nested={{"who": ["{GUEST}"]}})
telemetry.logger("ours").debug("not this one")
logging.getLogger("library").warning("no answer for %s", "/v1/guests/{GUEST}/preferences")
try:
    raise ValueError("about {GUEST}")
except ValueError:
    logging.getLogger("library").exception("failed")
"""


def lines() -> list[dict[str, object]]:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_every_line_is_an_object_with_its_origin_and_no_guest() -> None:
    said = lines()
    assert [(line["logger"], line["level"]) for line in said] == [
        ("ours", "info"),
        ("library", "warning"),
        ("library", "error"),
    ]
    assert said[0]["count"] == 3
    assert said[1]["event"] == "no answer for /v1/guests/gst_*/preferences"
    assert "exception" in said[2]
    assert "0199d0f0" not in json.dumps(said)
    assert all(str(line["timestamp"]).endswith("Z") for line in said)
