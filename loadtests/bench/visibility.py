"""How soon a write through one process is seen by default reads through another: from its acknowledgement on."""

import http.client
import json
import time

from loadtests.bench.guests import MERGE_PATCH, guest_id, path_of
from loadtests.bench.percentiles import Counts, counted
from loadtests.bench.started import House, Place

PATIENCE_S = 2.0
GUESTS = 50


def delays(house: House, neighbour: Place, writes: int) -> Counts:
    """Microseconds from the answer to a write to the end of the first default read elsewhere that shows it.

    Each guest is read through the other process first, so that there is something old to serve.
    """
    here = http.client.HTTPConnection("127.0.0.1", house.port, timeout=10)
    there = http.client.HTTPConnection("127.0.0.1", neighbour.port, timeout=10)
    try:
        return counted([_delay(here, there, house, number) for number in range(writes)])
    finally:
        here.close()
        there.close()


def _delay(here: http.client.HTTPConnection, there: http.client.HTTPConnection, house: House, number: int) -> float:
    guest = guest_id(number % GUESTS)
    for _ in range(2):
        _version(there, house, guest)
    headers = {"authorization": f"Bearer {house.importer}", "content-type": MERGE_PATCH}
    body = json.dumps({"tv.volume_default": 22 + 2 * (number // GUESTS % 20)})
    here.request("PATCH", f"/v1/guests/{guest}/preferences", body, headers)
    answer = here.getresponse()
    said = answer.read()
    if answer.status != 200:
        raise SystemExit(f"a write was refused: {answer.status} {said!r}")
    written, acknowledged = int(answer.headers["preferences-version"]), time.perf_counter()
    while _version(there, house, guest) < written:
        if time.perf_counter() - acknowledged > PATIENCE_S:
            break  # it counts as what it is: two seconds and more
    return (time.perf_counter() - acknowledged) * 1e6


def _version(link: http.client.HTTPConnection, house: House, guest: str) -> int:
    link.request("GET", path_of(house, guest), headers={"authorization": f"Bearer {house.token}"})
    answer = link.getresponse()
    answer.read()
    return int(answer.headers["preferences-version"])
