"""The written form of a stay: JSON of a PUT in, a checked `Stay` out, and back.

It knows nothing of who may put it and whether guest and property exist; that is asked where the store is at hand.
"""

from typing import Any

from prefs.core.entries import TRIPS
from prefs.core.errors import Fault, InvalidEdit
from prefs.core.patches import SCOPE_ID, parse_instant, write_instant
from prefs.core.stays import Party, Stay, StayStatus
from prefs.core.tables import Table

PEOPLE_MAX = 99


def parse_stay(stay_id: str, body: object) -> Stay:
    """A stay out of its written form. Raises InvalidEdit with every fault."""
    faults: list[Fault] = []
    table = Table(body, "", faults)
    table.known("guest", "property", "room", "arrival", "departure", "trip", "party", "status")
    if not SCOPE_ID.fullmatch(stay_id):
        faults.append(Fault("stay", "BAD_ID", "must be 1 to 64 letters, digits, dots, dashes or underscores"))
    times = []
    for name in ("arrival", "departure"):
        at = parse_instant(table.get(name))
        if at is None:
            table.fault(name, "BAD_TIME", "must be an RFC 3339 date and time with its offset")
        times.append(at)
    arrival, departure = times
    if arrival and departure and departure <= arrival:
        table.fault("departure", "OUT_OF_RANGE", "must be after the arrival")
    guest, property_id = table.text("guest", 64), table.identifier("property")
    trip = table.word("trip", TRIPS, "")
    status = table.word("status", [s.value for s in StayStatus], StayStatus.BOOKED.value)
    party = None
    if table.get("party") is not None:
        people = table.table("party")
        people.known("adults", "children")
        party = Party(people.integer("adults", 0, PEOPLE_MAX, 1), people.integer("children", 0, PEOPLE_MAX, 0))
    room = table.text("room", 20, required=False)
    if faults or arrival is None or departure is None:
        raise InvalidEdit(faults)
    return Stay(stay_id, guest, property_id, arrival, departure, room, trip, party, StayStatus(status))


def show_stay(stay: Stay) -> dict[str, Any]:
    body: dict[str, Any] = {
        "id": stay.id,
        "guest": stay.guest,
        "property": stay.property,
        "room": stay.room,
        "arrival": write_instant(stay.arrival),
        "departure": write_instant(stay.departure),
        "trip": stay.trip,
    }
    if stay.party:
        body["party"] = {"adults": stay.party.adults, "children": stay.party.children}
    return {**body, "status": stay.status.value, "version": stay.version}
