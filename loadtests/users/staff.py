"""The desk and housekeeping: one profile at a glance, and everybody in house in one call."""

import random

from locust import FastHttpUser, between, task

from loadtests.demo import bearer, demo, guests_in_sight
from loadtests.mix import WAITS, WEIGHTS


class Staff(FastHttpUser):
    weight = WEIGHTS["staff"]
    wait_time = between(*WAITS["staff"])

    def on_start(self) -> None:
        tokens = demo()["tokens"]["staff"]
        self.desk, self.housekeeping = bearer(tokens["front_desk"]), bearer(tokens["housekeeping"])

    @task(5)
    def glance(self) -> None:
        guest = random.choice(guests_in_sight())
        path = f"/v1/guests/{guest}/preferences?property={demo()['property']}&explain=1"
        self.client.get(path, headers=self.desk, name="desk preferences")

    @task(2)
    def floor_list(self) -> None:
        body = {"guests": guests_in_sight(), "property": demo()["property"]}
        self.client.post("/v1/preferences/batch", json=body, headers=self.housekeeping, name="housekeeping batch")
