"""The TypeScript SDK in React Native's own JavaScript and engine: the contract, and the real service.

No device and no network stack of one: what is native there is `host.mts` here.
"""

from __future__ import annotations

import json
import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from guestprefs_client import GuestPrefs

from tests.clients import node
from tests.clients.contract.faulty import FaultyServer
from tests.clients.contract.running import Adapter, Run, cases
from tests.clients.place import Place, running
from tests.clients.react_native import app

CASES = cases()
WARMTH = "climate.temperature.occupied"
PATIENCE_SECONDS = 40
ALL_AT_ITS_END = {"RN_NOT_INCREMENTAL": "1"}

pytestmark = [
    pytest.mark.prove,
    pytest.mark.timeout(300),
    pytest.mark.skipif(bool(app.missing()), reason=app.missing()),
]


@pytest.fixture(scope="module")
def bundle(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return app.bundled(package, tmp_path_factory.mktemp("app"))


@pytest.fixture(scope="module")
def adapter(bundle: Path) -> Iterator[Adapter]:
    adapter = Adapter(app.command(bundle), node.environ())
    yield adapter
    adapter.close()


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_the_contract_is_kept(case: dict[str, Any], adapter: Adapter, tmp_path: Path) -> None:
    with FaultyServer() as server:
        Run(case, adapter, server, tmp_path).run()


# ---- the real service ----


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with running(tmp_path_factory.mktemp("service")) as place:
        yield place


def followed(bundle: Path, place: Place, **environ: str) -> tuple[list[str], str]:
    """What the first snippet of the page shows of three edits, each made when the one before it was shown, and what is
    complained of."""
    guest = place.new_guest()
    env = {"PREFS_URL": place.url, "PREFS_TOKEN": place.guest_token(guest), "PREFS_GUEST": guest}
    pipe = subprocess.PIPE
    shown: list[str] = []
    with (
        GuestPrefs(place.url, place.guest_token(guest)) as elsewhere,
        subprocess.Popen(
            app.command(bundle), env=node.environ(**environ), stdin=pipe, stdout=pipe, stderr=pipe, text=True
        ) as process,
    ):
        assert process.stdin is not None and process.stdout is not None
        elsewhere.edit(guest, {WARMTH: 20})
        patience = threading.Timer(PATIENCE_SECONDS, process.kill)
        patience.start()
        print(json.dumps({"do": "follow", "env": env}), file=process.stdin, flush=True)
        for degrees in (20.5, 21, 22):
            shown.append(process.stdout.readline())
            elsewhere.edit(guest, {WARMTH: degrees})
        shown.append(process.stdout.readline())
        _, complaints = process.communicate()
        patience.cancel()
    return shown, complaints


LIVE = ["20 Cel live\n", "20.5 Cel live\n", "21 Cel live\n", "22 Cel live\n"]


def test_a_live_edit_is_told_by_a_stream(bundle: Path, place: Place) -> None:
    """It would look once an hour."""
    assert followed(bundle, place) == (LIVE, "")


def test_where_nothing_is_told_before_the_end_it_looks(package: Path, place: Place, tmp_path: Path) -> None:
    assert followed(app.bundled(package, tmp_path, looks=True), place, **ALL_AT_ITS_END) == (LIVE, "")


@pytest.mark.parametrize(
    ("pattern", "instead"),
    [
        ('typeof XMLHttpRequest !== "undefined"', "false"),  # nothing but fetch
        (r"\(0, _\$\$_REQUIRE\(_dependencyMap\[\d+\]\)\.utf8\)\(text\)", "new TextEncoder().encode(text)"),
        ("request.onreadystatechange = request.onprogress =", "var unheard ="),  # nobody asks for what has come
    ],
)
def test_a_planted_fault_is_found(pattern: str, instead: str, bundle: Path, place: Place, tmp_path: Path) -> None:
    code, count = re.subn(pattern, instead, bundle.read_text(encoding="utf-8"))
    assert count == 1
    planted = tmp_path / "bundle.js"
    planted.write_text(code, encoding="utf-8")
    shown, _ = followed(planted, place)
    assert shown != LIVE
