"""`python -m loadtests.bench.profiling`: where the time of an answer goes, call by call.

py-spy looks at the server a few hundred times a second while the generator asks; the flame graphs and the stacks as
text lie in `loadtests/report/`, the functions seen most often are printed. callgrind counts instructions an answer.
What is not installed is said to be NOT RUN.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from loadtests.bench import guests, instructions, load, report
from loadtests.bench.__main__ import HERE, stopped
from loadtests.bench.comparing import Contender, tiers_of, warmed
from loadtests.bench.cores import GENERATOR_CORE, on_core
from loadtests.bench.instructions import Cost, Counting, busiest
from loadtests.bench.started import Grounds, House, Place, ask
from loadtests.bench.wire import Request

STORED, HOT, SPREAD = 2_000, 100, 1_500
RATE_HZ = 250
# What a thread without work stands in; py-spy takes some of these waits for work.
WAITING = (
    "_worker (concurrent/futures/thread.py",
    "wait (threading.py",
    "get (queue.py",
    "select (selectors.py",
    "SocketBuffer._read_from_socket (redis/_parsers/socket.py",  # of the heartbeat, the only one that blocks
)
# What every stack begins with.
BEGINNING = ("(multiprocessing/", "(threading.py", "(concurrent/futures/", "(<string>", "(granian/server/")
TOP = 10
# Answers in the shorter and the longer run that callgrind counts, and before them.
CHEAP, DEAR = (200, 800), (48, 144)
SETTLE = 32
LIMITS = {"bare ASGI": "raw", "FastAPI bytes": "ready"}
CALLS = (*LIMITS, "hot read", "no-cache", "miss", "batch of 100", "write SQLite", "write PostgreSQL")

type Rows = list[list[str]]


@dataclass(frozen=True, slots=True)
class Scene:
    """One call of one server, and the tier that has to answer it."""

    name: str
    engine: str
    requests: Sequence[Request] = ()
    targets: Sequence[tuple[Request, Request]] = ()
    tier: str = ""
    counts: tuple[int, int] = DEAR

    def on(self, place: Place) -> Contender:
        return Contender(place, self.name, self.requests, self.targets)


@dataclass(frozen=True, slots=True)
class Stack:
    """The functions of one look, outermost first, and how often they were seen so."""

    frames: tuple[str, ...]
    seen: int


def main() -> int:
    arguments = _arguments()
    signal.signal(signal.SIGTERM, stopped)
    arguments.out.mkdir(parents=True, exist_ok=True)
    grounds = Grounds()
    try:
        houses = {engine: _house(grounds, engine) for engine in ("sqlite", "postgresql")}
        wanted = [part.strip() for part in arguments.calls.split(",") if part.strip()]
        chosen = [each for each in scenes(houses) if not wanted or any(part in each.name for part in wanted)]
        if not arguments.no_spying:
            _spy_on_all(chosen, houses, arguments.out, arguments.seconds)
        if not arguments.no_counting:
            rows = _count_all(chosen, houses, grounds)
            words = "\nInstructions an answer, 16 connections, by callgrind.\n" + report.text(rows)
            (arguments.out / "instructions.txt").write_text(words, encoding="utf-8")
            sys.stdout.write(words)
    finally:
        grounds.close()
    return 0


def _house(grounds: Grounds, engine: str) -> House:
    _say(f"starting guestprefs on {engine}")
    house = grounds.house(engine)
    guests.load(house, guests.first_guest(house), 0, STORED)
    return house


def scenes(houses: dict[str, House]) -> list[Scene]:
    small, grown = houses["sqlite"], houses["postgresql"]
    hot = guests.reads(small, range(HOT))
    spread = range(STORED - SPREAD, STORED)
    return [
        *(Scene(name, "", hot, counts=CHEAP) for name in LIMITS),
        Scene("hot read", "sqlite", hot, tier="local", counts=CHEAP),
        Scene("no-cache", "postgresql", guests.reads(grown, range(HOT), fresh=True), tier="shared"),
        # On SQLite there is no shared tier: what skips the local one is read from the store.
        Scene("miss", "sqlite", guests.reads(small, spread, fresh=True), tier="store"),
        Scene("batch of 100", "sqlite", [guests.batch(small, range(HOT))]),
        Scene("write SQLite", "sqlite", targets=guests.writes(small, range(HOT))),
        Scene("write PostgreSQL", "postgresql", targets=guests.writes(grown, range(HOT))),
    ]


# py-spy: how often each function was seen.


def _spy_on_all(chosen: Iterable[Scene], houses: dict[str, House], out: Path, seconds: float) -> None:
    program = shutil.which("py-spy", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if program is None:
        sys.stdout.write("py-spy is not installed: NOT RUN\n")
        return
    for scene in chosen:
        if scene.engine:
            _spy_on(scene, houses[scene.engine], program, out, seconds)


def _spy_on(scene: Scene, house: House, program: str, out: Path, seconds: float) -> None:
    _say(f"py-spy: {scene.name}")
    if scene.tier:
        warmed(house, scene.requests[:HOT], scene.tier, _say)
    contender = scene.on(house)
    contender.once(1.0)
    asking = threading.Thread(target=contender.once, args=(2 * seconds + 3,))
    asking.start()
    time.sleep(1.2)
    name = out / f"profile-{scene.name.replace(' ', '-').lower()}"
    failed = ""
    for form, file in (("raw", f"{name}.txt"), ("flamegraph", f"{name}.svg")):
        command = [program, "record", "--pid", str(busiest(house.pids)), "--format", form, "--output", file]
        more = ["--duration", str(max(round(seconds), 1)), "--rate", str(RATE_HZ), "--function"]
        done = subprocess.run([*on_core(GENERATOR_CORE), *command, *more], capture_output=True, text=True, check=False)
        failed = failed or ("" if done.returncode == 0 else done.stderr.strip()[-300:])
    asking.join()
    if failed:
        sys.stdout.write(f"\n{scene.name}: NOT RUN, py-spy said: {failed}\n")
        return
    stacks = folded(Path(f"{name}.txt").read_text(encoding="utf-8").splitlines())
    sys.stdout.write(f"\n{scene.name}: {sum(each.seen for each in stacks):,} looks, {name}.svg\n")
    sys.stdout.write(report.text(function_rows(stacks)))


def folded(lines: Iterable[str]) -> list[Stack]:
    """`outer (a.py:1);inner (b.py:2) 17` a line. Threads that wait for work are left out."""
    stacks = []
    for line in lines:
        frames, _, seen = line.rpartition(" ")
        if frames and seen.isdigit() and not frames.rpartition(";")[2].startswith(WAITING):
            stacks.append(Stack(tuple(frames.split(";")), int(seen)))
    return stacks


def function_rows(stacks: Sequence[Stack]) -> Rows:
    """The functions that were at work themselves most often, and how often they or what they called were."""
    own: Counter[str] = Counter()
    with_called: Counter[str] = Counter()
    for stack in stacks:
        own[stack.frames[-1]] += stack.seen
        for frame in set(stack.frames):  # once, however often it calls itself
            with_called[frame] += stack.seen
    total = own.total() or 1
    rows = [["itself", "with what it calls", "function"]]
    rows += [[f"{own[name] / total:.1%}", f"{with_called[name] / total:.1%}", name] for name, _ in own.most_common(TOP)]
    told = {row[2] for row in rows}
    heavy = [
        name for name, _ in with_called.most_common() if name not in told and not any(b in name for b in BEGINNING)
    ]
    rows += [[f"{own[name] / total:.1%}", f"{with_called[name] / total:.1%}", name] for name in heavy[:TOP]]
    return rows


# callgrind: instructions an answer.


def _count_all(chosen: Sequence[Scene], houses: dict[str, House], grounds: Grounds) -> Rows:
    rows = [["call", "instructions", "to FastAPI bytes", "where"]]
    if missing := instructions.missing():
        return [*rows, *([scene.name, "NOT RUN", "", f"{missing} not installed"] for scene in chosen)]
    found: dict[str, Cost] = {}
    for scene in chosen:
        if not scene.engine:
            folder = _folder(grounds, scene.name)
            document = ask(houses["sqlite"].port, scene.requests[0])[2]
            place = grounds.bare(scene.name, LIMITS[scene.name], document, instructions.before(folder))
            found |= _count(scene, place, folder)
            grounds.end(place)
    for engine in dict.fromkeys(scene.engine for scene in chosen if scene.engine):
        folder = _folder(grounds, engine)
        words = instructions.before(folder)
        place = grounds.served(houses[engine], "counted", "loadtests.bench.patient:patient", words)
        for scene in chosen:
            if scene.engine == engine:
                found |= _count(scene, place, folder)
        grounds.end(place)
    limit = found.get("FastAPI bytes")
    for scene in chosen:
        cost = found.get(scene.name)
        if cost is None:
            rows.append([scene.name, "NOT RUN", "", f"it was not answered from {scene.tier}"])
            continue
        ratio = f"{limit.instructions / cost.instructions:.2f} x" if limit else ""
        where = ", ".join(f"{name} {share:.0%}" for name, share in cost.shares[:6])
        rows.append([scene.name, f"{cost.instructions:,.0f}", ratio, where])
    return rows


def _folder(grounds: Grounds, name: str) -> Path:
    """For what valgrind writes, until the very end: a process may still be at it when the next one starts."""
    _say(f"starting {name} in valgrind")
    folder = grounds.folder / f"callgrind-{name.replace(' ', '-')}"
    folder.mkdir()
    return folder


def _count(scene: Scene, place: Place, folder: Path) -> dict[str, Cost]:
    """Nothing when another tier answered than the one that is meant."""
    _say(f"callgrind: {scene.name}")
    if scene.tier:
        warmed(place, scene.requests[:HOT], scene.tier, _say)
    counting = Counting(busiest(place.pids), folder)
    for answers in (2 * SETTLE, SETTLE):
        load.counted(place.port, answers, scene.requests, scene.targets)
        counting.switch(True)
    counting.zero()
    counts = []
    for answers in scene.counts:
        load.counted(place.port, answers, scene.requests, scene.targets)
        counts.append(counting.take(answers))
    counting.switch(False)
    if scene.tier and set(tiers_of(place, scene.requests[:10])) != {scene.tier}:
        return {}
    cost = instructions.difference(*counts)
    _say(f"{scene.name}: {cost.instructions:,.0f} instructions")
    return {scene.name: cost}


def _say(words: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')}  {words}\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.bench.profiling",
        description="Show where the time of an answer goes: py-spy while the generator asks, callgrind counts.",
    )
    parser.add_argument(
        "--calls", default="", help=f"only those whose name holds one of these texts: {', '.join(CALLS)}"
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="length of one py-spy record (default: 5)")
    parser.add_argument("--no-spying", action="store_true", help="leave out py-spy")
    parser.add_argument("--no-counting", action="store_true", help="leave out callgrind")
    parser.add_argument("--out", type=Path, default=HERE / "report", help="folder for flame graphs and stacks")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
