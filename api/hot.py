"""The hot read: effective preferences that lie ready in this process, sent before FastAPI is asked at all.

Top to bottom: is it the one call this file knows, may the answer be told to this caller this moment, send it. Whatever
is unusual in any way goes on to the typed route, which answers it, refuses it, or lays down the answer for the next
time. So nothing is decided here that is not decided there, and the tests hold the two to the same bytes.
"""

from datetime import datetime
from time import perf_counter
from typing import Any

from starlette.types import Scope, Send
from uuid_utils import uuid7

from api.auth import Verifier
from api.middleware import GIVEN_ID
from api.prepared import PATH_END, PATH_START, ROUTE, PreparedAnswer, name_of
from api.schemas.representations import is_known
from prefs import telemetry
from prefs.ports import Tiers

ID_LENGTH = 36
PATH_LENGTH = len(PATH_START) + ID_LENGTH + len(PATH_END)
VERSION_DIGITS_MAX = 15
_GUEST = slice(len(PATH_START), len(PATH_START) + ID_LENGTH)
_BEARER = b"Bearer "

# What this file leaves to the typed route: a wish for a fresher answer, and a body where none is expected. A request
# that sends any header twice goes there too, where it is known which one counts.
_NOT_HERE = frozenset((b"cache-control", b"pragma", b"content-length", b"transfer-encoding"))


class HotRead:
    """Answers from the tiers of the house that stands in the app's state, if it has any."""

    def __init__(self, state: Any) -> None:
        self._state = state
        self._answered = {status: telemetry.REQUESTS.labels("GET", ROUTE, status) for status in ("200", "304")}
        self._seconds = telemetry.REQUEST_SECONDS.labels("GET", ROUTE)

    def find(self, scope: Scope) -> tuple[PreparedAnswer, dict[bytes, bytes]] | None:
        """The answer to this request and the headers it came with, or None: then the typed route is asked."""
        path = scope["path"]
        if len(path) != PATH_LENGTH or scope["method"] != "GET":
            return None
        if not (path.startswith(PATH_START) and path.endswith(PATH_END)):
            return None
        house = self._state.house
        tiers: Tiers | None = house.tiers if house is not None else None
        if tiers is None:
            return None
        given: dict[bytes, bytes] = dict(scope["headers"])
        if not _NOT_HERE.isdisjoint(given) or len(given) != len(scope["headers"]):
            return None
        authorization = given.get(b"authorization", b"")
        least = given.get(b"preferences-min-version", b"0")
        if not authorization.startswith(_BEARER) or not least.isdigit() or len(least) > VERSION_DIGITS_MAX:
            return None
        now: datetime = house.clock.now()
        verifier: Verifier = self._state.verifier
        caller = verifier.known(authorization[len(_BEARER) :], now)
        if caller is None:
            return None
        name = name_of(caller, scope["query_string"], given.get(b"accept-language", b""))
        found: PreparedAnswer | None = tiers.prepared(path[_GUEST], name, int(least))
        return (found, given) if found is not None and now < found.until else None

    async def answer(self, scope: Scope, send: Send) -> bool:
        """Send what lies ready; False when nothing does."""
        started = perf_counter()
        ready = self.find(scope)
        if ready is None:
            return False
        found, given = ready
        wanted = given.get(b"x-request-id", b"").decode("latin-1")
        named = (b"x-request-id", (wanted if GIVEN_ID.fullmatch(wanted) else uuid7().hex).encode())
        known = given.get(b"if-none-match", b"")
        if known and is_known(known.decode("latin-1"), found.etag):
            status, headers, content = 304, found.headers_unchanged, b""
        else:
            status, headers, content = 200, found.headers, found.content
        await send({"type": "http.response.start", "status": status, "headers": [*headers, named]})
        await send({"type": "http.response.body", "body": content})
        self._answered["304" if status == 304 else "200"].inc()
        self._seconds.observe(perf_counter() - started)
        return True
