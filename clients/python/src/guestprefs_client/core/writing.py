"""Writing: at once, merged with what others changed, or through the outbox when the server is away."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from guestprefs_client.core import answers, outbox, questions
from guestprefs_client.core.effects import Flow, Local, Request, Response, Turn
from guestprefs_client.core.kept import Preferences
from guestprefs_client.core.memory import Memory, UnderWay
from guestprefs_client.core.outbox import DeadLetter, Entry, Flushed, Judge, Side
from guestprefs_client.core.questions import Question
from guestprefs_client.core.reading import AWAY, Reader
from guestprefs_client.core.wire import Wire
from guestprefs_client.errors import (
    Conflict,
    GuestPrefsError,
    Invalid,
    NotFound,
    ProblemError,
    RateLimited,
    ServerFailed,
    Unauthenticated,
    Unavailable,
    Unreachable,
    VersionMoved,
)
from guestprefs_client.models import Edited, Preference

BASE_VERSION, IF_MATCH = "preferences-base-version", "if-match"
EDIT_LASTS_S = 7 * 86_400.0
PAUSE_FIRST_S, PAUSE_LONGEST_S = 1.0, 60.0
_DOUBLINGS_MAX = 16
MERGES_MAX = 3

type Change = Callable[[Preferences], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Edit:
    """What became of an edit: stored with a version and the touched keys as they apply now, or queued."""

    guest: str
    id: str
    queued: bool
    version: int | None = None
    preferences: Mapping[str, Preference] = field(default_factory=dict)
    answer: Edited | None = None


def keep_theirs(_conflict: Any) -> Side:
    return Side.THEIRS


@dataclass(slots=True)
class _Tally:
    done: dict[str, Edited] = field(default_factory=dict)
    dead: list[DeadLetter] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    errors: dict[str, GuestPrefsError] = field(default_factory=dict)


@dataclass(slots=True)
class Writer:
    wire: Wire
    memory: Memory
    reader: Reader
    queues: bool = False
    judge: Judge = keep_theirs

    # ---- one edit ----

    def edit(self, entry: Entry) -> Flow[Edit]:
        """Store an edit now or raise; with an outbox it is written down first, and stays there when nobody answers."""
        if not self.queues:
            return (yield from self._edit_now(entry, {}))
        if self.wire.account is None:
            yield from self.wire.sign_in()
        edit: Edit = yield Turn(self._edit_by_outbox(entry))
        return edit

    def _edit_by_outbox(self, entry: Entry) -> Flow[Edit]:
        seen: int = yield Local(partial(self.memory.seen, entry.guest))
        based = replace(entry, base=entry.base if entry.base is not None else seen or None)
        kept: Entry = yield Local(partial(self.memory.enqueue, based))
        alone = kept.edits == 1
        tally = yield from self._flush(entry.guest, fresh=kept.id if alone else "")
        if kept.id in tally.errors:
            for letter in tally.dead if alone else ():
                if letter.id == kept.id:  # whoever made it hears of it now, and no inbox has to say it again
                    yield Local(partial(self.memory.discard, letter))
            raise tally.errors[kept.id]
        if kept.id in tally.done:
            return _stored(kept.id, tally.done[kept.id])
        return Edit(entry.guest, kept.id, queued=True)

    def _edit_now(self, entry: Entry, conditions: Mapping[str, str]) -> Flow[Edit]:
        under_way = self.memory.begin(entry.guest)
        try:
            response = yield from self.wire.exchange(_request(entry, conditions))
            return _stored(entry.id, (yield from self._edited(entry, response, under_way)))
        finally:
            self.memory.end(under_way)

    def _edited(self, entry: Entry, response: Response, under_way: UnderWay) -> Flow[Edited]:
        if response.status == 404:
            error = answers.error_of(response)
            if isinstance(error, NotFound):
                yield from self.reader.after_not_found(entry.guest, sure=_about_guest(entry))
            raise error
        edited = answers.read(Edited, response)
        yield Local(partial(self.memory.made, under_way, edited.version))
        return edited

    # ---- read, change, write ----

    def update(self, asked: Question, change: Change, entry: Entry, *, exact: bool = False) -> Flow[Edit | None]:
        """`change` says what to write, given what applies. When one of its keys changed meanwhile (any key, if `exact`)
        it is asked again with what applies now. Nothing to write is no write."""
        for attempt in range(MERGES_MAX + 1):
            known = yield from self.reader.read(asked)
            patch = dict(change(known))
            if not patch:
                return None
            wanted = replace(entry, patch=patch, base=known.version, guarded=True)
            if self.queues and (known.meta.stale or known.meta.pending_writes):
                return (yield from self.edit(wanted))
            condition = {IF_MATCH: f'"{known.version}.0"'} if exact else {BASE_VERSION: str(known.version)}
            try:
                return (yield from self._edit_now(wanted, condition))
            except (Conflict, VersionMoved) as error:
                if attempt == MERGES_MAX or error.current_version is None:
                    raise
                # The next read has to be at least as new as what this one collided with.
                yield Local(partial(self.memory.saw, entry.guest, error.current_version))
            except AWAY:
                if not self.queues:
                    raise
                return (yield from self.edit(replace(wanted, tried=1)))
        raise AssertionError("unreachable: the last attempt returns or raises")

    # ---- the outbox ----

    def flush_due(self) -> Flow[None]:
        """Send what waits if its time has come and the server is worth trying."""
        if not self.queues or not self.wire.connection.worth_trying(self.wire.clock.elapsed()):
            return
        waiting: list[Entry] = yield Local(self.memory.waiting)
        now = self.wire.clock.now()
        # A clock that was set back must not hold anything up.
        if any(entry.next_at <= now or now < entry.made_at for entry in waiting):
            yield Turn(self._flush(None))

    def flush(self, guest: str | None = None) -> Flow[Flushed]:
        """Send what waits, in the order in which it was made for each guest."""
        if self.wire.account is None:
            yield from self.wire.sign_in()
        tally: _Tally = yield Turn(self._flush(guest, asked_for=True))
        left: list[Entry] = yield Local(partial(self.memory.waiting, guest))
        return Flushed(tally.done, tally.dead, tally.gone, len(left))

    def _flush(self, guest: str | None, *, asked_for: bool = False, fresh: str = "") -> Flow[_Tally]:
        """`fresh` is the entry that is made this moment: what it says is meant to stand, whatever was said before. All
        others come late, and say what they were made on."""
        tally = _Tally()
        held = set[str]()
        waiting: list[Entry] = yield Local(partial(self.memory.waiting, guest))
        for entry in waiting:
            if entry.guest in held or entry.guest in tally.gone:
                continue
            connection = self.wire.connection
            if connection.offline or not (asked_for or connection.worth_trying(self.wire.clock.elapsed())):
                break
            late = entry.id != fresh or entry.tried > 0 or entry.guarded
            try:
                yield from self._settle(entry, tally, late=late)
            except (Unreachable, RateLimited, Unavailable, Unauthenticated) as error:
                yield from self._postpone(entry, error)
                break
            except ServerFailed as error:
                yield from self._postpone(entry, error)
                held.add(entry.guest)
        return tally

    def _settle(self, entry: Entry, tally: _Tally, *, late: bool) -> Flow[None]:
        """Bring one entry to its end: done, given up, or gone with its guest. Raises what only time can mend."""
        given: Entry | None = entry
        while given is not None:
            now = self.wire.clock.now()
            if now - given.made_at > EDIT_LASTS_S:
                yield from self._give_up(given, outbox.dead(given, "EXPIRED", "waited for too long"), tally)
                return
            standing = yield from self._as_it_stands(given)
            if standing is None:  # wiped while the ones before it were sent
                return
            given = replace(standing, tried=given.tried + 1)
            yield Local(partial(self.memory.put_entry, given))
            conditions = {BASE_VERSION: str(given.base)} if given.base is not None and late else {}
            response = yield from self.wire.exchange(_request(given, conditions))
            if 200 <= response.status < 300:
                yield from self._done(given, answers.read(Edited, response), tally)
                return
            error = answers.error_of(response, now)
            given = yield from self._after_error(given, error, tally)

    def _as_it_stands(self, entry: Entry) -> Flow[Entry | None]:
        """The entry with what the store has of it now: versions that our own earlier edits made may have been added."""
        waiting: list[Entry] = yield Local(partial(self.memory.waiting, entry.guest))
        found = next((one for one in waiting if one.id == entry.id), None)
        return replace(entry, own_versions=found.own_versions) if found else None

    def _done(self, entry: Entry, edited: Edited, tally: _Tally) -> Flow[None]:
        tally.done[entry.id] = edited
        behind: list[Entry] = yield Local(partial(self.memory.waiting, entry.guest))
        if all(other.id != entry.id for other in behind):
            return  # wiped meanwhile: nothing of it is written down again
        yield Local(partial(self.memory.saw, entry.guest, edited.version))
        for other in behind:
            if other.id != entry.id:
                own = replace(other, own_versions=(*other.own_versions, edited.version))
                yield Local(partial(self.memory.put_entry, own))
        yield Local(partial(self.memory.drop_entry, entry))

    def _after_error(self, entry: Entry, error: GuestPrefsError, tally: _Tally) -> Flow[Entry | None]:
        """What is still to be sent after a refusal. The server keeps no key of what it refused, so the id stays."""
        if isinstance(error, Unauthenticated):
            raise error
        if isinstance(error, NotFound) and (
            yield from self.reader.after_not_found(entry.guest, sure=_about_guest(entry))
        ):
            tally.gone.append(entry.guest)
            tally.errors[entry.id] = error
            return None
        if (yield from self._as_it_stands(entry)) is None:  # wiped meanwhile: nothing of it is written down again
            tally.errors[entry.id] = error
            return None
        if (
            isinstance(error, VersionMoved)
            and error.current_version is not None
            and error.current_version != entry.base
        ):
            # The server is behind what we saw: it was restored from an older state.
            yield Local(partial(self.memory.saw_last, entry.guest, error.current_version))
            return replace(entry, base=error.current_version)
        if isinstance(error, Conflict) and error.conflicts:
            settled = outbox.after_conflict(entry, error.conflicts, error.current_version, self.judge)
        elif isinstance(error, Invalid):
            settled = outbox.after_refusal(entry, error.faults, error.code, error.problem.detail)
        else:
            code = error.code if isinstance(error, ProblemError) else "REFUSED"
            settled = outbox.Settled(entry.without(set(entry.patch)), outbox.dead(entry, code, str(error)))
        if settled.lost is not None:
            yield from self._give_up(entry, settled.lost, tally, keep=bool(settled.entry.patch), error=error)
        elif not settled.entry.patch:
            yield Local(partial(self.memory.drop_entry, entry))
        return settled.entry if settled.entry.patch else None

    def _give_up(
        self,
        entry: Entry,
        letter: DeadLetter,
        tally: _Tally,
        *,
        keep: bool = False,
        error: GuestPrefsError | None = None,
    ) -> Flow[None]:
        tally.dead.append(letter)
        if error is not None:
            tally.errors[entry.id] = error
        yield Local(partial(self.memory.give_up, letter))
        if not keep:
            yield Local(partial(self.memory.drop_entry, entry))

    def _postpone(self, entry: Entry, error: ProblemError | Unreachable) -> Flow[None]:
        after = error.retry_after if isinstance(error, ProblemError) else None
        span = min(PAUSE_LONGEST_S, PAUSE_FIRST_S * 2 ** min(entry.tried, _DOUBLINGS_MAX))
        pause = max(self.wire.chance.between(0.5 * span, 1.5 * span), after or 0.0)
        now = self.wire.clock.now()
        waiting: list[Entry] = yield Local(partial(self.memory.waiting, entry.guest))
        for other in waiting:
            if other.id == entry.id:
                yield Local(partial(self.memory.put_entry, replace(other, next_at=now + pause)))


def _request(entry: Entry, conditions: Mapping[str, str]) -> Request:
    request = questions.patching(entry.guest, entry.patch, entry.scope, entry.property, entry.provenance)
    return replace(request, headers={**request.headers, "idempotency-key": entry.id, **conditions})


def _stored(id: str, edited: Edited) -> Edit:
    return Edit(edited.guest, id, False, edited.version, edited.preferences, edited)


def _about_guest(entry: Entry) -> bool:
    """Whether a 404 can be about nothing but the guest."""
    return entry.scope == "profile" and entry.property is None
