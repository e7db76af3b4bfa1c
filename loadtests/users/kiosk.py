"""A check-in kiosk: greets one guest after another in their language and shows what the house knows."""

import random

from locust import FastHttpUser, between, task

from loadtests import mix
from loadtests.demo import bearer, demo


class Kiosk(FastHttpUser):
    """One machine in the lobby."""

    weight = mix.KIOSK_WEIGHT
    wait_time = between(*mix.KIOSK_WAIT)
    host = "http://127.0.0.1"

    def on_start(self) -> None:
        house = demo()
        self.client.base_url = house.base_url
        self.headers = bearer(house.tokens["kiosk"]) | {"Accept-Language": random.choice(["en", "lo", "ka", "ar"])}

    @task
    def greet(self) -> None:
        guest = random.choice(demo().guests)
        path = f"/v1/guests/{guest}/preferences?property={demo().property}"
        self.client.get(path, headers=self.headers, name="kiosk: preferences")
