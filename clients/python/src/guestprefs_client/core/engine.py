"""All calls of the client as flows: what both shells offer, in one place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel

from guestprefs_client.core import answers, questions
from guestprefs_client.core.connection import Connection
from guestprefs_client.core.effects import Flow, Local, Request
from guestprefs_client.core.kept import Preferences
from guestprefs_client.core.memory import Memory
from guestprefs_client.core.outbox import DeadLetter, Entry, Flushed, Judge
from guestprefs_client.core.questions import Question
from guestprefs_client.core.reading import Reader
from guestprefs_client.core.retries import Retries, Timeouts
from guestprefs_client.core.watching import Watch
from guestprefs_client.core.wire import Wire
from guestprefs_client.core.writing import Change, Edit, Writer, keep_theirs
from guestprefs_client.errors import NotFound
from guestprefs_client.models import Catalogue, Edited, Guest, History
from guestprefs_client.ports import Chance, Clock, Store

AGENT = "guestprefs-client-python/0.1.0"


@dataclass(frozen=True, slots=True)
class Options:
    """How a client behaves; the same for both shells. README.md says what each is for."""

    store: Store
    clock: Clock
    chance: Chance
    timeouts: Timeouts = Timeouts()
    retries: Retries = Retries()
    outbox: bool = False
    offline: bool = False
    language: str | None = None
    account: str | None = None
    on_conflict: Judge = keep_theirs


class Engine:
    def __init__(self, options: Options) -> None:
        headers = {"user-agent": AGENT}
        if options.language:
            headers["accept-language"] = options.language
        self.chance, self.clock = options.chance, options.clock
        self.connection = Connection(options.chance, offline=options.offline)
        self.memory = Memory(options.store, options.language)
        self.memory.account = options.account or ""
        self.wire = Wire(
            options.clock,
            options.chance,
            self.connection,
            self.memory,
            options.timeouts,
            options.retries,
            headers,
            options.account,
        )
        self.reader = Reader(self.wire, self.memory)
        self.writer = Writer(self.wire, self.memory, self.reader, options.outbox, options.on_conflict)

    # ---- preferences ----

    def get(self, asked: Question, max_age: float = 0.0) -> Flow[Preferences]:
        yield from self.writer.flush_due()
        return (yield from self.reader.read(asked, max_age))

    def watch(self, asked: Question, poll_s: float) -> Watch:
        return Watch(self.reader, asked, poll_s)

    def entry(self, guest: str, patch: Mapping[str, Any], scope: str, **more: Any) -> Entry:
        given = {name: value for name, value in more.items() if value is not None}
        id = given.pop("idempotency_key", None) or self.chance.key()
        return Entry(id, guest, dict(patch), scope, made_at=self.clock.now(), **given)

    def edit(self, entry: Entry) -> Flow[Edit]:
        return (yield from self.writer.edit(entry))

    def update(self, asked: Question, change: Change, entry: Entry, *, exact: bool = False) -> Flow[Edit | None]:
        yield from self.writer.flush_due()
        return (yield from self.writer.update(asked, change, entry, exact=exact))

    def prefetch(
        self, guests: Iterable[str], property: str, keys: Iterable[str] | None = None
    ) -> Flow[list[Preferences]]:
        wanted = tuple(sorted(set(keys))) if keys is not None else None
        return (yield from self.reader.prefetch(list(dict.fromkeys(guests)), property, wanted))

    def revert(self, guest: str, version: int) -> Flow[Edit]:
        request = self.wire.once(questions.posting(questions.path("guests", guest, "history", str(version), "revert")))
        edited = yield from self.call(Edited, request)
        yield Local(partial(self.memory.saw, guest, edited.version))
        return Edit(guest, request.headers["idempotency-key"], False, edited.version, edited.preferences, edited)

    # ---- guests and the rest ----

    def guest(self, guest: str) -> Flow[Guest]:
        response = yield from self.wire.exchange(Request("GET", questions.path("guests", guest)))
        try:
            return answers.read(Guest, response)
        except NotFound:
            yield from self.reader.after_not_found(guest, sure=False)
            raise

    def find_guest(self, system: str, id: str) -> Flow[Guest]:
        return (yield from self.call(Guest, Request("GET", "/v1/guests", (("system", system), ("id", id)))))

    def create_guest(self, display_name: str, identifiers: Iterable[Mapping[str, str]]) -> Flow[Guest]:
        body = {"display_name": display_name, "identifiers": [dict(one) for one in identifiers]}
        return (yield from self.call(Guest, self.wire.once(questions.posting("/v1/guests", body))))

    def history(self, guest: str, cursor: str | None, limit: int) -> Flow[History]:
        params = (("limit", str(limit)), *((("cursor", cursor),) if cursor else ()))
        return (yield from self.call(History, Request("GET", questions.path("guests", guest, "history"), params)))

    def catalogue(self) -> Flow[Catalogue]:
        return (yield from self.call(Catalogue, Request("GET", "/v1/catalogue")))

    def call[M: BaseModel](self, shape: type[M], request: Request) -> Flow[M]:
        return answers.read(shape, (yield from self.wire.exchange(request)))

    def any_call(self, method: str, path: str, params: Mapping[str, str], body: Any) -> Flow[bytes]:
        """A call that has no method of its own yet; a write is done once however often it is sent."""
        encoded = None if body is None else questions.encoded(body)
        kind = questions.MERGE_PATCH if method == "PATCH" else questions.JSON
        headers = {} if encoded is None else {"content-type": kind}
        request = Request(method, quote(path, safe="/%"), tuple(params.items()), headers, encoded)
        if method != "GET":
            request = self.wire.once(request)
        response = yield from self.wire.exchange(request)
        if response.status >= 300:
            raise answers.error_of(response, self.clock.now())
        return response.body

    # ---- what waits, and what is remembered ----

    def flush(self, guest: str | None = None) -> Flow[Flushed]:
        return (yield from self.writer.flush(guest))

    def waiting(self, guest: str | None = None) -> Flow[Sequence[Entry]]:
        return (yield from self._remembered(partial(self.memory.waiting, guest)))

    def given_up(self, guest: str | None = None) -> Flow[Sequence[DeadLetter]]:
        return (yield from self._remembered(partial(self.memory.given_up, guest)))

    def discard(self, letter: DeadLetter) -> Flow[None]:
        yield from self._remembered(partial(self.memory.discard, letter))

    def wipe(self, guest: str | None = None) -> Flow[None]:
        """Erase every local trace of a guest, or of everybody."""
        yield Local(partial(self.memory.wipe, guest))

    def _remembered[T](self, ask: Callable[[], T]) -> Flow[T]:
        if self.wire.account is None:
            yield from self.wire.sign_in()
        told: T = yield Local(ask)
        return told
