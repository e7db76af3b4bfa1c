"""Clock contexts of a property: the window of the day, the season, and when each of them ends.

Windows are local wall time (wake 06-09, day 09-18, evening 18-22, sleep 22-06), so a night in which the clocks change
lasts seven or nine hours. Without a property the clock is UTC. Seasons follow the months a property declares as warm.
"""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

# Start of each window as a local hour, by hour; the hours before the first belong to the last.
STARTS: tuple[tuple[int, str], ...] = ((6, "wake"), (9, "day"), (18, "evening"), (22, "sleep"))


def local(at: datetime, time_zone: str) -> datetime:
    return at.astimezone(ZoneInfo(time_zone))


def time_of_day(wall: datetime) -> str:
    """The window that holds at this local time."""
    current = STARTS[-1][1]
    for hour, name in STARTS:
        if wall.hour >= hour:
            current = name
    return current


def season(wall: datetime, warm_months: Collection[int]) -> str:
    """Warm or cool by local month; empty where the property declares no warm months, and then matches nothing."""
    if not warm_months:
        return ""
    return "warm" if wall.month in warm_months else "cool"


def next_boundary(at: datetime, time_zone: str) -> datetime:
    """The next start of a window after `at`, in UTC."""
    zone = ZoneInfo(time_zone)
    wall = at.astimezone(zone)
    for days in (0, 1, 2):
        day = wall.date() + timedelta(days=days)
        for hour, _ in STARTS:
            start = datetime(day.year, day.month, day.day, hour, tzinfo=zone).astimezone(UTC)
            if start > at:
                return start
    raise AssertionError("every day has a window that starts")


def next_season_change(at: datetime, time_zone: str, warm_months: Collection[int]) -> datetime | None:
    """Local midnight of the next first of a month with another season, in UTC; None where the season never changes."""
    zone = ZoneInfo(time_zone)
    wall = at.astimezone(zone)
    now = season(wall, warm_months)
    year, month = wall.year, wall.month
    for _ in range(12 if now else 0):
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)
        first = datetime(year, month, 1, tzinfo=zone)
        if season(first, warm_months) != now:
            return first.astimezone(UTC)
    return None
