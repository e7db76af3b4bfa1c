"""A client in Kotlin, made from the description of the API by a generator, is compiled and reads from the service."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from guestprefs_client import GuestPrefs

from tests.clients.kotlin import toolchain
from tests.clients.place import running

DOCUMENT = Path(__file__).resolve().parents[3] / "clients" / "openapi.json"
MAIN = Path(__file__).with_name("Main.kt")
WARMTH = "climate.temperature.occupied"

pytestmark = [
    pytest.mark.prove,
    pytest.mark.timeout(600),
    pytest.mark.skipif(bool(toolchain.missing()), reason=toolchain.missing()),
]


def made(document: Path, folder: Path) -> list[str]:
    """The errors of compiling the client of this document, and a program that uses it, into `built`."""
    toolchain.generate(document, folder / "client")
    return toolchain.compiled([folder / "client" / "src" / "main" / "kotlin", MAIN], folder / "built")


def test_the_generated_client_compiles_and_reads(tmp_path: Path) -> None:
    assert made(DOCUMENT, tmp_path) == []
    calls = list((tmp_path / "built" / "hotel" / "guestprefs" / "apis").glob("*Api.class"))
    tags = {
        tag
        for path in json.loads(DOCUMENT.read_text())["paths"].values()
        for one in path.values()
        for tag in one["tags"]
    }
    assert len(calls) == len(tags) > 10
    with running(tmp_path) as place:
        guest = place.new_guest()
        token = place.guest_token(guest)
        with GuestPrefs(place.url, token) as client:
            client.edit(guest, {WARMTH: 20.5})
        assert toolchain.run(tmp_path / "built", "MainKt", place.url, token, guest) == "2 20.5 Cel applied\n"


def test_a_description_that_lacks_something_is_noticed(tmp_path: Path) -> None:
    """Planted: preferences have no unit."""
    document = json.loads(DOCUMENT.read_text())
    del document["components"]["schemas"]["Preference"]["properties"]["unit"]
    (tmp_path / "openapi.json").write_text(json.dumps(document))
    errors = made(tmp_path / "openapi.json", tmp_path)
    assert errors and all("Main.kt" in error and "unit" in error for error in errors)
