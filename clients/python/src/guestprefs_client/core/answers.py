"""What an answer says: a shape of the API, or an error out of the tree."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from pydantic import BaseModel, ValidationError

from guestprefs_client.core.effects import Response, Unreached
from guestprefs_client.errors import (
    BY_STATUS,
    AnswerNotUnderstood,
    BadRequest,
    GuestPrefsError,
    ProblemError,
    ServerFailed,
    TimedOut,
    Unreachable,
)
from guestprefs_client.models import Problem

VERSION = "preferences-version"
_SHOWN = 200
# What says who a token speaks for. The others change with every token.
_WHO = ("iss", "sub", "role", "surface", "properties", "stay", "scope")


def read[M: BaseModel](shape: type[M], response: Response) -> M:
    """The answer in this shape, or the error that it is."""
    if not 200 <= response.status < 300:
        raise error_of(response)
    try:
        return shape.model_validate_json(response.body)
    except ValidationError as error:
        raise AnswerNotUnderstood(response.status, str(error)) from error


def error_of(response: Response, now: float | None = None) -> GuestPrefsError:
    """The error that an answer of 4xx or 5xx is. What is no problem document comes from something in between."""
    after = retry_after(response, now)
    try:
        problem = Problem.model_validate_json(response.body)
    except ValidationError:
        if response.status not in (408, 429) and response.status < 500:
            return AnswerNotUnderstood(response.status, response.body[:_SHOWN].decode("utf-8", "replace"))
        problem = Problem(
            type="about:blank",
            title="",
            status=response.status,
            detail="something between here and the server answered",
            code=f"HTTP_{response.status}",
            errors=[],
            request_id=response.headers.get("x-request-id", ""),
        )
    return of_problem(problem, after)


def of_problem(problem: Problem, after: float | None = None) -> ProblemError:
    kind = BY_STATUS.get(problem.status) or (ServerFailed if problem.status >= 500 else BadRequest)
    return kind(problem, after)


def error_of_silence(heard: Unreached, idempotency_key: str = "") -> Unreachable:
    return (TimedOut if heard.timed_out else Unreachable)(heard.reason, idempotency_key)


def server_time(response: Response) -> float | None:
    """The server's wall clock, when it tells it."""
    return _instant(response.headers.get("date", ""))


def retry_after(response: Response, now: float | None = None) -> float | None:
    """Seconds to wait. A date is read against the server's own clock, for ours may be wrong."""
    said = response.headers.get("retry-after", "").strip()
    if said.isdecimal():
        return float(said)
    until, since = _instant(said), server_time(response) or now
    return max(0.0, until - since) if until is not None and since is not None else None


def _instant(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp() if text else None
    except ValueError:
        return None


def moment(text: str | None) -> float | None:
    """An RFC 3339 time as seconds since 1970."""
    try:
        return datetime.fromisoformat(text).timestamp() if text else None
    except ValueError:
        return None


def told_at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def age_of(response: Response) -> float:
    """Seconds since the server itself knew better: while its database is away it answers what it last knew."""
    said = response.headers.get("age", "")
    return float(said) if said.isdecimal() else 0.0


def version_of(response: Response) -> int | None:
    said = response.headers.get(VERSION, "")
    return int(said) if said.isdecimal() else None


def account_of(token: str | None) -> str:
    """Under what name answers to this token are kept, so that nobody is shown what was answered to somebody else. Read
    out of the token without believing it: it names a drawer and opens none."""
    if not token:
        return "nobody"
    who = token
    try:
        _, claims, _ = token.split(".")
        told = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
        if isinstance(told, dict) and told.get("sub"):
            who = json.dumps([told.get(name) for name in _WHO], sort_keys=True)
    except (ValueError, binascii.Error):
        pass
    return hashlib.sha256(who.encode()).hexdigest()[:32]
