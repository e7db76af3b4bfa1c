"""What of the Python SDK is made, promised or shipped: models, error tree, layers, wheel, snippets of its page."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from functools import partial
from pathlib import Path

import guestprefs_client
import pytest
from guestprefs_client import GuestPrefs, GuestPrefsError, errors
from guestprefs_client.core.engine import AGENT

from clients.python import generate
from tests.clients import snippets
from tests.clients.place import Place
from tests.clients.snippets import Snippet
from tests.test_house import misdrawn

ROOT = Path(__file__).resolve().parents[3]
HOME = ROOT / "clients" / "python"
SOURCE = HOME / "src"
PROJECT = tomllib.loads((HOME / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_models_are_what_the_document_says() -> None:
    document = (ROOT / "clients" / "openapi.json").read_text(encoding="utf-8")
    kept = (SOURCE / "guestprefs_client" / "models.py").read_text(encoding="utf-8")
    assert generate.written(document) == kept, "run make sdk-models"
    changed = json.loads(document)
    changed["components"]["schemas"]["Edited"]["properties"]["mood"] = {"type": "string"}
    assert generate.written(json.dumps(changed)) != kept


def test_the_error_tree_is_drawn_as_it_is() -> None:
    assert misdrawn(errors.__doc__ or "", GuestPrefsError) == []


def test_every_error_is_exported() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, GuestPrefsError)]
    assert [kind.__name__ for kind in kinds if kind.__name__ not in guestprefs_client.__all__] == []


def test_one_version_is_told_everywhere() -> None:
    assert AGENT.endswith("/" + PROJECT["project"]["version"])


# ---- layers ----


PLANTED = [
    ("client: every file has a floor", "utils.py", '"""Nothing."""\n'),
    ("client: every file has a floor", "ports.py", "import guestprefs_client.sync\n"),
    ("The client stands alone", "sync.py", "import prefs.core.units\n"),
    ("The client stands alone", "core/kept.py", "import api.errors\n"),
    ("The core of the client does nothing itself", "core/wire.py", "import time\n"),
    ("The core of the client does nothing itself", "core/memory.py", "import sqlite3\n"),
]


def broken(folder: Path) -> set[str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--config", str(folder / "pyproject.toml")]
    command += ["--cache-dir", str(folder / "cache")]
    environ = {**os.environ, "PYTHONPATH": str(folder / "src")}
    done = subprocess.run(command, cwd=folder / "src", env=environ, capture_output=True, text=True, check=False)
    assert "Contracts: " in done.stdout, done.stdout + done.stderr
    return set(re.findall(r"^(.*\S) BROKEN", done.stdout, re.M))


def test_the_contracts_of_the_layers_speak(tmp_path: Path) -> None:
    shutil.copytree(HOME, tmp_path / "python", ignore=shutil.ignore_patterns("__pycache__"))
    folder = tmp_path / "python"
    assert broken(folder) == set()
    for contract, name, text in PLANTED:
        place = folder / "src" / "guestprefs_client" / name
        before = place.read_text(encoding="utf-8") if place.exists() else None
        place.write_text((before or "") + "\n" + text, encoding="utf-8")
        assert contract in broken(folder), (contract, name)
        if before is None:
            place.unlink()
        else:
            place.write_text(before, encoding="utf-8")
    contracts = PROJECT["tool"]["importlinter"]["contracts"]
    assert {contract for contract, _, _ in PLANTED} == {one["name"] for one in contracts}


# ---- the wheel ----


def test_the_wheel_holds_the_package_and_its_types(tmp_path: Path) -> None:
    shutil.copytree(HOME, tmp_path / "python", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path / "dist")]
    done = subprocess.run(command, cwd=tmp_path / "python", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = (tmp_path / "dist").iterdir()
    assert wheel.name.startswith("guestprefs_client-") and wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as packed:
        names = set(packed.namelist())
        metadata = next(name for name in names if name.endswith("/METADATA"))
        text = packed.read(metadata).decode()
    expected = {str(path.relative_to(SOURCE)) for path in SOURCE.rglob("*") if path.suffix in (".py", ".typed")}
    assert expected <= names and "guestprefs_client/py.typed" in names
    assert not [name for name in names if name.startswith(("tests/", "api/", "prefs/"))]
    wanted = re.findall(r"^Requires-Dist: (\S+?)>=", text, re.M)
    assert sorted(wanted) == ["anyio", "httpx2", "pydantic"]
    assert "# guestprefs-client" in text


def test_what_it_needs_is_all_it_imports() -> None:
    found = set()
    for path in SOURCE.rglob("*.py"):
        found |= set(re.findall(r"^(?:import|from) (\w+)", path.read_text(encoding="utf-8"), re.M))
    foreign = found - set(sys.stdlib_module_names) - {"guestprefs_client"}
    assert foreign == {"anyio", "httpx2", "pydantic"}


# ---- the page ----


SNIPPETS = [one for one in snippets.of_page(HOME / "README.md", "python") if not one.company]
WARMTH = "climate.temperature.occupied"
LIVE = [one for one in snippets.of_page(HOME / "README.md", "python") if one.company == "live"]


@pytest.mark.parametrize("snippet", SNIPPETS, ids=str)
def test_a_snippet_of_the_page_runs(snippet: Snippet, tmp_path: Path) -> None:
    snippets.run_python(snippet, tmp_path)


def test_the_page_has_a_snippet_for_every_task() -> None:
    assert len(SNIPPETS) >= 6
    assert all("assert" in one.code for one in SNIPPETS)
    assert all(one.length < snippets.LINES_MAX for one in (*SNIPPETS, *LIVE))


def test_the_live_snippet_follows_the_real_service(place: Place, guest: str) -> None:
    """A program of its own, as it stands: what applies, then each edit of somebody else."""
    (snippet,) = LIVE
    token = place.guest_token(guest)
    environ = {**os.environ, "BASE_URL": place.url, "GUEST": guest, "GUEST_TOKEN": token, "PYTHONPATH": str(SOURCE)}
    with (
        GuestPrefs(place.url, token) as other,
        subprocess.Popen([sys.executable, "-c", snippet.code], env=environ, stdout=subprocess.PIPE, text=True) as shown,
    ):
        assert shown.stdout is not None
        try:
            first = shown.stdout.readline()
            tries = [
                snippets.shown_after(partial(other.edit, guest, {WARMTH: degrees}), shown.stdout)
                for degrees in (20.5, 22, 19)
            ]
        finally:
            shown.kill()
    assert first == "as the house likes it\n"
    assert [line for line, _ in tries] == ["20.5 °C\n", "22 °C\n", "19 °C\n"]
    assert min(seconds for _, seconds in tries) < snippets.SOON_S, tries  # one of three: the machine may be busy
    assert snippet.length < snippets.LINES_MAX
