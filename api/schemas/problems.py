"""Problem documents (RFC 9457): the one shape of every refusal and failure, whoever finds it.

`code` is for programs, `detail` for people, `errors` lists every fault with a JSON pointer into the body or the name
of a parameter. `type` is a name, not an address: there is nothing to fetch.
"""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, NotRequired, TypedDict

from pydantic import ConfigDict, with_config

from api.schemas.strict_json import write

MEDIA_TYPE = "application/problem+json"
REQUEST_ID = "guestprefs.request_id"  # key of the ASGI scope
RETRY_AFTER_SECONDS = 1

# Codes of refusals that HTTP itself makes, before any rule of the domain is asked.
PLAIN_CODES: Mapping[int, str] = {
    400: "BAD_REQUEST",
    401: "UNAUTHENTICATED",
    403: "NOT_ALLOWED",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    408: "TOO_SLOW",
    413: "BODY_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    429: "RATE_LIMITED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}


@with_config(ConfigDict(extra="forbid"))
class Fault(TypedDict):
    """One thing wrong: `pointer` (RFC 6901) into the body, or `parameter` by name."""

    pointer: NotRequired[str]
    parameter: NotRequired[str]
    code: str
    detail: str


@with_config(ConfigDict(extra="forbid"))
class Conflict(TypedDict):
    """Both sides of an edit and what they started from, so that a client can show or merge them."""

    key: str
    yours: Any
    theirs: Any
    base: Any
    by: str
    at: str
    version: int


@with_config(ConfigDict(extra="forbid"))
class TakenIdentifier(TypedDict):
    system: str
    id: str


@with_config(ConfigDict(extra="forbid"))
class InvitationBody(TypedDict):
    purpose: str
    keys: list[str]


@with_config(ConfigDict(extra="forbid"))
class InvitationOffer(TypedDict):
    """The call that asks the guest for the consent which was missing."""

    method: str
    href: str
    body: InvitationBody


@with_config(ConfigDict(extra="forbid"))
class Problem(TypedDict):
    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[Fault]
    request_id: str
    conflicts: NotRequired[list[Conflict]]
    current_version: NotRequired[int]
    identifier: NotRequired[TakenIdentifier]
    counts: NotRequired[dict[str, int]]
    invitations: NotRequired[list[InvitationOffer]]


def title_of(status: int) -> str:
    return HTTPStatus(status).phrase


def build(
    status: int,
    code: str,
    detail: str,
    request_id: str,
    errors: Iterable[Mapping[str, Any]] = (),
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    return {
        "type": "urn:guestprefs:problem:" + code.lower().replace("_", "-"),
        "title": title_of(status),
        "status": status,
        "detail": detail,
        "code": code,
        "errors": list(errors),
        "request_id": request_id,
        **(extra or {}),
    }


def headers_of(status: int) -> dict[str, str]:
    """What a status owes its reader beside the document."""
    owed = {"cache-control": "no-store"}
    if status == 401:
        owed["www-authenticate"] = 'Bearer realm="guestprefs", DPoP algs="Ed25519 ES256 RS256"'
    if status == 503:
        owed["retry-after"] = str(RETRY_AFTER_SECONDS)
    return owed


def encode(problem: Mapping[str, Any]) -> bytes:
    return write(problem)
