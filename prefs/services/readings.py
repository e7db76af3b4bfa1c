"""What streams read: what applies to a guest, or to those who are at a property, and until when it may be told.

A withdrawal waits for everybody before it is answered, and what was read is told within that time of the beginning of
its reading, or is read again: so nothing is told behind the answer that was read before it.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from prefs.core.callers import Caller
from prefs.core.catalogue import Catalogue
from prefs.core.errors import StoreUnavailable
from prefs.core.labels import Labels
from prefs.core.stays import Stay
from prefs.ports import Clock, Store, Tiers, Traced
from prefs.services.answers import Answer
from prefs.services.preferences import Preferences
from prefs.services.surroundings import no_guest
from prefs.services.tellings import Wanted
from prefs.services.witness import Outcomes

PROMPT_S = 0.2  # as long as a withdrawal waits


@dataclass(frozen=True, slots=True)
class Reading:
    """What applies to a guest, for callers of one kind; who is told is still to be recorded."""

    answer: Answer
    catalogue: Catalogue
    labels: Labels
    until: float  # by the monotonic clock


@dataclass(frozen=True, slots=True)
class Page:
    """Guests with an open stay at a property, by id, and on record what applies to those whom the caller may see."""

    guests: Sequence[str]
    answers: Mapping[str, Answer]
    stays: Mapping[str, Sequence[Stay]]
    until: float


class Readings:
    def __init__(
        self,
        preferences: Preferences,
        store: Store,
        clock: Clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`monotonic`: as the clock may be put back while something waits."""
        self._preferences, self._store, self._clock, self._monotonic = preferences, store, clock, monotonic
        self._tiers = store if isinstance(store, Tiers) else None

    async def of(self, caller: Caller, wanted: Wanted, guest: str, version: int = 0) -> Reading:
        """What applies to a guest now, as the caller may see it. Raises NotFound, StoreUnavailable."""
        until, reads = self._monotonic() + PROMPT_S, self._reads(version)
        if wanted.guest is None:
            stays = (await (reads or self._store).stays_of([guest])).get(guest, [])
            if not is_here(stays, wanted.property or "", self._clock.now()):
                raise no_guest()
        found = await self._preferences.unrecorded(
            caller, guest, property=wanted.property, language=wanted.language, reads=reads
        )
        if reads is not None and reads.age_s:
            raise StoreUnavailable("What is known is old; a stream tells what is.")
        return Reading(found.answer, found.catalogue, found.labels, until)

    async def page(self, caller: Caller, wanted: Wanted, after: str, size: int, outcomes: Outcomes) -> Page:
        """Of those at a property, so many after this one. Raises StoreUnavailable."""
        until, place = self._monotonic() + PROMPT_S, wanted.property or ""
        guests, reads = await self._store.guests_at(place, size, after), self._reads()
        stays, now = await (reads or self._store).stays_of(guests), self._clock.now()
        batch = await self._preferences.batch(
            caller,
            [guest for guest in guests if is_here(stays.get(guest, ()), place, now)],
            property=place,
            language=wanted.language,
            reads=reads,
            outcomes=outcomes,
        )
        if reads is not None and reads.age_s:
            raise StoreUnavailable("What is known is old; a stream tells what is.")
        return Page(guests, {item.guest: item.answer for item in batch if item.answer is not None}, stays, until)

    def _reads(self, version: int = 0) -> Traced | None:
        """As all processes share it, so that nobody who comes back to another one is told what was before."""
        return None if self._tiers is None else self._tiers.reading(linearizable=True, min_version=version)


def is_here(stays: Iterable[Stay], place: str, now: datetime) -> bool:
    return any(stay.property == place and (stay.is_in_house(now) or stay.is_arriving(now)) for stay in stays)
