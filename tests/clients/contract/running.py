"""Runs a case against an SDK behind its adapter, and says what went otherwise than the case tells."""

from __future__ import annotations

import json
import re
import secrets
import sqlite3
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from guestprefs_client.testing import Asked

from tests.clients.contract.faulty import FaultyServer

CASES = Path(__file__).with_name("cases.json")
TOLERANCE = 1e-6
# Whom every adapter's client says that it speaks for.
ACCOUNT = "a-guest"


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
    """One case. Names of guests in it stand for ids that the server makes up.

    `sealed` keeps what the client keeps under a seal, and says at the end what of the case can be read in its files.
    """

    def __init__(
        self, case: Mapping[str, Any], adapter: Adapter, server: FaultyServer, folder: Path, *, sealed: bool = False
    ) -> None:
        self.case, self.adapter, self.server, self.folder = case, adapter, server, folder
        self.guests: dict[str, str] = {}
        self.gone: set[str] = set()
        self.secret = {"secret": secrets.token_hex(32)} if sealed else {}

    def run(self) -> None:
        for guest, preferences in self.case.get("guests", {"ana": {"room.quiet": True}}).items():
            self.guests[guest] = self.server.fake.add_guest(preferences)
        self.adapter.do({"do": "reset"})
        self._open()
        for number, step in enumerate(self.case["steps"], 1):
            self._step(step, f"{self.case['name']}, step {number} {json.dumps(step)}")
            if self.secret:
                assert self._legible() == [], f"{self.case['name']}, after step {number}"
        self.adapter.do({"do": "close"})

    def _legible(self) -> list[str]:
        """Words of the case that can be read in the files: guests, accounts, keys, values, names of members."""
        text = json.dumps(self.case)
        keys = re.findall(r'"([a-z_]+(?:\.[a-z_]+)+)"', text)
        words = [*self.guests.values(), *keys, *values_in(self.case), ACCOUNT, "preferences", "patch"]
        held = b"".join(path.read_bytes() for path in self.folder.iterdir())
        return [word for word in words if word.encode() in held]

    def _open(self) -> None:
        store = str(self.folder / "store.db")
        options = self.case.get("client", {})
        self.adapter.do({"do": "open", "url": self.server.url, "store": store, "options": options, **self.secret})

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
                self.gone.add(guest)
                assert not self.secret or self._sealed_guests() <= len(self.guests.keys() - self.gone), where
            case {"do": _}:
                self._call(step, where)
            case _:
                raise AssertionError(f"no such step: {where}")

    def _sealed_guests(self) -> int:
        """How many guests something is kept of. Nobody without the key knows who they are."""
        with closing(sqlite3.connect(self.folder / "store.db")) as kept:
            (count,) = kept.execute("SELECT count(DISTINCT guest) FROM records WHERE kind != 'seal'").fetchone()
        return int(count)

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


def values_in(said: Any) -> list[str]:
    """The texts that patches of a case set."""
    if isinstance(said, dict):
        patches = [*said.get("patch", {}).values(), *said.get("elsewhere", {}).values()]
        own = [one for one in patches if isinstance(one, str)]
        return own + [text for one in said.values() for text in values_in(one)]
    return [text for one in said for text in values_in(one)] if isinstance(said, list) else []


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
