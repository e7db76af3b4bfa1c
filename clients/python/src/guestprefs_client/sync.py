"""The client for plain code. Threads may share one."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import httpx2

from guestprefs_client.core import questions
from guestprefs_client.core.effects import (
    Credential,
    Effect,
    Flow,
    Local,
    Pause,
    Response,
    Send,
    Turn,
    Unreached,
)
from guestprefs_client.core.kept import Preferences
from guestprefs_client.core.outbox import DeadLetter, Entry, Flushed
from guestprefs_client.core.watching import SILENCE_S, Stuck, Watch, is_stream
from guestprefs_client.core.writing import Change, Edit
from guestprefs_client.errors import Unreachable
from guestprefs_client.models import Catalogue, Guest
from guestprefs_client.models import Change as HistoryChange
from guestprefs_client.ports import TokenSource
from guestprefs_client.surface import Surface

PAGE = 50


class GuestPrefs(Surface):
    """`with GuestPrefs("https://prefs.example", token) as client: client.get(guest)`"""

    def __init__(
        self, base_url: str, token: TokenSource | None = None, *, http: httpx2.Client | None = None, **options: Any
    ) -> None:
        super().__init__(base_url, token, **options)
        self._own_http = http is None
        self._http = http or httpx2.Client(follow_redirects=False)
        self._turn = threading.RLock()

    # ---- preferences ----

    def get(
        self,
        guest: str,
        *,
        property: str | None = None,
        stay: str | None = None,
        keys: Iterable[str] | None = None,
        at: datetime | None = None,
        trip: str | None = None,
        party: str | None = None,
        explain: bool = False,
        max_age: float = 0.0,
    ) -> Preferences:
        """What applies for a guest. While the server is away: the last known, with `meta.stale`.

        An answer at most `max_age` seconds old will do without asking, unless this client knows of a newer version.
        """
        asked = questions.question(guest, property, stay, keys, at, trip, party, explain)
        return self._run(self._engine.get(asked, max_age))

    def edit(
        self,
        guest: str,
        patch: Mapping[str, Any],
        *,
        scope: str = "profile",
        property: str | None = None,
        provenance: str | None = None,
        idempotency_key: str | None = None,
    ) -> Edit:
        """Set keys (None removes one). With an outbox the edit is kept, and `queued`, while the server is away."""
        more = {"property": property, "provenance": provenance, "idempotency_key": idempotency_key}
        return self._run(self._engine.edit(self._engine.entry(guest, patch, scope, **more)))

    def update(
        self,
        guest: str,
        change: Change,
        *,
        scope: str = "profile",
        property: str | None = None,
        stay: str | None = None,
        keys: Iterable[str] | None = None,
        exact: bool = False,
    ) -> Edit | None:
        """Read, let `change` say what to write, write it; when one of its keys changed meanwhile, ask it again."""
        asked = questions.question(guest, property, stay, keys)
        entry = self._engine.entry(guest, {}, scope, property=property)
        return self._run(self._engine.update(asked, change, entry, exact=exact))

    def watch(
        self,
        guest: str,
        *,
        property: str | None = None,
        keys: Iterable[str] | None = None,
        poll: float = 1.0,
    ) -> Iterator[Preferences]:
        """What applies now, and again whenever it is something else, until the guest is gone.

        A stream that is cut goes on where it was. Where the server has none, it is asked every `poll` seconds. Off line
        it tells once what was known, and waits for another thread to go back on line.
        """
        watch = self._engine.watch(questions.question(guest, property, keys=keys), poll)
        while not watch.over:
            if not watch.resting:
                yield from self._streamed(watch) if watch.streams else self._run(watch.polled())
            if watch.away or watch.resting:
                yield from self._run(watch.known_last())
            if watch.resting:
                self._rest(watch)
            elif not watch.over:
                self._options.clock.sleep(watch.pause())

    def _rest(self, watch: Watch) -> None:
        """Until it is on line again, or closed."""
        changed = threading.Event()
        unlisten = self.on_status(lambda _status: changed.set())
        try:
            while watch.resting and not watch.over:
                changed.wait()
                changed.clear()
        finally:
            unlisten()

    def _streamed(self, watch: Watch) -> Iterator[Preferences]:
        asked = self._run(watch.request())
        timeout = httpx2.Timeout(SILENCE_S, connect=self._options.timeouts.connect)
        url, params, headers = self._base_url + asked.path, asked.params, dict(asked.headers)
        request = self._http.build_request(asked.method, url, params=params, headers=headers, timeout=timeout)
        try:
            response = self._opened(watch, _Opening(self._http, request))
            if response is None:
                return
            with closing(response):
                if not is_stream(response.status_code, response.headers):
                    body = response.read()
                    self._run(watch.refused(Response(response.status_code, _lower(response.headers), body)))
                    return
                unlisten = self.on_status(lambda status: _hang_up(response) if watch.leave(status) else None)
                try:
                    events = iter(httpx2.EventSource(response))
                    while not watch.leave(self.status) and (event := next(events, None)) and not watch.left:
                        yield from self._run(watch.heard(event.event, event.data, event.id))
                        if watch.ended:
                            return
                finally:
                    unlisten()
        except Stuck:
            yield from self._run(watch.stuck())
        except (httpx2.TransportError, httpx2.SSEError):
            watch.cut()

    def _opened(self, watch: Watch, opening: _Opening) -> httpx2.Response | None:
        """The head of the answer; None as soon as the network is to be left alone."""
        unlisten = self.on_status(lambda status: opening.over.set() if watch.leave(status) else None)
        try:
            return None if watch.leave(self.status) else opening.wait(watch.begin_s)
        finally:
            unlisten()

    def prefetch(self, guests: Iterable[str], *, property: str, keys: Iterable[str] | None = None) -> list[Preferences]:
        """Answers for many guests at once, remembered for later; guests that cannot be seen are left out."""
        return self._run(self._engine.prefetch(guests, property, keys))

    def history(self, guest: str) -> Iterator[HistoryChange]:
        """Every change, newest first, asked for page by page."""
        cursor: str | None = None
        while True:
            page = self._run(self._engine.history(guest, cursor, PAGE))
            yield from page.changes
            cursor = page.next_cursor
            if cursor is None:
                return

    def revert(self, guest: str, version: int) -> Edit:
        """Undo what made this version, as a new version."""
        return self._run(self._engine.revert(guest, version))

    # ---- guests and the rest ----

    def guest(self, guest: str) -> Guest:
        """The whole document: identifiers, consents, entries by scope."""
        return self._run(self._engine.guest(guest))

    def find_guest(self, system: str, id: str) -> Guest:
        """The guest whom another system knows by this identifier."""
        return self._run(self._engine.find_guest(system, id))

    def create_guest(self, display_name: str = "", identifiers: Iterable[Mapping[str, str]] = ()) -> Guest:
        return self._run(self._engine.create_guest(display_name, identifiers))

    def catalogue(self) -> Catalogue:
        """Every key with its type, unit, range and labels."""
        return self._run(self._engine.catalogue())

    def call(self, method: str, path: str, *, params: Mapping[str, str] | None = None, body: Any = None) -> Any:
        """Any other call of the API, with the same tries, token and errors; what comes back is the JSON."""
        told = self._run(self._engine.any_call(method, path, params or {}, body))
        return json.loads(told) if told else None

    # ---- what waits, and what is remembered ----

    def flush(self, guest: str | None = None) -> Flushed:
        """Send waiting edits now."""
        return self._run(self._engine.flush(guest))

    def waiting(self, guest: str | None = None) -> Sequence[Entry]:
        """Edits that the server has not answered."""
        return self._run(self._engine.waiting(guest))

    def given_up(self, guest: str | None = None) -> Sequence[DeadLetter]:
        """Edits that came late and were refused, or lost against somebody else's."""
        return self._run(self._engine.given_up(guest))

    def discard(self, letter: DeadLetter) -> None:
        self._run(self._engine.discard(letter))

    def wipe(self, guest: str | None = None) -> None:
        """Erase every local trace of a guest, or of everybody."""
        self._run(self._engine.wipe(guest))

    # ---- doing what flows ask for ----

    def _run[T](self, flow: Flow[T]) -> T:
        heard: Any = None
        failed: BaseException | None = None
        while True:
            try:
                effect = flow.throw(failed) if failed else flow.send(heard)
            except StopIteration as ended:
                return ended.value  # type: ignore[no-any-return]
            heard, failed = None, None
            try:
                heard = self._do(effect)
            except Exception as error:  # noqa: BLE001 - the flow decides; what it does not catch comes out again
                failed = error

    def _do(self, effect: Effect) -> Any:
        match effect:
            case Send():
                return self._send(effect)
            case Pause(seconds):
                self._options.clock.sleep(seconds)
            case Local(call):
                return call()
            case Credential():
                return self._credential()
            case Turn(flow):
                with self._turn:
                    return self._run(flow)

    def _credential(self) -> str | None:
        source = self._token_source
        try:
            token: str | None = source() if callable(source) else source
            return token
        except (OSError, httpx2.TransportError) as error:
            raise Unreachable(f"no token: {error}") from error

    def _send(self, effect: Send) -> Response | Unreached:
        asked, clock = effect.request, self._options.clock
        until = clock.elapsed() + effect.total_s
        timeout = httpx2.Timeout(effect.total_s, connect=min(effect.connect_s, effect.total_s))
        try:
            with self._http.stream(
                asked.method,
                self._base_url + asked.path,
                params=list(asked.params),
                headers=dict(asked.headers),
                content=asked.body,
                timeout=timeout,
            ) as response:
                body = bytearray()
                for part in response.iter_bytes():
                    body += part
                    if clock.elapsed() > until:
                        return Unreached(f"no whole answer within {effect.total_s:g} s", timed_out=True)
                return Response(response.status_code, _lower(response.headers), bytes(body))
        except httpx2.TimeoutException as error:
            return Unreached(f"{type(error).__name__}: {error}", timed_out=True)
        except httpx2.TransportError as error:
            return Unreached(f"{type(error).__name__}: {error}")

    def close(self) -> None:
        self._engine.connection.close()
        if self._own_http:
            self._http.close()
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Opening:
    """A request whose answer a thread of its own waits for: there is no socket yet that could be shut, so whoever asked
    goes away without it once `over` is set, and what comes after that is closed."""

    def __init__(self, http: httpx2.Client, request: httpx2.Request) -> None:
        self._http, self._request = http, request
        self._turn, self._left = threading.Lock(), False
        self._response: httpx2.Response | None = None
        self._failed: Exception | None = None
        self.over = threading.Event()

    def wait(self, begin_s: float) -> httpx2.Response | None:
        """Raises what the request does, and Stuck."""
        threading.Thread(target=self._open, daemon=True).start()
        begun = False
        try:
            begun = self.over.wait(begin_s)
        finally:
            with self._turn:
                self._left = self._response is None
        if self._left and not begun:
            raise Stuck
        if self._failed is not None:
            raise self._failed
        return self._response

    def _open(self) -> None:
        try:
            response = self._http.send(self._request, stream=True)
        except Exception as error:  # noqa: BLE001 - it is raised where the answer is waited for
            self._failed = error
        else:
            with self._turn:
                self._response = None if self._left else response
            if self._response is None:
                response.close()
        self.over.set()


def _hang_up(response: httpx2.Response) -> None:
    """Let the thread that reads go on: closing alone would leave it waiting for the next byte."""
    stream = response.extensions.get("network_stream")
    connected: socket.socket | None = stream.get_extra_info("socket") if stream else None
    if connected is not None:
        with suppress(OSError):
            connected.shutdown(socket.SHUT_RDWR)


def _lower(headers: httpx2.Headers) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
