"""Whether the generator can be believed about tails: it is tried on a server whose stall is known."""

import sys
from dataclasses import dataclass

from loadtests.bench import load, stalling
from loadtests.bench.percentiles import percentile, stalled_percentile
from loadtests.bench.started import Grounds
from loadtests.bench.wire import request
from tests.servers import free_port

RATE = 250.0
SECONDS = 6.0  # three stalls
TOLERANCE = 0.25
_EXPECTED_MS = 1000 * stalled_percentile(stalling.STALL_S, stalling.EVERY_S, 0.99)


@dataclass(frozen=True, slots=True)
class Calibration:
    open_p99_ms: float
    closed_p99_ms: float

    @property
    def believed(self) -> bool:
        return abs(self.open_p99_ms / _EXPECTED_MS - 1) <= TOLERANCE

    def __str__(self) -> str:
        verdict = "so its tails are believed" if self.believed else "so its tails are NOT believed"
        return (
            f"Calibrated on a server that stands still for 200 ms of every 2 s: p99 {self.open_p99_ms:.0f} ms where "
            f"{_EXPECTED_MS:.0f} ms is right, {verdict}; a closed loop says {self.closed_p99_ms:.1f} ms."
        )


def calibrate(grounds: Grounds) -> Calibration:
    port = free_port()
    place = grounds.run("stalling", [sys.executable, "-m", "loadtests.bench.stalling", str(port)], port)
    asked = [request("/")]
    seen = load.opened(place.port, asked, SECONDS, RATE, connections=128)
    closed = load.closed(place.port, asked, 4.0, own=True)
    return Calibration(percentile(seen.counts, 0.99) / 1000, percentile(closed.counts, 0.99) / 1000)
