"""A kiosk in the lobby: one guest after the other, a look at what is known and a look at the words to show."""

import random

from locust import FastHttpUser, between, task

from loadtests.demo import bearer, demo, guests_in_sight
from loadtests.mix import WAITS, WEIGHTS


class Kiosk(FastHttpUser):
    weight = WEIGHTS["kiosk"]
    wait_time = between(*WAITS["kiosk"])

    def on_start(self) -> None:
        self.headers = bearer(demo()["tokens"]["kiosk"])

    @task(5)
    def greet(self) -> None:
        guest = random.choice(guests_in_sight())
        path = f"/v1/guests/{guest}/preferences?property={demo()['property']}"
        self.client.get(path, headers=self.headers, name="kiosk preferences")

    @task(1)
    def words(self) -> None:
        language = random.choice(["en", "lo", "ka", "th", "vi", "ar"])
        self.client.get("/v1/catalogue", headers={**self.headers, "Accept-Language": language}, name="catalogue")
