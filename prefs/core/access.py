"""Who may do what, and see how much of what: the tables that decide, and the only place where it is decided.

Five tables, each one page at most. ACTS says who may do a thing at all and what must tie them to the guest. SURFACES
says who stands where. SHOWN says how much of an entry is told: by who asks, what ties them to the guest, the surface,
the kind of data and the guest's consent; PURSUED says what a surface may use special-category data for. WRITES says in
which scopes a role writes and as what. What no row allows is refused.

Where a cell of ACTS is `-` the answer is "not allowed" (403), whoever the guest is. Where the cell names a tie that the
caller does not have, the guest is "not found" (404), as one that is not there. A permission that is missing is 403,
except for an act on a guest, where it is a tie like any other.

To add an operation: a member of `Act`; its row in ACTS; in the use case `require(caller, Act.X)` first, then
`Surroundings.reach(caller, Act.X, guest)`, which looks the tie up before anything else is read; one line in
tests/api/matrix.py and one policy in tests/core/access.cedar. Tests fail for whichever of these is forgotten.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from itertools import product

from prefs.core.callers import ALL_GUESTS, Caller, Role
from prefs.core.catalogue import GUEST_SURFACE, PURPOSES
from prefs.core.catalogue import SURFACES as EVERY_SURFACE
from prefs.core.entries import ProvenanceKind, Scope, ScopeKind
from prefs.core.errors import NotAllowed
from prefs.core.grids import one_each, rows
from prefs.core.sights import Relation, Sight, Standing
from prefs.core.stays import Stay


class Act(StrEnum):
    """What a caller can ask for."""

    READ_PREFERENCES = "read_preferences"
    EDIT_PREFERENCES = "edit_preferences"
    PRESS = "press"
    REVERT = "revert"
    READ_HISTORY = "read_history"
    READ_ACCESS_LOG = "read_access_log"
    READ_GUEST = "read_guest"
    RENAME_GUEST = "rename_guest"
    CONSENT = "consent"
    READ_CONSENTS = "read_consents"
    INVITE = "invite"
    READ_INVITATIONS = "read_invitations"
    ANSWER_INVITATION = "answer_invitation"
    READ_IMPORTS = "read_imports"
    DECLINE_IMPORTS = "decline_imports"
    DELETE_ENTRY = "delete_entry"
    PERSONALISE = "personalise"
    EXPORT_GUEST = "export_guest"
    ERASE_GUEST = "erase_guest"
    CREATE_GUEST = "create_guest"
    IDENTIFY_GUEST = "identify_guest"
    READ_STAY = "read_stay"
    PUT_STAY = "put_stay"
    READ_PROPERTY = "read_property"
    FOLLOW_PROPERTY = "follow_property"
    LIST_PROPERTIES = "list_properties"
    CHANGE_PROPERTY = "change_property"
    READ_CATALOGUE = "read_catalogue"
    CHANGE_CATALOGUE = "change_catalogue"
    ENROL_DEVICE = "enrol_device"
    LINK_STAY = "link_stay"
    REVOKE = "revoke"
    READ_WEBHOOKS = "read_webhooks"
    CHANGE_WEBHOOKS = "change_webhooks"


# ---- the tables ----

PERMISSIONS = (ALL_GUESTS,)  # of the tokens of services and operators

# -: never.  self: the guest themselves.  here: in house, or arriving within a week, at a property of the caller.
# theirs: a property the caller belongs to.  any: no tie is needed.  guests.all: a token that has this permission.
ACTS = """
act               on         guest  link  device  staff   service     operator

