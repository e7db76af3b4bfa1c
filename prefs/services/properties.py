"""Properties: what each hotel declares about itself. Operators put them; whoever works with a hotel may read it."""

from dataclasses import replace

from prefs.core import access
from prefs.core.access import Act
from prefs.core.accesses import Deed
from prefs.core.callers import Caller
from prefs.core.changes import Coherence
from prefs.core.declarations import parse_property
from prefs.core.errors import Fault, InvalidEdit
from prefs.core.patches import SCOPE_ID
from prefs.core.values import entered_number
from prefs.ports import Record, Store
from prefs.services.answers import Answer
from prefs.services.surroundings import CatalogueSource, no_property
from prefs.services.witness import Witness

PAGE_MAX = 100


class Properties:
    """Use cases around the declared facts of hotels."""

    def __init__(self, store: Store, catalogues: CatalogueSource, witness: Witness) -> None:
        self.store, self.catalogues, self.witness = store, catalogues, witness

    async def put(self, caller: Caller, property_id: str, body: object) -> Answer:
        """Create or replace; the body as given is what is kept. Raises NotAllowed, InvalidEdit."""
        access.require(caller, Act.CHANGE_PROPERTY)
        parse_property(property_id, body, await self.catalogues.current())
        kept = entered_number(body)
        if not isinstance(kept, dict):
            raise InvalidEdit([Fault("", "WRONG_TYPE", "must be an object")])
        async with self.witness.act(caller, Deed.PROPERTY_PUT, property=property_id):
            put = await self.store.put_property(property_id, kept)
            return replace(_answer(put.value), coherence=put.coherence)

    async def get(self, caller: Caller, property_id: str) -> Answer:
        """Raises NotFound, also for a property that staff and devices do not belong to."""
        access.require(caller, Act.READ_PROPERTY)
        theirs = SCOPE_ID.fullmatch(property_id) and access.belongs(caller, property_id)
        record = await self.store.property(property_id) if theirs else None
        if record is None:
            raise no_property()
        return _answer(record)

    async def list(self, caller: Caller, limit: int = 50, cursor: str | None = None) -> Answer:
        """Properties by id. Raises NotAllowed for guests and devices, InvalidEdit."""
        access.require(caller, Act.LIST_PROPERTIES)
        faults = []
        if not 1 <= limit <= PAGE_MAX:
            faults.append(Fault("limit", "OUT_OF_RANGE", f"must be between 1 and {PAGE_MAX}"))
        if cursor is not None and not SCOPE_ID.fullmatch(cursor):
            faults.append(Fault("cursor", "BAD_CURSOR", "must be a next_cursor as it was given"))
        if faults:
            raise InvalidEdit(faults)
        if access.is_bound(caller):
            own = [await self.store.property(one) for one in sorted(caller.properties) if one > (cursor or "")]
            found = [record for record in own if record is not None][: limit + 1]
        else:
            found = await self.store.properties(limit + 1, cursor or "")
        page = found[:limit]
        items = [_answer(record).body for record in page]
        return Answer({"items": items, "next_cursor": page[-1].id if len(found) > limit else None})

    async def delete(self, caller: Caller, property_id: str) -> Coherence:
        """What others may still tell of it. Raises NotAllowed, NotFound, Refused while open stays point at it."""
        access.require(caller, Act.CHANGE_PROPERTY)
        if not SCOPE_ID.fullmatch(property_id):
            raise no_property()
        async with self.witness.act(caller, Deed.PROPERTY_DELETE, property=property_id):
            put = await self.store.delete_property(property_id)
            if not put.value:
                raise no_property()
            return put.coherence


def _answer(record: Record) -> Answer:
    return Answer({"id": record.id, **record.body, "version": record.version}, record.version)
