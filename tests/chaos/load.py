"""Writers that keep account of every write the server acknowledged, and the check that each one is still there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from tests.cli.launch import launching
from tests.cli.served import Served, bearer, guestprefs

KEY = "lighting.brightness"
EARLY = launching("tests.chaos.early:create_app")
type Start = Callable[..., Trial]
CLIENT_TIMEOUT_S = 10


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A write that was answered with 200: which version it made, and the value it wrote."""

    guest: str
    version: int
    value: int


class Trial:
    """One database, one server after the other on it, and guests to write to."""

    def __init__(
        self, folder: Path, database_url: str | None, workers: int = 2, launch: Sequence[str] | None = None
    ) -> None:
        self.folder = folder
        self.environ: dict[str, str] = {"GUESTPREFS_CALLER_RATE": "0"}  # a guest writes as fast as it can here
        if database_url:
            self.environ |= {"DATABASE_URL": database_url}
        self.workers = workers
        self.launch = launch
        self.server: Served | None = None
        for words in (("keys",), ("migrate",)):
            done = guestprefs(folder, *words, environ=self.environ)
            assert done.returncode == 0, done.stderr
        words = ("--role", "operator", "--surface", "guest_app", "--permission", "guests.all", "--hours", "5")
        self.token = guestprefs(folder, "token", *words, environ=self.environ).stdout.strip()
        self.value = 0
        self._tokens: dict[str, str] = {}

    def start(self) -> Served:
        launch = [*self.launch] if self.launch else None
        self.server = Served(self.folder, "--workers", str(self.workers), environ=self.environ, launch=launch).start()
        return self.server

    def make_guests(self, count: int) -> list[str]:
        assert self.server is not None
        guests = []
        for number in range(count):
            body = {"display_name": f"Guest {number}", "identifiers": [{"system": "chaos", "id": str(number)}]}
            made = httpx2.post(f"{self.server.url}/v1/guests", json=body, headers=bearer(self.token))
            assert made.status_code == 201, made.text
            guests.append(made.json()["guest"])
        return guests

    def token_of(self, guest: str) -> str:
        if guest not in self._tokens:
            words = ("--role", "guest", "--surface", "guest_app", "--guest", guest, "--hours", "5")
            self._tokens[guest] = guestprefs(self.folder, "token", *words, environ=self.environ).stdout.strip()
        return self._tokens[guest]

    def close(self) -> None:
        if self.server is not None:
            self.server.close()


def write_until_killed(trial: Trial, guests: Sequence[str], acknowledgements: int) -> list[Acknowledged]:
    """One writer a guest; after so many acknowledgements in all, the server dies with its workers, mid-write."""
    server = trial.server
    assert server is not None
    kept: list[Acknowledged] = []
    lock = threading.Lock()
    enough = threading.Event()
    refused: list[str] = []
    headers = {guest: bearer(trial.token_of(guest)) for guest in guests}

    def write(guest: str) -> None:
        with httpx2.Client(base_url=server.url, timeout=CLIENT_TIMEOUT_S, headers=headers[guest]) as client:
            while True:
                with lock:
                    trial.value += 1
                    value = trial.value % 101
                try:
                    answer = client.patch(f"/v1/guests/{guest}/preferences", json={KEY: value})
                except httpx2.TransportError:
                    return  # killed: this write was not acknowledged, and may be there or not
                if answer.status_code != 200:
                    refused.append(answer.text)
                    enough.set()
                    return
                with lock:
                    kept.append(Acknowledged(guest, answer.json()["version"], value))
                    if len(kept) >= acknowledgements:
                        enough.set()

    writers = [threading.Thread(target=write, args=(guest,)) for guest in guests]
    for writer in writers:
        writer.start()
    finished = enough.wait(90)
    server.kill_group()
    for writer in writers:
        writer.join()
    assert not refused, refused[0]
    assert finished, f"only {len(kept)} writes were acknowledged:\n{server.output()}"
    return kept


def lost(trial: Trial, acknowledged: Sequence[Acknowledged]) -> list[Acknowledged]:
    """Acknowledged writes that the history of their guest does not hold, with that version and that value."""
    assert trial.server is not None
    histories: dict[str, dict[int, Any]] = {}
    for guest in {write.guest for write in acknowledged}:
        oldest = min(write.version for write in acknowledged if write.guest == guest)
        histories[guest] = _history(trial, guest, oldest)
    return [write for write in acknowledged if histories[write.guest].get(write.version) != write.value]


def _history(trial: Trial, guest: str, oldest: int) -> dict[int, Any]:
    assert trial.server is not None
    found: dict[int, Any] = {}
    cursor: str | None = None
    while True:
        query = {"limit": "100", **({"cursor": cursor} if cursor else {})}
        url = f"{trial.server.url}/v1/guests/{guest}/history"
        answer = httpx2.get(url, params=query, headers=bearer(trial.token_of(guest)), timeout=CLIENT_TIMEOUT_S)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        for change in page["changes"]:
            found[change["version"]] = _value(change)
        cursor = page.get("next_cursor")
        if not cursor or min(found, default=0) <= oldest:
            return found


def _value(change: Mapping[str, Any]) -> Any:
    """The value that a change of history wrote under the one key these tests write."""
    for key in change["keys"]:
        if key["key"] == KEY and key["after"]:
            return key["after"][0]["value"]
    return None
