"""A guest with the app open: looks at what applies, moves a slider, looks at what changed."""

import random
import uuid
from typing import Any

from locust import FastHttpUser, between, task

from loadtests.demo import bearer, demo
from loadtests.mix import WAITS, WEIGHTS


class GuestApp(FastHttpUser):
    weight = WEIGHTS["guest_app"]
    wait_time = between(*WAITS["guest_app"])

    def on_start(self) -> None:
        self.guest = demo()["guests"][0]
        self.headers = bearer(demo()["tokens"]["guest"])
        self.path = f"/v1/guests/{self.guest}/preferences"
        self.version = 0
        self.etag = ""

    @task(8)
    def look(self) -> None:
        self._read(self.path, "preferences")

    @task(4)
    def look_at_the_hotel(self) -> None:
        self._read(f"{self.path}?property={demo()['property']}", "preferences here")

    @task(4)
    def look_again(self) -> None:
        """As an app does that kept the answer: a 304 is what it hopes for."""
        headers = {**self.headers, "If-None-Match": self.etag} if self.etag else self.headers
        with self.client.get(self.path, headers=headers, name="preferences again", catch_response=True) as answer:
            if answer.status_code not in (200, 304):
                answer.failure(f"status {answer.status_code}")
                return
            self.etag = answer.headers.get("ETag", "")
            answer.success()

    @task(3)
    def turn_the_dial(self) -> None:
        self._write({"climate.temperature.occupied": {"value": random.randint(64, 76), "unit": "[degF]"}})

    @task(1)
    def dim(self) -> None:
        self._write(
            {"lighting.brightness": random.randrange(10, 90, 5), "tv.volume_default": random.randrange(10, 40, 2)}
        )

    @task(1)
    def history(self) -> None:
        self._read(f"/v1/guests/{self.guest}/history?limit=10", "history")

    @task(1)
    def catalogue(self) -> None:
        self._read("/v1/catalogue", "catalogue")

    def _read(self, path: str, name: str) -> None:
        self.client.get(path, headers=self.headers, name=name)

    def _write(self, patch: dict[str, Any]) -> None:
        headers = {**self.headers, "Idempotency-Key": uuid.uuid4().hex}
        self.client.patch(self.path, json=patch, headers=headers, name="write")
