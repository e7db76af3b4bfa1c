"""Runs against several servers in turn, round after round, and the findings that come of comparing them."""

import math
import re
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
# Of a peer's answers, which then do not count for its rate: Kinto answers 409 ("please retry") when writes meet. Of
# ours, none may be wrong.
WRONG_MAX = 0.1
_DETAIL = re.compile(r"detail=\"?(\w+)")


@dataclass(frozen=True, slots=True)
class Contender:
    """One server and what is asked of it: requests, or targets that are written to."""

    place: Place
    label: str
    requests: Sequence[Request] = ()
    targets: Targets = ()

    def once(self, seconds: float) -> Sample:
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
        faster = max(ours_best, theirs_best, key=lambda sample: sample.rate)
        note = f"{name} {ours_best.rate:,.0f}/s to {theirs_best.rate:,.0f}/s"
        if theirs_wrong:
            note += f" ({theirs_wrong} wrong answers of {theirs} left out)"
        return Finding(ours_best.rate / theirs_best.rate, note, faster.generator)


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
    said = ask(place.port, asked)[1].get("cache-status", "")
    found = _DETAIL.search(said)
    return found[1] if found else ""


def ceiling(groups: Sequence[Group]) -> tuple[float, Sample] | None:
    """What the generator could have sent at most, seen from its busiest run: its rate by the share of its core."""
    samples = [sample for group in groups for each in group.rounds.values() for sample in each.samples]
    busy = [sample for sample in samples if sample.generator > 0 and not math.isnan(sample.rate)]
    if not busy:
        return None
    top = max(busy, key=lambda sample: sample.rate)
    return top.rate / top.generator, top
