"""The fixtures that tests of use cases start from."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.services.house import House
from tests.services.streaming import Streams


@pytest.fixture
async def house() -> House:
    return await House().open()


@pytest.fixture
async def streams(house: House) -> AsyncIterator[Streams]:
    found = Streams(house)
    yield found
    await found.feed.close()
