"""The TypeScript SDK, built once for all processes of a run, as it is shipped."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.clients import node

HOME = node.ROOT / "clients" / "typescript"
NOT_SHIPPED = shutil.ignore_patterns("node_modules", "dist", "__pycache__")


@pytest.fixture(scope="session")
def tools() -> Path:
    """What npm installed."""
    return node.packages(HOME)


@pytest.fixture(scope="session")
def package(tools: Path) -> Path:
    """A folder with the package in it, built from the source as it stands."""
    sources = sorted(path for path in [*HOME.glob("*.*"), *HOME.glob("src/**/*.ts")] if path.is_file())
    wanted = node.digest(*sources)
    with node.alone("typescript") as made:
        home = made / "typescript"
        stamp = home / ".complete"
        if not stamp.is_file() or stamp.read_text(encoding="utf-8") != wanted:
            shutil.rmtree(home, ignore_errors=True)
            shutil.copytree(HOME, home, ignore=NOT_SHIPPED)
            (home / "node_modules").symlink_to(tools)
            node.run([tools / "typescript" / "bin" / "tsc", "-p", "tsconfig.build.json"], home)
            stamp.write_text(wanted, encoding="utf-8")
    return home


@pytest.fixture
def project(package: Path, tmp_path: Path) -> Path:
    """A folder of somebody who has installed it."""
    (tmp_path / "node_modules" / "@guestprefs").mkdir(parents=True)
    (tmp_path / "node_modules" / "@guestprefs" / "client").symlink_to(package)
    return tmp_path
