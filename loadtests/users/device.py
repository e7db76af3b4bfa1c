"""An in-room device: looks often, nearly always finds nothing new, and now and then somebody presses the panel."""

import random
from typing import ClassVar

from locust import FastHttpUser, between, task

from loadtests import mix
from loadtests.demo import bearer, demo


class Device(FastHttpUser):
    """A thermostat, a television or the lights of one occupied room."""

    weight = mix.DEVICE_WEIGHT
    wait_time = between(*mix.DEVICE_WAIT)
    host = "http://127.0.0.1"
    seen: ClassVar[dict[tuple[str, str], str]] = {}

    def on_start(self) -> None:
        house = demo()
        self.client.base_url = house.base_url
        self.kind = random.choice(sorted(house.tokens["device"]))
        self.guest = random.choice(house.guests)
        self.headers = bearer(house.tokens["device"][self.kind])

    @task(40)
    def look(self) -> None:
        known = self.seen.get((self.kind, self.guest))
        headers = self.headers | ({"If-None-Match": known} if known else {})
        path = f"/v1/guests/{self.guest}/preferences?property={demo().property}"
        with self.client.get(path, headers=headers, name="device: preferences", catch_response=True) as answer:
            if answer.status_code in (200, 304):
                self.seen[(self.kind, self.guest)] = answer.headers.get("ETag", "")
                answer.success()
            else:
                answer.failure(f"status {answer.status_code}")

    @task(1)
    def press(self) -> None:
        if self.kind != "thermostat":
            return
        self.client.patch(
            f"/v1/guests/{self.guest}/preferences?scope=room&property={demo().property}",
            json={"climate.temperature.occupied": random.choice([20, 20.5, 21, 21.5, 22])},
            headers=self.headers,
            name="device: panel press",
        )
