"""The feed of the reference store: a list, numbered as it grows, since nothing there commits out of order."""

from datetime import datetime

from prefs.core.changes import Change, Cursor, EventKind, FeedEvent, FeedPage
from prefs.ports import Blocker


class MemoryFeed:
    """Keeps the promises of `FeedRows` for one process."""

    def __init__(self) -> None:
        self._told: list[tuple[FeedEvent, datetime]] = []
        self._position = 0

    def say(self, kind: EventKind, at: datetime, guest: str = "", place: str = "") -> None:
        self._told.append((FeedEvent(kind, self._next(), guest, place=place), at))

    def say_change(self, change: Change) -> None:
        keys = tuple(dict.fromkeys(key.key for key in change.keys))
        told = FeedEvent(
            EventKind.CHANGE, self._next(), change.guest, change.version, keys, "", change.action, change.note
        )
        self._told.append((told, change.at))

    def say_erased(self, guest: str, digest: str, places: list[str], at: datetime) -> None:
        self._told = [(event, moment) for event, moment in self._told if event.guest != guest]
        for place in dict.fromkeys(("", *places)):
            self.say(EventKind.ERASED, at, digest, place)

    def _next(self) -> Cursor:
        self._position += 1
        return Cursor(position=self._position)

    async def page(self, after: Cursor, limit: int, guest: str | None = None) -> FeedPage:
        asked = (guest, "") if guest is not None else None
        found = [
            event
            for event, _ in self._told
            if event.cursor.position > after.position
            and (asked is None or event.guest in asked or event.kind is EventKind.ERASED)
        ]
        more = len(found) > limit
        cursor = found[limit - 1].cursor if more else Cursor(position=self._position)
        return FeedPage(found[:limit], cursor, more, lost=after.position > self._position)

    async def end(self) -> Cursor:
        return Cursor(position=self._position)

    async def trim(self, until: datetime, limit: int) -> int:
        old = [event for event, at in self._told if at <= until and event.kind is not EventKind.CHANGE][:limit]
        self._told = [(event, at) for event, at in self._told if event not in old]
        return len(old)

    async def blockers(self) -> list[Blocker]:
        return []
