"""A guest's stay at a property, and the facts of one moment that resolving needs.

`Facts` is everything about the world that a document does not hold: property, stay, trip, party, the local clock. The
caller gathers it; resolving reads it and nothing else, so that the same facts always give the same answer.
"""

import builtins
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from prefs.core.rooms import Property

ARRIVING_WITHIN = timedelta(days=7)  # staff and devices may see a guest this long before arrival (design section 8)


class StayStatus(StrEnum):
    BOOKED = "booked"
    IN_HOUSE = "in_house"
    CHECKED_OUT = "checked_out"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Party:
    adults: int = 1
    children: int = 0

    @property
    def axis(self) -> str:
        """Children if any child travels, else partner with two or more adults, else alone (resolving rule 6)."""
        if self.children:
            return "children"
        return "partner" if self.adults >= 2 else "alone"


@dataclass(frozen=True, slots=True)
class Stay:
    """One guest at one property from `arrival` to `departure` (both with time zone); `room` empty until assigned."""

    id: str
    guest: str
    property: str
    arrival: datetime
    departure: datetime
    room: str = ""
    trip: str = ""
    party: Party | None = None
    status: StayStatus = StayStatus.BOOKED
    version: int = 0

    def is_open(self, now: datetime) -> bool:
        return self.status in (StayStatus.BOOKED, StayStatus.IN_HOUSE) and now < self.departure

    def is_in_house(self, now: datetime) -> bool:
        return self.status is StayStatus.IN_HOUSE and now < self.departure

    def is_arriving(self, now: datetime) -> bool:
        """Expected within a week, or due and not checked in yet."""
        return self.status is StayStatus.BOOKED and now < self.departure and self.arrival - now <= ARRIVING_WITHIN


def turns(stays: Sequence[Stay], now: datetime) -> list[datetime]:
    """The moments after `now` at which time alone may change who has a reason to see the guest, or the current stay."""
    moments = (at for stay in stays for at in (stay.arrival - ARRIVING_WITHIN, stay.arrival, stay.departure))
    return [at for at in moments if at > now]


def current(stays: Sequence[Stay], property_id: str, at: datetime) -> Stay | None:
    """The guest's in-house, else next stay at a property; ties by arrival, then id."""
    open_stays = [
        s
        for s in stays
        if s.property == property_id and s.status in (StayStatus.BOOKED, StayStatus.IN_HOUSE) and at < s.departure
    ]
    return min(open_stays, key=lambda s: (s.status is not StayStatus.IN_HOUSE, s.arrival, s.id), default=None)


@dataclass(frozen=True, slots=True)
class Facts:
    """The world at one moment. `at` is aware; `property` None means no capabilities and clock contexts in UTC.

    `trip` and `party` come from the query, else from the stay; empty means unknown and matches no entry that names it.
    `asked_at` is the moment of asking where `at` is another one: a consent that has ended by then opens no past either.
    """

    at: datetime
    property: Property | None = None
    stay: Stay | None = None
    trip: str = ""
    party: str = ""
    asked_at: datetime | None = None

    @builtins.property  # the field above hides the plain name
    def consent_at(self) -> datetime:
        """The moment at which a consent must hold."""
        return max(self.at, self.asked_at or self.at)

    @builtins.property  # the field above hides the plain name
    def trip_axis(self) -> str:
        return self.trip or (self.stay.trip if self.stay else "")

    @builtins.property  # the field above hides the plain name
    def party_axis(self) -> str:
        if self.party:
            return self.party
        return self.stay.party.axis if self.stay and self.stay.party else ""
