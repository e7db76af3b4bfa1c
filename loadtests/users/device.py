"""What hangs on the wall of a room and asks for its own few keys, far more often than anybody else."""

import random

from locust import FastHttpUser, between, task

from loadtests.demo import bearer, demo, guests_in_sight
from loadtests.mix import WAITS, WEIGHTS

KEYS = {
    "thermostat": "climate.temperature.occupied,climate.mode,climate.fan_mode",
    "tv": "tv.favorite_channels,tv.volume_default,locale.language",
    "lights": "lighting.arrival_scene,lighting.brightness",
}


class Device(FastHttpUser):
    weight = WEIGHTS["device"]
    wait_time = between(*WAITS["device"])

    def on_start(self) -> None:
        self.surface = random.choice(sorted(KEYS))
        self.headers = bearer(demo()["tokens"]["device"][self.surface])
        guest = random.choice(guests_in_sight())
        self.path = f"/v1/guests/{guest}/preferences?property={demo()['property']}&keys={KEYS[self.surface]}"

    @task
    def poll(self) -> None:
        self.client.get(self.path, headers=self.headers, name=f"{self.surface} preferences")
