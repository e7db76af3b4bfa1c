"""Windows and seasons by local wall time, through clock changes, new years and the other side of the world."""

from datetime import UTC, datetime, timedelta

import pytest

from prefs.core import windows


@pytest.mark.parametrize(
    ("hour", "minute", "window"),
    [
        (5, 59, "sleep"),
        (6, 0, "wake"),
        (8, 59, "wake"),
        (9, 0, "day"),
        (17, 59, "day"),
        (18, 0, "evening"),
        (21, 59, "evening"),
        (22, 0, "sleep"),
        (0, 0, "sleep"),
    ],
)
def test_windows_are_half_open(hour: int, minute: int, window: str) -> None:
    assert windows.time_of_day(datetime(2026, 7, 1, hour, minute, tzinfo=UTC)) == window


def test_the_clock_is_the_propertys() -> None:
    at = datetime(2026, 7, 2, 3, tzinfo=UTC)

    assert windows.time_of_day(windows.local(at, "America/Chicago")) == "sleep"
    assert windows.time_of_day(windows.local(at, "Asia/Bangkok")) == "day"


@pytest.mark.parametrize(
    ("at", "zone", "boundary"),
    [
        (datetime(2026, 7, 1, 12, tzinfo=UTC), "UTC", datetime(2026, 7, 1, 18, tzinfo=UTC)),
        (datetime(2026, 7, 1, 18, tzinfo=UTC), "UTC", datetime(2026, 7, 1, 22, tzinfo=UTC)),
        (datetime(2026, 12, 31, 23, tzinfo=UTC), "UTC", datetime(2027, 1, 1, 6, tzinfo=UTC)),
        (datetime(2026, 7, 1, 22, tzinfo=UTC), "America/Chicago", datetime(2026, 7, 1, 23, tzinfo=UTC)),
        # UTC+14: 20:00 UTC is 10:00 the next morning, and the evening starts at 04:00 UTC.
        (datetime(2026, 7, 1, 20, tzinfo=UTC), "Pacific/Kiritimati", datetime(2026, 7, 2, 4, tzinfo=UTC)),
    ],
)
def test_the_next_window_starts_after_now(at: datetime, zone: str, boundary: datetime) -> None:
    assert windows.next_boundary(at, zone) == boundary


@pytest.mark.parametrize(
    ("evening", "hours"), [(datetime(2026, 3, 28, 21, tzinfo=UTC), 7), (datetime(2026, 10, 24, 20, tzinfo=UTC), 9)]
)
def test_a_night_of_a_clock_change_lasts_seven_or_nine_hours(evening: datetime, hours: int) -> None:
    """Madrid goes to summer time on 29 March 2026 and back on 25 October."""
    assert windows.time_of_day(windows.local(evening, "Europe/Madrid")) == "sleep"
    assert windows.next_boundary(evening, "Europe/Madrid") - evening == timedelta(hours=hours)


def test_seasons_follow_the_warm_months() -> None:
    assert windows.season(datetime(2026, 7, 1, tzinfo=UTC), {6, 7, 8}) == "warm"
    assert windows.season(datetime(2026, 9, 1, tzinfo=UTC), {6, 7, 8}) == "cool"
    assert windows.season(datetime(2026, 7, 1, tzinfo=UTC), ()) == ""


def test_the_season_changes_at_local_midnight() -> None:
    at = datetime(2026, 7, 15, 12, tzinfo=UTC)

    assert windows.next_season_change(at, "Europe/Madrid", {6, 7, 8}) == datetime(2026, 8, 31, 22, tzinfo=UTC)


def test_a_season_change_may_lie_in_the_next_year() -> None:
    at = datetime(2026, 9, 15, 12, tzinfo=UTC)

    assert windows.next_season_change(at, "UTC", {6, 7, 8}) == datetime(2027, 6, 1, tzinfo=UTC)


@pytest.mark.parametrize("months", [(), range(1, 13)])
def test_a_season_that_never_changes_has_no_next(months: tuple[int, ...]) -> None:
    assert windows.next_season_change(datetime(2026, 9, 15, tzinfo=UTC), "UTC", months) is None
