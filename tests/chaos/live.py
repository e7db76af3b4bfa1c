"""What is told without being asked for, to be judged as answers are: streams that are open while a guest speaks, the
webhooks of every surface from the beginning; and what clients keep of what they were told."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from guestprefs_client import GuestPrefs, GuestPrefsError, SQLiteStore

from prefs.core.catalogue import SURFACES
from tests.chaos import marks
from tests.chaos.background import Background
from tests.chaos.copies import files
from tests.chaos.grounds import PROPERTY, Grounds, wait_until
from tests.chaos.marked import Asker, Marked
from tests.chaos.marks import DEFINITIONS
from tests.chaos.permitted import Verdicts, may_name, may_tell
from tests.chaos.questions import Ask
from tests.chaos.stream import StreamReader
from tests.chaos.walk import KEYS, Named, Walk, named_in
from tests.cli.served import bearer
from tests.receiver import Received, receiving

LIVE, KEPT = {"live": "true"}, {"kept": "true"}  # how faults are known apart
SPEAKER = "ana"

# ---- streams ----


@dataclass
class Listener:
    """One open stream of somebody: of a guest, or of the property (`guest` is empty)."""

    asker: Asker
    guest: str
    reader: StreamReader

    def bodies(self) -> Iterator[dict[str, Any]]:
        return iter(self.reader.bodies())


def listeners(stage: Marked, askers: Sequence[Asker]) -> list[Listener]:
    found = []
    for asker in askers:
        place = asker.place or PROPERTY
        asked = {SPEAKER: {"guest": stage.ids[SPEAKER], "property": place}, "": {"property": place}}
        found += [Listener(asker, guest, StreamReader(asker.token, params)) for guest, params in asked.items()]
    return found


def tell_live(walk: Walk, askers: Sequence[Asker]) -> list[str]:
    """One guest says everything anew while everybody listens; who was to be told something and was not."""
    stage, every = walk.stage, listeners(walk.stage, askers)
    with Background() as background:
        for one in every:
            background.start(one.reader.read(stage.grounds.server.url))
        wait_until(lambda: all(one.reader.statuses for one in every), "every stream is answered", 60)
        opened = [one for one in every if one.reader.statuses == [200]]
        wait_until(lambda: all(one.reader.last_id for one in opened), "every stream has begun", 60)
        stage.say_live(SPEAKER)
        try:
            wait_until(lambda: not _untold(walk, opened), "everybody is told", 30)
        except AssertionError:
            return _untold(walk, opened)
    for one in every:
        _judge(walk, one)
    return []


def _untold(walk: Walk, opened: Sequence[Listener]) -> list[str]:
    missing, pressed = [], {mark.key for mark in walk.stage.of(SPEAKER, "press")}  # which stand above what is said
    for one in opened:
        told = {id for _, id in marks.found(json.dumps(one.reader.events))}
        for mark in walk.stage.of(SPEAKER, "live"):
            has_room = marks.has_room(DEFINITIONS[mark.key].kind) and mark.key not in pressed
            if has_room and mark.id not in told:
                if "cnry" in may_tell(walk.verdicts, one.asker, "get_changes", mark):
                    missing.append(f"{one.asker.name}: the stream of {one.guest or 'all'} does not tell {mark}")
    return missing


def _judge(walk: Walk, one: Listener) -> None:
    names = {id: name for name, id in walk.stage.ids.items()}
    of_nobody: set[Named] = set()
    for body in one.bodies():
        if names[body["guest"]] == "fay":
            of_nobody |= {*named_in(body)}
    for kind, data in one.reader.events:
        walk.judge(one.asker, Ask("get_changes", "GET", kind, one.guest, LIVE), json.dumps(data))
    for body in one.bodies():
        if (name := names[body["guest"]]) != "fay":
            ask = Ask("get_changes", "GET", "", name, LIVE)
            walk.judge(one.asker, ask, json.dumps(body))
            walk.judge_keys(one.asker, ask, frozenset({*named_in(body)} - of_nobody))


# ---- copies ----


def keep_copies(walk: Walk, askers: Sequence[Asker], folder: Path) -> int:
    """What a client with a file of its own keeps of all that each may read, byte by byte; how many keep something."""
    folder.mkdir()
    kept = 0
    for number, asker in enumerate(askers):
        for name in walk.names:
            path = folder / f"{number}-{name}"
            _fill(walk.stage, asker, walk.stage.ids[name], path)
            rows = _rows(path)
            kept += bool(rows)
            ask = Ask("get_preferences", "GET", "", name, KEPT)
            walk.judge(asker, ask, files(path).decode("latin-1") + json.dumps(rows))
            nothing = folder / f"{number}-fay"
            if not nothing.exists():
                _fill(walk.stage, asker, walk.stage.ids["fay"], nothing)
            of_nobody = frozenset(named_in(_rows(nothing)))
            walk.judge_keys(asker, ask, frozenset(named_in(rows)) - of_nobody)
    return kept


def _fill(stage: Marked, asker: Asker, guest: str, path: Path) -> None:
    with GuestPrefs(stage.grounds.server.url, asker.token, store=SQLiteStore(path)) as client:
        for asked in ({}, {"property": asker.place or PROPERTY}, {"explain": True}):
            try:
                client.get(guest, **asked)
            except GuestPrefsError:
                pass
        try:
            next(client.watch(guest, property=asker.place or PROPERTY), None)
        except GuestPrefsError:
            pass


def _rows(path: Path) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        return [json.loads(data) for (data,) in connection.execute("SELECT data FROM records WHERE kind = 'answer'")]


# ---- webhooks ----


@dataclass
class Hooks:
    """An endpoint at every surface, told of everything from the beginning."""

    grounds: Grounds
    stack: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.receiver = stack.enter_context(Background()).enter(receiving())
            for surface in SURFACES:
                said = {"url": self.receiver.url(f"/{surface}"), "surface": surface}
                put = self.grounds.http.put(f"/v1/webhooks/{surface}", json=said, headers=self._operator)
                assert put.status_code == 201, put.text
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    @property
    def _operator(self) -> dict[str, str]:
        return bearer(self.grounds.operator)

    def wait_until_told(self, guest: str, version: int) -> None:
        """Until the guest app's endpoint, which hears of nearly everything, has heard of this version, and the others
        have had as long."""

        def is_told() -> bool:
            return any(
                one.data.get("guest") == guest and one.data.get("version") == version for one in self._of("guest_app")
            )

        wait_until(is_told, "the webhooks are told", 60)
        count = -1
        while count != (count := len(self.receiver.received)):
            time.sleep(0.5)

    def _of(self, surface: str) -> list[Received]:
        return [one for one in [*self.receiver.received] if one.path == f"/{surface}"]

    def text(self) -> str:
        return "\n".join(f"{one.headers} {one.body.decode()}" for one in [*self.receiver.received])

    def log(self) -> str:
        """All that the deliveries log answers, and what is shown of the endpoints."""
        ask, told = self.grounds.http.get, [self.grounds.http.get("/v1/webhooks", headers=self._operator).text]
        for surface in SURFACES:
            path, cursor = f"/v1/webhooks/{surface}/deliveries", ""
            while cursor is not None:
                params = {"limit": "100", **({"cursor": cursor} if cursor else {})}
                answer = ask(path, params=params, headers=self._operator)
                assert answer.status_code == 200, answer.text
                told.append(answer.text)
                cursor = answer.json()["next_cursor"]
        return "\n".join(told)

    def named(self, stage: Marked, names: Sequence[str]) -> tuple[list[str], int]:
        """Names of keys that an endpoint may not be told, by what a service at its surface may know; and of how many it
        was told. What was said of bea before it became special-category data was nothing special then."""
        ids, plain = {id: name for name, id in stage.ids.items()}, stage.versions.get(("bea", "now"), [])
        askers = {one: Asker("service", one, "") for one in SURFACES}
        verdicts = Verdicts.of([*askers.values()], names)
        found, count = [], 0
        for surface, asker in askers.items():
            for one in self._of(surface):
                name = ids.get(one.data.get("guest", ""), "")
                if name == "bea" and one.data.get("version") in plain:
                    continue
                for key in KEYS & {*one.data.get("keys", ())}:
                    count += 1
                    if not may_name(verdicts, asker, "get_changes", name, key):
                        found.append(f"webhook at {surface}: is told of {key} of {name}")
        return found, count
