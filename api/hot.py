"""The hot read: effective preferences that lie ready in this process, sent before FastAPI is asked at all.

Top to bottom: is it the one call this file knows, who asks, what lies ready for him and may be told this moment, send
it. Whatever is unusual in any way goes on to the typed route, which answers it, refuses it, or lays down the answer for
the next time. So nothing is decided here that is not decided there, and the tests hold the two to the same bytes.
"""

from time import perf_counter

from starlette.types import Scope, Send
from uuid_utils import uuid7

from api.allowance import Allowance
from api.auth import Verifier
from api.dpop import PROVED, Proof
from api.middleware import GIVEN_ID, HSTS, RawHeaders
from api.prepared import LOCAL, PATH_END, PATH_START, ROUTE, SHARED, PreparedAnswer
from api.schemas.representations import is_known
from prefs import telemetry
from prefs.core.callers import name_of
from prefs.core.errors import Unauthenticated
from prefs.ports import Clock, Tiers
from prefs.services.witness import Witness

ID_LENGTH = 36
PATH_LENGTH = len(PATH_START) + ID_LENGTH + len(PATH_END)
VERSION_DIGITS_MAX = 15
_GUEST = slice(len(PATH_START), len(PATH_START) + ID_LENGTH)
_BEARER, _TOKEN = b"Bearer ", slice(len(b"Bearer "), None)
_DPOP, _BOUND_TOKEN = b"DPoP ", slice(len(b"DPoP "), None)
_PAST_COPIES = (b"no-cache", b"max-age=0")
# Nothing of what these say is looked at here. A request that sends any header twice goes to the typed route as well,
# where it is known which one counts.
_NOT_HERE = frozenset((b"pragma", b"content-length", b"transfer-encoding"))


class HotRead:
    """Answers from the tiers of a house, while one is open that has any."""

    def __init__(self) -> None:
        self._tiers: Tiers | None = None
        answered = telemetry.REQUESTS
        self._answered = {s: telemetry.Tally(answered.labels("GET", ROUTE, str(s))) for s in (200, 304)}
        self._seconds = telemetry.REQUEST_SECONDS.labels("GET", ROUTE)

    def open(
        self,
        tiers: Tiers | None,
        clock: Clock,
        verifier: Verifier,
        witness: Witness,
        allowance: Allowance,
        *,
        behind_tls: bool = False,
        base: str = "",
    ) -> None:
        """`base`: the address under which the service is reached, where requests do not tell."""
        self._tiers, self._clock, self._verifier, self._witness = tiers, clock, verifier, witness
        self._allowance, self._purses = allowance, allowance.purses
        self._base = base
        self._strict: RawHeaders = [HSTS] if behind_tls else []

    def close(self) -> None:
        self._tiers = None

    async def answer(self, scope: Scope, send: Send) -> bool:
        """Send what lies ready; False when nothing does, and then nothing was sent."""
        path, tiers = scope["path"], self._tiers
        if len(path) != PATH_LENGTH or tiers is None or scope["method"] != "GET":
            return False
        if not (path.endswith(PATH_END) and path.startswith(PATH_START)):
            return False
        started = perf_counter()

        headers = scope["headers"]
        given: dict[bytes, bytes] = dict(headers)
        if len(given) != len(headers) or not _NOT_HERE.isdisjoint(given):
            return False
        authorization = given.get(b"authorization", b"")
        least = given.get(b"preferences-min-version", b"0")
        if not least.isdigit() or len(least) > VERSION_DIGITS_MAX:
            return False

        moment = self._clock.now().timestamp()
        if authorization.startswith(_BEARER):
            caller = self._verifier.known(authorization[_TOKEN], moment)
        elif authorization.startswith(_DPOP):
            caller = self._verifier.known_bound(authorization[_BOUND_TOKEN], moment)
        else:
            return False
        if caller is None:
            return False

        name = name_of(caller, scope["query_string"], given.get(b"accept-language", b""))
        wish = given.get(b"cache-control")
        found: PreparedAnswer | None
        if wish is None:
            found, status_of_cache = tiers.prepared(path[_GUEST], name, int(least)), LOCAL
        elif wish in _PAST_COPIES:
            found, status_of_cache = await tiers.confirmed(path[_GUEST], name, int(least)), SHARED
        else:
            return False
        if found is None or moment >= found.until:
            return False
        purse = self._purses.get(id(caller))
        if purse is None or not (purse.left > 0 or purse.fill(self._allowance.clock())):
            return False
        purse.left -= 1
        if authorization.startswith(_DPOP) and not await self._is_proved(scope, given, authorization, moment):
            return False  # the typed route finds out why; what is proved here it need not prove again

        asked = given.get(b"x-request-id")
        known = given.get(b"if-none-match")
        owed = found.headers(status_of_cache)
        owed += self._strict
        if asked is None or not GIVEN_ID.fullmatch(asked.decode("latin-1")):
            asked = uuid7().hex.encode()
        owed.append((b"x-request-id", asked))
        # Also where the caller has it already: "not modified" says of a value that it still is so.
        if found.sighting is not None and not await self._witness.saw(caller, (found.sighting,), asked.decode()):
            return False
        if known is not None and is_known(known.decode("latin-1"), found.etag.decode()):
            status, content = 304, b""
        else:
            status, content = 200, found.content
            owed += found.headers_of_content()
        await send({"type": "http.response.start", "status": status, "headers": owed})
        await send({"type": "http.response.body", "body": content})

        self._answered[status].count += 1
        self._seconds.observe(perf_counter() - started)
        return True

    async def _is_proved(self, scope: Scope, given: dict[bytes, bytes], authorization: bytes, moment: float) -> bool:
        """Whether the request proves the key of its token; a no is found again and told by the typed route."""
        base = self._base or f"{scope['scheme']}://{given.get(b'host', b'').decode('latin-1')}"
        proof = Proof(given.get(b"dpop", b"").decode("latin-1"), "GET", base + scope["path"])
        try:
            await self._verifier.prove(authorization[_BOUND_TOKEN], proof, moment)
        except Unauthenticated:
            return False
        scope[PROVED] = True
        return True
