"""The bans of ruff, each shown to speak on a line. That the source keeps them is the business of `make check`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

PLANTED = [
    ("TID251", "import datetime\n\nx = datetime.datetime.now(datetime.UTC)\n"),
    ("TID251", "from datetime import datetime as d\n\nx = d.now()\n"),
    ("TID251", "from unittest.mock import patch\n\nx = patch\n"),
    ("TID251", "from unittest import mock\n\nx = mock\n"),
    ("TID251", "from starlette.middleware.base import BaseHTTPMiddleware as B\n\nx = B\n"),
    ("TID251", "import aiosqlite\n\nx = aiosqlite\n"),
    ("DTZ005", "import datetime\n\nx = datetime.datetime.now()\n"),
    ("PLC0415", "def f() -> None:\n    import os\n\n    os.getcwd()\n"),
    ("BLE001", "try:\n    x = 1\nexcept Exception:\n    pass\n"),
    ("T201", "print(1)\n"),
    ("ASYNC251", "import time\n\n\nasync def f() -> None:\n    time.sleep(1)\n"),
    ("RUF100", "x = 1  # noqa: E501\n"),
    ("D100", "x = 1\n"),
]


def faults(source: str) -> set[str]:
    command = [str(Path(sys.executable).with_name("ruff")), "check", "--no-cache", "--output-format", "concise"]
    said = subprocess.run(
        [*command, "--stdin-filename", "prefs/planted.py", "-"],
        input=source,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    return {line.split()[1] for line in said.splitlines() if line.startswith("prefs/planted.py:")}


@pytest.mark.parametrize(("rule", "source"), PLANTED)
def test_the_ban_can_speak(rule: str, source: str) -> None:
    assert rule in faults(source)


def test_a_clean_file_passes() -> None:
    assert faults('"""A module that says what it holds."""\n\nNUMBER = 1\n') == set()
