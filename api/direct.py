"""The plain edit: a PATCH of preferences whose every part is as usual, handed to the service past FastAPI's routing.

Matching routes, solving dependencies and validating nine parameters costs more than the edit itself. As with the hot
read, nothing is decided here that is not decided in the typed route: it stands behind the same middleware, reads the
body and the headers with the same functions, calls the same service and tells refusals with the same handler, and what
is unusual in any way goes on to the typed route. The tests hold the two to the same answers.
"""

import re
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from api.auth import Verifier
from api.deps import BODY_TYPES, IF_MATCH, LANGUAGE_LENGTH_MAX, object_of, once_of
from api.errors import on_http_error, on_prefs_error
from api.hot import PATH_LENGTH
from api.prepared import PATH_END, PATH_START, ROUTE
from api.schemas import strict_json
from api.schemas.fields import ID_PATTERN
from api.schemas.representations import told
from prefs.core.callers import Caller
from prefs.core.errors import PrefsError

_GUEST = slice(len(PATH_START), -len(PATH_END))
_BEARER = b"Bearer "
_BODY_TYPES = frozenset(kind.encode() for kind in BODY_TYPES)
_VERSION = re.compile(rb"[0-9]{1,15}")
_KEY = re.compile(rb"[\x21-\x7e]{1,255}")
_PARAMETERS = {
    "scope": re.compile(r"profile|(brand|property|stay):[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"),
    "property": re.compile(ID_PATTERN),
}


class _Route:
    """What the metrics ask of a matched route."""

    path = ROUTE


class Asked(NamedTuple):
    """An edit as its request's head tells it."""

    house: Any
    caller: Caller
    guest: str
    parameters: dict[str, str]
    if_match: int | None
    base_version: int | None
    key: str | None
    language: str


class DirectEdit:
    """ASGI middleware, the innermost but for what only other paths need."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = _asked(scope) if scope["type"] == "http" and scope["method"] == "PATCH" else None
        if asked is None:
            await self.app(scope, receive, send)
            return
        scope["route"] = _Route
        request = Request(scope, receive)
        try:
            body = await request.body()
            response = told(request, await _edit(asked, scope, body))
        except PrefsError as error:
            response = await on_prefs_error(request, error)
        except HTTPException as error:  # of a body that turns out to be too large
            response = await on_http_error(request, error)
        await response(scope, receive, send)


async def _edit(asked: Asked, scope: Scope, body: bytes) -> Any:
    patch = object_of(strict_json.read(body))
    once = None
    if asked.key is not None:
        once = once_of(asked.caller, asked.key, "PATCH", scope["path"], scope["query_string"], body)
    return await asked.house.preferences.patch(
        asked.caller,
        asked.guest,
        asked.parameters.get("scope", "profile"),
        patch,
        if_match=asked.if_match,
        base_version=asked.base_version,
        once=once,
        property=asked.parameters.get("property"),
        language=asked.language,
    )


def _asked(scope: Scope) -> Asked | None:
    """The edit this request asks for; None leaves it to the typed route."""
    path, state = scope["path"], scope["app"].state
    if len(path) != PATH_LENGTH or not path.startswith(PATH_START) or not path.endswith(PATH_END):
        return None
    guest, house = path[_GUEST], state.house
    given: dict[bytes, bytes] = dict(scope["headers"])
    if house is None or "/" in guest or len(given) != len(scope["headers"]):
        return None  # where a header stands twice it is known there which one counts
    if given.get(b"content-type") not in _BODY_TYPES:
        return None
    authorization = given.get(b"authorization", b"")
    verifier: Verifier = state.verifier
    caller = None
    if authorization.startswith(_BEARER):
        caller = verifier.known(authorization[len(_BEARER) :], house.clock.now().timestamp())
    parameters = _parameters(scope["query_string"])
    if caller is None or parameters is None:
        return None
    match, base, key = (given.get(name) for name in (b"if-match", b"preferences-base-version", b"idempotency-key"))
    tag = IF_MATCH.fullmatch(match.decode("latin-1")) if match is not None else None
    usual = (
        (match is None or tag is not None)
        and (base is None or _VERSION.fullmatch(base) is not None)
        and (key is None or _KEY.fullmatch(key) is not None)
    )
    if not usual:
        return None
    return Asked(
        house,
        caller,
        guest,
        parameters,
        int(tag[1]) if tag else None,
        int(base) if base is not None else None,
        key.decode("ascii") if key is not None else None,
        given.get(b"accept-language", b"").decode("latin-1")[:LANGUAGE_LENGTH_MAX],
    )


def _parameters(query: bytes) -> dict[str, str] | None:
    """The query if it holds nothing but what is known here, each once and well formed."""
    if not query:
        return {}
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, strict_parsing=True)
    except ValueError:
        return None
    found = dict(pairs)
    known = len(found) == len(pairs) and found.keys() <= _PARAMETERS.keys()
    return found if known and all(_PARAMETERS[name].fullmatch(value) for name, value in pairs) else None
