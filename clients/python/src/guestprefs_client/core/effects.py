"""What a flow asks its shell to do, and what it hears back."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. `params` are in the order in which they are sent; `body` is JSON text or nothing."""

    method: str
    path: str
    params: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """One whole answer; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Unreached:
    """There was no whole answer. Whether the server acted on the request is not known."""

    reason: str
    timed_out: bool = False


@dataclass(frozen=True, slots=True)
class Send:
    """Send this, with so many seconds for connecting and for all of it. Heard back: `Response` or `Unreached`."""

    request: Request
    connect_s: float
    total_s: float


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Local:
    """Read or write the store; heard back: what the call returns."""

    call: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Credential:
    """Ask the user's code for a token: the one it has, or a new one. Heard back: the token, or None."""

    renew: bool


@dataclass(frozen=True, slots=True)
class Turn:
    """Run this flow while no other `Turn` of the client runs. Heard back: what it returns; raised: what it raises."""

    flow: Flow[Any]


type Effect = Send | Pause | Local | Credential | Turn
type Flow[T] = Generator[Effect, Any, T]
