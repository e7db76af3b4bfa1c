"""What a reader of a report must know of the machine and the commit before a number means anything."""

import os
import platform
import re
import subprocess
import time
from importlib.metadata import version
from pathlib import Path

from loadtests.bench.cores import GENERATOR_CORE, PINNED, SERVER_CORE
from loadtests.bench.load import ROOT, WRK

PACKAGES = ("granian", "uvloop", "fastapi", "pydantic", "sqlalchemy", "redis")


def commit() -> str:
    head = _git("rev-parse", "--short=10", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=no")
    return f"{head} with changes not committed" if changed else head


def facts() -> dict[str, str]:
    words = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = re.search(r"model name\s*: (.+)", words)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    pinned = f"server on core {SERVER_CORE}, generator on core {GENERATOR_CORE}" if PINNED else "not pinned: one core"
    return {
        "commit": commit(),
        "measured at": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "processor": f"{model[1] if model else platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "pinning": pinned + "; databases and caches are left to the system",
        "generator": "wrk (writes, batches with a body and open loop: own)" if WRK else "own, raw sockets",
        "packages": ", ".join(f"{name} {version(name)}" for name in PACKAGES),
        "load average": load_average(),
    }


def load_average() -> str:
    return " ".join(f"{part:.1f}" for part in os.getloadavg())


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else "no version control"
