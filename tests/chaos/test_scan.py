"""P24: a word of its own under every key of every class; everybody asks everything; no word is where it may not be.

Beside the words, an answer must not so much as name a preference key that its reader may not know of, unless it
says the same of a guest of whom nothing is known.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx2
import pytest

from tests.api.samples import all_operations
from tests.chaos import leaky, marks, sinks
from tests.chaos.marked import GUESTS, Asker, Marked
from tests.chaos.marks import DEFINITIONS, Mark
from tests.chaos.permitted import APPLIED, TELLS, Verdicts, may_name, may_tell
from tests.chaos.questions import Ask, asks_about, batches
from tests.cli.served import bearer

pytestmark = pytest.mark.timeout(600)
DOCUMENT = json.loads((Path(__file__).parents[2] / "clients" / "openapi.json").read_text(encoding="utf-8"))
PRODUCT, LEAKY = "api.app:create_app", "tests.chaos.leaky:create_app"
FEW = {
    *("guest ana guest_app", "guest ana kiosk", "link ana guest_app", "device tv dallas", "device kiosk dallas"),
    *("staff housekeeping dallas", "staff front_desk dallas", "staff food cleveland", "service guest_app"),
    *("service tv", "operator guest_app", "service guest_app without permission"),
}

# What reads nothing of any guest; deliveries name one, and no key.
SILENT = {
    *("get_catalogue", "list_properties", "get_property", "get_device_grant", "list_devices", "get_server_metadata"),
    *("get_keys", "livez", "readyz", "get_version", "metrics"),
    *("get_receipt_keys", "get_export_schema", "get_receipt_schema"),
    *("list_webhooks", "get_webhook", "list_deliveries"),
}
FEWER = {"guest ana guest_app", "guest ana kiosk", "device tv dallas", "service tv", "staff housekeeping dallas"}


# ---- the walk ----

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
                    self._judge_keys(asker, ask, named - of_nobody)
            for ask in batches(self.stage, self.names, asker):
                self._ask(asker, ask)
        return self

    def _answers(self, asker: Asker, name: str) -> Iterator[tuple[Ask, frozenset[Named]]]:
        """In an order that is the same for everybody: what is asked of one alone comes last."""
        every = sorted(asks_about(self.stage, name, asker), key=lambda ask: ask.operation == "revert_change")
        for ask in every:
            yield ask, frozenset(_named(_read(self._ask(asker, ask))))

    def _ask(self, asker: Asker, ask: Ask) -> httpx2.Response:
        headers = {**bearer(asker.token), **ask.headers}
        answer = self.stage.http.request(ask.method, ask.path, params=ask.query, json=ask.body, headers=headers)
        assert answer.status_code < 500, (asker.name, ask, answer.text)
        self.statuses[ask.operation, answer.status_code] += 1
        if ask.operation == "get_preferences" and answer.is_success:
            self.tiers[answer.headers["cache-status"].partition("detail=")[2]] += 1
        self._judge(asker, ask, f"{dict(answer.headers)}\n{answer.text}")
        return answer

    def _judge(self, asker: Asker, ask: Ask, text: str) -> None:
        for how, id in marks.found(text):
            mark = self.marks[id]
            self.told[how] += 1
            self.seen[asker.name, ask.operation].add((how, id))
            about = ask.guest in ("", mark.guest)
            if not about or how not in may_tell(self.verdicts, asker, ask.operation, mark):
                self.faults.append(f"{asker.name}: {ask.operation} {ask.query} of {ask.guest} tells {how} of {mark}")

    def _judge_keys(self, asker: Asker, ask: Ask, named: frozenset[Named]) -> None:
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


def _named(told: Any, inside: str = "") -> Iterator[Named]:
    """Every preference key that an answer names."""
    if isinstance(told, dict):
        for name, value in told.items():
            if name in KEYS:
                valued = isinstance(value, dict) and value.get("status") != WITHHELD and OF_A_VALUE & value.keys()
                yield name, inside, json.dumps(value)[:200], bool(valued)
            yield from _named(value, f"{inside}/{'' if name in KEYS else name}")
    elif isinstance(told, list):
        for value in told:
            yield from _named(value, inside)
    elif isinstance(told, str) and told in KEYS:
        yield told, inside, "", False


def unseen(walk: Walk, askers: Sequence[Asker]) -> list[str]:
    """What somebody may see as a value and was told nowhere: a scan of answers that tell nothing finds nothing."""
    missing = []
    for asker in askers:
        if walk.seen[asker.name, "get_preferences"] and not walk.seen[asker.name, "get_changes"]:
            missing.append(f"{asker.name}: streams tell nothing")
        for operation in ("get_preferences", "get_guest"):
            for mark in walk.stage.marks:
                if mark.layer != "now" or not marks.has_room(DEFINITIONS[mark.key].kind):
                    continue
                if "cnry" not in may_tell(walk.verdicts, asker, operation, mark):
                    continue
                if ("cnry", mark.id) not in walk.seen[asker.name, operation]:
                    missing.append(f"{asker.name}: {operation} does not tell {mark}")
    return missing


def sunk(stage: Marked, overheard: sinks.Overheard) -> dict[str, set[str]]:
    """Where else words were found that nobody is told there; every such place, with the ids of what it holds."""
    stage.http.get("/v1/guests/gst_none")
    names, held = sinks.of_redis(stage.grounds)
    rows, count = sinks.of_tables(stage.grounds)
    texts = {
        "log": sinks.settled(stage.grounds),
        "metrics": stage.http.get("/metrics").text,
        "redis keys": names,
        "redis": held,
        "redis traffic": overheard.text(),
        "tables": rows,
        "files": sinks.of_files(stage.grounds),
    }
    assert count > 100 and names.count("c:") > 5 and "evalsha" in texts["redis traffic"].lower(), "nothing was kept"
    assert '"level": "info"' in texts["log"] and "guestprefs_" in texts["metrics"], texts["log"][:500]
    return {where: {id for _, id in marks.found(text)} for where, text in texts.items()}


def test_every_read_of_the_document_is_asked() -> None:
    reads = {one.id for one in all_operations(DOCUMENT) if one.method.upper() == "GET"}
    unknown = reads - TELLS.keys() - SILENT
    assert not unknown, f"say in TELLS what {unknown} tell of a guest, or in SILENT that they tell nothing"


def scan(
    folder: Path, guests: Sequence[str], few: Collection[str], application: str
) -> tuple[Walk, dict[str, set[str]]]:
    with Marked(folder, guests, application) as stage, sinks.Overheard(stage.grounds.valkey.port) as overheard:
        before, askers = stage.versions_now(), [one for one in stage.askers() if not few or one.name in few]
        assert len(askers) == len(few) or not few
        walk = Walk(stage, [name for name in guests if name != "fay"]).go(askers)
        assert stage.versions_now() == before, "a request that should have been refused was not"
        assert unseen(walk, askers) == []
        return walk, sunk(stage, overheard)


def summary(walk: Walk) -> str:
    """The first fault of every kind, and how many there are."""
    kinds: dict[str, list[str]] = defaultdict(list)
    for fault in walk.faults:
        kinds[" ".join(fault.split()[:6])].append(fault)
    return "\n".join(f"{len(of)} x {of[0]}" for of in kinds.values())


# ---- the scan ----


def test_no_word_is_where_it_may_not_be(tmp_path: Path) -> None:
    walk, elsewhere = scan(tmp_path, ("ana", "bea", "fay"), FEW, PRODUCT)
    assert not walk.faults, summary(walk)
    assert not any(elsewhere.values()), elsewhere
    assert walk.told["cnry"] > 5000 and walk.told["sdry"] > 500 and walk.tiers.keys() >= {"local", "shared"}


@pytest.mark.prove
def test_p24_everybody_about_everybody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    walk, elsewhere = scan(tmp_path, GUESTS, (), PRODUCT)
    with capsys.disabled():
        asked = sum(walk.statuses.values())
        print(  # noqa: T201 - the figures of this row
            f"{len(walk.stage.marks)} words under {len(DEFINITIONS)} keys; {len(walk.seen)} pairs of caller and"
            f" operation, {asked} answers ({dict(walk.tiers)}); found {dict(walk.told)}, {len(walk.faults)} where they"
            f" may not be; elsewhere: { {where: len(found) for where, found in elsewhere.items()} }"
        )
    assert not walk.faults, summary(walk)
    assert not any(elsewhere.values()), elsewhere


def test_the_scan_sees_what_is_planted(tmp_path: Path) -> None:
    walk, elsewhere = scan(tmp_path, ("ana", "fay"), FEWER, LEAKY)
    assert [where for where, words in elsewhere.items() if not words] == []
    shown = {" ".join(fault.split()[:-1]).partition(" {")[0] for fault in walk.faults if leaky.SHOWN in fault}
    assert {
        "device tv dallas: get_guest",
        "service tv: get_guest",
        "staff housekeeping dallas: get_preferences",
        "staff housekeeping dallas: get_changes",
    } <= shown
    told = [fault for fault in walk.faults if "edit_preferences" in fault or "revert_change" in fault]
    assert {fault.partition(":")[0] for fault in told} >= {"guest ana kiosk"}
