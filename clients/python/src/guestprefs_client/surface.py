"""What both clients share: how they are made, and the calls that need no network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from guestprefs_client.core.connection import Listener, Status
from guestprefs_client.core.engine import Engine, Options
from guestprefs_client.core.outbox import Judge
from guestprefs_client.core.retries import Retries, Timeouts
from guestprefs_client.core.writing import keep_theirs
from guestprefs_client.ports import Chance, Clock, Store
from guestprefs_client.stores import MemoryStore
from guestprefs_client.surroundings import SystemChance, SystemClock


class Surface:
    """Status and switches; the calls themselves are in `GuestPrefs` and `AsyncGuestPrefs`."""

    def __init__(
        self,
        base_url: str,
        token: Any,
        *,
        store: Store | None = None,
        outbox: bool = False,
        offline: bool = False,
        timeouts: Timeouts = Timeouts(),  # noqa: B008 - frozen
        retries: Retries = Retries(),  # noqa: B008 - frozen
        language: str | None = None,
        account: str | None = None,
        on_conflict: Judge = keep_theirs,
        clock: Clock | None = None,
        chance: Chance | None = None,
    ) -> None:
        """A client of the service at `base_url`.

        `token` is one, or is called for one: first when it is needed, again when it was refused. `store` remembers
        answers (in memory, unless it is another one) and, with `outbox`, edits that could not be sent. `account` names
        whose answers they are when that should not be read out of the token.
        """
        if urlsplit(base_url).scheme not in ("http", "https"):
            raise ValueError(f"base_url: must begin with http:// or https://, not {base_url!r}")
        self._base_url = base_url.rstrip("/")
        self._token_source = token
        self._store = store or MemoryStore()
        self._options = Options(
            store=self._store,
            clock=clock or SystemClock(),
            chance=chance or SystemChance(),
            timeouts=timeouts,
            retries=retries,
            outbox=outbox,
            offline=offline,
            language=language,
            account=account,
            on_conflict=on_conflict,
        )
        self._engine = Engine(self._options)

    @property
    def status(self) -> Status:
        """How the connection is."""
        return self._engine.connection.status

    def on_status(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with every new status, from whatever thread or task notices it; call what comes back to end
        that."""
        return self._engine.connection.listen(listener)

    @property
    def offline(self) -> bool:
        """Whether the network is left alone. Set it to go off line and back: from any thread, and for an
        `AsyncGuestPrefs` from its own loop."""
        return self._engine.connection.offline

    @offline.setter
    def offline(self, wanted: bool) -> None:
        self._engine.connection.go(offline=wanted)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._base_url} {self.status}>"
