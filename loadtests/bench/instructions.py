"""Instructions an answer, counted by callgrind: a number that no other program on the machine disturbs.

The server runs inside valgrind with counting switched off until it is warm. Then two runs of different length are
counted, and their difference, divided by the answers it holds more, is what one answer costs: whatever happens once, or
only as time passes, falls out. Times mean nothing here, so the service is given the patience that goes with that.
"""

import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from loadtests.bench.cores import ran_s

TOOLS = ("valgrind", "callgrind_control")
_CONTROL_TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class Count:
    """Of one run."""

    answers: int
    total: int
    objects: Counter[str] = field(default_factory=Counter)  # by the library or program they lie in


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one answer."""

    instructions: float
    shares: Sequence[tuple[str, float]] = ()  # largest first


def missing() -> str:
    """In words, what is not installed."""
    return ", ".join(tool for tool in TOOLS if shutil.which(tool) is None)


def before(folder: Path) -> list[str]:
    """The words before a command that put it, and what it starts, into valgrind."""
    return [
        "valgrind",
        "--tool=callgrind",
        "--trace-children=yes",
        "--instr-atstart=no",
        f"--callgrind-out-file={folder}/callgrind.%p",
        f"--log-file={folder}/valgrind.%p.log",
    ]


def busiest(pids: Iterable[int]) -> int:
    """The one that serves; a supervisor does next to nothing."""
    return max(pids, key=lambda pid: ran_s([pid]))


class Counting:
    """Instructions of one process that runs in callgrind."""

    def __init__(self, pid: int, folder: Path) -> None:
        self._pid = pid
        self._folder = folder

    def switch(self, on: bool) -> None:
        self._tell("-i", "on" if on else "off")

    def zero(self) -> None:
        self._tell("-z")

    def take(self, answers: int) -> Count:
        """What was counted since the last look."""
        known = set(self._folder.glob(f"callgrind.{self._pid}.*"))
        self._tell("-d")
        (found,) = set(self._folder.glob(f"callgrind.{self._pid}.*")) - known
        objects = by_object(found.read_text(encoding="utf-8", errors="replace").splitlines())
        return Count(answers, objects.total(), objects)

    def _tell(self, *words: str) -> None:
        done = subprocess.run(
            ["callgrind_control", *words, str(self._pid)],
            capture_output=True,
            text=True,
            timeout=_CONTROL_TIMEOUT_S,
            check=False,
        )
        if "OK" not in done.stdout:
            raise RuntimeError(f"callgrind_control {' '.join(words)}: {done.stdout}{done.stderr}")


def difference(shorter: Count, longer: Count) -> Cost:
    """What one answer costs, from two runs."""
    more = longer.answers - shorter.answers
    each = {name: (longer.objects[name] - shorter.objects[name]) / more for name in longer.objects}
    total = (longer.total - shorter.total) / more
    shares = sorted(((name, cost / total) for name, cost in each.items()), key=lambda pair: -pair[1])
    return Cost(total, shares)


def by_object(lines: Iterable[str]) -> Counter[str]:
    """The own cost of all functions by the file they lie in, out of a callgrind dump.

    Names are written once and then go by their number. The line after `calls=` is the cost of what was called, which
    is counted where that lies.
    """
    names: dict[str, str] = {}
    costs: Counter[str] = Counter()
    here, called = "", False
    for line in lines:
        kind, _, said = line.partition("=")
        if kind in ("ob", "cob"):
            number, _, name = said.partition(" ")
            names.setdefault(number, short(name))
            here = names[number] if kind == "ob" else here
        elif kind == "calls":
            called = True
        elif line[:1].isdigit() or line[:1] in "+-*" and line[:1]:
            costs[here] += 0 if called else int(line.split()[1])
            called = False
    return costs


def short(name: str) -> str:
    """`/usr/lib/libcrypto.so.3` is libcrypto, `_granian.cpython-313-x86_64-linux-gnu.so` is granian."""
    return os.path.basename(name).split(".")[0].lstrip("_") or "?"
