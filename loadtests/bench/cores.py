"""Cores: which one the server has and which the generator, and how much of its core a process wanted.

A process *wanted* its core while it ran and while it waited to run. On a shared machine the time it ran alone would
call a starved generator idle.
"""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_ALL = sorted(os.sched_getaffinity(0))
PINNED = len(_ALL) >= 2
SERVER_CORE = _ALL[0]
GENERATOR_CORE = _ALL[1] if PINNED else _ALL[0]


def on_core(core: int) -> list[str]:
    """Words before a command that keep it, and all it starts, on one core."""
    return ["taskset", "-c", str(core)] if PINNED else []


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds that a process ran and waited to run since it began, over all its threads."""

    at: float
    ran: float
    waited: float


def times_of(pid: int) -> Times:
    ran = waited = 0
    for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        try:
            on_cpu, in_queue, _ = task.read_text().split()
        except OSError:
            continue  # the thread ended between the look at the folder and the look at the file
        ran, waited = ran + int(on_cpu), waited + int(in_queue)
    return Times(time.monotonic(), ran / 1e9, waited / 1e9)


def ran_s(pids: Sequence[int]) -> float:
    """Seconds that processes ran since they began, threads that ended among them."""
    ticks = 0
    for pid in pids:
        try:
            text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue  # it ended
        ticks += sum(int(part) for part in text.rpartition(")")[2].split()[11:13])
    return ticks / os.sysconf("SC_CLK_TCK")


def wanted_share(before: Times, after: Times) -> float:
    """The share of the time between two looks in which the process ran or waited for its core."""
    passed = after.at - before.at
    return (after.ran + after.waited - before.ran - before.waited) / passed if passed > 0 else 0.0


def ran_share(before: Times, after: Times) -> float:
    passed = after.at - before.at
    return (after.ran - before.ran) / passed if passed > 0 else 0.0
