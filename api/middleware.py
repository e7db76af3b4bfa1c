"""What every request passes first, as plain ASGI: an id, a clock, a limit on its body, and a net below everything.

Order (outermost first): `Telemetry` names and counts the request and turns what nobody caught into a 500 problem;
`BodyLimit` refuses what is too large, told by its length or found out while reading, and what is compressed: nobody
can tell how large that will be. `Refusal` is for those who refuse before all that.
"""

import re
from time import perf_counter

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uuid_utils import uuid7

from api.schemas import problems
from prefs import telemetry

BODY_BYTES_MAX = 64 * 1024
BATCH_BYTES_MAX = 256 * 1024
BATCH_PATH = "/v1/preferences/batch"

CLIENT_GONE = 499  # as nginx counts a caller that hung up before there was an answer

GIVEN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

type RawHeaders = list[tuple[bytes, bytes]]

# What no answer goes without.
NOSNIFF = (b"x-content-type-options", b"nosniff")
HSTS = (b"strict-transport-security", b"max-age=63072000; includeSubDomains")
_UNKEPT = (b"cache-control", b"no-store")
_log = telemetry.logger("api")


def _raw_headers_of(status: int) -> RawHeaders:
    headers = {"content-type": problems.MEDIA_TYPE, **problems.headers_of(status)}
    return [(name.encode(), value.encode()) for name, value in headers.items()]


async def send_problem(
    send: Send, scope: Scope, status: int, code: str, detail: str, headers: RawHeaders | None = None
) -> None:
    document = problems.build(status, code, detail, scope.get(problems.REQUEST_ID, ""))
    telemetry.PROBLEMS.labels(code).inc()
    raw = [*_raw_headers_of(status), *(headers or [])]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": problems.encode(document)})


def template_of(scope: Scope) -> str:
    """The route's template, never the path: a label per guest would grow without end."""
    return getattr(scope.get("route"), "path", "") or "unmatched"


class Refusal:
    """A problem document for those who refuse ahead of everything else, made of bytes that were made before: it must
    cost less than what it saves."""

    _ID = "@"

    def __init__(self, status: int, code: str, detail: str) -> None:
        whole = problems.encode(problems.build(status, code, detail, self._ID))
        self._start, self._end = whole.split(f'"{self._ID}"'.encode())
        self._headers = [*_raw_headers_of(status), NOSNIFF]
        self._status, self._told = status, telemetry.PROBLEMS.labels(code)
        self._label = code.lower()

    async def send(self, scope: Scope, send: Send, headers: RawHeaders | None = None) -> None:
        given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
        named = (given if GIVEN_ID.fullmatch(given) else uuid7().hex).encode()
        self._told.inc()
        method = scope["method"] if scope["method"] in METHODS else "other"
        telemetry.REQUESTS.labels(method, self._label, str(self._status)).inc()
        owed = [*self._headers, *(headers or []), (b"x-request-id", named)]
        await send({"type": "http.response.start", "status": self._status, "headers": owed})
        await send({"type": "http.response.body", "body": b'%s"%s"%s' % (self._start, named, self._end)})


class Telemetry:
    """Names the request, measures it, and answers 500 for what nobody caught, once and loudly. Every answer gets the
    headers that none goes without; one that says nothing of being kept is not to be kept."""

    def __init__(self, app: ASGIApp, behind_tls: bool = False) -> None:
        self.app = app
        self._owed = [NOSNIFF, HSTS] if behind_tls else [NOSNIFF]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if GIVEN_ID.fullmatch(given) else uuid7().hex
        scope[problems.REQUEST_ID] = request_id
        telemetry.REQUEST.set(request_id)
        status = 0

        async def named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message["headers"], *self._owed, (b"x-request-id", request_id.encode())]
                if not any(name == b"cache-control" for name, _ in headers):
                    headers.append(_UNKEPT)
                message = {**message, "headers": headers}
            await send(message)

        started = perf_counter()
        telemetry.IN_FLIGHT.inc()
        try:
            await self.app(scope, receive, named)
        except ClientDisconnect:
            status = status or CLIENT_GONE
        except Exception:  # the last net: whatever it was, the caller gets a problem and the log the trace
            _log.exception("request failed", request_id=request_id, route=template_of(scope), method=scope["method"])
            if status:
                raise  # the head is out; the server has to break the connection
            await send_problem(named, scope, 500, "INTERNAL", "Something went wrong here; the request id finds it.")
        finally:
            telemetry.IN_FLIGHT.dec()
            method, route = scope["method"] if scope["method"] in METHODS else "other", template_of(scope)
            telemetry.REQUESTS.labels(method, route, str(status)).inc()
            telemetry.REQUEST_SECONDS.labels(method, route).observe(perf_counter() - started)


class BodyLimit:
    """Refuses bodies over the limit, and compressed ones, with a problem; a body without a length is counted as it
    comes."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if headers.get("content-encoding", "identity").strip().lower() != "identity":
            detail = "The body must come as it is, without a Content-Encoding."
            accepted = [(b"accept-encoding", b"identity")]
            await send_problem(send, scope, 415, "UNSUPPORTED_MEDIA_TYPE", detail, accepted)
            return
        limit = BATCH_BYTES_MAX if scope["path"] == BATCH_PATH else BODY_BYTES_MAX
        detail = f"The body may have at most {limit} bytes."
        declared = headers.get("content-length", "0")
        if not declared.isdecimal() or len(declared) > 18 or int(declared) > limit:
            await send_problem(send, scope, 413, "BODY_TOO_LARGE", detail)
            return
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > limit:
                raise HTTPException(413, detail)
            return message

        await self.app(scope, counted, send)
