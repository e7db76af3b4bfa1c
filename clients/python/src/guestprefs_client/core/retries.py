"""Whether and when to try again: full jitter, `Retry-After`, one deadline over all tries."""

from __future__ import annotations

from dataclasses import dataclass

from guestprefs_client.core.effects import Response, Unreached
from guestprefs_client.ports import Chance

# 409 and 412 are answers, not accidents: whoever asks blindly again would overwrite somebody else's edit.
AGAIN = frozenset({408, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds that one try may take: to connect, and in all."""

    connect: float = 2.0
    total: float = 5.0


@dataclass(frozen=True, slots=True)
class Retries:
    """`tries` in all, within `deadline` seconds for everything; waits grow from `first` to at most `longest`."""

    tries: int = 3
    deadline: float = 15.0
    first: float = 0.2
    longest: float = 5.0

    def pause(self, tried: int, retry_after: float | None, chance: Chance) -> float:
        """Seconds until the next try: full jitter, on top of what the server asked for."""
        most = min(self.longest, self.first * 2 ** (tried - 1))
        return (retry_after or 0.0) + chance.between(0.0, most)

    def next_pause(
        self, heard: Response | Unreached, tried: int, left: float, retry_after: float | None, chance: Chance
    ) -> float | None:
        """Seconds to wait before the next try; None when there is none."""
        if isinstance(heard, Response) and heard.status not in AGAIN:
            return None
        if tried >= self.tries:
            return None
        pause = self.pause(tried, retry_after, chance)
        return pause if pause < left else None
