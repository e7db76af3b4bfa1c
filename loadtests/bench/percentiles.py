"""Arithmetic of latencies: percentiles of counts, what a known stall must look like, what a tenfold growth costs."""

import math
from collections.abc import Iterable, Mapping, Sequence

SHARES = (0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 1.0)

type Counts = Mapping[int, int]  # microseconds, rounded, to how often they were seen


def rounded(microseconds: float) -> int:
    """To three significant digits: finer is noise, and the counts of a run stay few."""
    whole = max(int(microseconds), 1)
    step: int = 10 ** max(len(str(whole)) - 3, 0)
    return whole // step * step


def counted(latencies_us: Iterable[float]) -> dict[int, int]:
    counts: dict[int, int] = {}
    for latency in latencies_us:
        near = rounded(latency)
        counts[near] = counts.get(near, 0) + 1
    return counts


def merged(parts: Iterable[Counts]) -> dict[int, int]:
    """All rounds as one: percentiles are never averaged."""
    total: dict[int, int] = {}
    for part in parts:
        for latency, count in part.items():
            total[latency] = total.get(latency, 0) + count
    return total


def percentile(counts: Counts, share: float) -> float:
    """The smallest latency, in microseconds, that `share` of all answers did not exceed; nan of nothing."""
    left = share * sum(counts.values())
    latency = math.nan
    for latency, count in sorted(counts.items()):  # noqa: B007 - the last one is the answer to 1.0
        left -= count
        if left <= 1e-9:
            break
    return float(latency)


def stalled_percentile(stall_s: float, every_s: float, share: float) -> float:
    """What an open-loop client must see of a server that stands still for `stall_s` of every `every_s` seconds.

    Requests arrive evenly, so a share stall/every of them meets the stall, and each of those waits for what is left of
    it, evenly between nothing and the whole.
    """
    hit = stall_s / every_s
    return stall_s * max(0.0, 1 - (1 - share) / hit)


def per_tenfold(points: Sequence[tuple[float, float]]) -> float:
    """Factor by which a cost grows when the number stored grows tenfold: a straight line through the logarithms."""
    if len(points) < 2:
        return math.nan
    across = [math.log10(size) for size, _ in points]
    up = [math.log10(cost) for _, cost in points]
    middle, height = sum(across) / len(across), sum(up) / len(up)
    slope = sum((x - middle) * (y - height) for x, y in zip(across, up, strict=True))
    return float(10 ** (slope / sum((x - middle) ** 2 for x in across)))
