"""A staff console: opens one guest at a glance, and every so often the whole list of arrivals."""

import random

from locust import FastHttpUser, between, task

from loadtests import mix
from loadtests.demo import bearer, demo

ARRIVALS_MAX = 100  # guests in one look at the arrivals list


class StaffConsole(FastHttpUser):
    """A front desk or housekeeping screen."""

    weight = mix.STAFF_WEIGHT
    wait_time = between(*mix.STAFF_WAIT)
    host = "http://127.0.0.1"

    def on_start(self) -> None:
        house = demo()
        self.client.base_url = house.base_url
        self.headers = bearer(random.choice(list(house.tokens["staff"].values())))

    @task(8)
    def glance(self) -> None:
        guest = random.choice(demo().guests)
        path = f"/v1/guests/{guest}/preferences?property={demo().property}&explain=1"
        self.client.get(path, headers=self.headers, name="staff: profile at a glance")

    @task(2)
    def arrivals(self) -> None:
        some = random.sample(demo().guests, min(ARRIVALS_MAX, len(demo().guests)))
        self.client.post(
            "/v1/preferences/batch",
            json={"guests": some, "property": demo().property},
            headers=self.headers,
            name="staff: arrivals (batch)",
        )
