"""What use cases need to know before they ask the core: may this caller reach the guest, and the facts of the moment.

Who may not see a guest is told the same as who asks for one that is not there, by the same path: stays are looked up
together with the document, and a malformed id is looked up as the id of nobody.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from prefs.core import access
from prefs.core.access import Act
from prefs.core.callers import Caller
from prefs.core.catalogue import Catalogue
from prefs.core.declarations import recall_property
from prefs.core.entries import PARTIES, TRIPS, Document
from prefs.core.errors import Fault, InvalidEdit, NotFound
from prefs.core.patches import SCOPE_ID
from prefs.core.rooms import Property
from prefs.core.sights import Relation
from prefs.core.stays import Facts, Stay, current
from prefs.ports import Clock, Lookup, Reads, Store, Tiers
from prefs.services.glimpse import Glimpse
from prefs.services.ids import NOBODY, guest_id

PROPERTIES_KEPT = 512
EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


class CatalogueSource(Protocol):
    """Where use cases get the catalogue of the moment: the standard one with the operator's extension."""

    async def current(self, reads: Reads | None = None) -> Catalogue: ...


def asked_for(caller: Caller, act: Act, guest: str) -> str:
    """The id to look up. Where the token alone says that nothing can tie the caller to this guest it is that of nobody,
    as for what is no id: nothing that is looked up then depends on whether the guest is there."""
    known = guest_id(guest)
    return known if access.could_reach(caller, act, known) else NOBODY


def no_guest() -> NotFound:
    return NotFound("There is no such guest.")


def no_stay() -> NotFound:
    return NotFound("There is no such stay.")


def no_property() -> NotFound:
    return NotFound("There is no such property.")


