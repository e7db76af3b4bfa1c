"""Runs against several servers in turn, round after round, and the findings that come of comparing them."""

import math
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from loadtests.bench import load
from loadtests.bench.budgets import Finding
from loadtests.bench.load import Rounds, Sample
from loadtests.bench.started import Place, ask
from loadtests.bench.wire import Request

type Say = Callable[[str], None]
type Targets = Sequence[tuple[Request, Request]]

WARM_UP_S = 1.0
WARM_MAX_S = 20.0
SETTLE_MIN = 32
# Of a peer's answers, which then do not count for its rate; of ours, none may be wrong. An answer that tells a writer
# to try again is not wrong: it is tried again, and costs.
WRONG_MAX = 0.1
_DETAIL = re.compile(r"detail=\"?(\w+)")


@dataclass(frozen=True, slots=True)
class Contender:
    """One server and what is asked of it: requests, or targets that are written to."""

    place: Place
    label: str
    requests: Sequence[Request] = ()
    targets: Targets = ()
    settled: bool = False  # asked for before each round: what writes of others threw out of memory is read again

    def once(self, seconds: float) -> Sample:
        if self.settled:
            load.counted(self.place.port, max(len(self.requests), SETTLE_MIN), self.requests)
        if self.targets:
            return load.chained(self.place.port, self.targets, seconds, self.place.pids)
        return load.closed(self.place.port, self.requests, seconds, self.place.pids)


@dataclass(slots=True)
class Group:
    """A table of what one kind of call cost on each server."""

    title: str
    rounds: dict[str, Rounds] = field(default_factory=dict)

    def ratio(self, ours: Sequence[str], theirs: str, reason: str = "") -> Finding:
        """Ours to theirs, best round to best round; of several of ours the slowest counts."""
        there = [name for name in ours if name in self.rounds]
        if theirs not in self.rounds or not there:
            return Finding(note=f"{theirs}: {reason or 'not installed'}")
        name = min(there, key=lambda each: self.rounds[each].best.rate)
        ours_best, theirs_best = self.rounds[name].best, self.rounds[theirs].best
        ours_wrong, theirs_wrong = self.rounds[name].wrong, self.rounds[theirs].wrong
        if ours_wrong or theirs_wrong > WRONG_MAX * self.rounds[theirs].answers or not theirs_best.rate:
            return Finding(note=f"{ours_wrong} answers of {name} and {theirs_wrong} of {theirs} were wrong")
        note = f"{name} {ours_best.rate:,.0f}/s to {theirs_best.rate:,.0f}/s"
        by_cpu = self.rounds[theirs].cpu_us / self.rounds[name].cpu_us
        note += "" if math.isnan(by_cpu) else f"; by CPU of the processes {by_cpu:.2f} x"
        for each in (name, theirs):
            note += f"; {each} tried {self.rounds[each].retried} again" if self.rounds[each].retried else ""
        if theirs_wrong:
            note += f" ({theirs_wrong} wrong answers of {theirs} left out)"
        return Finding(ours_best.rate / theirs_best.rate, note, max(ours_best.generator, theirs_best.generator))


def in_turn(title: str, contenders: Sequence[Contender], rounds: int, seconds: float, say: Say) -> Group:
    """A B C A B C, so that whatever else the machine does falls on all alike."""
    group = Group(title, {contender.label: Rounds() for contender in contenders})
    for contender in contenders:
        contender.once(WARM_UP_S)
    for number in range(rounds):
        for contender in contenders:
            sample = contender.once(seconds)
            group.rounds[contender.label].samples.append(sample)
        say(
            f"{title}, round {number + 1}: "
            + ", ".join(f"{n} {r.samples[-1].rate:,.0f}/s" for n, r in group.rounds.items())
        )
    return group


def tier_of(place: Place, asked: Request) -> str:
    """Where the second answer came from: `local`, `shared`, `store`, or nothing where the service does not say."""
    ask(place.port, asked)
    return _tier(place, asked)


def tiers_of(place: Place, requests: Sequence[Request]) -> Counter[str]:
    """Where the answers come from at this moment, each asked once."""
    return Counter(_tier(place, asked) for asked in requests)


def warmed(place: Place, requests: Sequence[Request], tier: str, say: Say) -> None:
    """Ask until every answer comes from that tier: a shared one is not filled in the first seconds of its server."""
    begun = time.monotonic()
    while set(tiers_of(place, requests)) != {tier}:
        if time.monotonic() - begun > WARM_MAX_S:
            say(f"{place.name} does not answer from {tier}: {dict(tiers_of(place, requests))}")
            return
        time.sleep(0.3)


def _tier(place: Place, asked: Request) -> str:
    found = _DETAIL.search(ask(place.port, asked)[1].get("cache-status", ""))
    return found[1] if found else "no tier"


def ceiling(groups: Sequence[Group]) -> tuple[float, Sample] | None:
    """What the generator could have sent at most, seen from its busiest run: its rate by the share of its core."""
    samples = [sample for group in groups for each in group.rounds.values() for sample in each.samples]
    busy = [sample for sample in samples if sample.generator > 0 and not math.isnan(sample.rate)]
    if not busy:
        return None
    top = max(busy, key=lambda sample: sample.rate)
    return top.rate / top.generator, top
