"""Runs a case against an SDK behind its adapter, and says what went otherwise than the case tells."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from guestprefs_client.testing import Asked

from tests.clients.contract.faulty import FaultyServer

CASES = Path(__file__).with_name("cases.json")
TOLERANCE = 1e-6


def cases() -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = json.loads(CASES.read_text(encoding="utf-8"))["cases"]
    return told


class Adapter:
    """The process of one SDK."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            command, env=dict(environ), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def do(self, order: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        said = self._process.stdout.readline()
        assert said, f"the adapter ended over {order}"
        answer: dict[str, Any] = json.loads(said)
        return answer

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(20)


class Run:
    """One case. Names of guests in it stand for ids that the server makes up."""

    def __init__(self, case: Mapping[str, Any], adapter: Adapter, server: FaultyServer, folder: Path) -> None:
        self.case, self.adapter, self.server, self.folder = case, adapter, server, folder
        self.guests: dict[str, str] = {}

    def run(self) -> None:
        for guest, preferences in self.case.get("guests", {"ana": {"room.quiet": True}}).items():
            self.guests[guest] = self.server.fake.add_guest(preferences)
        self.adapter.do({"do": "reset"})
        self._open()
        for number, step in enumerate(self.case["steps"], 1):
            self._step(step, f"{self.case['name']}, step {number} {json.dumps(step)}")
        self.adapter.do({"do": "close"})

    def _open(self) -> None:
        store = str(self.folder / "store.db")
        options = self.case.get("client", {})
        self.adapter.do({"do": "open", "url": self.server.url, "store": store, "options": options})

    def _step(self, step: Mapping[str, Any], where: str) -> None:
        match step:
            case {"script": actions}:
                self.server.script.actions += [self._with_ids(action) for action in actions]
            case {"down": down}:
                self.server.script.down = down
            case {"tokens": tokens}:
                self.server.fake.tokens = set(tokens)
            case {"elsewhere": patch, "guest": guest}:
                self.server.fake.edit(self.guests[guest], patch)
            case {"erased": guest}:
                self.server.fake.erase(self.guests[guest])
            case {"cut": _}:
                self.server.cut()
            case {"say": parts}:
                self.server.say(parts)
            case {"came": count}:
                self.server.wait_for(count)
            case {"let_go": _}:
                self.server.let_go()
            case {"restart": _}:
                self.adapter.do({"do": "close"})
                self._open()
            case {"heard": expected}:
                self._compare_requests(expected, where)
            case {"stored": values, "guest": guest}:
                assert self.server.fake.values(self.guests[guest]) == values, where
                if "version" in step:
                    assert self.server.fake.version(self.guests[guest]) == step["version"], where
            case {"no_trace_of": guest}:
                traces = [p.name for p in self.folder.iterdir() if self.guests[guest].encode() in p.read_bytes()]
                assert traces == [], where
            case {"do": _}:
                self._call(step, where)
            case _:
                raise AssertionError(f"no such step: {where}")

    def _with_ids(self, action: Mapping[str, Any]) -> dict[str, Any]:
        return {**action, "then": {self.guests[guest]: patch for guest, patch in action.get("then", {}).items()}}

    def _call(self, step: Mapping[str, Any], where: str) -> None:
        order = {name: value for name, value in step.items() if name not in ("gives", "fails", "ends")}
        if "guest" in order:
            order["guest"] = self.guests[order["guest"]]
        if "guests" in order:
            order["guests"] = [self.guests[guest] for guest in order["guests"]]
        answer = self.adapter.do(order)
        if "fails" in step:
            assert "error" in answer, f"{where}: {answer}"
            assert part_of(step["fails"], answer["error"]), f"{where}: {answer}"
        elif "ends" in step:
            assert answer == {"ok": None}, f"{where}: {answer}"
        else:
            assert "ok" in answer, f"{where}: {answer}"
            assert answer["ok"] is not None or step["do"] != "told", f"{where}: it ended"
            assert part_of(step.get("gives"), answer["ok"]), f"{where}: {answer}"

    def _compare_requests(self, expected: Sequence[Mapping[str, Any]], where: str) -> None:
        """What was asked since this was last compared: each with method, what its path ends with and its headers.

        A header told as `"=name"` has the value that the name stood for the first time; `"*"` is any value, and `null`
        no such header.
        """
        heard, self.server.heard = self.server.heard, []
        shown = [(one.method, one.path, dict(one.headers), one.body) for one in heard]
        assert len(heard) == len(expected), f"{where}: {shown}"
        names: dict[str, str] = {}
        for one, want in zip(heard, expected, strict=True):
            assert self._fits(one, want, names), f"{where}: {shown}"

    def _fits(self, one: Asked, want: Mapping[str, Any], names: dict[str, str]) -> bool:
        for header, value in want.get("headers", {}).items():
            got = one.headers.get(header)
            if isinstance(value, str) and value.startswith("="):
                if got is None or names.setdefault(value, got) != got:
                    return False
            elif got is None if value == "*" else got != value:
                return False
        body = "body" not in want or one.json == want["body"]
        return body and one.method == want["method"] and one.path.endswith(want.get("path", ""))


def part_of(expected: Any, got: Any) -> bool:
    """Whether everything that is expected is there; what else there is does not matter. Lists are whole."""
    if expected is None:
        return True
    if isinstance(expected, dict):
        if set(expected) == {"from", "to"}:
            return bool(expected["from"] - TOLERANCE <= got <= expected["to"] + TOLERANCE)
        return isinstance(got, dict) and all(k in got and _same(v, got[k]) for k, v in expected.items())
    if isinstance(expected, list):
        return (
            isinstance(got, list)
            and len(got) == len(expected)
            and all(part_of(e, g) for e, g in zip(expected, got, strict=True))
        )
    return bool(expected == got)


def _same(expected: Any, got: Any) -> bool:
    return got is None if expected is None else part_of(expected, got)
