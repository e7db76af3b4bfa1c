"""What every request passes first, as plain ASGI: an id, a clock, a limit on its body, and a net below everything.

Order (outermost first): `Telemetry` names and counts the request and turns what nobody caught into a 500 problem;
`BodyLimit` refuses what is too large, told by its length or found out while reading.
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
_log = telemetry.logger("api")


async def send_problem(send: Send, scope: Scope, status: int, code: str, detail: str) -> None:
    document = problems.build(status, code, detail, scope.get(problems.REQUEST_ID, ""))
    telemetry.PROBLEMS.labels(code).inc()
    headers = {"content-type": problems.MEDIA_TYPE, **problems.headers_of(status)}
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": problems.encode(document)})


def template_of(scope: Scope) -> str:
    """The route's template, never the path: a label per guest would grow without end."""
    return getattr(scope.get("route"), "path", "") or "unmatched"


class Telemetry:
    """Names the request, measures it, and answers 500 for what nobody caught, once and loudly."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

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
                message = {**message, "headers": [*message["headers"], (b"x-request-id", request_id.encode())]}
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


METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class BodyLimit:
    """Refuses bodies over the limit with a problem; a body without a length is counted as it comes."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = BATCH_BYTES_MAX if scope["path"] == BATCH_PATH else BODY_BYTES_MAX
        detail = f"The body may have at most {limit} bytes."
        declared = Headers(scope=scope).get("content-length", "0")
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
