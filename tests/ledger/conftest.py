"""A desk over each engine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from prefs.migrations import migrate
from tests.ledger.desk import Desk


@pytest.fixture(params=["sqlite", "postgresql"])
async def desk(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Desk]:
    url: str = request.getfixturevalue(f"{'sqlite' if request.param == 'sqlite' else 'postgres'}_url")
    if request.param == "postgresql":
        await migrate(url)
    made = Desk(url, tmp_path / "second")
    yield made
    await made.close()
