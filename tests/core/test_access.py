"""Who has a reason to see whom: the relation rules of design section 8, row by row."""

from datetime import UTC, datetime, timedelta

import pytest

from prefs.core import access
from prefs.core.access import Act
from prefs.core.callers import ALL_GUESTS, Caller, Role
from prefs.core.stays import ARRIVING_WITHIN, Stay, StayStatus

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
OWN = "gst_a"


def stay(**changes: object) -> Stay:
    facts: dict[str, object] = {
        "id": "s1",
        "guest": OWN,
        "property": "dallas",
        "arrival": NOW - timedelta(days=1),
        "departure": NOW + timedelta(days=2),
        "status": StayStatus.IN_HOUSE,
    }
    return Stay(**(facts | changes))  # type: ignore[arg-type]


STAFF = Caller("staff-1", Role.STAFF, "front_desk", frozenset({"dallas"}))
SOON = stay(status=StayStatus.BOOKED, arrival=NOW + ARRIVING_WITHIN, departure=NOW + timedelta(days=9))
LATER = stay(status=StayStatus.BOOKED, arrival=SOON.arrival + timedelta(seconds=1), departure=NOW + timedelta(days=9))


@pytest.mark.parametrize(
    ("caller", "stays", "expected"),
    [
        (Caller(OWN, Role.GUEST, "guest_app"), [], True),
        (Caller("gst_b", Role.GUEST, "guest_app"), [stay()], False),
        (Caller(OWN, Role.GUEST, "guest_app", stay="s1"), [stay()], True),
        (Caller(OWN, Role.GUEST, "guest_app", stay="s1"), [stay(status=StayStatus.CHECKED_OUT)], False),
        (Caller(OWN, Role.GUEST, "guest_app", stay="s1"), [stay(departure=NOW)], False),
        (Caller(OWN, Role.GUEST, "guest_app", stay="s2"), [stay()], False),
        (Caller("gst_b", Role.GUEST, "guest_app", stay="s1"), [stay()], False),
        (STAFF, [stay()], True),
        (STAFF, [], False),
        (STAFF, [stay(property="cleveland")], False),
        (STAFF, [stay(status=StayStatus.CHECKED_OUT)], False),
        (STAFF, [stay(status=StayStatus.CANCELLED)], False),
        (STAFF, [stay(departure=NOW)], False),
        (STAFF, [SOON], True),
        (STAFF, [LATER], False),
        (Caller("tv-1204", Role.DEVICE, "tv", frozenset({"dallas"})), [stay()], True),
        (Caller("tv-1204", Role.DEVICE, "tv", frozenset({"dallas"}), stay="s1"), [stay()], True),
        (Caller("tv-1204", Role.DEVICE, "tv", frozenset({"dallas"}), stay="s2"), [stay()], False),
        (Caller("tv-1204", Role.DEVICE, "tv"), [stay()], False),
        (Caller("pms", Role.SERVICE, "guest_app", permissions=frozenset({ALL_GUESTS})), [], True),
        (Caller("pms", Role.SERVICE, "guest_app"), [stay()], False),
        (Caller("ops", Role.OPERATOR, "guest_app", permissions=frozenset({ALL_GUESTS})), [], True),
        (Caller("ops", Role.OPERATOR, "guest_app"), [stay()], False),
    ],
)
def test_relation_decides_reach(caller: Caller, stays: list[Stay], expected: bool) -> None:
    assert access.reaches(caller, Act.READ_PREFERENCES, OWN, stays, NOW) is expected


def test_every_role_has_a_row() -> None:
    reached = {
        role: access.reaches(Caller(OWN, role, "guest_app"), Act.READ_PREFERENCES, OWN, [], NOW) for role in Role
    }

    assert reached == {role: role is Role.GUEST for role in Role}