read_preferences  guest      self   self  here    here    guests.all  guests.all
edit_preferences  guest      self   self  -       here    guests.all  -
press             guest      -      -     here    -       -           -
revert            guest      self   -     -       here    guests.all  -
read_history      guest      self   -     -       here    guests.all  guests.all
read_access_log   guest      self   -     -       -       -           -
read_guest        guest      self   self  here    here    guests.all  guests.all
rename_guest      guest      self   -     -       -       guests.all  guests.all
consent           guest      self   self  -       here    guests.all  -
read_consents     guest      self   self  -       -       guests.all  guests.all
invite            guest      -      -     -       here    guests.all  -
read_invitations  guest      self   self  -       here    guests.all  -
answer_invitation guest      self   self  -       -       -           -
read_imports      guest      self   -     -       -       guests.all  -
decline_imports   guest      self   -     -       -       -           -
delete_entry      guest      self   -     -       here    guests.all  -
personalise       guest      self   -     -       -       guests.all  -
export_guest      guest      self   -     -       -       guests.all  guests.all
erase_guest       guest      self   -     -       -       guests.all  guests.all
create_guest      register   -      -     -       -       guests.all  guests.all
identify_guest    register   -      -     -       -       guests.all  guests.all
read_stay         guest      self   self  here    here    guests.all  guests.all
put_stay          register   -      -     -       -       guests.all  guests.all
read_property     property   any    any   theirs  theirs  any         any
follow_property   property   -      -     theirs  theirs  guests.all  guests.all
list_properties   property   -      -     -       theirs  any         any
change_property   property   -      -     -       -       -           any
read_catalogue    catalogue  any    any   any     any     any         any
change_catalogue  catalogue  -      -     -       -       -           any
enrol_device      property   -      -     -       theirs  -           any
link_stay         guest      -      -     -       here    guests.all  guests.all
revoke            register   -      -     -       -       -           any
read_webhooks     register   -      -     -       -       -           guests.all
change_webhooks   register   -      -     -       -       -           guests.all
"""

# Where each may stand; a token that says otherwise is refused.
SURFACES = """
who       surfaces

guest     guest_app kiosk
link      guest_app kiosk
device    thermostat lights tv kiosk
staff     housekeeping front_desk food engineering
service   thermostat lights tv kiosk housekeeping front_desk food engineering guest_app
operator  thermostat lights tv kiosk housekeeping front_desk food engineering guest_app
"""

# What a surface may use special-category data (SC) for, beside having the guest's consent for it.
PURSUED = """
surface       purposes

guest_app     room_setup service_delivery food_safety safety_evacuation ui_adaptation
kiosk         service_delivery ui_adaptation
thermostat    room_setup
lights        room_setup safety_evacuation
tv            room_setup ui_adaptation
housekeeping  room_setup service_delivery food_safety safety_evacuation
front_desk    room_setup service_delivery safety_evacuation
food          service_delivery food_safety
engineering   room_setup service_delivery safety_evacuation
"""

# How much is told of an entry. P0 and P1 are plain data, SC is special-category data. Consent is the guest's, for the
# purpose that the surface uses this key for. listed: as the key's definition lists the surface: the value, or only the
# action, or nothing. by_value: the value where it is listed by value. In what applies now an action can be told; of
# stored entries (document, history, conflicts, export) a surface gets values or nothing.
SHOWN = """
who            tie                surface    data   consent  what_applies  what_is_stored

guest link     self               guest_app  P0 P1  any      listed        value
guest link     self               guest_app  SC     given    listed        value
guest link     self               guest_app  SC     missing  existence     existence
guest link     self               kiosk      P0 P1  any      listed        by_value
guest link     self               kiosk      SC     given    listed        by_value
device         in_house arriving  any        P0 P1  any      listed        by_value
device         in_house           any        SC     given    listed        by_value
staff          in_house arriving  any        P0 P1  any      listed        by_value
staff          in_house arriving  any        SC     given    listed        by_value
service        any                guest_app  P0 P1  any      listed        value
service        any                guest_app  SC     given    listed        value
service        any                guest_app  SC     missing  existence     existence
service        any                others     P0 P1  any      listed        by_value
service        any                others     SC     given    listed        by_value
operator       any                guest_app  P0 P1  any      listed        value
operator       any                guest_app  SC     any      existence     existence
operator       any                others     P0 P1  any      listed        by_value
"""

# In which scopes each writes, as what, whose entries they may take away, and whose changes they may undo. The scope
# stay is, for a link, that stay alone; property is, for staff, one of theirs.
WRITES = """
who      says      as                scopes                       removes                    undoes

