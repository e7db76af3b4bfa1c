"""The circuit to Redis: after a few failures, or too many slow answers, nobody waits for it any more.

Open, it lets one call through as a probe once its pause is over; the pause doubles while probes fail. A server that
always answers late is as bad as one that does not answer, so slow calls count too. The caller says what is slow: it
counts silence, not time, so that a busy event loop does not look like a slow server.
"""

from collections import deque
from collections.abc import Callable

from prefs.cache.metrics import SILENCE, CacheMetrics

FAILURES_MAX = 3  # in a row
WINDOW = 100  # newest calls looked at for slowness
SLOW_MAX = 5  # of them: then the 95th percentile is bad, and the 99th long was
PAUSE_S = 0.1
PAUSE_MAX_S = 1.0


class Breaker:
    def __init__(self, monotonic: Callable[[], float], metrics: CacheMetrics = SILENCE) -> None:
        self._monotonic = monotonic
        self._metrics = metrics
        self._failures = 0
        self._slow: deque[bool] = deque(maxlen=WINDOW)
        self._pause_s = PAUSE_S
        self._open_until: float | None = None
        self._probing = False

    @property
    def closed(self) -> bool:
        return self._open_until is None

    def admits(self) -> bool:
        """Whether a call may go ahead. Whoever is admitted reports back, with `succeeded`, `failed` or `withdrew`."""
        if self._open_until is None:
            return True
        if self._probing or self._monotonic() < self._open_until:
            return False
        self._probing = True
        self._metrics.breaker("half_open")
        return True

    def succeeded(self, *, slowly: bool = False) -> None:
        self._failures = 0
        if self._open_until is not None:
            if slowly:
                self._open()
            elif self._probing:
                self._close()
            return
        self._slow.append(slowly)
        if slowly and sum(self._slow) >= SLOW_MAX:
            self._open()

    def failed(self) -> None:
        self._metrics.given_up()
        self._failures += 1
        self._slow.append(True)
        if self._open_until is not None:
            if self._probing:
                self._open()
        elif self._failures >= FAILURES_MAX or sum(self._slow) >= SLOW_MAX:
            self._open()

    def withdrew(self) -> None:
        """The call was not made after all; another may probe."""
        self._probing = False

    def _open(self) -> None:
        again = self._open_until is not None
        self._pause_s = min(self._pause_s * 2, PAUSE_MAX_S) if again else PAUSE_S
        self._open_until = self._monotonic() + self._pause_s
        self._probing = False
        self._metrics.breaker("open")

    def _close(self) -> None:
        self._open_until, self._probing, self._pause_s = None, False, PAUSE_S
        self._slow.clear()
        self._metrics.breaker("closed")
