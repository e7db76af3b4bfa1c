"""Following one guest: what a stream tells, where to go on after it was cut, what to do where there is none."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from guestprefs_client.core import answers
from guestprefs_client.core.connection import Status
from guestprefs_client.core.effects import Flow, Local, Request, Response
from guestprefs_client.core.kept import Kept, Preferences, narrowed
from guestprefs_client.core.questions import Question
from guestprefs_client.core.reading import AWAY, Reader
from guestprefs_client.core.retries import AGAIN
from guestprefs_client.errors import GuestPrefsError, NotAllowed, NotFound, NothingKnown

EVENT_STREAM = "text/event-stream"
# The service says something at least every 15 seconds; who hears nothing for three times that long is not connected.
SILENCE_S = 45.0
# How many times as long a stream may take to begin as a connection to stand. Where the server answers and none begins,
# something in between waits for the end of what has none: it is asked for again later.
_BEGIN_TIMES = 2.5
_STREAMS_AGAIN_S = 600.0
PAUSE_FIRST_S, PAUSE_LONGEST_S = 0.5, 10.0
_DOUBLINGS_MAX = 16
_TELLING = ("change", "consent_withdrawn")
_PARTING = ("erased", "gone")


class Stuck(Exception):
    """No stream began in time."""


@dataclass(slots=True)
class Watch:
    """`last` is what was told last; `place` the id of the last event; `ended` once the guest is gone; `away` when the
    way or the server failed since anybody was told of it; `left` when the stream at hand is not to be read further;
    `renewed` when another token was had since a stream last told something; `streams_from` when the next stream may be
    tried, as time elapses."""

    reader: Reader
    asked: Question
    poll_s: float
    place: str = ""
    streams_from: float = 0.0
    ended: bool = False
    away: bool = False
    left: bool = False
    renewed: bool = False
    last: Preferences | None = None
    failures: int = 0
    _told: str = field(default="", repr=False)

    @property
    def over(self) -> bool:
        """Nothing more is told: the guest is gone, or the client is closed."""
        return self.ended or self.reader.wire.connection.status is Status.CLOSED

    @property
    def streams(self) -> bool:
        return self.reader.wire.clock.elapsed() >= self.streams_from

    @property
    def begin_s(self) -> float:
        return _BEGIN_TIMES * self.reader.wire.timeouts.connect

    @property
    def resting(self) -> bool:
        """The network is to be left alone."""
        return self.reader.wire.connection.offline

    def leave(self, _status: Status) -> bool:
        """Whether the network was to be left alone at any moment since the stream began, if only for that moment."""
        self.left = self.left or self.resting
        return self.left

    def request(self) -> Flow[Request]:
        """The stream's request, from where the last one ended."""
        self.left = False
        wire = self.reader.wire
        yield from wire.sign_in()
        params = [("guest", self.asked.guest)] + ([("property", self.asked.property)] if self.asked.property else [])
        headers = {"accept": EVENT_STREAM, "cache-control": "no-store"}
        if self.place:
            headers["last-event-id"] = self.place
        return wire.signed(Request("GET", "/v1/changes", tuple(params), headers))

    def refused(self, response: Response) -> Flow[None]:
        """What a stream was refused with: a way round it, patience, or the error. A 404 is about the guest or the whole
        route; reading says which."""
        wire = self.reader.wire
        if response.status == 401:
            if not self.renewed and (yield from wire.sign_in(renew=True)):
                self.renewed = True
                return
            yield from wire.turned_away()
        if response.status in AGAIN:
            self.away = True
            return
        if response.status == 404:
            yield from self.reader.read(self.asked)
            self.streams_from = math.inf
            return
        if 200 <= response.status < 300:
            self.streams_from = math.inf
            return
        error = answers.error_of(response, wire.clock.now())
        if isinstance(error, NotAllowed):
            for asked in (self.asked, replace(self.asked, keys=None)):
                yield Local(partial(self.reader.memory.forget_answer, asked))
        raise error

    def heard(self, event: str, data: str, place: str) -> Flow[list[Preferences]]:
        """What an event tells that was not told yet."""
        wire = self.reader.wire
        self.place, self.failures, self.renewed = place or self.place, 0, False
        wire.connection.reached()
        if event in _PARTING:
            yield Local(partial(self.reader.memory.wipe, self.asked.guest))
            self.ended = True
            return []
        if event == "resync":
            self.place = ""
        said = json.loads(data) if data else {}
        items = said.get("items", []) if event == "snapshot" else [said] if event in _TELLING else []
        found: list[Preferences] = []
        for item in items:
            if item.get("guest") == self.asked.guest:
                found += yield from self._told_of(item)
        return found

    def _told_of(self, item: Mapping[str, Any]) -> Flow[list[Preferences]]:
        wire, memory = self.reader.wire, self.reader.memory
        body = json.dumps({name: item[name] for name in item if name not in ("changed", "purposes")})
        kept = Kept.of(Response(200, {}, body.encode()), wire.clock.now())
        seen: int = yield Local(partial(memory.seen, self.asked.guest))
        yield Local(partial(memory.keep, replace(self.asked, keys=None), kept, memory.wipes))
        known = kept.told(from_cache=False, stale=kept.version < seen)
        wanted = known if self.asked.keys is None else narrowed(known, self.asked.keys)
        return self.news((yield from self.reader.laid_over(self.asked, wanted)))

    def news(self, known: Preferences) -> list[Preferences]:
        """The same again is no news: what a stream tells twice after it was cut, what a poll finds unchanged."""
        said = {key: one.model_dump(mode="json") for key, one in known.preferences.items()}
        shown = json.dumps([known.meta.stale, sorted(known.meta.pending_keys), said], sort_keys=True)
        if shown == self._told:
            return []
        self._told, self.last = shown, known
        return [known]

    def polled(self) -> Flow[list[Preferences]]:
        """One look, where there is no stream; nothing new while the server is away."""
        try:
            known = yield from self.reader.read(self.asked)
        except NotFound:
            if self.last is None:
                raise
            self.ended = True
            return []
        except (*AWAY, NothingKnown):
            return []
        return [] if known.meta.stale and self.last is not None else self.news(known)

    def stuck(self) -> Flow[list[Preferences]]:
        """No stream began in time: one look, and no stream for a while, if the server is there all the same."""
        wire = self.reader.wire
        try:
            there = not (yield from self.reader.read(self.asked)).meta.stale
        except (*AWAY, NothingKnown):
            there = False
        except GuestPrefsError:
            there = True  # looking says what of it
        if not there:
            self.cut()
            return []
        self.streams_from = wire.clock.elapsed() + _STREAMS_AGAIN_S
        return (yield from self.polled())

    def pause(self) -> float:
        """Seconds until the next try: a moment after a stream that told something, ever longer after failures."""
        chance = self.reader.wire.chance
        if not self.streams:
            return chance.between(0.5 * self.poll_s, 1.5 * self.poll_s)
        span = min(PAUSE_LONGEST_S, PAUSE_FIRST_S * 2 ** min(self.failures, _DOUBLINGS_MAX))
        self.failures += 1
        return chance.between(0.5 * span, 1.5 * span)

    def cut(self) -> None:
        self.away = True
        self.reader.wire.connection.failed(self.reader.wire.clock.elapsed())

    def known_last(self) -> Flow[list[Preferences]]:
        """For whoever has been told nothing yet: what was known last."""
        self.away = False
        if self.last is not None:
            return []
        if self.reader.wire.account is None:
            yield from self.reader.wire.sign_in()
        known = yield from self.reader.remembered(self.asked)
        return self.news(known) if known else []


def is_stream(status: int, headers: Mapping[str, str]) -> bool:
    return status == 200 and headers.get("content-type", "").startswith(EVENT_STREAM)
