"""The contracts of import-linter, each shown to speak: a fault planted in a copy of the source must break its contract.

That the source itself keeps them is the business of `make check`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONTRACTS = PROJECT["tool"]["importlinter"]["contracts"]

PLANTED = [
    ("prefs: every file has a floor", "prefs/utils.py", '"""Nothing."""\n'),
    ("prefs: every file has a floor", "prefs/ports.py", "import prefs.store.tables\n"),
    ("prefs: every file has a floor", "prefs/store/planted.py", "import prefs.services.ids\n"),
    ("api: every file has a floor", "api/errors.py", "import api.routes.guests\n"),
    ("api: every file has a floor", "api/helpers.py", '"""Nothing."""\n'),
    ("prefs knows no HTTP", "prefs/services/ids.py", "import starlette.responses\n"),
    ("The core knows no I/O and no clock", "prefs/core/units.py", "import time\n"),
    ("Adapters are chosen in one place", "api/deps.py", "import prefs.store.memory\n"),
    ("Settings are read only where the app is put together", "prefs/services/ids.py", "import prefs.settings\n"),
    ("Routes get a service, they do not build one", "api/routes/guests.py", "import prefs.bootstrap\n"),
    ("Only adapters touch a technology", "api/routes/guests.py", "import sqlalchemy\n"),
]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("layers")
    for package in ("api", "prefs"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def broken(folder: Path) -> set[str]:
    """The names of the contracts that the source in a folder breaks."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--cache-dir", str(folder / "cache")]
    said = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout
    assert "Contracts: " in said, said
    return set(re.findall(r"^(.*\S) BROKEN", said, re.M))


def test_every_contract_is_tried() -> None:
    assert {name for name, _, _ in PLANTED} == {contract["name"] for contract in CONTRACTS}


def test_every_adapter_is_protected() -> None:
    """A name that is not there yet cannot be listed, so a new adapter has to be found missing."""
    layers = next(contract for contract in CONTRACTS if contract["name"] == "prefs: every file has a floor")["layers"]
    floor = next(layer for layer in layers if "services" in layer)
    adapters = {name.strip("() ") for name in floor.split("|")} - {"services"}
    there = {f"prefs.{name}" for name in adapters if list((ROOT / "prefs" / name).glob("*.py"))}
    protected = next(contract for contract in CONTRACTS if contract["name"] == "Adapters are chosen in one place")
    assert set(protected["protected_modules"]) == there


@pytest.mark.parametrize(("contract", "path", "fault"), PLANTED, ids=[f"{path}" for _, path, _ in PLANTED])
def test_the_contract_can_break(copy: Path, contract: str, path: str, fault: str) -> None:
    file = copy / path
    before = file.read_text(encoding="utf-8") if file.exists() else None
    file.write_text((before or "") + "\n" + fault, encoding="utf-8")
    try:
        assert contract in broken(copy)
    finally:
        if before is None:
            file.unlink()
        else:
            file.write_text(before, encoding="utf-8")
