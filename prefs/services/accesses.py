"""Who saw a guest's special-category data: the guest's own part of the ledger, told to them alone."""

from typing import Any

from prefs.core import access
from prefs.core.access import Act
from prefs.core.accesses import Access, Deed, Recorded
from prefs.core.callers import Caller
from prefs.core.errors import Fault, InvalidEdit
from prefs.core.labels import Labels
from prefs.core.patches import write_instant
from prefs.ports import Clock, Store
from prefs.services.answers import Answer
from prefs.services.languages import spoken
from prefs.services.surroundings import CatalogueSource, Surroundings
from prefs.services.witness import Witness

PAGE_MAX = 100


class Accesses:
    """Use cases around the ledger as a guest sees it."""

    def __init__(self, store: Store, catalogues: CatalogueSource, clock: Clock, witness: Witness) -> None:
        self.catalogues, self.witness = catalogues, witness
        self.surroundings = Surroundings(store, catalogues, clock)

    async def of_guest(
        self, caller: Caller, guest: str, limit: int = 50, cursor: str | None = None, language: str = "en"
    ) -> Answer:
        """Newest first. Staff are told by role and property, never by name. Raises NotFound, NotAllowed."""
        access.require(caller, Act.READ_ACCESS_LOG)
        if not 1 <= limit <= PAGE_MAX:
            raise InvalidEdit([Fault("limit", "OUT_OF_RANGE", f"must be between 1 and {PAGE_MAX}")])
        known, _ = await self.surroundings.reach(caller, Act.READ_ACCESS_LOG, guest)
        await self.surroundings.document(known)
        labels = spoken(await self.catalogues.current(), language)
        found = await self.witness.ledger.of_guest(known, limit + 1, cursor)
        page = found[:limit]
        body: dict[str, Any] = {"accesses": [show_access(one, labels) for one in page]}
        body["next_cursor"] = page[-1].position if len(found) > limit else None
        return Answer(body)


def show_access(recorded: Recorded, labels: Labels) -> dict[str, Any]:
    """One record as its guest is told it: values are not in the ledger, names of staff stay out of it here."""
    one: Access = recorded.access
    shown: dict[str, Any] = {"at": write_instant(one.at), "act": one.act, "outcome": one.outcome}
    shown["who"] = {"role": one.role} | ({"property": one.property} if one.property else {})
    shown["surface"] = one.surface
    shown["purposes"] = list(one.purposes)
    shown["keys"] = [{"key": key, "label": _label(key, labels)} for key in one.keys]
    if one.act == Deed.READ:
        shown["version"] = one.version
    return shown


def _label(key: str, labels: Labels) -> str:
    found = labels.keys.get(key)
    return found.title if found else key
