"""A guest with the app open: reads their preferences, turns a knob, looks back at what changed."""

import random
import uuid

from locust import FastHttpUser, between, task

from loadtests import mix
from loadtests.demo import bearer, demo

WISHES = (
    {"climate.temperature.occupied": {"value": 68, "unit": "[degF]"}},
    {"climate.temperature.occupied": 21},
    {"climate.temperature.sleep": 18.5},
    {"lighting.brightness": 40},
    {"lighting.arrival_scene": "relax"},
    {"bed.pillow_type": [{"type": "foam", "count": 2}]},
    {"tv.favorite_channels": [{"network_id": "espn"}, {"network_id": "cnn", "genre": "news"}]},
)


class GuestApp(FastHttpUser):
    """One guest's phone."""

    weight = mix.GUEST_APP_WEIGHT
    wait_time = between(*mix.GUEST_APP_WAIT)
    host = "http://127.0.0.1"

    def on_start(self) -> None:
        house = demo()
        self.client.base_url = house.base_url
        self.guest = random.choice(sorted(house.guest_tokens))
        self.headers = bearer(house.guest_tokens[self.guest])
        self.catalogue_tag = ""

    @task(12)
    def read(self) -> None:
        path = f"/v1/guests/{self.guest}/preferences?property={demo().property}"
        self.client.get(path, headers=self.headers, name="guest: preferences")

    @task(4)
    def edit(self) -> None:
        self.client.patch(
            f"/v1/guests/{self.guest}/preferences?scope=profile&property={demo().property}",
            json=random.choice(WISHES),
            headers=self.headers | {"Idempotency-Key": str(uuid.uuid4())},
            name="guest: edit",
        )

    @task(2)
    def history(self) -> None:
        self.client.get(f"/v1/guests/{self.guest}/history?limit=10", headers=self.headers, name="guest: history")

    @task(1)
    def catalogue(self) -> None:
        headers = self.headers | ({"If-None-Match": self.catalogue_tag} if self.catalogue_tag else {})
        with self.client.get("/v1/catalogue", headers=headers, name="guest: catalogue", catch_response=True) as answer:
            if answer.status_code in (200, 304):
                self.catalogue_tag = answer.headers.get("ETag", self.catalogue_tag)
                answer.success()
            else:
                answer.failure(f"status {answer.status_code}")
