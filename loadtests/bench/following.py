"""How soon a write through one process is told by a stream of another: from the moment the write is sent on."""

import http.client
import json
import random
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

from loadtests.bench.guests import MERGE_PATCH, guest_id
from loadtests.bench.percentiles import Counts, counted
from loadtests.bench.started import House, Place

PATIENCE_S = 20.0  # the stream says something, if only that it is there, in less
KEY = "tv.volume_default"
WRITES, QUIET_WRITES = 300, 24
BUSY_S = (0.0, 0.02)  # between two writes
# Longer than the longest time between two looks, so that each write comes at any moment of it.
IDLE_S = (2.0, 3.0)


@dataclass(frozen=True, slots=True)
class Stream:
    """One guest's, read line by line; what comes while a write is under way waits in the socket."""

    answer: http.client.HTTPResponse

    def versions(self) -> Iterator[int]:
        while line := self.answer.readline():
            if line.startswith(b"data: "):
                said = json.loads(line.removeprefix(b"data: "))
                yield said["version"] if "version" in said else said["items"][0]["version"]
        raise SystemExit("a stream ended")


def delays(house: House, neighbour: Place, writes: int, pause_s: tuple[float, float]) -> Counts:
    """Microseconds until the stream has told the version that was written, the write itself included."""
    chance, guest = random.Random(11), guest_id(1)
    with (
        closing(http.client.HTTPConnection("127.0.0.1", house.port, timeout=10)) as here,
        closing(http.client.HTTPConnection("127.0.0.1", neighbour.port, timeout=PATIENCE_S)) as there,
    ):
        there.request("GET", f"/v1/changes?guest={guest}", headers={"authorization": f"Bearer {house.importer}"})
        answer = there.getresponse()
        if answer.status != 200:
            raise SystemExit(f"a stream was refused: {answer.status} {answer.read()!r}")
        versions = Stream(answer).versions()
        told, found = next(versions), []
        for number in range(writes):
            time.sleep(chance.uniform(*pause_s))
            begun = time.perf_counter()
            written = _written(here, house, guest, 22 + 2 * (number % 20))
            while told < written:
                told = next(versions)
            found.append((time.perf_counter() - begun) * 1e6)
        return counted(found)


def _written(here: http.client.HTTPConnection, house: House, guest: str, volume: int) -> int:
    """The version that the guest has now."""
    headers = {"authorization": f"Bearer {house.importer}", "content-type": MERGE_PATCH}
    here.request("PATCH", f"/v1/guests/{guest}/preferences", json.dumps({KEY: volume}), headers)
    answer = here.getresponse()
    said = answer.read()
    if answer.status != 200:
        raise SystemExit(f"a write was refused: {answer.status} {said!r}")
    return int(answer.headers["preferences-version"])
