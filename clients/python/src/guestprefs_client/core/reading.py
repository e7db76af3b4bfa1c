"""Reading: ask only for what changed, never older than what this client has seen, and the last known when off line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from guestprefs_client.core import answers, questions
from guestprefs_client.core.effects import Flow, Local, Response
from guestprefs_client.core.kept import Kept, Preferences, narrowed, overlaid
from guestprefs_client.core.memory import Memory
from guestprefs_client.core.outbox import Entry
from guestprefs_client.core.questions import Question
from guestprefs_client.core.wire import ONE_TRY, Wire
from guestprefs_client.errors import (
    GuestPrefsError,
    NotAllowed,
    NotFound,
    NothingKnown,
    RateLimited,
    ServerFailed,
    Unreachable,
)
from guestprefs_client.models import Batch

MIN_VERSION = "preferences-min-version"
# Failures of the way or of the server, not answers about the guest: what is known serves instead.
AWAY = (Unreachable, ServerFailed, RateLimited)


@dataclass(slots=True)
class Reader:
    wire: Wire
    memory: Memory

    def read(self, asked: Question, max_age: float = 0.0) -> Flow[Preferences]:
        """What applies. Asked of the server unless `max_age` allows what is known; the last known when it is away."""
        if self.wire.account is None:
            yield from self.wire.sign_in()
        now, wipes = self.wire.clock.now(), self.memory.wipes
        kept: Kept | None = yield Local(lambda: self.memory.answer(asked, now))
        seen: int = yield Local(lambda: self.memory.seen(asked.guest))
        if kept and max_age > 0 and kept.fresh(now, max_age, seen):
            return (yield from self.laid_over(asked, kept.told(from_cache=True, stale=False)))
        known = kept.told(from_cache=True, stale=True) if kept else (yield from self._wider(asked))
        connection = self.wire.connection
        if connection.offline or (known and not connection.worth_trying(self.wire.clock.elapsed())):
            nothing = NothingKnown(f"nothing is known about {asked.guest} off line")
            return (yield from self._last_known(asked, known, nothing))
        try:
            response = yield from self._ask(asked, kept, seen)
        except AWAY as error:
            return (yield from self._last_known(asked, known, error))
        return (yield from self._answered(asked, kept, response, wipes))

    def remembered(self, asked: Question) -> Flow[Preferences | None]:
        """What is remembered, without asking anybody."""
        now = self.wire.clock.now()
        kept: Kept | None = yield Local(lambda: self.memory.answer(asked, now))
        known = kept.told(from_cache=True, stale=True) if kept else (yield from self._wider(asked))
        return (yield from self.laid_over(asked, known)) if known else None

    def _ask(self, asked: Question, kept: Kept | None, seen: int) -> Flow[Response]:
        headers = {MIN_VERSION: str(seen)} if seen else {}
        if kept and kept.etag:
            headers["if-none-match"] = kept.etag
        request = replace(questions.reading(asked), headers=headers)
        retries = ONE_TRY if self.wire.connection.interrupted and kept else None
        return (yield from self.wire.exchange(request, retries))

    def _answered(self, asked: Question, kept: Kept | None, response: Response, wipes: int) -> Flow[Preferences]:
        now = self.wire.clock.now()
        if response.status == 304 and kept:
            same = kept.confirmed(response, now)
            yield Local(lambda: self.memory.keep(asked, same, wipes))
            return (yield from self.laid_over(asked, same.told(from_cache=True, stale=False)))
        if response.status == 200:
            fresh = Kept.of(response, now)
            yield Local(lambda: self.memory.keep(asked, fresh, wipes))
            return (yield from self.laid_over(asked, fresh.told(from_cache=False, stale=False)))
        error = answers.error_of(response, now)
        if isinstance(error, NotFound | NotAllowed):
            yield Local(partial(self.memory.forget_answer, asked))
        if isinstance(error, NotFound):
            yield from self.after_not_found(asked.guest, sure=not asked.narrow())
        raise error

    def after_not_found(self, guest: str, *, sure: bool) -> Flow[bool]:
        """Whether the guest is gone; then every trace goes too. A 404 may also be about a property, a stay or a scope:
        unless that is out of the question, the bare question is asked before anything of the guest is erased."""
        if not sure:
            response = yield from self.wire.exchange(questions.reading(Question(guest)))
            if response.status != 404 or not isinstance(answers.error_of(response), NotFound):
                return False
        yield Local(partial(self.memory.wipe, guest))
        return True

    def _wider(self, asked: Question) -> Flow[Preferences | None]:
        """A remembered answer about every key answers for some of them."""
        if asked.keys is None:
            return None
        now = self.wire.clock.now()
        kept: Kept | None = yield Local(lambda: self.memory.answer(replace(asked, keys=None), now))
        return narrowed(kept.told(from_cache=True, stale=True), asked.keys) if kept else None

    def _last_known(self, asked: Question, known: Preferences | None, error: GuestPrefsError) -> Flow[Preferences]:
        if known is None:
            raise error
        return (yield from self.laid_over(asked, known))

    def laid_over(self, asked: Question, known: Preferences) -> Flow[Preferences]:
        """With what waits of the user's own edits on top, as far as it was asked for."""
        waiting: list[Entry] = yield Local(lambda: self.memory.waiting(asked.guest))
        wanted = [
            (one.scope, {key: said for key, said in one.patch.items() if asked.keys is None or key in asked.keys})
            for one in waiting
        ]
        return overlaid(known, wanted)

    def prefetch(self, guests: Sequence[str], property: str, keys: tuple[str, ...] | None) -> Flow[list[Preferences]]:
        """Answers for many guests at once, kept for later; guests that cannot be seen are left out, and forgotten."""
        found: list[Preferences] = []
        for start in range(0, len(guests), questions.BATCH_MAX):
            some = guests[start : start + questions.BATCH_MAX]
            wipes, gone = self.memory.wipes, list[str]()
            response = yield from self.wire.exchange(questions.batch(some, property, keys))
            for item in answers.read(Batch, response).items:
                asked = Question(item.guest, property=property, keys=keys)
                if item.problem is not None:
                    if item.problem.status == 404:
                        gone.append(item.guest)
                    continue
                one = self._kept_of(item.model_dump_json(exclude_unset=True, by_alias=True), response)
                seen: int = yield Local(partial(self.memory.seen, item.guest))
                yield Local(partial(self.memory.keep, asked, one, wipes))
                told = one.told(from_cache=False, stale=one.version < seen)
                found.append((yield from self.laid_over(asked, told)))
            for guest in gone:
                yield Local(partial(self.memory.wipe, guest))
        return found

    def _kept_of(self, body: str, response: Response) -> Kept:
        as_one = Response(200, {**response.headers, "etag": ""}, body.encode())
        return Kept.of(as_one, self.wire.clock.now())
