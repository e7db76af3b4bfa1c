"""A furnished house over the memory store with a clock that stands still, one hotel, and callers of every role."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from itertools import count
from typing import Any

from prefs.core.callers import ALL_GUESTS, Caller, Role
from prefs.core.catalogue import Catalogue
from prefs.core.consents import Terms
from prefs.core.entries import Entry
from prefs.definitions import load_standard
from prefs.ledger.memory import MemoryLedger
from prefs.services.consents import Consents
from prefs.services.definitions import Definitions
from prefs.services.guests import Guests
from prefs.services.ids import new_id
from prefs.services.invitations import Invitations
from prefs.services.preferences import Preferences
from prefs.services.properties import Properties
from prefs.services.stays import Stays
from prefs.services.witness import Witness
from prefs.store.memory import MemoryStore

START = datetime(2026, 7, 1, 12, tzinfo=UTC)
WARMTH = "climate.temperature.occupied"
ALL = frozenset({ALL_GUESTS})
DALLAS: Mapping[str, Any] = {
    "name": "The Dallas House",
    "brand": "house",
    "time_zone": "America/Chicago",
    "warm_months": [6, 7, 8],
    "capabilities": {"thermostat.setpoint": {"min": 18, "max": 26, "step": Decimal("0.5"), "unit": "Cel"}},
}
PARIS: Mapping[str, Any] = {"name": "La Maison", "brand": "house", "time_zone": "Europe/Paris"}


@cache
def standard() -> Catalogue:
    return load_standard()


@dataclass
class StandingClock:
    """Time that passes only when a test says so."""

    at: datetime = START

    def now(self) -> datetime:
        return self.at

    def pass_by(self, span: timedelta) -> None:
        self.at += span


def guest(subject: str, surface: str = "guest_app", stay: str = "") -> Caller:
    return Caller(subject, Role.GUEST, surface, stay=stay)


def staff(surface: str = "front_desk", *properties: str) -> Caller:
    return Caller(f"staff-{surface}", Role.STAFF, surface, frozenset(properties or ("dallas",)))


def device(surface: str = "thermostat", stay: str = "", property: str = "dallas") -> Caller:
    return Caller(f"{surface}-1204", Role.DEVICE, surface, frozenset({property}), stay)


SERVICE = Caller("pms", Role.SERVICE, "", permissions=ALL)
LIMITED = Caller("weather", Role.SERVICE, "")
OPERATOR = Caller("ops", Role.OPERATOR, "", permissions=ALL)


@dataclass
class House:
    """Every service over one memory store."""

    clock: StandingClock = field(default_factory=StandingClock)
    catalogue: Catalogue = field(default_factory=standard)
    kind: type[MemoryStore] = MemoryStore
    terms: Terms = field(default_factory=Terms)

    def __post_init__(self) -> None:
        self.store = self.kind(self.clock)
        self.ledger = MemoryLedger()
        self.witness = Witness(self.ledger, self.clock)
        self.definitions = Definitions(self.store, self.catalogue, self.clock, new_id, self.witness)
        self.preferences = Preferences(self.store, self.definitions, self.clock, new_id, self.witness)
        self.guests = Guests(self.store, self.definitions, self.clock, new_id, self.witness)
        self.consents = Consents(self.guests, self.terms)
        self.invitations = Invitations(self.consents)
        self.stays = Stays(self.store, self.definitions, self.clock)
        self.properties = Properties(self.store, self.definitions, self.witness)
        self._numbers = count(1)

    async def open(self) -> House:
        await self.properties.put(OPERATOR, "dallas", dict(DALLAS))
        await self.properties.put(OPERATOR, "paris", dict(PARIS))
        return self

    async def guest(self, name: str = "Ana Souza") -> str:
        answer = await self.guests.create(SERVICE, name)
        return str(answer.body["guest"])

    async def live(self, stay_id: str) -> list[Entry]:
        """What was pressed in the room of a stay."""
        stay = await self.store.stay(stay_id)
        return await self.store.live(stay) if stay else []

    async def stay(self, guest_id: str, property: str = "dallas", **changes: Any) -> str:
        """A stay in house from yesterday to the day after tomorrow; answers its id."""
        stay_id = f"s{next(self._numbers)}"
        body = {
            "guest": guest_id,
            "property": property,
            "room": "1204",
            "arrival": (self.clock.now() - timedelta(days=1)).isoformat(),
            "departure": (self.clock.now() + timedelta(days=2)).isoformat(),
            "status": "in_house",
            **changes,
        }
        await self.stays.put(OPERATOR, stay_id, body)
        return stay_id

    async def consent(self, guest_id: str, *purposes: str) -> None:
        for purpose in purposes:
            await self.consents.give(guest(guest_id), guest_id, purpose)

    async def state(self, guest_id: str, patch: Mapping[str, Any], scope: str = "profile", **options: Any) -> Any:
        """The guest states it in the app; answers the body."""
        return (await self.preferences.patch(guest(guest_id), guest_id, scope, patch, **options)).body

    async def seen(self, caller: Caller, guest_id: str, **question: Any) -> dict[str, Any]:
        """Effective preferences of this caller's surface, by key."""
        answer = await self.preferences.effective(caller, guest_id, **question)
        found: dict[str, Any] = answer.body["preferences"]
        return found
