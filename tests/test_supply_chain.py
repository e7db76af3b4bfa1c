"""What the service is made of: every file pinned by its hash, nothing older than what is known to be broken, and a bill
of materials that says the same. Each rule is also shown to fail."""

from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from pysqlite3.dbapi2 import sqlite_version

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ("requirements.txt", "requirements-dev.txt", "requirements-tools.txt")
TABLE = tomllib.loads((ROOT / "deploy" / "minimum_versions.toml").read_text(encoding="utf-8"))
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def locked(text: str) -> Iterator[tuple[str, Version, int]]:
    """Every package of a lock: its name, its one version, and how many files of it are known by their hash."""
    for block in re.split(r"\n(?=\S)", re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE)):
        if not block.strip():
            continue
        requirement = Requirement(block.split("\\")[0].strip())
        (pin,) = requirement.specifier
        assert pin.operator == "==", f"{requirement} names no one version"
        yield canonicalize_name(requirement.name), Version(pin.version), len(HASH.findall(block))


def packages_of(lock: str) -> dict[str, Version]:
    return {name: version for name, version, _ in locked((ROOT / lock).read_text(encoding="utf-8"))}


def too_old(found: Mapping[str, Version], rows: Mapping[str, Any] = TABLE["packages"]) -> list[str]:
    """What is older than the table allows, or not allowed at all."""
    faults = []
    for name, row in rows.items():
        version = found.get(canonicalize_name(name))
        if version is not None and ("minimum" not in row or version < Version(row["minimum"])):
            faults.append(f"{name} {version}: {row['reason']}")
    return faults


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_file_has_its_hash(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")
    assert [name for name, _, hashes in locked(text) if not hashes] == []
    assert "\n-e " not in text and "@ " not in text


@pytest.mark.parametrize("lock", LOCKS)
def test_nothing_that_is_locked_is_known_to_be_broken(lock: str) -> None:
    assert too_old(packages_of(lock)) == []


def test_nothing_that_is_installed_is_known_to_be_broken() -> None:
    installed = {canonicalize_name(found.metadata["Name"]): Version(found.version) for found in distributions()}
    assert too_old(installed) == []
    assert Version(platform.python_version()) >= Version(TABLE["python"]["minimum"])
    lines = {Version(fixed).release[:2]: Version(fixed) for fixed in TABLE["sqlite"]["fixed_too"]}
    sqlite = Version(sqlite_version)
    assert sqlite >= min(Version(TABLE["sqlite"]["minimum"]), lines.get(sqlite.release[:2], Version("999")))


def test_the_table_is_about_what_is_used_and_gives_reasons() -> None:
    everything = {name for lock in LOCKS for name in packages_of(lock)}
    rows = TABLE["packages"]
    assert all(len(row["reason"]) > 20 for row in [*rows.values(), TABLE["python"], TABLE["sqlite"]])
    assert {"starlette", "redis", "asyncpg", "joserfc", "pysqlite3", "cryptography"} <= rows.keys() & everything


def test_our_own_demands_are_not_below_the_table() -> None:
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    for requirement in map(Requirement, wanted):
        row = TABLE["packages"].get(requirement.name)
        if row:
            lowest = min(Version(pin.version) for pin in requirement.specifier if pin.operator == ">=")
            assert lowest >= Version(row["minimum"]), f"{requirement}: the table says {row['minimum']}"


def test_the_gate_can_fail() -> None:
    assert too_old({"starlette": Version("1.3.0")}) and not too_old({"starlette": Version("1.3.1")})
    assert too_old({"python-jose": Version("99")})
    planted = "good==1 \\\n    --hash=sha256:" + "a" * 64 + "\nbad==2\n    # via good\n"
    assert [(name, hashes) for name, _, hashes in locked(planted)] == [("good", 1), ("bad", 0)]
    with pytest.raises(AssertionError, match="no one version"):
        list(locked("loose>=1"))


def test_the_set_up_and_the_image_install_by_hash_alone() -> None:
    for name in ("deploy/setup.sh", "Dockerfile"):
        lines = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
        installs = [
            line for line in re.findall(r"[^&\n]*pip [^&\n]*install[^&\n]*", lines) if not line.strip().startswith("#")
        ]
        assert installs
        for line in installs:
            assert "--require-hashes" in line or "--no-deps" in line, line


# ---- the bill of materials ----


def recipe() -> list[str]:
    """What `make sbom` runs, with this Python."""
    made = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\nsbom:")[2].splitlines()[1:]
    words = next(line for line in made if "cyclonedx_py" in line).split()
    return [sys.executable if word == "$(BIN)/python" else word for word in words]


@pytest.fixture(scope="module")
def bill(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("sbom") / "sbom.json"
    command = [str(file) if word == "$(SBOM)" else word for word in recipe()]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=110)
    return file.read_text(encoding="utf-8")


def test_the_bill_names_exactly_what_is_locked_with_its_hashes(bill: str) -> None:
    said = json.loads(bill)
    assert {(canonicalize_name(one["name"]), Version(one["version"])) for one in said["components"]} == set(
        packages_of("requirements.txt").items()
    )
    for one in said["components"]:
        digests = [digest for reference in one["externalReferences"] for digest in reference.get("hashes", ())]
        assert digests and {digest["alg"] for digest in digests} == {"SHA-256"}, one["name"]
        assert one["purl"].startswith("pkg:pypi/")
    assert said["metadata"]["component"]["name"] == "guestprefs"


def test_the_bill_is_a_cyclonedx_document(bill: str) -> None:
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(bill) is None
    broken = json.loads(bill)
    broken["components"][0]["type"] = "spare part"
    assert validator.validate_str(json.dumps(broken)) is not None
