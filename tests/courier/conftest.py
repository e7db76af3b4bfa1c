"""A whole house over each kind of store that two processes can share, and receivers on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from prefs.bootstrap import House, SystemClock, furnish
from prefs.core.callers import ALL_GUESTS, Caller, Role
from prefs.core.destinations import networks
from prefs.ledger.memory import MemoryLedger
from prefs.signing.receipts import SigningKeys
from prefs.store.second_place import NoSecondPlace
from tests.receiver import Receiver, receiving
from tests.store.conftest import Place, postgres_place, sqlite_place

__all__ = ["place", "postgres_place", "sqlite_place"]
LOOPBACK = networks("127.0.0.0/8")
OPERATOR = Caller("ops", Role.OPERATOR, "front_desk", permissions=frozenset({ALL_GUESTS}))
SERVICE = Caller("pms", Role.SERVICE, "", permissions=frozenset({ALL_GUESTS}))


class Grounds:
    """Processes on one database, whose clock stands still at what receivers take for now."""

    def __init__(self, place: Place) -> None:
        self.place, self.clock = place, place.clock
        self.clock.time = SystemClock().now()
        self.ledger = MemoryLedger()
        self.keys = SigningKeys.make()
        self.houses: list[House] = []

    async def process(self, chance: Callable[[], float] = lambda: 1.0) -> House:
        receipts = (self.keys, NoSecondPlace())
        house = furnish(await self.place.open(), self.clock, self.ledger, receipts=receipts, own=LOOPBACK)
        house.deliveries.chance = chance
        self.houses.append(house)
        return house

    async def guest(self, house: House) -> str:
        return str((await house.guests.create(SERVICE, "Ana Souza")).body["guest"])

    async def state(self, house: House, guest: str, **patch: Any) -> None:
        keys = {key.replace("__", "."): value for key, value in patch.items()}
        await house.preferences.patch(Caller(guest, Role.GUEST, "guest_app"), guest, "profile", keys)

    async def endpoint(self, house: House, receiver: Receiver, surface: str = "front_desk", **more: Any) -> str:
        """Put an endpoint; its secret."""
        put = {"url": receiver.url(), "surface": surface, **more}
        answer, made = await house.webhooks.put(OPERATOR, "pms", **put)
        assert made
        return str(answer.body["secret"])


async def told(house: House) -> None:
    """Everything that can be told now is told."""
    await house.deliveries.settle()


async def entries(house: House, **asked: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await house.webhooks.log(OPERATOR, "pms", **asked)).body["deliveries"]
    return found


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest) -> Place:
    found: Place = request.getfixturevalue("sqlite_place" if request.param == "sqlite" else "postgres_place")
    return found


@pytest.fixture
async def grounds(place: Place) -> AsyncIterator[Grounds]:
    made = Grounds(place)
    yield made
    for house in made.houses:
        await house.deliveries.close()
        await house.feed.close()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made
