"""Three `guestprefs serve` of one worker each, on ports of their own, over one PostgreSQL and one Valkey.

Between each worker and PostgreSQL stands a proxy that makes some answers late: a slow reader and a slow commit are what
a wrong cache protocol gets wrong.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import httpx2
import psutil

from api.auth import load_keys, mint
from prefs.bootstrap import SystemClock
from prefs.core.callers import ALL_GUESTS, Role
from tests.cli.served import Served, bearer, guestprefs
from tests.histories.proxy import Proxy, ProxyThread
from tests.servers import ValkeyServer

WORKERS = 3
LATE = (0.05, 0.01)  # of what goes between a worker and PostgreSQL, either way: which share, and by how long
START_TIMEOUT_S = 60.0


class Trio:
    """Everything is ended by `close`, also after a failure; `launch` starts another program that serves alike."""

    def __init__(
        self,
        folder: Path,
        database_url: str,
        launch: Sequence[str] | None = None,
        late: tuple[float, float] = LATE,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.valkey = ValkeyServer()
        self._server, _, self._database = database_url.rpartition("/")
        self._ways = [ProxyThread(int(self._server.rpartition(":")[2])) for _ in range(WORKERS)]
        self._launch = launch
        self._late, self._more = late, environ or {}
        self.workers: list[Served] = []

    def __enter__(self) -> Self:
        try:
            self.valkey.start()
            self.proxies = [way.__enter__() for way in self._ways]
            done = guestprefs(self.folder, "keys")
            assert done.returncode == 0, done.stderr
            self._key = load_keys(self.folder / "data" / "keys.json")[0]
            self.workers = [self._served(proxy) for proxy in self.proxies]
            self.workers[0].start()  # alone: the first to start makes the key of the cache
            for worker in self.workers[1:]:
                worker.start(wait=False)
            for worker in self.workers:
                worker.wait_until_ready()
        except BaseException:
            self.close()
            raise
        return self

    def _served(self, proxy: Proxy) -> Served:
        database = f"{self._server.rpartition(':')[0]}:{proxy.port}/{self._database}"
        # The door is wide open: what it turns away would not reach what is looked at here.
        environ = {"DATABASE_URL": database, "REDIS_URL": self.valkey.url(), "GUESTPREFS_REQUESTS_AT_ONCE": "1000"}
        environ["GUESTPREFS_CALLER_RATE"] = "0"  # one guest is asked about as often as anything can
        environ |= self._more
        return Served(self.folder, "--workers", "1", environ=environ, launch=self._launch)

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for worker in self.workers:
            worker.close()
        self.valkey.close()
        for way in self._ways:
            way.__exit__()

    @property
    def ports(self) -> list[int]:
        return [worker.port for worker in self.workers]

    def process(self, number: int) -> psutil.Process | None:
        """The serving process of a worker; None while there is none."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return next(iter(self.workers[number].workers()), None)
        return None

    def wait_until_ready(self) -> None:
        for worker in self.workers:
            worker.wait_until_ready()

    def output(self) -> str:
        return self.workers[0].output()

    # ------------------------------------------------------------ who asks

    def token(self, role: Role, surface: str, subject: str, **more: Any) -> str:
        return mint(
            self._key,
            issuer="guestprefs",
            audience="guestprefs",
            subject=subject,
            role=role,
            surface=surface,
            now=SystemClock().now(),
            lifetime=timedelta(hours=5),
            **more,
        )

    def guest_token(self, guest: str) -> str:
        return self.token(Role.GUEST, "guest_app", guest)

    def service_token(self) -> str:
        return self.token(Role.SERVICE, "front_desk", "pms", permissions=[ALL_GUESTS])

    def operator_token(self) -> str:
        return self.token(Role.OPERATOR, "front_desk", "ops", permissions=[ALL_GUESTS])

    def make_guests(self, count: int) -> list[str]:
        headers = bearer(self.service_token())
        with httpx2.Client(base_url=self.workers[0].url, timeout=START_TIMEOUT_S, headers=headers) as client:
            made = [client.post("/v1/guests", json={"display_name": f"Guest {n}"}) for n in range(count)]
        assert {answer.status_code for answer in made} == {201}, made[0].text
        return [answer.json()["guest"] for answer in made]

    def measured(self, number: int) -> dict[str, float]:
        """The metrics of a worker, by name with labels as they are written."""
        with contextlib.suppress(httpx2.TransportError):
            text = httpx2.get(f"{self.workers[number].url}/metrics", timeout=5).text
            lines = [line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#")]
            return {name: float(value) for name, _, value in lines}
        return {}

    def make_late(self, late: tuple[float, float] | None = None) -> None:
        for proxy in self.proxies:
            proxy.late, proxy.delay_s = late or self._late

    def heal(self) -> None:
        for proxy in self.proxies:
            proxy.heal()

    def wait_until_warm(self) -> None:
        """A server that started lately is not trusted with entries for ten seconds."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while (seconds := self._uptime_s()) < 11 and time.monotonic() < deadline:
            time.sleep(11 - seconds)

    def _uptime_s(self) -> int:
        said = self.valkey.ask(b"INFO server\r\n").decode(errors="replace")
        return next((int(line[18:]) for line in said.splitlines() if line.startswith("uptime_in_seconds:")), 0)
