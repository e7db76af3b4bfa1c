"""Stays: who is or will be where, in which room, for which trip; they give staff a reason to see a guest."""

from dataclasses import replace

from prefs.core import access
from prefs.core.access import Act
from prefs.core.bookings import parse_stay, show_stay
from prefs.core.callers import Caller
from prefs.core.patches import SCOPE_ID
from prefs.core.stays import Stay
from prefs.ports import Clock, Once, Store
from prefs.services.answers import Answer
from prefs.services.ids import guest_id
from prefs.services.surroundings import CatalogueSource, no_stay


class Stays:
    """Use cases around stays. The property management system is their source: it puts them whole."""

    def __init__(self, store: Store, catalogues: CatalogueSource, clock: Clock) -> None:
        self.store, self.catalogues, self.clock = store, catalogues, clock

    async def put(self, caller: Caller, stay_id: str, body: object, *, once: Once | None = None) -> Answer:
        """Create or replace. Raises NotAllowed, InvalidEdit, NotFound (guest, property), StayTaken, KeyReused."""
        access.require(caller, Act.PUT_STAY)
        stay = parse_stay(stay_id, body)
        put = await self.store.put_stay(replace(stay, guest=guest_id(stay.guest)), once)
        return replace(_answer(put.value), coherence=put.coherence)

    async def get(self, caller: Caller, stay_id: str) -> Answer:
        """Raises NotFound, also for a stay the caller has no reason to see."""
        access.require(caller, Act.READ_STAY)
        stay = await self.store.stay(stay_id) if SCOPE_ID.fullmatch(stay_id) else None
        if stay is None or not access.reaches(caller, Act.READ_STAY, stay.guest, [stay], self.clock.now()):
            raise no_stay()
        return _answer(stay)


def _answer(stay: Stay) -> Answer:
    return Answer(show_stay(stay), stay.version)
