"""One call over the network: token, deadline, tries, and what the connection learns from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from guestprefs_client.core import answers
from guestprefs_client.core.connection import Connection
from guestprefs_client.core.effects import Credential, Flow, Local, Pause, Request, Response, Send, Unreached
from guestprefs_client.core.memory import Memory
from guestprefs_client.core.retries import AGAIN, Retries, Timeouts
from guestprefs_client.errors import NothingKnown
from guestprefs_client.ports import Chance, Clock

KEY = "idempotency-key"
ONE_TRY = Retries(tries=1)
# Not now, whoever asks. A 500 is about one request.
BUSY = frozenset({429, 502, 503, 504})


@dataclass(slots=True)
class Wire:
    clock: Clock
    chance: Chance
    connection: Connection
    memory: Memory
    timeouts: Timeouts = field(default_factory=Timeouts)
    retries: Retries = field(default_factory=Retries)
    headers: Mapping[str, str] = field(default_factory=dict)
    account: str | None = None
    _token: str | None = None
    _signed_in: bool = False

    def sign_in(self, *, renew: bool = False) -> Flow[bool]:
        """Have a token; whether it is another one than before."""
        if self._signed_in and not renew:
            return False
        token = yield Credential(renew)
        changed = bool(token != self._token)
        self._token, self._signed_in = token, True
        self.memory.account = self.account or answers.account_of(token)
        return changed

    def exchange(self, request: Request, retries: Retries | None = None) -> Flow[Response]:
        """The answer, whatever it says, as long as the server itself gave one; else an error."""
        if self.connection.offline:
            raise NothingKnown("the client is off line")
        yield from self.sign_in()
        response = yield from self._tried(request, retries or self.retries)
        if response.status == 401 and (yield from self.sign_in(renew=True)):
            response = yield from self._tried(request, retries or self.retries)
        if response.status == 401:
            yield from self.turned_away()
        return response

    def turned_away(self) -> Flow[None]:
        """Nobody may go on reading what was answered to someone who is not let in any more. Edits wait."""
        self.connection.reached(let_in=False)
        yield Local(self.memory.forget_answers)

    def _tried(self, request: Request, retries: Retries) -> Flow[Response]:
        until = self.clock.elapsed() + retries.deadline
        tried = 0
        while True:
            tried += 1
            left = until - self.clock.elapsed()
            heard: Response | Unreached = yield Send(
                self.signed(request), self.timeouts.connect, min(self.timeouts.total, left)
            )
            after = answers.retry_after(heard, self.clock.now()) if isinstance(heard, Response) else None
            left = until - self.clock.elapsed()
            pause = retries.next_pause(heard, tried, left, after, self.chance)
            if pause is not None:
                yield Pause(pause)
                continue
            if isinstance(heard, Unreached):
                self.connection.failed(self.clock.elapsed())
                raise answers.error_of_silence(heard, request.headers.get(KEY, ""))
            if heard.status in BUSY:
                self.connection.failed(self.clock.elapsed(), after)
            elif heard.status != 401:
                self.connection.reached()
            if heard.status in AGAIN:
                raise answers.error_of(heard, self.clock.now())
            return heard

    def signed(self, request: Request) -> Request:
        sent = {"accept": "application/json", **self.headers, **request.headers}
        if self._token:
            sent["authorization"] = f"Bearer {self._token}"
        return replace(request, headers=sent)

    def once(self, request: Request, key: str | None = None) -> Request:
        """The same request, done once however often it is sent."""
        return replace(request, headers={**request.headers, KEY: key or self.chance.key()})
