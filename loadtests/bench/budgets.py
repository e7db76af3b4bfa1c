"""The budget: each row with its bar, and the one rule by which a row passes, fails or counts as not run."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

# A generator this busy may be what was measured; design: "within 15 % of its ceiling".
BOUND_FROM = 0.85


class Verdict(StrEnum):
    PASS = "PASS"
    FAIL = "FAIL"
    NOT_RUN = "NOT RUN"
    GENERATOR_BOUND = "generator-bound"


class Better(StrEnum):
    MORE = "more"
    LESS = "less"


@dataclass(frozen=True, slots=True)
class Budget:
    """One row. `bar` is what counts; `moonshot` is what we would like. A row without a bar is for information."""

    id: str
    what: str
    unit: str
    bar: float | None
    moonshot: float | None
    better: Better = Better.MORE


@dataclass(frozen=True, slots=True)
class Finding:
    """What was measured for a row; no value and a reason where nothing was."""

    value: float = math.nan
    note: str = ""
    generator_share: float = 0.0  # how busy the generator was in the busier of the two runs compared
    counts: bool = True  # False: a number worth seeing that is not the one the row asks for


@dataclass(frozen=True, slots=True)
class Judged:
    budget: Budget
    finding: Finding
    verdict: Verdict


BUDGETS = (
    Budget("hot/bytes", "hot read, 10 keys, to an empty FastAPI bytes route", "x", 2.0, None),
    Budget("hot/bare", "hot read, 10 keys, to a bare ASGI application", "x", 0.5, 0.7),
    Budget("hot/pocketbase", "hot read to PocketBase, same document", "x", 1.5, None),
    Budget("hot/feast", "hot read to Feast", "x", 20.0, None),
    Budget("hot/kinto", "hot read to Kinto, same document", "x", 50.0, None),
    Budget("hot/webdis", "hot read to Webdis, same document", "x", None, 0.5),
    Budget("shared/bytes", "shared tier only (no-cache), to an empty FastAPI bytes route", "x", 0.7, 1.0),
    Budget("ledger/bytes", "read with an allergy, on record before it is told, to the same route", "x", 0.25, None),
    Budget("batch/webdis", "batch of 100 guests to Webdis MGET, same documents", "x", 1.0, 3.0),
    Budget("batch/pocketbase", "batch of 100 guests to PocketBase", "x", 3.0, None),
    Budget("write/kinto", "one-key write, history, precondition, PostgreSQL, to Kinto", "x", 3.0, 6.0),
    Budget("write/pocketbase", "the same on SQLite, to PocketBase", "x", 0.3, 1.0),
    Budget("visible", "write visible in another process's default read, p99, no faults", "ms", 20.0, 3.0, Better.LESS),
    Budget("told/redis", "write through one process told by a stream of another, p99", "ms", 50.0, None, Better.LESS),
    Budget("told/polled", "the same without Redis, after a quiet time", "ms", 1200.0, None, Better.LESS),
    Budget("client/python", "last known while the server is away, Python client, p99", "ms", 1.0, None, Better.LESS),
    Budget("client/node", "the same, TypeScript client in Node", "ms", 1.0, None, Better.LESS),
    Budget("client/browser", "the same in Chromium, out of IndexedDB", "ms", 1.0, None, Better.LESS),
    Budget("growth/hot", "hot read p99, 1,000,000 guests stored to 1,000", "x", 1.2, 1.0, Better.LESS),
    Budget("growth/miss", "store miss, 1,000,000 guests stored to 1,000", "x", 1.5, 1.0, Better.LESS),
    Budget("memory", "memory per guest in the local tier (10 keys, one view)", "KiB", 4.0, 2.0, Better.LESS),
)


def budget_of(row: str) -> Budget:
    return next(budget for budget in BUDGETS if budget.id == row)


def judge(budget: Budget, finding: Finding | None) -> Judged:
    """A missing number never passes, and a number of a busy generator neither passes nor fails."""
    finding = finding or Finding(note="not asked for")
    return Judged(budget, finding, _verdict(budget, finding))


def _verdict(budget: Budget, finding: Finding) -> Verdict:
    bar = budget.moonshot if budget.bar is None else budget.bar
    if math.isnan(finding.value) or not finding.counts or bar is None:
        return Verdict.NOT_RUN
    if finding.generator_share >= BOUND_FROM:
        return Verdict.GENERATOR_BOUND
    reached = finding.value >= bar if budget.better is Better.MORE else finding.value <= bar
    return Verdict.PASS if reached else Verdict.FAIL


def worst(budget: Budget, findings: Sequence[Finding]) -> Finding:
    """Of several that must each reach the bar: one that was not measured counts as the worst, and all are told."""
    notes = "; ".join(finding.note for finding in findings)
    if not findings:
        return Finding(note="not asked for")
    missing = [each for each in findings if math.isnan(each.value) or not each.counts]
    pick = min if budget.better is Better.MORE else max
    found = missing[0] if missing else pick(findings, key=lambda each: each.value)
    return replace(found, note=notes, generator_share=max(each.generator_share for each in findings))


def judge_all(findings: Mapping[str, Finding], wanted: str = "") -> list[Judged]:
    """Every row of the budget in its order; with `wanted`, those whose id holds that text."""
    return [judge(budget, findings.get(budget.id)) for budget in BUDGETS if matches(budget.id, wanted)]


def matches(row: str, wanted: str) -> bool:
    """`hot,batch` names several; nothing names all."""
    return not wanted or any(part.strip() in row for part in wanted.split(",") if part.strip())


def table(rows: list[Judged]) -> str:
    """As text for a terminal, in a fixed width, each row with its reason where it has one."""
    lines = [f"{'row':18}{'measured':>11}{'bar':>10}{'moonshot':>10}  verdict"]
    for row in rows:
        budget, sign = row.budget, "<= " if row.budget.better is Better.LESS else ""
        shown = "-" if math.isnan(row.finding.value) else f"{row.finding.value:.2f} {budget.unit}"
        bars = [f"{sign}{bar:g} {budget.unit}" if bar is not None else "-" for bar in (budget.bar, budget.moonshot)]
        lines.append(f"{budget.id:18}{shown:>11}{bars[0]:>10}{bars[1]:>10}  {row.verdict}")
        lines.append(f"    {budget.what}" + (f"; {row.finding.note}" if row.finding.note else ""))
    return "\n".join(lines) + "\n"
