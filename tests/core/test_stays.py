"""Which stay a read is about, and which axes the facts of a moment name."""

from datetime import UTC, datetime, timedelta

import pytest

from prefs.core.stays import Facts, Party, Stay, StayStatus, current

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)


def stay(ident: str, days: int, status: StayStatus = StayStatus.BOOKED, place: str = "madrid") -> Stay:
    arrival = NOW + timedelta(days=days)
    return Stay(ident, "gst_a", place, arrival, arrival + timedelta(days=3), status=status)


def test_in_house_comes_before_an_earlier_booking() -> None:
    stays = [stay("booked", -2), stay("here", -1, StayStatus.IN_HOUSE)]

    found = current(stays, "madrid", NOW)

    assert found is not None and found.id == "here"


def test_next_arrival_comes_first_then_id() -> None:
    stays = [stay("c", 5), stay("b", 2), stay("a", 2)]

    found = current(stays, "madrid", NOW)

    assert found is not None and found.id == "a"


@pytest.mark.parametrize(
    "gone",
    [
        stay("left", -1, StayStatus.CHECKED_OUT),
        stay("off", 1, StayStatus.CANCELLED),
        stay("elsewhere", 1, place="lisbon"),
        stay("over", -3),
    ],
)
def test_closed_foreign_and_past_stays_are_no_stay(gone: Stay) -> None:
    assert current([gone], "madrid", NOW) is None


@pytest.mark.parametrize(
    ("party", "axis"),
    [
        (Party(1), "alone"),
        (Party(2), "partner"),
        (Party(3), "partner"),
        (Party(1, 1), "children"),
        (Party(2, 2), "children"),
    ],
)
def test_party_is_one_axis_value(party: Party, axis: str) -> None:
    assert party.axis == axis


def test_query_outranks_stay_and_unknown_stays_unknown() -> None:
    booked = Stay("s", "gst_a", "madrid", NOW, NOW + timedelta(days=1), trip="leisure", party=Party(2))

    asked = Facts(NOW, stay=booked, trip="business", party="alone")
    from_stay = Facts(NOW, stay=booked)
    nothing = Facts(NOW)

    assert (asked.trip_axis, asked.party_axis) == ("business", "alone")
    assert (from_stay.trip_axis, from_stay.party_axis) == ("leisure", "partner")
    assert (nothing.trip_axis, nothing.party_axis) == ("", "")
