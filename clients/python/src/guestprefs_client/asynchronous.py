"""The client for asynchronous code, on asyncio or trio. Tasks of one loop may share one."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import Any, Self

import anyio
import anyio.to_thread
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
from guestprefs_client.ports import AsyncTokenSource
from guestprefs_client.surface import Surface

PAGE = 50


class AsyncGuestPrefs(Surface):
    """`async with AsyncGuestPrefs("https://prefs.example", token) as client: await client.get(guest)`"""

    def __init__(
        self,
        base_url: str,
        token: AsyncTokenSource | None = None,
        *,
        http: httpx2.AsyncClient | None = None,
        **options: Any,
    ) -> None:
        super().__init__(base_url, token, **options)
        self._own_http = http is None
        self._http = http or httpx2.AsyncClient(follow_redirects=False)
        self._turn = anyio.Lock()

    # ---- preferences ----

    async def get(
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
        return await self._run(self._engine.get(asked, max_age))

    async def edit(
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
        return await self._run(self._engine.edit(self._engine.entry(guest, patch, scope, **more)))

    async def update(
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
        return await self._run(self._engine.update(asked, change, entry, exact=exact))

    async def watch(
        self,
        guest: str,
        *,
        property: str | None = None,
        keys: Iterable[str] | None = None,
        poll: float = 1.0,
    ) -> AsyncIterator[Preferences]:
        """What applies now, and again whenever it is something else, until the guest is gone.

        A stream that is cut goes on where it was. Where the server has none, it is asked every `poll` seconds. Off line
        it tells once what was known, and waits until this loop goes back on line.
        """
        watch = self._engine.watch(questions.question(guest, property, keys=keys), poll)
        while not watch.over:
            if not watch.resting and watch.streams:
                async for known in self._streamed(watch):
                    yield known
            elif not watch.resting:
                for known in await self._run(watch.polled()):
                    yield known
            if watch.away or watch.resting:
                for known in await self._run(watch.known_last()):
                    yield known
            if watch.resting:
                await self._rest(watch)
            elif not watch.over:
                await self._options.clock.sleep_async(watch.pause())

    async def _rest(self, watch: Watch) -> None:
        """Until it is on line again, or closed."""
        while watch.resting and not watch.over:
            changed = anyio.Event()
            unlisten = self.on_status(lambda _status, changed=changed: changed.set())  # type: ignore[misc]
            try:
                await changed.wait()
            finally:
                unlisten()

    async def _streamed(self, watch: Watch) -> AsyncIterator[Preferences]:
        asked = await self._run(watch.request())
        timeout = httpx2.Timeout(SILENCE_S, connect=self._options.timeouts.connect)
        url, params, headers = self._base_url + asked.path, asked.params, dict(asked.headers)
        stream = self._http.stream(asked.method, url, params=params, headers=headers, timeout=timeout)
        try:
            async with AsyncExitStack() as opened:
                response = await self._begun(watch, partial(opened.enter_async_context, stream))
                if response is None:
                    return
                if not is_stream(response.status_code, response.headers):
                    body = await response.aread()
                    await self._run(watch.refused(Response(response.status_code, _lower(response.headers), body)))
                    return
                unlisten = self._engine.connection.listen(watch.leave)
                try:
                    events = aiter(httpx2.EventSource(response))
                    while event := await self._unless_left(watch, partial(anext, events, None)):
                        for known in await self._run(watch.heard(event.event, event.data, event.id)):
                            yield known
                        if watch.ended:
                            return
                finally:
                    unlisten()
        except Stuck:
            for known in await self._run(watch.stuck()):
                yield known
        except (httpx2.TransportError, httpx2.SSEError):
            watch.cut()

    async def _begun[T](self, watch: Watch, coming: Callable[[], Awaitable[T]]) -> T | None:
        try:
            with anyio.fail_after(watch.begin_s):
                return await self._unless_left(watch, coming)
        except TimeoutError:
            raise Stuck from None

    async def _unless_left[T](self, watch: Watch, coming: Callable[[], Awaitable[T]]) -> T | None:
        """What comes; None as soon as the network is to be left alone."""
        with anyio.CancelScope() as waiting:
            unlisten = self.on_status(lambda status: waiting.cancel() if watch.leave(status) else None)
            try:
                return None if watch.leave(self.status) else await coming()
            finally:
                unlisten()
        return None

    async def prefetch(
        self, guests: Iterable[str], *, property: str, keys: Iterable[str] | None = None
    ) -> list[Preferences]:
        """Answers for many guests at once, remembered for later; guests that cannot be seen are left out."""
        return await self._run(self._engine.prefetch(guests, property, keys))

    async def history(self, guest: str) -> AsyncIterator[HistoryChange]:
        """Every change, newest first, asked for page by page."""
        cursor: str | None = None
        while True:
            page = await self._run(self._engine.history(guest, cursor, PAGE))
            for change in page.changes:
                yield change
            cursor = page.next_cursor
            if cursor is None:
                return

    async def revert(self, guest: str, version: int) -> Edit:
        """Undo what made this version, as a new version."""
        return await self._run(self._engine.revert(guest, version))

    # ---- guests and the rest ----

    async def guest(self, guest: str) -> Guest:
        """The whole document: identifiers, consents, entries by scope."""
        return await self._run(self._engine.guest(guest))

    async def find_guest(self, system: str, id: str) -> Guest:
        """The guest whom another system knows by this identifier."""
        return await self._run(self._engine.find_guest(system, id))

    async def create_guest(self, display_name: str = "", identifiers: Iterable[Mapping[str, str]] = ()) -> Guest:
        return await self._run(self._engine.create_guest(display_name, identifiers))

    async def catalogue(self) -> Catalogue:
        """Every key with its type, unit, range and labels."""
        return await self._run(self._engine.catalogue())

    async def call(self, method: str, path: str, *, params: Mapping[str, str] | None = None, body: Any = None) -> Any:
        """Any other call of the API, with the same tries, token and errors; what comes back is the JSON."""
        told = await self._run(self._engine.any_call(method, path, params or {}, body))
        return json.loads(told) if told else None

    # ---- what waits, and what is remembered ----

    async def flush(self, guest: str | None = None) -> Flushed:
        """Send waiting edits now."""
        return await self._run(self._engine.flush(guest))

    async def waiting(self, guest: str | None = None) -> Sequence[Entry]:
        """Edits that the server has not answered."""
        return await self._run(self._engine.waiting(guest))

    async def given_up(self, guest: str | None = None) -> Sequence[DeadLetter]:
        """Edits that came late and were refused, or lost against somebody else's."""
        return await self._run(self._engine.given_up(guest))

    async def discard(self, letter: DeadLetter) -> None:
        await self._run(self._engine.discard(letter))

    async def wipe(self, guest: str | None = None) -> None:
        """Erase every local trace of a guest, or of everybody."""
        await self._run(self._engine.wipe(guest))

    # ---- doing what flows ask for ----

    async def _run[T](self, flow: Flow[T]) -> T:
        heard: Any = None
        failed: BaseException | None = None
        while True:
            try:
                effect = flow.throw(failed) if failed else flow.send(heard)
            except StopIteration as ended:
                return ended.value  # type: ignore[no-any-return]
            heard, failed = None, None
            try:
                heard = await self._do(effect)
            except Exception as error:  # noqa: BLE001 - the flow decides; what it does not catch comes out again
                failed = error

    async def _do(self, effect: Effect) -> Any:
        match effect:
            case Send():
                return await self._send(effect)
            case Pause(seconds):
                await self._options.clock.sleep_async(seconds)
            case Local(call):
                return await anyio.to_thread.run_sync(call) if self._store.blocking else call()
            case Credential():
                return await self._credential()
            case Turn(flow):
                async with self._turn:
                    return await self._run(flow)

    async def _credential(self) -> str | None:
        source = self._token_source
        try:
            token = source() if callable(source) else source
            told: str | None = await token if isinstance(token, Awaitable) else token
            return told
        except (OSError, httpx2.TransportError) as error:
            raise Unreachable(f"no token: {error}") from error

    async def _send(self, effect: Send) -> Response | Unreached:
        asked = effect.request
        timeout = httpx2.Timeout(effect.total_s, connect=min(effect.connect_s, effect.total_s))
        try:
            with anyio.fail_after(effect.total_s):
                response = await self._http.request(
                    asked.method,
                    self._base_url + asked.path,
                    params=list(asked.params),
                    headers=dict(asked.headers),
                    content=asked.body,
                    timeout=timeout,
                )
            return Response(response.status_code, _lower(response.headers), response.content)
        except TimeoutError:
            return Unreached(f"no whole answer within {effect.total_s:g} s", timed_out=True)
        except httpx2.TimeoutException as error:
            return Unreached(f"{type(error).__name__}: {error}", timed_out=True)
        except httpx2.TransportError as error:
            return Unreached(f"{type(error).__name__}: {error}")

    async def close(self) -> None:
        self._engine.connection.close()
        if self._own_http:
            await self._http.aclose()
        self._store.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _lower(headers: httpx2.Headers) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
