"""The TypeScript SDK against the real service: the snippets of its page, and two SDKs that edit one guest."""

from __future__ import annotations

import json
import math
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from guestprefs_client import GuestPrefs, Retries, SQLiteStore, Timeouts

from tests.clients import node, snippets
from tests.clients.place import Place, running
from tests.clients.snippets import Snippet
from tests.histories.proxy import ProxyThread

SNIPPETS = snippets.of_page(node.ROOT / "clients" / "typescript" / "README.md", "js")
FOLLOWING = "Show a guest, and follow what changes"
WARMTH = "climate.temperature.occupied"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with running(tmp_path_factory.mktemp("service")) as place:
        yield place


def started(place: Place, guest: str, folder: Path, code: str, *words: str) -> subprocess.Popen[str]:
    named = {"PREFS_URL": place.url, "PREFS_TOKEN": place.guest_token(guest), "PREFS_GUEST": guest}
    return snippets.start_node(code, folder, named, *words)


# ---- the page ----


@pytest.mark.parametrize("snippet", SNIPPETS, ids=str)
def test_a_snippet_of_the_page_runs(snippet: Snippet, place: Place, project: Path) -> None:
    """As it stands; what it asserts is asserted, and whoever follows is told of an edit that is made meanwhile."""
    follows = snippet.task == FOLLOWING
    guest = place.new_guest()
    with GuestPrefs(place.url, place.guest_token(guest)) as elsewhere:
        elsewhere.edit(guest, {WARMTH: 20})
        said: list[tuple[str, float]] = []
        with started(place, guest, project, snippet.code) as process:
            if follows:
                assert process.stdout is not None
                said.append((process.stdout.readline(), math.inf))
                for degrees in (20.5, 21, 22):
                    said.append(snippets.shown_after(partial(elsewhere.edit, guest, {WARMTH: degrees}), process.stdout))
            out, complaints = process.communicate(timeout=30)
    assert (process.returncode, complaints) == (0, "")
    if follows:
        assert [line for line, _ in said] == [f"{degrees:g} Cel live\n" for degrees in (20, 20.5, 21, 22)]
        assert out == ""
        assert min(seconds for _, seconds in said) < snippets.SOON_S, said  # one of three: the machine may be busy
        assert snippet.length < snippets.LINES_MAX


def test_the_page_has_a_short_snippet_for_every_task() -> None:
    assert len(SNIPPETS) >= 6 and SNIPPETS[0].task == FOLLOWING
    assert all("assert" in one.code for one in SNIPPETS if one.task != FOLLOWING)
    assert all(one.length < snippets.LINES_MAX for one in SNIPPETS)


# ---- two SDKs, one guest ----

ROUND = 50
FLAPPING = """
import { GuestPrefs } from "@guestprefs/client";
import { SQLiteStore } from "@guestprefs/client/sqlite";

const { PREFS_URL: url, PREFS_TOKEN: token, PREFS_GUEST: guest } = process.env;
const [key, until] = [process.argv[2], Date.now() + Number(process.argv[3]) * 1000];
const hasty = { timeouts: { total: 0.4 }, retries: { tries: 2 }, outbox: true };
const opened = () => new GuestPrefs(url, { token, store: new SQLiteStore("tablet.db"), ...hasty });
const statuses = new Set();
const said = { last: 0, edits: 0 };
while (Date.now() < until) {
  // Each turn is a run of the program of its own: it ends at any moment and finds its outbox again.
  const client = opened();
  client.onStatus((status) => statuses.add(status));
  for (let turn = 0; turn < 8; turn++) {
    client.offline = turn % 4 === 1 || turn % 4 === 2;
    said.last = (said.last + 1) % 50;
    said.edits += 1;
    await client.edit(guest, { [key]: said.last });
    await new Promise((resolve) => setTimeout(resolve, 5 + 20 * Math.random()));
  }
  await client.close();
}
const client = opened();
let waiting = 1;
for (let tries = 0; waiting && tries < 30; tries++) ({ waiting } = await client.flush());
const dead = (await client.givenUp()).length;
console.log(JSON.stringify({ ...said, waiting, dead, statuses: [...statuses] }));
"""


def flapped(place: Place, folder: Path, seconds: float) -> None:
    """Two outboxes on disjoint keys of one guest, on and off line, over a network that loses requests and answers:
    every edit took effect once, in its order."""
    guest = place.new_guest()
    keys = {"typescript": "lighting.brightness", "python": "tv.volume_default"}
    with ProxyThread(urlsplit(place.url).port or 0) as proxy:
        proxy.swallow = 0.02
        way = Place(f"http://127.0.0.1:{proxy.port}", place.key)
        with started(way, guest, folder, FLAPPING, keys["typescript"], str(seconds)) as process:
            told = {"python": python_flaps(way, guest, folder / "kiosk.db", keys["python"], process)}
            out, complaints = process.communicate(timeout=60)
    assert complaints == ""
    told["typescript"] = json.loads(out)
    assert {"online", "offline"} <= set(told["typescript"]["statuses"])
    with GuestPrefs(place.url, place.guest_token(guest)) as client:
        known, changes = client.get(guest), list(client.history(guest))
    for who, key in keys.items():
        assert (told[who]["waiting"], told[who]["dead"]) == (0, 0), told
        assert known.value(key) == told[who]["last"] and told[who]["edits"] > 8
        made = [one.after[0].value for change in reversed(changes) for one in change.keys if one.key == key]
        # Each comes after the one before it: none took effect twice or out of order. Those that waited together are
        # one, so a step may be longer; that none is missing is told by their sum.
        steps = [(after - before) % ROUND for before, after in zip([0, *made], made, strict=False)]
        assert 0 not in steps and sum(steps) == told[who]["edits"], (key, made)


def python_flaps(place: Place, guest: str, store: Path, key: str, other: subprocess.Popen[str]) -> dict[str, int]:
    """As the other does, until the other has ended."""
    hasty = {"timeouts": Timeouts(total=0.4), "retries": Retries(tries=2), "outbox": True}

    def opened() -> GuestPrefs:
        return GuestPrefs(place.url, place.guest_token(guest), store=SQLiteStore(store), **hasty)

    last = edits = 0
    while other.poll() is None or edits < 10:
        with opened() as client:
            for turn in range(8):
                client.offline = turn % 4 in (2, 3)
                last, edits = (last + 1) % ROUND, edits + 1
                client.edit(guest, {key: last})
                time.sleep(0.01)
    with opened() as client:
        waiting = next((left for _ in range(30) if not (left := client.flush().waiting)), 1)
        return {"last": last, "edits": edits, "waiting": waiting, "dead": len(client.given_up())}


def test_two_sdks_flap_and_nothing_is_lost(place: Place, project: Path) -> None:
    flapped(place, project, 2)


@pytest.mark.prove
def test_two_sdks_flap_for_a_minute(place: Place, project: Path) -> None:
    flapped(place, project, 60)
