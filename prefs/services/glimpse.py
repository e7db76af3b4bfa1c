"""What one look at the store told, as reads: a use case asks for all it will need at once, then goes step by step."""

from collections.abc import Sequence

from prefs.core.entries import Document, Entry
from prefs.core.stays import Stay
from prefs.ports import Found, Lookup, Reads, Record


class Glimpse:
    """Tells what was looked up; whatever turns out to be needed beside that is asked of the source."""

    def __init__(self, source: Reads, wanted: Lookup, found: Found) -> None:
        self.source, self._wanted, self._found = source, wanted, found

    @classmethod
    async def take(cls, source: Reads, wanted: Lookup) -> "Glimpse":
        return cls(source, wanted, await source.look_up(wanted))

    async def get(self, guest: str) -> Document | None:
        known = guest in self._wanted.documents
        return self._found.documents.get(guest) if known else await self.source.get(guest)

    async def get_many(self, guests: Sequence[str]) -> dict[str, Document]:
        return {guest: found for guest in guests if (found := await self.get(guest)) is not None}

    async def stays_of(self, guests: Sequence[str]) -> dict[str, list[Stay]]:
        lodgings = self._found.lodgings
        others = [guest for guest in guests if guest not in lodgings]
        told = {guest: list(lodgings[guest].stays) for guest in guests if guest in lodgings}
        return told | await self.source.stays_of(others) if others else told

    async def live(self, stay: Stay) -> list[Entry]:
        lodging = self._found.lodgings.get(stay.guest)
        return list(lodging.live.get(stay.id, ())) if lodging else await self.source.live(stay)

    async def property(self, property_id: str) -> Record | None:
        known = property_id in self._wanted.properties
        return self._found.properties.get(property_id) if known else await self.source.property(property_id)

    async def extensions(self) -> tuple[int, list[Record]]:
        return self._found.extensions or await self.source.extensions()

    async def look_up(self, wanted: Lookup) -> Found:
        return await self.source.look_up(wanted)
