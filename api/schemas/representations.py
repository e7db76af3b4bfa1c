"""Answers as bytes with the headers that belong to them: validators, versions, and who may keep a copy."""

import hashlib
from collections.abc import Mapping
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import Response

from api.schemas.strict_json import write

MEDIA_TYPE = "application/json"


class Answer(Protocol):
    """What a use case hands back: a body, the version it was made from, whether an idempotency key replayed it, and
    whether other processes could not be told of it yet."""

    @property
    def body(self) -> dict[str, Any]: ...
    @property
    def version(self) -> int | None: ...
    @property
    def replayed(self) -> bool: ...
    @property
    def coherence(self) -> str: ...


SHARED_HEADERS = {"cache-control": "private, no-cache", "vary": "Authorization, Accept-Language"}


def etag_of(version: int | None, content: bytes) -> str:
    """`"<version>.<digest>"`: If-Match looks at the version, If-None-Match at the whole (design section 5)."""
    return f'"{version or 0}.{hashlib.sha256(content).hexdigest()[:20]}"'


def is_known(header: str, etag: str) -> bool:
    return header.strip() == "*" or etag in [given.strip().removeprefix("W/") for given in header.split(",")]


def headers_of(version: int | None, etag: str) -> dict[str, str]:
    """What every answer owes whoever may keep it."""
    owed = {**SHARED_HEADERS, "etag": etag}
    return owed if version is None else {**owed, "preferences-version": str(version)}


def respond(
    request: Request,
    body: Any,
    version: int | None = None,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The body as it is sent; 304 without one when the caller of a GET has it already."""
    content = write(body)
    return send(request, content, version, etag_of(version, content), status=status, headers=headers)


def send(
    request: Request,
    content: bytes,
    version: int | None,
    etag: str,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    reads_only: bool = False,
) -> Response:
    """`reads_only`: a POST that changes nothing, and so may be answered "not modified" as a GET may."""
    owed = {**headers_of(version, etag), **(headers or {})}
    known = request.headers.get("if-none-match", "") if reads_only or request.method == "GET" else ""
    if known and is_known(known, etag):
        return Response(status_code=304, headers=owed)
    return Response(content, status, owed, MEDIA_TYPE)


def told(request: Request, answer: Answer, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer of a use case as it is sent."""
    owed = {"idempotency-replayed": "true"} if answer.replayed else {}
    owed |= coherence_of(answer.coherence)
    return respond(request, answer.body, answer.version, status=status, headers={**(headers or {}), **owed})


def coherence_of(coherence: str) -> dict[str, str]:
    """The header that says what others may still tell after a write; none where it is whole."""
    return {"coherence": coherence} if coherence else {}
