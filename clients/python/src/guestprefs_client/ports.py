"""What the client needs from its surroundings, so that a test or a device may bring its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol


class Clock(Protocol):
    """Time and waiting. `now` is the wall clock in seconds since 1970 and may jump; `elapsed` only ever grows."""

    def now(self) -> float: ...
    def elapsed(self) -> float: ...
    def sleep(self, seconds: float) -> None: ...
    async def sleep_async(self, seconds: float) -> None: ...


class Chance(Protocol):
    """Randomness: how long to wait, and names that nobody else makes up."""

    def between(self, low: float, high: float) -> float: ...
    def key(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Record:
    """One thing remembered. By `guest` all of a guest can be found and erased."""

    kind: str
    account: str
    guest: str
    name: str
    data: bytes


class Store(Protocol):
    """Where answers and edits are kept. Whatever `put` returned from has to survive what the store says it survives.

    A record is known by kind, account, guest and name. `put` of a known one replaces its data and keeps its place.
    """

    @property
    def blocking(self) -> bool:
        """Whether a call may take long enough to keep an event loop waiting."""
        ...

    def put(self, record: Record) -> None: ...
    def get(self, kind: str, account: str, guest: str, name: str) -> bytes | None: ...
    def listed(self, kind: str, account: str, guest: str | None = None) -> Sequence[Record]:
        """In the order in which they were first put. One that can be read no more comes without data, under names that
        `drop` and `put` take for its own."""
        ...

    def drop(self, kind: str, account: str, guest: str | None = None, name: str | None = None) -> None: ...
    def wipe(self, guest: str | None = None) -> None:
        """Erase everything of a guest (of everybody, when none is named), under whatever account, so that nothing of
        it can be found on the medium."""
        ...

    def close(self) -> None: ...


class Seal(Protocol):
    """Encrypts what a store keeps, so that what was tampered with does not open; `cryptography.fernet.Fernet` is one.

    `decrypt` raises for what it cannot open, and OSError when it cannot say now (a keychain that is locked).
    """

    def encrypt(self, data: bytes) -> bytes: ...
    def decrypt(self, token: bytes) -> bytes: ...


type TokenSource = str | Callable[[], str]
type AsyncTokenSource = str | Callable[[], str] | Callable[[], Awaitable[str]]
