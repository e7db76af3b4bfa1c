"""The contract of every SDK, kept by the TypeScript one in a process of Node."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients import node
from tests.clients.contract.faulty import FaultyServer
from tests.clients.contract.running import Adapter, Run, cases

CASES = cases()


@pytest.fixture(scope="module")
def adapter() -> Iterator[Adapter]:
    adapter = Adapter([str(node.NODE), str(Path(__file__).with_name("adapter.mts"))], node.environ())
    yield adapter
    adapter.close()


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_the_contract_is_kept(case: dict[str, Any], adapter: Adapter, tmp_path: Path) -> None:
    with FaultyServer() as server:
        Run(case, adapter, server, tmp_path).run()


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_the_contract_is_kept_under_a_seal(case: dict[str, Any], adapter: Adapter, tmp_path: Path) -> None:
    with FaultyServer() as server:
        Run(case, adapter, server, tmp_path, sealed=True).run()
