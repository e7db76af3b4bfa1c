"""The tables of a run: as text, as Markdown for the README, and as one HTML file with plots."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from html import escape

from loadtests.bench import plots
from loadtests.bench.budgets import Better, Judged
from loadtests.bench.comparing import Group, ceiling
from loadtests.bench.growth import Growth
from loadtests.bench.percentiles import Counts, percentile

_STYLE = """body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;color:#1f2937}
table{border-collapse:collapse;margin:.6rem 0 1.4rem}
td,th{padding:.25rem .7rem;border-bottom:1px solid #d1d5db;text-align:left}
td.n{text-align:right;font-variant-numeric:tabular-nums}.PASS{color:#15803d}.FAIL{color:#b91c1c}
svg text{font-size:12px;fill:#374151}.grid{stroke:#e5e7eb;fill:none}small{color:#4b5563}"""

type Rows = list[list[str]]


@dataclass(slots=True)
class Outcome:
    """All that a run found."""

    facts: dict[str, str]
    judged: list[Judged] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    tails: dict[str, Counts] = field(default_factory=dict)
    tails_note: str = ""
    calibration: str = ""
    growth: list[Growth] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def budget_rows(judged: list[Judged]) -> Rows:
    rows = [["what", "measured", "bar", "moonshot", "verdict", "remarks"]]
    for row in judged:
        sign = "at most " if row.budget.better is Better.LESS else ""
        bars = [
            f"{sign}{bar:g} {row.budget.unit}" if bar is not None else ""
            for bar in (row.budget.bar, row.budget.moonshot)
        ]
        measured = "" if math.isnan(row.finding.value) else f"{row.finding.value:.2f} {row.budget.unit}"
        rows.append([row.budget.what, measured, *bars, row.verdict.value, row.finding.note])
    return rows


def rate_rows(groups: list[Group]) -> Rows:
    rows = [["call", "server", "best/s", "all rounds", "p50 ms", "p99 ms", "wrong", "retried"]]
    rows[0] += ["CPU us/answer", "server busy", "generator busy"]
    for group in groups:
        for name, each in group.rounds.items():
            best, rates = each.best, " ".join(f"{sample.rate:,.0f}" for sample in each.samples)
            times = [f"{percentile(each.counts, share) / 1000:.2f}" for share in (0.5, 0.99)]
            busy = f"{best.server:.0%}" if best.server else ""
            cost = "" if math.isnan(each.cpu_us) else f"{each.cpu_us:,.0f}"
            told = [str(each.wrong), str(each.retried), cost, busy, f"{best.generator:.0%}"]
            rows.append([group.title, name, f"{best.rate:,.0f}", rates, *times, *told])
    return rows


def tail_rows(tails: Mapping[str, Counts]) -> Rows:
    shares = (0.5, 0.9, 0.99, 0.999, 1.0)
    rows = [["server", *("max" if share == 1 else f"p{share * 100:g} ms" for share in shares)]]
    for name, counts in tails.items():
        rows.append([name, *(f"{percentile(counts, share) / 1000:.2f}" for share in shares)])
    return rows


def growth_rows(all_growth: list[Growth]) -> Rows:
    rows = [["engine", "call", "cost at each size, microseconds where nothing else is said", "fitted, per tenfold"]]
    for growth in all_growth:
        for call, costs in growth.costs.items():
            cells = ", ".join(f"{size:,}: {cost:,.0f}" for size, cost in sorted(costs.items()))
            rows.append([growth.engine, call, cells, f"{growth.tenfold(call):.3f}x"])
    return rows


def ceiling_note(groups: list[Group]) -> str:
    found = ceiling(groups)
    if found is None:
        return ""
    most, run = found
    return (
        f"Generator's ceiling: about {most:,.0f}/s (it sent {run.rate:,.0f}/s wanting {run.generator:.0%} of its core)."
    )


def sections(outcome: Outcome) -> list[tuple[str, str, Rows]]:
    """Title, words, table: the same for every form of the report."""
    found = [("Budget", " ".join(outcome.notes), budget_rows(outcome.judged))]
    if outcome.groups:
        words = "Closed loop, 16 connections, rounds in turn. The percentiles are what a closed loop sees. "
        words += "CPU is that of the server's own processes, without databases and caches, in the cheapest round. "
        found.append(("Rates", words + ceiling_note(outcome.groups), rate_rows(outcome.groups)))
    if outcome.tails:
        words = f"{outcome.tails_note} {outcome.calibration}"
        found.append(("Latency from the intended moment", words, tail_rows(outcome.tails)))
    if outcome.growth:
        words = "The inverse of the best rate, and for the hot read the best p99 at a fixed offered rate."
        found.append(("Growth", words, growth_rows(outcome.growth)))
    return found


def markdown(outcome: Outcome) -> str:
    parts = [f"Measured at commit {outcome.facts['commit']}, {outcome.facts['measured at']}.\n"]
    parts += [f"- {name}: {said}" for name, said in outcome.facts.items() if name not in ("commit", "measured at")]
    for title, words, rows in sections(outcome):
        head, *rest = rows
        parts += [f"\n**{title}.** {words}\n", f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
        parts += [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rest]
    return "\n".join(parts) + "\n"


def html(outcome: Outcome) -> str:
    facts = "".join(f"<tr><th>{escape(name)}</th><td>{escape(said)}</td></tr>" for name, said in outcome.facts.items())
    body = [f"<h1>guestprefs: what it costs</h1><table>{facts}</table>"]
    for title, words, rows in sections(outcome):
        body.append(f"<h2>{escape(title)}</h2><p>{escape(words)}</p>{_table(rows)}")
        if title.startswith("Latency"):
            body.append(plots.percentiles({name: _curve(counts) for name, counts in outcome.tails.items()}))
        if title == "Rates":
            body += [
                f"<h3>{escape(group.title)}, closed loop</h3>"
                + plots.percentiles({name: _curve(each.counts) for name, each in group.rounds.items()})
                for group in outcome.groups
            ]
        if title == "Growth":
            body += [_growth_plot(growth) for growth in outcome.growth]
    head = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>guestprefs bench</title><style>{_STYLE}</style>'
    )
    return f"{head}<body>{''.join(body)}</body></html>\n"


def _curve(counts: Counts) -> Callable[[float], float]:
    def at(share: float) -> float:
        return percentile(counts, share) / 1000

    return at


def _growth_plot(growth: Growth) -> str:
    series = {
        call: [(float(size), cost / costs[min(costs)]) for size, cost in sorted(costs.items())]
        for call, costs in growth.costs.items()
    }
    return f"<h3>{escape(growth.engine)}: cost to that of the smallest store</h3>" + plots.growth(series)


def _table(rows: Rows) -> str:
    head, *rest = rows
    lines = ["<tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in head) + "</tr>"]
    for row in rest:
        cells = (f'<td class="{_class(cell)}">{escape(cell)}</td>' for cell in row)
        lines.append("<tr>" + "".join(cells) + "</tr>")
    return f"<table>{''.join(lines)}</table>"


def _class(cell: str) -> str:
    return cell if cell in ("PASS", "FAIL") else "n" if cell[:1].isdigit() and len(cell) < 14 else "t"


def text(rows: Rows) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines) + "\n"
