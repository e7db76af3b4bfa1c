"""What streams read: what applies to a guest, or to those who are at a property, and until when it may be told.

A withdrawal waits for everybody before it is answered, and what was read is told within that time of the beginning of
its reading, or is read again: so nothing is told behind the answer that was read before it.

Streams that ask for the same at the same time share one reading, what it comes to, and its bytes: ten screens of a
guest and the thermostats of a house are told what one of them would be. Who asks joins a reading that has not begun: it
knows of whatever made him ask, and one that is under way may have passed that by. Whether a token still holds and the
record of who was told stay each stream's own.
"""

import asyncio
import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from prometheus_client import Counter

from prefs.core.callers import Caller, name_of
from prefs.core.catalogue import Catalogue
from prefs.core.errors import StoreUnavailable
from prefs.core.labels import Labels
from prefs.core.stays import Stay
from prefs.ports import Clock, Store, Tiers, Traced
from prefs.services.answers import Answer
from prefs.services.preferences import Preferences
from prefs.services.surroundings import no_guest
from prefs.services.tellings import Wanted, Wire, differences, remember
from prefs.services.witness import Outcomes

PROMPT_S = 0.2  # as long as a withdrawal waits
AT_ONCE = 32  # readings under way in a process; were it all of a thousand, each would be too old when it is done

_READINGS = Counter("guestprefs_stream_readings", "Readings made for streams; those that ask for the same share one.")


@dataclass(frozen=True, slots=True)
class Reading:
    """What applies to a guest, for callers of one kind; who is told is still to be recorded. `digests` are what a
    stream remembers of it."""

    answer: Answer
    catalogue: Catalogue
    labels: Labels
    until: float  # by the monotonic clock
    digests: bytes
    shared: bool = False
    _changed: dict[bytes, list[str]] = field(default_factory=dict)
    _wires: dict[Hashable, Wire] = field(default_factory=dict)

    def changed(self, before: bytes) -> list[str]:
        """Keys whose answer is another one than in the digests `before`."""
        found = self._changed.get(before)
        if found is None:
            names = (definition.key for definition in self.catalogue)
            found = differences(before, self.digests, self.answer.body["preferences"], names)
            self._changed[before] = found
        return found

    def wire(self, *more: Hashable) -> Wire | None:
        """Of the event that tells this and `more` of it; None where nobody else tells it."""
        return self._wires.setdefault(more, Wire()) if self.shared else None

    def withheld(self, answer: Answer) -> "Reading":
        """The same for a caller who is told less."""
        return Reading(answer, self.catalogue, self.labels, self.until, remember(answer.body["preferences"]))


@dataclass(slots=True, eq=False)
class Flight:
    """A reading for everybody who asks before it begins, at the newest version that any of them heard of."""

    version: int = 0
    aboard: int = 0
    reading: "asyncio.Task[Reading] | None" = None


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
        self._boarding: dict[Hashable, Flight] = {}
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def of(self, caller: Caller, wanted: Wanted, guest: str, version: int = 0) -> Reading:
        """What applies to a guest now, as the caller may see it. Raises NotFound, StoreUnavailable."""
        name = name_of(caller, (guest, wanted.property, wanted.guest is None), wanted.language)
        flight = self._boarding.get(name)
        if flight is None:
            flight = self._boarding[name] = Flight()
            flight.reading = asyncio.ensure_future(self._fly(name, flight, caller, wanted, guest))
        assert flight.reading is not None
        flight.version = max(flight.version, version)
        flight.aboard += 1
        try:
            return await asyncio.shield(flight.reading)
        finally:
            flight.aboard -= 1
            if not flight.aboard and not flight.reading.done():  # everybody hung up
                flight.reading.cancel()
                self._close(name, flight)

    async def _fly(self, name: Hashable, flight: Flight, caller: Caller, wanted: Wanted, guest: str) -> Reading:
        async with self._turn:
            self._close(name, flight)
            _READINGS.inc()
            reading = await self._read(caller, wanted, guest, flight.version)
        return replace(reading, shared=flight.aboard > 1)

    def _close(self, name: Hashable, flight: Flight) -> None:
        """Whoever comes from now on takes the next."""
        if self._boarding.get(name) is flight:
            del self._boarding[name]

    async def _read(self, caller: Caller, wanted: Wanted, guest: str, version: int) -> Reading:
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
        digests = remember(found.answer.body["preferences"])
        return Reading(found.answer, found.catalogue, found.labels, until, digests)

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
