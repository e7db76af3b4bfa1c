"""`guestprefs serve` over a PostgreSQL and a Valkey of its own, each behind a link that can fail."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import httpx2
import psutil
from joserfc.jwk import Key
from prometheus_client.parser import text_string_to_metric_families

from api.auth import load_keys, mint
from loadtests.bench import wire
from prefs.bootstrap import SystemClock
from prefs.core.callers import ALL_GUESTS, Role
from tests.chaos.link import Link
from tests.chaos.openloop import Ask
from tests.cli.served import Served, bearer, guestprefs
from tests.servers import PostgresServer, ValkeyServer

PROPERTY = "dallas"
KEY = "lighting.brightness"
SEALED = "food.allergens"
FOR_FOOD = "food_safety"
REDIS_CALLS = (b"MGET", b"EVALSHA", b"SCRIPT")  # what a request costs; the heartbeat says none of these
BACK_S = 20.0  # by when a test gives up waiting for a service that should have come back alone


class Grounds:
    """Opened with so many guests that have said something; closed with everything it started."""

    def __init__(
        self,
        folder: Path,
        guests: int = 8,
        environ: Mapping[str, str] | None = None,
        workers: int = 1,
        launch: Sequence[str] | None = None,
        signer: tuple[str, Key] | None = None,
    ) -> None:
        """`signer`: the provider of everybody's tokens, by its name and key; else the service itself."""
        self.folder, self._signer = folder, signer
        self._count, self._workers, self._more, self._launch = guests, workers, environ or {}, launch
        self._stack = ExitStack()
        self.guests: list[str] = []

    def __enter__(self) -> Self:
        try:
            self._open()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _open(self) -> None:
        self.postgres = self._stack.enter_context(PostgresServer())
        self.valkey = self._stack.enter_context(ValkeyServer())
        database = self.postgres.create_database("chaos")
        self.sql = self._stack.enter_context(Link(self.postgres.port))
        self.redis = self._stack.enter_context(Link(self.valkey.port, REDIS_CALLS))
        self.environ = {
            "DATABASE_URL": database.replace(f":{self.postgres.port}/", f":{self.sql.port}/"),
            "REDIS_URL": f"redis://127.0.0.1:{self.redis.port}/0",
            "LOG_LEVEL": "warning",
            "GUESTPREFS_CALLER_RATE": "0",  # few guests do here what thousands would
            **self._more,
        }
        for words in (("keys",), ("migrate",)):
            done = guestprefs(self.folder, *words, environ=self.environ)
            assert done.returncode == 0, done.stderr
        self._issuer, self._key = self._signer or ("guestprefs", load_keys(self.folder / "data" / "keys.json")[0])
        words = ("--workers", str(self._workers))
        self.server = Served(self.folder, *words, environ=self.environ, launch=self._launch)
        self._stack.callback(self.server.close)
        self.server.start()
        self.http = self._stack.enter_context(httpx2.Client(base_url=self.server.url, timeout=15))
        self.service = self._token(Role.SERVICE, "front_desk", "pms", [ALL_GUESTS])
        self.operator = self._token(Role.OPERATOR, "front_desk", "ops", [ALL_GUESTS])
        hotel = {"name": "Dallas", "time_zone": "UTC", "warm_months": [5, 6, 7, 8, 9]}
        put = self.http.put(f"/v1/properties/{PROPERTY}", json=hotel, headers=bearer(self.operator))
        assert put.status_code < 300, put.text
        for number in range(self._count):
            body = {"display_name": f"Guest {number}", "identifiers": [{"system": "chaos", "id": str(number)}]}
            made = self.http.post("/v1/guests", json=body, headers=bearer(self.service))
            assert made.status_code == 201, made.text
            self.guests.append(made.json()["guest"])
            assert self.prefer(self.guests[-1], number % 100).status_code == 200

    def pin(self, core: int, beside: int) -> None:
        """From now on the server stays on one core and its databases on another."""
        assert self.server.process is not None
        for pid, where in ((self.server.process.pid, core), (self.postgres.pid, beside), (self.valkey.pid, beside)):
            root = psutil.Process(pid)
            for process in (root, *root.children(recursive=True)):
                for thread in process.threads():
                    os.sched_setaffinity(thread.id, {where})

    def _token(self, role: Role, surface: str, subject: str, permissions: Sequence[str] = ()) -> str:
        return mint(
            self._key,
            issuer=self._issuer,
            audience="guestprefs",
            subject=subject,
            role=role,
            surface=surface,
            now=SystemClock().now(),
            lifetime=timedelta(minutes=10) if self._signer else timedelta(hours=5),  # no provider's may last longer
            permissions=permissions,
        )

    def token_of(self, guest: str) -> str:
        return self._token(Role.GUEST, "guest_app", guest)

    @staticmethod
    def path(guest: str) -> str:
        return f"/v1/guests/{guest}/preferences"

    def prefer(self, guest: str, value: Any, key: str = KEY) -> httpx2.Response:
        return self.http.patch(self.path(guest), json={key: value}, headers=bearer(self.token_of(guest)))

    def read(self, guest: str, **headers: str) -> httpx2.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.get(self.path(guest), headers={**bearer(self.service), **named})

    def reads(self, *, linearizable: bool = False) -> list[Ask]:
        """A read of each guest; `linearizable` ones pass over the local tier."""
        headers = {"cache-control": "no-cache"} if linearizable else {}
        label = "no-cache" if linearizable else "read"
        return [Ask(label, wire.request(self.path(g), headers=headers, token=self.service), g) for g in self.guests]

    def writes(self) -> list[Ask]:
        """Each writes a value that was not there before."""
        changing = b'{"%s": %s}' % (KEY.encode(), wire.VALUE)
        return [
            Ask("write", wire.request(self.path(guest), "PATCH", changing, token=self.token_of(guest)), guest)
            for guest in self.guests
        ]

    def batch(self) -> Ask:
        body = {"guests": self.guests, "property": PROPERTY}
        return Ask("batch", wire.request("/v1/preferences/batch", "POST", body, token=self.service), self.guests[-1])

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the samples of this name with these labels."""
        text = self.http.get("/metrics").text
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def wait_for_tier(self, tier: str, timeout_s: float = BACK_S, **headers: str) -> float:
        """Until a read is answered by this tier; the seconds that took."""
        return wait_until(
            lambda: f"detail={tier}" in self.tier_of(self.read(self.guests[0], **headers)), tier, timeout_s
        )

    @staticmethod
    def tier_of(answer: httpx2.Response) -> str:
        return str(answer.headers.get("cache-status", ""))


def wait_until(held: Callable[[], bool], what: str, timeout_s: float = BACK_S) -> float:
    began = time.monotonic()
    while not held():
        assert time.monotonic() - began < timeout_s, f"{what}: not within {timeout_s} s"
        time.sleep(0.01)
    return time.monotonic() - began
