"""The contract of every SDK, kept by both clients of the Python one; and the contract is shown to speak."""

from __future__ import annotations

import copy
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.clients.contract.faulty import FaultyServer
from tests.clients.contract.running import Adapter, Run, cases

ROOT = Path(__file__).resolve().parents[3]
CASES = cases()


@contextmanager
def adapter_of(kind: str) -> Iterator[Adapter]:
    places = os.pathsep.join([str(ROOT), str(ROOT / "clients" / "python" / "src")])
    command = [sys.executable, "-W", "error", "-m", "tests.clients.python.adapter", kind]
    adapter = Adapter(command, {**os.environ, "PYTHONPATH": places})
    yield adapter
    adapter.close()


@pytest.fixture(scope="module", params=["sync", "async"])
def adapter(request: pytest.FixtureRequest) -> Iterator[Adapter]:
    with adapter_of(request.param) as adapter:
        yield adapter


@pytest.fixture(scope="module")
def plain() -> Iterator[Adapter]:
    """Of one kind: both have the same stores."""
    with adapter_of("sync") as adapter:
        yield adapter


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_the_contract_is_kept(case: dict[str, Any], adapter: Adapter, tmp_path: Path) -> None:
    with FaultyServer() as server:
        Run(case, adapter, server, tmp_path).run()


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_the_contract_is_kept_under_a_seal(case: dict[str, Any], plain: Adapter, tmp_path: Path) -> None:
    with FaultyServer() as server:
        Run(case, plain, server, tmp_path, sealed=True).run()


def test_what_is_kept_without_a_seal_is_found_to_be_legible(plain: Adapter, tmp_path: Path) -> None:
    with FaultyServer() as server, pytest.raises(AssertionError):
        run = Run(CASES[0], plain, server, tmp_path, sealed=True)
        run.secret = {"secret": ""}
        run.run()
    plain.do({"do": "close"})


def named(name: str) -> dict[str, Any]:
    return copy.deepcopy(next(case for case in CASES if case["name"] == name))


@pytest.mark.parametrize(
    ("name", "step", "planted"),
    [
        ("429 with Retry-After", 3, {"do": "pauses", "gives": [1.9]}),
        ("429 with Retry-After", 2, {"heard": [{"method": "GET"}]}),
        ("a write whose answer was lost", 3, {"stored": {"room.quiet": False}, "guest": "ana", "version": 4}),
        ("off line", 2, {"do": "get", "guest": "ana", "gives": {"stale": False}}),
        ("a stream cut and resumed", 4, {"do": "told", "gives": {"version": 2}}),
        ("a stream cut and resumed", 8, {"heard": [{"method": "GET", "headers": {"last-event-id": "x"}}] * 4}),
        ("a stream that starts over", 5, {"do": "told", "ends": True}),
        ("erased while followed", 5, {"do": "told", "gives": {}}),
        ("wipe", 6, {"no_trace_of": "ben"}),
    ],
)
def test_the_contract_can_be_broken(name: str, step: int, planted: Any, adapter: Adapter, tmp_path: Path) -> None:
    case = named(name)
    case["steps"][step] = planted
    with FaultyServer() as server, pytest.raises(AssertionError):
        Run(case, adapter, server, tmp_path).run()
    adapter.do({"do": "close"})