class Surroundings:
    """Facts through the store, or the reads of one request: reach, documents, properties, stays.

    Keeps read properties as long as they are new."""

    def __init__(self, store: Store, catalogues: CatalogueSource, clock: Clock) -> None:
        self.store, self.catalogues, self.clock = store, catalogues, clock
        self._tiers = store if isinstance(store, Tiers) else None
        self._properties: OrderedDict[str, tuple[int, int, Mapping[str, Any], Property]] = OrderedDict()

    async def glimpse(
        self,
        caller: Caller,
        act: Act,
        guests: Sequence[str],
        property: str | None,
        reads: Reads | None = None,
        *,
        documents: bool = True,
    ) -> Glimpse:
        """All that resolving for these guests takes, asked for at once, whoever may be told of it; without documents
        for a write, which reads them itself.

        Where only a stay says which property it is, that is not known yet and is asked for later."""
        place = property
        if access.is_bound(caller):
            place = property or (next(iter(caller.properties)) if len(caller.properties) == 1 else None)
            place = place if place and access.belongs(caller, place) else None
        places = (place,) if place and SCOPE_ID.fullmatch(place) else ()
        known = tuple(dict.fromkeys(asked_for(caller, act, guest) for guest in guests))
        wanted = Lookup(known if documents else (), known, places, True)
        return await Glimpse.take(reads or self._reading(), wanted)

    async def reach(self, caller: Caller, act: Act, guest: str, reads: Reads | None = None) -> tuple[str, list[Stay]]:
        """The guest's id and stays. Raises NotFound where nothing ties the caller to the guest as the act needs it."""
        known, asked = asked_for(caller, act, guest), reads or self._reading()
        stays = (await asked.stays_of([known])).get(known, [])
        if not access.reaches(caller, act, known, stays, self.clock.now()):
            await self.wait_as_for_nobody(caller, asked)
            raise no_guest()
        return known, stays

    async def wait_as_for_nobody(self, caller: Caller, asked: Reads) -> None:
        """A guest of another house may lie in a copy here, and be found sooner than that somebody is not there at all:
        who is refused waits for the store either way."""
        if self._tiers is not None and access.is_bound(caller):
            await self._tiers.wait_as_for_nobody(asked.source if isinstance(asked, Glimpse) else asked)

    def _reading(self) -> Reads:
        return self._tiers.reading() if self._tiers is not None else self.store

    async def document(self, guest: str, reads: Reads | None = None) -> Document:
        found = await (reads or self.store).get(guest)
        if found is None:
            raise no_guest()
        return found

    async def property(self, property_id: str, catalogue: Catalogue, reads: Reads | None = None) -> Property:
        """A property as declared. Raises NotFound."""
        record = await (reads or self.store).property(property_id) if SCOPE_ID.fullmatch(property_id) else None
        if record is None:
            raise no_property()
        kept = self._properties.get(property_id)
        if kept and kept[:2] == (record.version, catalogue.version) and kept[2] == record.body:
            self._properties.move_to_end(property_id)
            return kept[3]
        found = recall_property(record.id, record.body, catalogue, record.version)
        self._properties[property_id] = (record.version, catalogue.version, record.body, found)
        self._properties.move_to_end(property_id)
        if len(self._properties) > PROPERTIES_KEPT:
            self._properties.popitem(last=False)
        return found

    async def facts(
        self,
        caller: Caller,
        stays: Sequence[Stay],
        catalogue: Catalogue,
        *,
        property: str | None = None,
        stay: str | None = None,
        at: datetime | None = None,
        trip: str | None = None,
        party: str | None = None,
        reads: Reads | None = None,
    ) -> Facts:
        """The moment a caller asks about. Raises NotFound for a property or stay that is not theirs to name,
        InvalidEdit for parameters that make no sense."""
        moment = self.moment(at, trip, party)
        chosen = self._named_stay(caller, stays, stay, property)
        place = property or (chosen.property if chosen else None) or self._own_property(caller, stays, moment)
        asked_at = self.clock.now() if at else None
        if place is None:
            return Facts(moment, trip=trip or "", party=party or "", asked_at=asked_at)
        here = [s for s in stays if s.property == place]
        if not access.goes_to(caller, place, stays):
            raise no_property()
        if access.is_bound(caller) and access.tie(caller, here, self.clock.now()) is Relation.NONE:
            raise no_guest()  # a reason to see the guest at one property is none at another
        found = await self.property(place, catalogue, reads)
        return Facts(moment, found, chosen or current(stays, place, moment), trip or "", party or "", asked_at)

    def moment(self, at: datetime | None, trip: str | None = None, party: str | None = None) -> datetime:
        """The moment asked about, now by default. Raises InvalidEdit naming every parameter that makes no sense."""
        faults = []
        if at is not None and (at.tzinfo is None or not EARLIEST <= at <= LATEST):
            faults.append(Fault("at", "OUT_OF_RANGE", "must be a time with its offset in the years 2000 to 2099"))
        if trip and trip not in TRIPS:
            faults.append(Fault("trip", "UNKNOWN_CHOICE", "must be one of " + ", ".join(TRIPS)))
        if party and party not in PARTIES:
            faults.append(Fault("party", "UNKNOWN_CHOICE", "must be one of " + ", ".join(PARTIES)))
        if faults:
            raise InvalidEdit(faults)
        return at.astimezone(UTC) if at else self.clock.now()

    def _named_stay(self, caller: Caller, stays: Sequence[Stay], stay: str | None, property: str | None) -> Stay | None:
        """The stay in the query, else the one the token is narrowed to where it is at the property asked about."""
        if stay is None:
            own = next((s for s in stays if caller.stay and s.id == caller.stay), None)
            return own if own and property in (None, own.property) else None
        found = next((s for s in stays if s.id == stay), None)
        foreign = found is None or not access.belongs(caller, found.property)
        if found is None or foreign or (caller.stay and caller.stay != stay):
            raise no_stay()
        if property and found.property != property:
            raise InvalidEdit([Fault("stay", "OTHER_PROPERTY", f"is not at the property {property}")])
        return found

    def _own_property(self, caller: Caller, stays: Sequence[Stay], at: datetime) -> str | None:
        """Staff and devices are somewhere: at the token's only property, or the only one of theirs the guest is at."""
        if not access.is_bound(caller):
            return None
        if len(caller.properties) == 1:
            return next(iter(caller.properties))
        theirs = {s.property for s in stays if access.tie(caller, [s], self.clock.now()) is not Relation.NONE}
        if len(theirs) == 1:
            return theirs.pop()
        raise InvalidEdit([Fault("property", "REQUIRED", "the token names several properties: say which one")])
