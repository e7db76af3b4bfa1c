"""The fixture every test of a use case starts from."""

from __future__ import annotations

import pytest

from tests.services.house import House


@pytest.fixture
async def house() -> House:
    return await House().open()
