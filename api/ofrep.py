"""Refusals under OFREP as OFREP tells them: an error code of five, and details for people.

Everything here refuses with a problem document. OpenFeature SDKs do not read those, so under these paths each is told
in their words, whoever refuses: the route, the rate limit, the reader of bodies. The middleware stands twice: next to
the routes, so that their answers are counted with the status that is sent, and outermost, for who refuses before them.
"""

import json
from collections.abc import Mapping
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.schemas import problems
from api.schemas.strict_json import write

PATH = "/ofrep/v1/evaluate/flags"
KEY_LENGTH_MAX = 100
_PROBLEM = problems.MEDIA_TYPE.encode()
_REPLACED = frozenset((b"content-type", b"content-length"))
_UNREADABLE = frozenset(("DUPLICATE_MEMBER", "BAD_TEXT", "NOT_A_NUMBER", "NUMBER_TOO_LONG"))
_NO_TARGET = ("/context", "/context/targetingKey")


class OfrepRefusals:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not (scope["path"] == PATH or scope["path"].startswith(PATH + "/")):
            await self.app(scope, receive, send)
            return
        head: Message | None = None
        problem = b""

        async def told(message: Message) -> None:
            nonlocal head, problem
            if message["type"] == "http.response.start" and dict(message["headers"]).get(b"content-type") == _PROBLEM:
                head = message
            elif head is None:
                await send(message)
            else:
                problem += message.get("body", b"")
                if not message.get("more_body"):
                    status, content = refusal_of(json.loads(problem), key_of(scope["path"]))
                    kept = [(name, value) for name, value in head["headers"] if name not in _REPLACED]
                    owed = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
                    await send({**head, "status": status, "headers": [*kept, *owed]})
                    await send({"type": "http.response.body", "body": content})

        await self.app(scope, receive, told)


def key_of(path: str) -> str:
    """The flag that a path asks for; empty where it asks for all."""
    asked = path[len(PATH) + 1 :][:KEY_LENGTH_MAX]
    return asked.encode("utf-8", "replace").decode()


def refusal_of(problem: Mapping[str, Any], key: str) -> tuple[int, bytes]:
    """A problem as OFREP tells it: status and body."""
    status, code = _judged(problem, key)
    return status, write({**({"key": key} if key else {}), "errorCode": code, "errorDetails": problem["detail"]})


def _judged(problem: Mapping[str, Any], key: str) -> tuple[int, str]:
    status, faults = problem["status"], problem["errors"]
    match status:
        case 404:
            return 404, "FLAG_NOT_FOUND" if key else "INVALID_CONTEXT"
        case 413 | 415:
            return status, "PARSE_ERROR"
        case 422:
            pass
        case _:
            return status, "GENERAL"
    if any(fault["code"] == "UNKNOWN_KEY" or fault.get("parameter") == "key" for fault in faults):
        return 404, "FLAG_NOT_FOUND"
    if any(fault.get("pointer") == "" or fault["code"] in _UNREADABLE for fault in faults):
        return 400, "PARSE_ERROR"
    missing = (fault for fault in faults if fault["code"] in ("MISSING_FIELD", "WRONG_LENGTH"))
    if any(fault.get("pointer") in _NO_TARGET for fault in missing):
        return 400, "TARGETING_KEY_MISSING"
    return 400, "INVALID_CONTEXT"
