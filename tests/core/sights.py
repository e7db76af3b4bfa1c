"""How much those who usually stand at a surface are told, and authors of edits, as the tables of `access` say."""

from datetime import datetime

from prefs.core import access
from prefs.core.callers import Caller, Role
from prefs.core.catalogue import GUEST_SURFACE, STAFF_SURFACES
from prefs.core.edits import Author
from prefs.core.sights import Relation, Sight, Standing

TIED = {Role.GUEST: Relation.SELF, Role.STAFF: Relation.IN_HOUSE, Role.DEVICE: Relation.IN_HOUSE}


def usual(surface: str) -> Sight:
    """The sight of the guest at their own screen, else of the staff or the device of the house."""
    if surface == GUEST_SURFACE:
        return access.OWN
    return access.sight(Standing.STAFF if surface in STAFF_SURFACES else Standing.DEVICE, surface, Relation.IN_HOUSE)


def author(role: Role, actor: str, surface: str, at: datetime, says: str = "") -> Author:
    caller = Caller(actor, role, surface)
    sight = access.sight_of(caller, TIED.get(role, Relation.NONE))
    return Author(role, actor, surface, access.writing(caller, says), at, sight)
