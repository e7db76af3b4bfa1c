"""Puts the demo hotels and guests into a house, through the same services that every other caller uses.

Doing it twice changes nothing but the dates: guests are found again by their id, hotels and stays are put as
they should be. What somebody changed about a demo guest meanwhile is left alone.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Any

from api.cli.demo_guests import SYSTEM, DemoGuest, demo_guests
from api.cli.demo_hotels import HOTELS
from prefs.bootstrap import House
from prefs.core.callers import ALL_GUESTS, Caller, Role
from prefs.core.entries import PROFILE
from prefs.core.errors import NotFound, Refused
from prefs.services.guests import Guests

OPERATOR = Caller(
    subject="demo-operator", role=Role.OPERATOR, surface="front_desk", permissions=frozenset({ALL_GUESTS})
)


async def seed(house: House, count: int, done: Callable[[int], None]) -> list[str]:
    """The ids of the demo guests in order, after making or refreshing each; `done` hears how many are finished."""
    for hotel, body in HOTELS.items():
        await house.properties.put(OPERATOR, hotel, body)
    today = datetime.combine(house.clock.now().date(), time(12), UTC)
    ids: list[str] = []
    for number, guest in enumerate(demo_guests(count, today), start=1):
        if await _seed_guest(house, guest):
            ids.append(guest.id)
        done(number)
    if not ids:
        raise Refused("Every demo guest was erased from this database, and nobody gets their ids again.")
    return ids


async def _seed_guest(house: House, guest: DemoGuest) -> bool:
    """False for one who was erased: nobody gets that id again."""
    try:
        await house.guests.document(OPERATOR, guest.id)
    except NotFound:
        if await house.erasure.happened(guest.id):
            return False
        await _make_guest(house, guest)
    if guest.stay:
        await house.stays.put(OPERATOR, guest.stay.id, {"guest": guest.id, **guest.stay.body})
    return True


async def _make_guest(house: House, guest: DemoGuest) -> None:
    guests = Guests(house.store, house.definitions, house.clock, lambda _prefix: guest.id, house.witness)
    await guests.create(OPERATOR, guest.display_name, [{"system": SYSTEM, "id": guest.external_id}])
    themselves = Caller(subject=guest.id, role=Role.GUEST, surface="guest_app")
    for purpose in guest.consents:
        await house.consents.give(themselves, guest.id, purpose)
    await house.preferences.patch(themselves, guest.id, PROFILE, as_received(guest.preferences))


def as_received(patch: dict[str, Any]) -> dict[str, Any]:
    """A patch as the HTTP face hands it on: fractions exact."""
    received: dict[str, Any] = json.loads(json.dumps(patch), parse_float=Decimal)
    return received
