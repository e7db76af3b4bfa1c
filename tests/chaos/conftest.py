"""What the tests that kill servers share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.load import Start, Trial


@pytest.fixture(params=["sqlite", "postgresql"])
def trial(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Start]:
    url = None if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    made: list[Trial] = []

    def start(**options: object) -> Trial:
        made.append(Trial(tmp_path, url, **options))  # type: ignore[arg-type]
        return made[-1]

    yield start
    for one in made:
        one.close()