guest    -         stated            profile brand property stay  any                        any
link     -         stated            stay                         any                        own
staff    -         stated_via_staff  stay                         stated_via_staff observed  own
staff    observed  observed          property                     stated_via_staff observed  own
service  -         imported          profile brand property stay  imported                   own
"""

# Parts of a guest's document beside the entries. own: whole on the guest's own screen, elsewhere as the guest chose.
PARTS = """
part         guest  link  device  staff   service  operator

name         own    own   chosen  chosen  whole    whole
identifiers  whole  -     -       -       whole    whole
consents     whole  whole -       -       whole    whole
"""


# ---- reading the tables ----


_ON = one_each(ACTS, "act", "on")
_CELLS: Mapping[tuple[Act, Standing], str] = {
    (Act(row["act"]), standing): row[standing] for row in rows(ACTS) for standing in Standing
}
_STANDS: Mapping[Standing, tuple[str, ...]] = {
    Standing(who): tuple(where.split()) for who, where in one_each(SURFACES, "who", "surfaces").items()
}
_PURSUED: Mapping[str, frozenset[str]] = {
    surface: frozenset(named.split()) for surface, named in one_each(PURSUED, "surface", "purposes").items()
}
_TIES: Mapping[str, frozenset[Relation]] = {
    "-": frozenset(),
    "self": frozenset({Relation.SELF}),
    "here": frozenset({Relation.IN_HOUSE, Relation.ARRIVING}),
    "theirs": frozenset(Relation),
    "any": frozenset(Relation),
    **{permission: frozenset(Relation) for permission in PERMISSIONS},
}


def _check() -> None:
    """A table with a hole or an unknown word must not start. Raises ValueError."""
    if missing := {act.value for act in Act} ^ _ON.keys():
        raise ValueError(f"ACTS and Act differ in {', '.join(sorted(missing))}")
    if wrong := set(_CELLS.values()) - _TIES.keys():
        raise ValueError(f"ACTS has unknown words: {', '.join(sorted(wrong))}")
    if _STANDS.keys() != set(Standing) or _PURSUED.keys() != set(EVERY_SURFACE):
        raise ValueError("SURFACES or PURSUED has a row too few or too many")
    if wrong := {s for where in _STANDS.values() for s in where} - set(EVERY_SURFACE):
        raise ValueError(f"SURFACES has unknown surfaces: {', '.join(sorted(wrong))}")
    if wrong := {p for pursued in _PURSUED.values() for p in pursued} - set(PURPOSES):
        raise ValueError(f"PURSUED has unknown purposes: {', '.join(sorted(wrong))}")


_check()


# ---- who asks, and what ties them to a guest ----


def standing(caller: Caller) -> Standing:
    return Standing.LINK if caller.role is Role.GUEST and caller.stay else Standing(caller.role.value)


def surfaces_of(role: Role) -> tuple[str, ...]:
    """Where a token of this role may stand."""
    return _STANDS[Standing(role.value)]


def surface_of(caller: Caller) -> str:
    """The surface whose projection a caller gets; a service that names none reads like the guest's own app."""
    return caller.surface if caller.surface in EVERY_SURFACE else GUEST_SURFACE


def is_bound(caller: Caller) -> bool:
    """Whether this caller is somewhere: staff and devices work at the properties that their token names."""
    return caller.role in (Role.STAFF, Role.DEVICE)


def belongs(caller: Caller, property_id: str) -> bool:
    """Whether a property is one that this caller may be asked about at all."""
    return not is_bound(caller) or property_id in caller.properties


