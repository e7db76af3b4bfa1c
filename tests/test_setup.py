"""How `deploy/setup.sh` finds a Python: it asks in a stated order and believes only what runs.

Every test gives the script a PATH of its own, made of the few tools it needs and of small scripts that play Pythons.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TOOLS = "sh dirname id cut ls sort sed awk grep cat cksum".split()


class Machine:
    """A made-up machine: a PATH, a home, and an account whose home is elsewhere."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        self.home = folder / "fresh-home"
        self.account = folder / "account"
        for made in (self.bin, self.home, self.account):
            made.mkdir()
        for tool in TOOLS:
            found = shutil.which(tool)
            assert found, f"this test needs {tool}"
            (self.bin / tool).symlink_to(found)
        self.script(self.bin / "getent", f'echo "someone:x:1:1::{self.account}:/bin/sh"')

    def script(self, path: Path, body: str) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return path

    def python(self, path: Path, version: str) -> Path:
        """A program that answers the script's question as a Python of that version does."""
        too_old = int(version.split(".")[1]) < 12
        return self.script(path, f'echo "{version} {path}"; exit {int(too_old)}')

    def broken(self, path: Path) -> Path:
        """A pyenv shim for a version that is not chosen."""
        return self.script(path, 'echo "pyenv: python3.13: command not found" >&2; exit 127')

    def find(self, **environment: str) -> subprocess.CompletedProcess[str]:
        fixed = {"PATH": str(self.bin), "HOME": str(self.home)}
        return subprocess.run(
            ["/bin/sh", str(ROOT / "deploy" / "setup.sh"), "--find"],
            env={**fixed, **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    def found(self, **environment: str) -> Path:
        done = self.find(**environment)
        assert done.returncode == 0, done.stderr
        return Path(done.stdout.strip())


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_newest_python_on_the_path_is_taken(machine: Machine) -> None:
    machine.python(machine.bin / "python3.12", "3.12.1")
    newest = machine.python(machine.bin / "python3.13", "3.13.0")
    assert machine.found() == newest


def test_a_shim_that_fails_is_passed_over(machine: Machine) -> None:
    machine.broken(machine.bin / "python3.13")
    working = machine.python(machine.bin / "python3.12", "3.12.1")
    assert machine.found() == working


def test_a_failing_shim_leads_to_the_versions_beside_its_folder(machine: Machine, tmp_path: Path) -> None:
    shims = tmp_path / "pyenv" / "shims"
    machine.broken(shims / "python3.13")
    real = machine.python(tmp_path / "pyenv" / "versions" / "3.13.0" / "bin" / "python3", "3.13.0")
    machine.python(tmp_path / "pyenv" / "versions" / "3.9.18" / "bin" / "python3", "3.9.18")
    assert machine.found(PATH=f"{shims}{os.pathsep}{machine.bin}") == real


def test_python_given_by_hand_wins(machine: Machine, tmp_path: Path) -> None:
    machine.python(machine.bin / "python3.14", "3.14.0")
    given = machine.python(tmp_path / "mine" / "python", "3.12.7")
    assert machine.found(PYTHON=str(given)) == given


def test_an_old_python_given_by_hand_is_refused_in_words(machine: Machine, tmp_path: Path) -> None:
    machine.python(machine.bin / "python3.13", "3.13.0")
    old = machine.python(tmp_path / "old" / "python", "3.11.7")
    done = machine.find(PYTHON=str(old))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"set-up: PYTHON={old} is Python 3.11.7; this project needs 3.12 or newer.\n"


def test_a_python_given_by_hand_that_does_not_run_is_refused_in_words(machine: Machine, tmp_path: Path) -> None:
    done = machine.find(PYTHON=str(machine.broken(tmp_path / "broken")))
    assert done.returncode == 1
    assert "does not run; this project needs Python 3.12 or newer" in done.stderr


def test_pyenv_root_comes_before_the_account_home(machine: Machine, tmp_path: Path) -> None:
    root = machine.python(tmp_path / "root" / "versions" / "3.12.1" / "bin" / "python3", "3.12.1")
    home = machine.python(machine.account / ".pyenv" / "versions" / "3.13.0" / "bin" / "python3", "3.13.0")
    assert machine.found(PYENV_ROOT=str(tmp_path / "root")) == root
    assert machine.found() == home


def test_the_account_home_is_found_though_home_differs(machine: Machine) -> None:
    versions = machine.account / ".pyenv" / "versions"
    machine.python(versions / "3.9.18" / "bin" / "python3", "3.9.18")
    machine.python(versions / "3.12.1" / "bin" / "python3", "3.12.1")
    newest = machine.python(versions / "3.13.0" / "bin" / "python3", "3.13.0")
    assert machine.found() == newest


def test_a_plain_new_python3_is_good_enough_and_an_old_one_is_not(machine: Machine) -> None:
    plain = machine.python(machine.bin / "python3", "3.13.2")
    assert machine.found() == plain
    machine.python(plain, "3.11.2")
    done = machine.find()
    assert (done.returncode, done.stderr) == (1, "set-up: no Python 3.12 or newer was found\n")


def bare_clone(folder: Path) -> Path:
    clone = folder / "clone"
    (clone / "deploy").mkdir(parents=True)
    for name in ("requirements-tools.txt", "requirements-dev.txt", "pyproject.toml", "deploy/setup.sh"):
        shutil.copy(ROOT / name, clone / name)
    return clone


def test_uv_fetches_a_python_where_none_is_new_enough(machine: Machine, tmp_path: Path) -> None:
    """The Python fetched here cannot make an environment, so that the script ends after saying which it took."""
    clone = bare_clone(tmp_path)
    machine.python(machine.bin / "python3", "3.11.2")
    fetched = tmp_path / "fetched" / "python3.13"
    machine.script(
        tmp_path / "later",
        f'case "$1" in -c) echo "3.13.9 {fetched}";; *) echo "no module named venv" >&2; exit 1;; esac',
    )
    for tool in ("mkdir", "cp", "rm"):
        (machine.bin / tool).symlink_to(shutil.which(tool) or "")
    install = f'mkdir -p "{fetched.parent}"; cp "{tmp_path / "later"}" "{fetched}"'
    machine.script(machine.bin / "uv", f'case "$2" in install) {install};; find) echo "{fetched}";; esac')
    environment = {"PATH": str(machine.bin), "HOME": str(machine.home)}
    command = ["/bin/sh", str(clone / "deploy" / "setup.sh")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"set-up: making .venv with Python 3.13.9 ({fetched})" in done.stderr
    assert "cannot make a virtual environment" in done.stderr
    assert not (clone / ".venv").exists()


def test_without_any_python_the_script_says_what_to_install(machine: Machine, tmp_path: Path) -> None:
    clone = bare_clone(tmp_path)
    environment = {"PATH": str(machine.bin), "HOME": str(machine.home)}
    command = ["/bin/sh", str(clone / "deploy" / "setup.sh")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Install Python 3.12 or newer, or give its path: make PYTHON=" in done.stderr
    assert not (clone / ".venv").exists()


def test_a_second_set_up_does_nothing(machine: Machine, tmp_path: Path) -> None:
    """The stamp is what makes `make` quick: with it in place no Python but the environment's own is started."""
    clone = bare_clone(tmp_path)
    command = ["/bin/sh", str(clone / "deploy" / "setup.sh")]
    environment = {"PATH": str(machine.bin), "HOME": str(machine.home)}
    asked = tmp_path / "asked"
    machine.script(clone / ".venv" / "bin" / "python", "exit 0")
    machine.script(machine.bin / "python3.13", f'echo "$@" >>"{asked}"; exit 1')
    stamp = clone / ".venv" / "set-up"

    stamp.write_text("made from other locks\n")
    changed = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert changed.returncode == 1, "a stamp of other locks must not be believed"
    assert asked.exists()

    asked.unlink()
    sums = subprocess.run(
        ["/bin/sh", "-c", "cat requirements-tools.txt requirements-dev.txt pyproject.toml deploy/setup.sh | cksum"],
        cwd=clone,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    stamp.write_text(f"{clone} any {sums}")
    again = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (again.returncode, again.stderr, asked.exists()) == (0, "", False)
