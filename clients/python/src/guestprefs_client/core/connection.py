"""Whether the server can be reached, who wants to know, and when it is worth trying again."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from guestprefs_client.ports import Chance

PROBE_FIRST_S, PROBE_LONGEST_S = 1.0, 30.0
_DOUBLINGS_MAX = 16


class Status(StrEnum):
    """`initializing` until the first answer; `interrupted` while answers fail; `unauthenticated` while the token is
    refused; `offline` because the user said so."""

    INITIALIZING = "initializing"
    ONLINE = "online"
    INTERRUPTED = "interrupted"
    UNAUTHENTICATED = "unauthenticated"
    OFFLINE = "offline"
    CLOSED = "closed"


type Listener = Callable[[Status], object]


class Connection:
    """After a failure calls that can be answered from memory leave the server alone for a while: the time doubles, from
    half to one and a half times of it, so that a thousand devices do not come back in the same second."""

    def __init__(self, chance: Chance, *, offline: bool = False) -> None:
        self._chance = chance
        self._listeners: list[Listener] = []
        self._failures = 0
        self._probe_at = 0.0
        self.status = Status.OFFLINE if offline else Status.INITIALIZING

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with every new status; what comes back ends that."""
        self._listeners.append(listener)

        def stop() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return stop

    @property
    def offline(self) -> bool:
        return self.status in (Status.OFFLINE, Status.CLOSED)

    @property
    def interrupted(self) -> bool:
        return self.status is Status.INTERRUPTED

    def worth_trying(self, elapsed: float) -> bool:
        return not self.offline and (not self.interrupted or elapsed >= self._probe_at)

    def reached(self, *, let_in: bool = True) -> None:
        self._failures = 0
        if not self.offline:
            self._become(Status.ONLINE if let_in else Status.UNAUTHENTICATED)

    def failed(self, elapsed: float, retry_after: float | None = None) -> None:
        if self.offline:
            return
        span = min(PROBE_LONGEST_S, PROBE_FIRST_S * 2 ** min(self._failures, _DOUBLINGS_MAX))
        self._failures += 1
        self._probe_at = elapsed + max(self._chance.between(0.5 * span, 1.5 * span), retry_after or 0.0)
        self._become(Status.INTERRUPTED)

    def go(self, *, offline: bool) -> None:
        """The user's own switch. On line again means not knowing yet."""
        if self.status is Status.CLOSED or offline == self.offline:
            return
        self._failures, self._probe_at = 0, 0.0
        self._become(Status.OFFLINE if offline else Status.INITIALIZING)

    def close(self) -> None:
        self._become(Status.CLOSED)

    def _become(self, status: Status) -> None:
        if status is not self.status:
            self.status = status
            for listener in list(self._listeners):
                listener(status)