def goes_to(caller: Caller, property_id: str, stays: Sequence[Stay]) -> bool:
    """The same where a guest with these stays is asked about: a stay link goes to the property of its stay alone."""
    if standing(caller) is Standing.LINK:
        return any(stay.id == caller.stay and stay.property == property_id for stay in stays)
    return belongs(caller, property_id)


def relation(caller: Caller, guest: str, stays: Sequence[Stay], now: datetime) -> Relation:
    """What ties a caller to the guest who has these stays."""
    match standing(caller):
        case Standing.GUEST:
            return Relation.SELF if caller.subject == guest else Relation.NONE
        case Standing.LINK:
            lives = any(s.id == caller.stay and s.guest == guest and s.is_open(now) for s in stays)
            return Relation.SELF if lives and caller.subject == guest else Relation.NONE
        case Standing.STAFF | Standing.DEVICE:
            return tie(caller, stays, now)
    return Relation.NONE


def tie(caller: Caller, stays: Sequence[Stay], now: datetime) -> Relation:
    """The closest tie that any of these stays makes for staff or a device; a narrowed token has one stay only."""
    found = Relation.NONE
    for stay in stays:
        if stay.property not in caller.properties or (caller.stay and stay.id != caller.stay):
            continue
        if stay.is_in_house(now):
            return Relation.IN_HOUSE
        if stay.is_arriving(now):
            found = Relation.ARRIVING
    return found


# ---- whether ----


def require(caller: Caller, act: Act) -> None:
    """Raises NotAllowed where no guest, whoever it be, could make this allowed."""
    cell = _CELLS[act, standing(caller)]
    if cell == "-":
        raise NotAllowed(f"A caller with the role {caller.role.value} may not do this.")
    if _ON[act] != "guest" and cell in PERMISSIONS and cell not in caller.permissions:
        raise NotAllowed(f"This needs the permission {cell}.")
    if is_bound(caller) and not caller.properties:
        raise NotAllowed("The token names no property.")


def allows(caller: Caller, act: Act, tied: Relation) -> bool:
    """Whether a caller with this tie to the guest may do it; a no is told as not found."""
    cell = _CELLS[act, standing(caller)]
    return tied in _TIES[cell] and (cell not in PERMISSIONS or cell in caller.permissions)


def reaches(caller: Caller, act: Act, guest: str, stays: Sequence[Stay], now: datetime) -> bool:
    return allows(caller, act, relation(caller, guest, stays, now))


def could_reach(caller: Caller, act: Act, guest: str) -> bool:
    """Whether any stay at all could tie the caller to this guest: what the token alone decides."""
    if caller.role is Role.GUEST and caller.subject != guest:
        return False
    return any(allows(caller, act, tied) for tied in Relation)


# ---- how much ----


def pursued(surface: str) -> frozenset[str]:
    """What a surface may use special-category data for."""
    return _PURSUED.get(surface, frozenset())


@cache
def sight(who: Standing, surface: str, tied: Relation) -> Sight:
    """The rows of SHOWN that are about this caller. Raises ValueError where two rows contradict each other."""
    applies: dict[tuple[bool, bool], str] = {}
    stored: dict[tuple[bool, bool], str] = {}
    for row in rows(SHOWN):
        named = row["surface"]
        here = named in ("any", surface) or (named == "others" and surface != GUEST_SURFACE)
        if who not in row["who"].split() or not here or row["tie"] != "any" and tied not in row["tie"].split():
            continue
        for special in {data == "SC" for data in row["data"].split()}:
            for given in (True, False):
                if row["consent"] not in ("any", "given" if given else "missing"):
                    continue
                if (special, given) in applies:
                    raise ValueError(f"SHOWN has two rows for {who}, {surface}, {tied}")
                applies[special, given], stored[special, given] = row["what_applies"], row["what_is_stored"]
    return Sight(who, surface, tied, applies, stored, pursued(surface))


