"""Plots as inline SVG, so that a report is one file that opens anywhere."""

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 760, 320, 70, 40, 14, 190
COLOURS = ("#0b6e99", "#c2410c", "#15803d", "#7e22ce", "#a16207", "#be123c", "#334155", "#0d9488")
QUANTILES = (0.0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 1.0)

type Series = Mapping[str, Sequence[tuple[float, float]]]


def percentiles(series: Mapping[str, Callable[[float], float]], unit: str = "ms") -> str:
    """Latency by percentile, the tail stretched: each nine gets as much room as the one before it."""
    shares = [1 - 10 ** (-step / 20) for step in range(2, 61)]
    lines = {
        name: [(-math.log10(1 - share), value) for share in shares if (value := at(share)) > 0]
        for name, at in series.items()
    }
    ticks = [(-math.log10(1 - share), f"p{share * 100:g}") for share in (0.5, 0.9, 0.99, 0.999)]
    return _plot(lines, ticks, unit)


def growth(series: Series, unit: str = "times") -> str:
    """Cost to that at the smallest size; both ways by powers of ten."""
    lines = {name: [(math.log10(size), cost) for size, cost in points] for name, points in series.items()}
    sizes = sorted({size for points in series.values() for size, _ in points})
    return _plot(lines, [(math.log10(size), f"{size:,.0f}") for size in sizes], unit)


def _plot(lines: Series, ticks: Sequence[tuple[float, str]], unit: str) -> str:
    points = [point for line in lines.values() for point in line if point[1] > 0]
    if not points:
        return "<p>Nothing was measured.</p>"
    xs = [x for x, _ in points] + [x for x, _ in ticks]
    low, high = math.log10(min(y for _, y in points)) - 0.05, math.log10(max(y for _, y in points)) + 0.05
    left, right = min(xs), max(max(xs), min(xs) + 1e-9)

    def across(x: float) -> float:
        return LEFT + (x - left) / (right - left) * (WIDTH - LEFT - RIGHT)

    def up(y: float) -> float:
        return HEIGHT - BOTTOM - (math.log10(y) - low) / (high - low) * (HEIGHT - BOTTOM - TOP)

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img">']
    for x, label in ticks:
        parts.append(f'<path d="M{across(x):.1f} {TOP}V{HEIGHT - BOTTOM}" class="grid"/>')
        parts.append(
            f'<text x="{across(x):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{escape(label)}</text>'
        )
    for value in _steps(low, high):
        parts.append(f'<path d="M{LEFT} {up(value):.1f}H{WIDTH - RIGHT}" class="grid"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{up(value) + 4:.1f}" text-anchor="end">{value:g} {escape(unit)}</text>')
    for number, (name, line) in enumerate(lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in line if y > 0)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        y = TOP + 14 + number * 18
        parts.append(f'<path d="M{WIDTH - RIGHT + 12} {y - 4}h18" stroke="{colour}" stroke-width="3"/>')
        parts.append(f'<text x="{WIDTH - RIGHT + 36}" y="{y}">{escape(name)}</text>')
    return "".join([*parts, "</svg>"])


def _steps(low: float, high: float) -> list[float]:
    """1, 2, 5 of every power of ten between two logarithms."""
    every = [factor * 10**power for power in range(math.floor(low), math.ceil(high) + 1) for factor in (1, 2, 5)]
    return [value for value in every if low <= math.log10(value) <= high]
