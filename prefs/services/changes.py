"""Streams: first what applies now, then whatever changes, for one guest or for all guests of a property.

A stream tells nothing that the same caller would not be told by a read at that moment: every event is such a read, with
the same tie, views and records in the ledger. What comes from the feed only says that it is time to read.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing
from datetime import datetime

from prefs.core import access
from prefs.core.access import Act
from prefs.core.callers import Caller
from prefs.core.changes import Action, Cursor, EventKind, FeedEvent
from prefs.core.errors import Fault, InvalidEdit, NotFound
from prefs.ports import Clock, Feed, Listening, Store
from prefs.services.preferences import Preferences
from prefs.services.readings import Reading, Readings
from prefs.services.surroundings import asked_for, no_property
from prefs.services.tellings import (
    FEED_KEPT,
    WITHDRAWN,
    Due,
    Memory,
    Pulse,
    Told,
    Walk,
    Wanted,
    read_place,
    visible,
    write_place,
)
from prefs.services.witness import Outcomes

SNAPSHOT_PAGE = 100  # guests in one event
SNAPSHOTS_AT_ONCE = 2  # in a process; the others wait their turn
REPLAY_PAGE = 200
REPLAY_MAX = 1000  # events that are told again one by one; who missed more is told everything anew


class Changes:
    """Opens streams."""

    def __init__(
        self,
        preferences: Preferences,
        readings: Readings,
        store: Store,
        feed: Feed,
        clock: Clock,
        digest_of: Callable[[str], str],
    ) -> None:
        self.surroundings, self.witness = preferences.surroundings, preferences.witness
        self.readings, self.store, self.feed, self.clock = readings, store, feed, clock
        self.digest_of = digest_of  # what an erased guest is known by
        self.turn = asyncio.Semaphore(SNAPSHOTS_AT_ONCE)

    async def open(
        self,
        caller: Caller,
        *,
        guest: str | None = None,
        property: str | None = None,
        surface: str | None = None,
        place: str | None = None,
        follow: bool = True,
        language: str = "en",
        still: Callable[[], None] = lambda: None,
    ) -> "Stream":
        """A stream that begins after `place`, an id it told before. `still` is asked before anything is told, and
        raises Unauthenticated once the caller's token is none any more. Raises NotFound, NotAllowed, InvalidEdit,
        StoreUnavailable."""
        faults = []
        if surface is not None and surface != access.surface_of(caller):
            faults.append(
                Fault("surface", "OTHER_SURFACE", f"the token is for the surface {access.surface_of(caller)}")
            )
        since = read_place(place) if place else None
        if place and since is None:
            faults.append(Fault("Last-Event-ID", "BAD_CURSOR", "must be the id of an event of this stream"))
        if guest is None and property is None and len(caller.properties) != 1:
            faults.append(Fault("guest", "REQUIRED", "say which guest, or which property"))
        if faults:
            raise InvalidEdit(faults)
        wanted = Wanted(guest, property, language, follow)
        if guest is None:
            wanted = Wanted(None, await self._house(caller, property), language, follow)
        else:
            access.require(caller, Act.READ_PREFERENCES)
        return await Stream(self, caller, wanted, since, still).begin()

    async def _house(self, caller: Caller, property: str | None) -> str:
        access.require(caller, Act.FOLLOW_PROPERTY)
        place = property or next(iter(caller.properties))
        if not access.belongs(caller, place):
            raise no_property()
        await self.surroundings.property(place, await self.surroundings.catalogues.current())
        return place


class Stream:
    """One stream, from its first event to its last."""

    def __init__(
        self,
        house: Changes,
        caller: Caller,
        wanted: Wanted,
        since: tuple[Cursor, datetime] | None,
        still: Callable[[], None],
    ) -> None:
        self._house, self._caller, self._wanted, self._since, self._still = house, caller, wanted, since, still
        self._ear: Listening | None = None
        self._first: Reading | None = None
        self._kept = Memory()
        self._cursor = Cursor()
        self._pulse = Pulse()
        self._over = False

    async def begin(self) -> "Stream":
        """Listen before the first look, so that nothing falls between; a guest who may not be seen is refused here."""
        wanted = self._wanted
        known = None if wanted.guest is None else asked_for(self._caller, Act.READ_PREFERENCES, wanted.guest)
        self._ear = await self._house.feed.listen(known, None if wanted.guest is not None else wanted.property)
        self._cursor = self._ear.here
        try:
            if wanted.guest is not None:
                self._first = await self._first_look(wanted.guest)
        except BaseException:
            self.close()
            raise
        return self

    async def _first_look(self, guest: str) -> Reading | None:
        """None for a guest of whom there is only left to say that they were erased. Raises NotFound."""
        try:
            return await self._read(guest, 0, {})
        except NotFound:
            if self._since is None or not await self._was_erased(guest, self._since[0]):
                raise
            return None

    async def _was_erased(self, guest: str, since: Cursor) -> bool:
        while True:
            page = await self._house.feed.rows.page(since, REPLAY_PAGE, guest)
            if any(self._erased_one(event) == guest for event in page.events if event.kind is EventKind.ERASED):
                return True
            if not page.more:
                return False
            since = page.cursor

    def close(self) -> None:
        if self._ear is not None:
            self._ear.close()

    # ------------------------------------------------------------ telling

    async def tell(self) -> AsyncGenerator[Told]:
        """Everything, until there is nothing more to tell, the listener was cut, or the process is about to stop."""
        assert self._ear is not None
        try:
            async with aclosing(self._begun()) as begun:
                async for told in begun:
                    self._still()
                    yield told
            while self._wanted.follow and not self._over:
                now, moments = self._house.clock.now(), self._kept.turns.values()
                events = await self._ear.take(self._pulse.patience_s(now, moments))
                self._still()
                if self._ear.drained:
                    yield Told("leave")
                if self._ear.cut or self._ear.drained:
                    return
                self._cursor = self._ear.here
                async with aclosing(self._tell_of(events)) as telling:
                    async for told in telling:
                        self._still()
                        yield told
        finally:
            self.close()

    async def _begun(self) -> AsyncGenerator[Told]:
        """What was missed, or everything."""
        if self._first is None and self._wanted.guest is not None:
            yield self._erased(self._wanted.guest)
            return
        missed = await self._missed() if self._since is not None else None
        if missed is None:
            if self._since is not None:
                self._since = None
                yield Told("resync", {})
                if self._wanted.guest is not None:
                    self._first = await self._read(self._wanted.guest, 0, {})  # looking back took a while
            async with aclosing(self._snapshot()) as pages:
                async for told in pages:
                    yield told
            return
        async with aclosing(self._tell_of(missed)) as telling:
            async for told in telling:
                yield told

    async def _missed(self) -> list[FeedEvent] | None:
        """What the feed told after the place where the stream is to begin; None where that is too long ago."""
        assert self._since is not None
        cursor, at = self._since
        if self._house.clock.now() - at > FEED_KEPT:
            return None
        guest = self._wanted.guest
        events: list[FeedEvent] = []
        while True:
            page = await self._house.feed.rows.page(cursor, REPLAY_PAGE, guest)
            if page.lost or len(events) + len(page.events) > REPLAY_MAX or self._cannot_tell(page.events):
                return None
            events += page.events
            cursor = page.cursor
            if not page.more:
                self._cursor = cursor
                return [event for event in events if event.place in ("", self._wanted.property or event.place)]

    async def _snapshot(self) -> AsyncGenerator[Told]:
        if self._wanted.guest is not None:
            assert self._first is not None
            yield self._said(self._opening(self._wanted.guest, self._first, {}))
            return
        walk = Walk(SNAPSHOT_PAGE)
        while not walk.complete:
            yield self._said(await self._page(walk, {}))
            walk.after = walk.next

    def _opening(self, guest: str, first: Reading, outcomes: Outcomes) -> Told:
        self._first = None  # nobody needs it any more, and the stream may last for days
        self._kept.keep(guest, first.answer, self._house.clock.now(), digests=first.digests)

        async def again() -> Told | None:
            self._still()
            self._kept.forget(guest)
            try:
                return self._opening(guest, await self._read(guest, 0, outcomes), outcomes)
            except NotFound:
                return await self._gone(guest, Due())

        data = {"items": [first.answer.body], "complete": True}
        return Told("snapshot", data, self._place(), first.until, again, first.wire("snapshot"))

    async def _page(self, walk: Walk, outcomes: Outcomes) -> Told:
        """Those of the next guests of a property whom the caller has a reason to see there, as a batch tells them."""
        house = self._house
        async with house.turn:
            page = await house.readings.page(self._caller, self._wanted, walk.after, walk.size, outcomes)
        walk.complete, walk.next = len(page.guests) < walk.size, page.guests[-1] if page.guests else ""
        for guest in page.guests:
            self._kept.watch_clock(guest, None, page.stays.get(guest, ()), house.clock.now())
        for guest, answer in page.answers.items():
            self._kept.keep(guest, answer, house.clock.now(), page.stays.get(guest, ()))

        async def again() -> Told:
            self._still()
            for guest in page.guests:
                self._kept.forget(guest)
            walk.size = max(walk.size // 2, 1)  # so that also those who read slowly are told in the end
            return await self._page(walk, outcomes)

        items = [answer.body for answer in page.answers.values()]
        data = {"property": self._wanted.property, "items": items, "complete": walk.complete}
        return Told("snapshot", data, self._place() if walk.complete else "", page.until, again)

    # ------------------------------------------------------------ one event after the other

    async def _tell_of(self, events: Sequence[FeedEvent]) -> AsyncGenerator[Told]:
        """What these events come to for this caller, each told when it is read: what waits could be withdrawn by then.
        Of a property the place comes by itself, always: if only at times, it would tell that more had happened."""
        due, spoke = self._gather(events), False
        for guest, one in due.items():
            told = await self._told(guest, one, {})
            if told is not None:
                spoke = True
                yield told if self._wanted.guest is None else self._said(told)
            if self._over:
                break
        self._since = None
        if self._wanted.guest is None if spoke else not events or self._pulse.is_due(self._house.clock.now()):
            yield self._said(Told("here", None, self._place()))

    def _gather(self, events: Sequence[FeedEvent]) -> dict[str, Due]:
        due: dict[str, Due] = {}
        for event in events:
            if event.kind in (EventKind.PROPERTY, EventKind.CATALOGUE):
                for guest in {*self._kept.digests, *([self._wanted.guest] if self._wanted.guest else [])}:
                    due.setdefault(guest, Due()).moved = True
                continue
            if event.kind is EventKind.ERASED:
                if erased := self._erased_one(event):
                    due.setdefault(erased, Due()).erased = True
                continue
            withdrawn = event.action == Action.CONSENT and event.note.startswith(WITHDRAWN)
            known = event.version <= self._kept.versions.get(event.guest, 0)
            if event.kind is EventKind.CHANGE and known and not withdrawn:
                continue  # told already, or told early because another transaction held it back
            one = due.setdefault(event.guest, Due())
            one.moved = one.moved or event.kind is not EventKind.CHANGE
            one.version = max(one.version, event.version)
            one.keys += [key for key in event.keys if key not in one.keys]
            if withdrawn:
                one.withdrawn.append(event.note.removeprefix(WITHDRAWN).partition(",")[0])
        for guest in self._kept.turned(self._house.clock.now()):
            due.setdefault(guest, Due()).moved = True
        return due

    async def _told(self, guest: str, due: Due, outcomes: Outcomes) -> Told | None:
        if due.erased:
            return self._erased(guest)
        before = self._kept.digests.get(guest)
        try:
            reading = await self._read(guest, 0 if due.moved else due.version, outcomes)
        except NotFound:
            return await self._gone(guest, due)
        answer, preferences = reading.answer, reading.answer.body["preferences"]
        self._kept.keep(guest, answer, self._house.clock.now(), digests=reading.digests)

        async def again() -> Told | None:
            self._still()
            self._kept.forget(guest, before)  # what changed is what changed since it was last told
            return await self._told(guest, due, outcomes)

        if before is None and not due.moved:  # it is not known what the caller was told before
            changed = visible(reading.catalogue, due.keys, preferences, access.surface_of(self._caller))
        else:
            changed = reading.changed(before or b"")
        purposes = [one for one in due.withdrawn if self._pursues(one)]
        if not (purposes or changed or (before is None and due.moved)):
            return None
        kind, more = ("consent_withdrawn", {"purposes": purposes}) if purposes else ("change", {})
        wire = reading.wire(kind, *changed, "", *purposes)
        data = {**answer.body, "changed": changed, **more}
        return Told(kind, data, self._event_place(), reading.until, again, wire)

    def _pursues(self, purpose: str) -> bool:
        """Whether the caller's surface had any use for this consent; others do not hear of it."""
        return purpose in access.pursued(access.surface_of(self._caller))

    def _erased(self, guest: str) -> Told:
        self._end(guest)
        return Told("erased", {"guest": guest}, self._event_place())

    async def _gone(self, guest: str, due: Due) -> Told | None:
        """The guest left, or is no more for this caller; whoever cannot have heard of them hears nothing."""
        told = guest in self._kept.digests or self._wanted.guest is not None
        if not told and self._since is not None and due.moved and not self._caller.stay:
            stays = (await self._house.store.stays_of([guest])).get(guest, [])
            now, place = self._house.clock.now(), self._wanted.property
            told = any(stay.property == place and not stay.is_open(now) for stay in stays)
        if told and await self._house.store.tombstone(self._house.digest_of(guest)) is not None:
            return self._erased(guest)  # read for a change that came before: what says so itself finds nobody here
        self._end(guest)
        return Told("gone", {"guest": guest}, self._event_place()) if told else None

    def _end(self, guest: str) -> None:
        self._kept.forget(guest)
        self._over = self._over or self._wanted.guest is not None

    def _cannot_tell(self, events: Iterable[FeedEvent]) -> bool:
        """Somebody of a property was erased while nobody listened: who that was is known nowhere any more, so the
        stream has to say who is left."""
        return any(event.kind is EventKind.ERASED and event.place == self._wanted.property for event in events)

    def _erased_one(self, event: FeedEvent) -> str | None:
        """Whom an erasure was of, for whoever was told of that guest; after a return, for whoever could have been."""
        house, caller, guest = self._house, self._caller, self._wanted.guest
        if guest is None:
            return next((known for known in self._kept.digests if house.digest_of(known) == event.guest), None)
        if house.digest_of(guest) != event.guest:
            return None
        if guest in self._kept.digests:
            return guest
        if access.is_bound(caller):
            return guest if event.place and access.belongs(caller, event.place) else None
        return guest if access.could_reach(caller, Act.READ_PREFERENCES, guest) else None

    # ------------------------------------------------------------ reading

    async def _read(self, guest: str, version: int, outcomes: Outcomes) -> Reading:
        """What applies to a guest now, as the caller may see it and is on record to have seen it. Raises NotFound."""
        house, caller = self._house, self._caller
        found = await house.readings.of(caller, self._wanted, guest, version)
        answer = await house.witness.preferences(caller, found.catalogue, found.answer, found.labels, outcomes)
        return found if answer is found.answer else found.withheld(answer)

    def _said(self, told: Told) -> Told:
        self._pulse.said_at = self._house.clock.now()
        return told

    def _event_place(self) -> str:
        return "" if self._wanted.guest is None else self._place()

    def _place(self) -> str:
        return write_place(self._cursor, self._house.clock.now())