def _check_shown() -> None:
    """Raises ValueError for an unknown word in SHOWN, and where two rows are about the same."""
    known = {
        "who": set(Standing),
        "tie": {"any", *Relation},
        "surface": {"any", "others", *EVERY_SURFACE},
        "data": {"P0", "P1", "SC"},
        "consent": {"any", "given", "missing"},
        "what_applies": {"listed", "existence"},
        "what_is_stored": {"value", "by_value", "existence"},
    }
    for row in rows(SHOWN):
        if wrong := {word for column, words in known.items() for word in set(row[column].split()) - words}:
            raise ValueError(f"SHOWN has unknown words: {', '.join(sorted(wrong))}")
    for who, surface, tied in product(Standing, EVERY_SURFACE, Relation):
        sight(who, surface, tied)


_check_shown()
OWN = sight(Standing.GUEST, GUEST_SURFACE, Relation.SELF)


def sight_of(caller: Caller, tied: Relation) -> Sight:
    return sight(standing(caller), surface_of(caller), tied)


def places(caller: Caller, stays: Sequence[Stay]) -> frozenset[Scope] | None:
    """The properties and stays whose entries a caller may be told of, beside those that hold everywhere. None: all."""
    if standing(caller) is Standing.LINK:
        own = [stay for stay in stays if stay.id == caller.stay]
        houses = {stay.property for stay in own}
    elif is_bound(caller):
        own = [stay for stay in stays if stay.property in caller.properties]
        houses = set(caller.properties)
    else:
        return None
    scopes = [Scope(ScopeKind.PROPERTY, one) for one in houses]
    return frozenset((*scopes, *(Scope(ScopeKind.STAY, stay.id) for stay in own)))


def part(caller: Caller, name: str) -> str:
    """How a caller is shown a part of the document beside its entries: whole, chosen or -."""
    word = _PARTS[name, standing(caller)]
    if word != "own":
        return word
    return "whole" if surface_of(caller) == GUEST_SURFACE else "chosen"


# ---- writing ----


@dataclass(frozen=True, slots=True)
class Writing:
    """What somebody writes: its provenance, the scopes it may have, whose entries they take away, whose changes they
    undo."""

    kind: ProvenanceKind
    scopes: tuple[ScopeKind, ...]
    removes: frozenset[ProvenanceKind]
    undoes_others: bool


_PARTS: Mapping[tuple[str, Standing], str] = {(row["part"], who): row[who] for row in rows(PARTS) for who in Standing}
_WRITES: Mapping[tuple[Standing, str], Writing] = {
    (Standing(row["who"]), row["says"].strip("-")): Writing(
        ProvenanceKind(row["as"]),
        tuple(map(ScopeKind, row["scopes"].split())),
        frozenset(ProvenanceKind)
        if row["removes"] == "any"
        else frozenset(map(ProvenanceKind, row["removes"].split())),
        row["undoes"] == "any",
    )
    for row in rows(WRITES)
}


def writing(caller: Caller, says: str | None = None) -> Writing:
    """As what a caller writes preferences, by the provenance that the request names. Raises NotAllowed."""
    found = _WRITES.get((standing(caller), says or ""))
    if found is None:
        as_what = f" with provenance {says[:40]}" if says else ""
        raise NotAllowed(f"A caller with the role {caller.role.value} may not write preferences{as_what}.")
    return found


def writing_at(caller: Caller, scope: Scope, says: str | None = None) -> Writing:
    """The same for one scope. Raises NotAllowed where the role does not write there."""
    found = writing(caller, says)
    if scope.kind not in found.scopes:
        allowed = ", ".join(kind.value for kind in found.scopes)
        raise NotAllowed(
            f"A caller with the role {caller.role.value} may write {found.kind.value} only in scope {allowed}."
        )
    return found
