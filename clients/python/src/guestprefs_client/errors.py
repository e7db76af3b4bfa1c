"""Everything that can go wrong, as one tree, so that a caller may catch as much of it as it means to.

GuestPrefsError
├── Unreachable                  no whole answer came; with an idempotency key the same call may be made again
│   └── TimedOut                 the answer did not come in time
├── NothingKnown                 off line, and nothing about this is remembered
├── WrongSeal                    what is kept was sealed with another key; the error says what to do
├── AnswerNotUnderstood          an answer that is not of this API: another server, a proxy's page
└── ProblemError                 the server refused or failed, and said why in a problem document
    ├── BadRequest               the request as HTTP: 400, 405, 408, 413, 415
    ├── Unauthenticated          401: the token is missing, expired or revoked, and a new one did not help
    ├── NotAllowed               403
    ├── NotFound                 404: there is none, or it is not the caller's to see
    ├── Conflict                 409: keys changed since; `conflicts` holds both sides
    ├── VersionMoved             412: the document is at another version
    ├── Invalid                  422: `faults` names every field with what is wrong
    ├── RateLimited              429: `retry_after` says when to come back
    └── ServerFailed             5xx
        └── Unavailable          503: not now; `retry_after` says when
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from guestprefs_client.models import Conflict as KeyConflict
from guestprefs_client.models import Problem


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong: the field (a JSON pointer into the body, or the name of a parameter), a code, a sentence."""

    field: str
    code: str
    detail: str


class GuestPrefsError(Exception):
    """Any failure of a call."""


class Unreachable(GuestPrefsError):
    def __init__(self, reason: str, idempotency_key: str = "") -> None:
        super().__init__(reason)
        self.idempotency_key = idempotency_key


class TimedOut(Unreachable): ...


class NothingKnown(GuestPrefsError): ...


class WrongSeal(GuestPrefsError): ...


class AnswerNotUnderstood(GuestPrefsError):
    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"HTTP {status}: {detail}")
        self.status = status


class ProblemError(GuestPrefsError):
    """A refusal or failure, as its problem document (RFC 9457) tells it."""

    def __init__(self, problem: Problem, retry_after: float | None = None) -> None:
        said = f"{problem.code}: {problem.detail}"
        super().__init__(f"{said} (request {problem.request_id})" if problem.request_id else said)
        self.problem = problem
        self.retry_after = retry_after

    @property
    def status(self) -> int:
        return self.problem.status

    @property
    def code(self) -> str:
        return self.problem.code

    @property
    def request_id(self) -> str:
        return self.problem.request_id

    @property
    def faults(self) -> Sequence[Fault]:
        told = self.problem.errors
        return [
            Fault(one.pointer if one.pointer is not None else one.parameter or "", one.code, one.detail) for one in told
        ]

    @property
    def field(self) -> str:
        """The first field that is at fault, or nothing."""
        faults = self.faults
        return faults[0].field if faults else ""


class BadRequest(ProblemError): ...


class Unauthenticated(ProblemError): ...


class NotAllowed(ProblemError): ...


class NotFound(ProblemError): ...


class Conflict(ProblemError):
    @property
    def conflicts(self) -> Sequence[KeyConflict]:
        return self.problem.conflicts or []

    @property
    def current_version(self) -> int | None:
        return self.problem.current_version


class VersionMoved(ProblemError):
    @property
    def current_version(self) -> int | None:
        return self.problem.current_version


class Invalid(ProblemError): ...


class RateLimited(ProblemError): ...


class ServerFailed(ProblemError): ...


class Unavailable(ServerFailed): ...


BY_STATUS: Mapping[int, type[ProblemError]] = {
    401: Unauthenticated,
    403: NotAllowed,
    404: NotFound,
    410: NotFound,
    409: Conflict,
    412: VersionMoved,
    422: Invalid,
    429: RateLimited,
    503: Unavailable,
}
