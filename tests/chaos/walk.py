"""The walk of a scan: everybody asks everything, and whatever is told is judged; what is told without being asked for,
and what clients keep of it, is judged alike."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import httpx2

from tests.chaos import marks
from tests.chaos.marked import Asker, Marked
from tests.chaos.marks import DEFINITIONS, Mark
from tests.chaos.permitted import APPLIED, Verdicts, may_name, may_tell
from tests.chaos.questions import Ask, asks_about, batches
from tests.cli.served import bearer

KEYS = frozenset(DEFINITIONS)
OF_A_VALUE = {"value", "entered", "device_value", "considered", "reason", "not"}
WITHHELD = "withheld_no_consent"


@dataclass
class Walk:
    """What was asked and found, and what was found where it may not be."""

    stage: Marked
    names: Sequence[str]
    faults: list[str] = field(default_factory=list)
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    told: Counter[str] = field(default_factory=Counter)
    seen: dict[tuple[str, str], set[tuple[str, str]]] = field(default_factory=lambda: defaultdict(set))
    tiers: Counter[str] = field(default_factory=Counter)

    def go(self, askers: Sequence[Asker]) -> Self:
        self.marks = {mark.id: mark for mark in self.stage.marks}
        self.verdicts = Verdicts.of(askers, self.names)
        for asker in askers:
            nothing = [named for _, named in self._answers(asker, "fay")]
            for name in self.names:
                for number, (ask, named) in enumerate(self._answers(asker, name)):
                    of_nobody = nothing[number] if number < len(nothing) else frozenset()
                    self.judge_keys(asker, ask, named - of_nobody)
            for ask in batches(self.stage, self.names, asker):
                self._ask(asker, ask)
        return self

    def _answers(self, asker: Asker, name: str) -> Iterator[tuple[Ask, frozenset[Named]]]:
        """In an order that is the same for everybody: what is asked of one alone comes last."""
        every = sorted(asks_about(self.stage, name, asker), key=lambda ask: ask.operation == "revert_change")
        for ask in every:
            yield ask, frozenset(named_in(_read(self._ask(asker, ask))))

    def _ask(self, asker: Asker, ask: Ask) -> httpx2.Response:
        headers = {**bearer(asker.token), **ask.headers}
        answer = self.stage.http.request(ask.method, ask.path, params=ask.query, json=ask.body, headers=headers)
        assert answer.status_code < 500, (asker.name, ask, answer.text)
        self.statuses[ask.operation, answer.status_code] += 1
        if ask.operation == "get_preferences" and answer.is_success:
            self.tiers[answer.headers["cache-status"].partition("detail=")[2]] += 1
        self.judge(asker, ask, f"{dict(answer.headers)}\n{answer.text}")
        return answer

    def judge(self, asker: Asker, ask: Ask, text: str) -> None:
        for how, id in marks.found(text):
            mark = self.marks[id]
            self.told[how] += 1
            self.seen[asker.name, ask.operation].add((how, id))
            about = ask.guest in ("", mark.guest)
            if not about or how not in may_tell(self.verdicts, asker, ask.operation, mark):
                self.faults.append(f"{asker.name}: {ask.operation} {ask.query} of {ask.guest} tells {how} of {mark}")

    def judge_keys(self, asker: Asker, ask: Ask, named: frozenset[Named]) -> None:
        """Of names of preference keys in an answer."""
        for key, where, said, valued in named:
            self.told["key"] += 1
            may = may_name(self.verdicts, asker, ask.operation, ask.guest, key)
            if may and valued and ask.operation in ("get_preferences", "get_changes"):
                said_so = [Mark(0, ask.guest, key, layer) for layer in ("now", "press")]
                may = any(self.verdicts.sees(asker, "see_value", APPLIED, mark) for mark in said_so)
            if not may:
                self.faults.append(
                    f"{asker.name}: {ask.operation} {ask.query} of {ask.guest} names {key} {where} {said}"
                )


type Named = tuple[str, str, str, bool]  # a preference key, where in the answer, what is said there, if with a value


def _read(answer: httpx2.Response) -> Any:
    if not answer.headers["content-type"].startswith("text/event-stream"):
        return answer.json()
    lines = (line.partition(": ") for line in answer.text.splitlines())
    return [json.loads(data) for name, _, data in lines if name == "data"]


def named_in(told: Any, inside: str = "") -> Iterator[Named]:
    """Every preference key that an answer names."""
    if isinstance(told, dict):
        for name, value in told.items():
            if name in KEYS:
                valued = isinstance(value, dict) and value.get("status") != WITHHELD and OF_A_VALUE & value.keys()
                yield name, inside, json.dumps(value)[:200], bool(valued)
            yield from named_in(value, f"{inside}/{'' if name in KEYS else name}")
    elif isinstance(told, list):
        for value in told:
            yield from named_in(value, inside)
    elif isinstance(told, str) and told in KEYS:
        yield told, inside, "", False
