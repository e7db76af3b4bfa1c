"""The parts of the load run that decide: what the table says, and which users there are. `make load` runs the rest."""

from __future__ import annotations

import ast
from pathlib import Path

from loadtests.mix import WAITS, WEIGHTS
from loadtests.run import _percentile, _rows, _table

ROOT = Path(__file__).resolve().parent.parent


def test_percentiles_are_of_all_answers() -> None:
    counts = {"1": 50, "10": 45, "200.0": 5}
    assert [_percentile(counts, share) for share in (0.5, 0.95, 0.99)] == [1, 10, 200]
    assert _percentile({}, 0.5) == 0


def test_the_table_shows_what_went_wrong(tmp_path: Path) -> None:
    assert _rows(tmp_path / "none.json") == []
    row = {"name": "write", "num_requests": 10, "num_failures": 3, "response_times": {"4": 10}}
    words = _table([row]).splitlines()[1].split()
    assert words == ["write", "10", "3", "4", "4", "4"]


def test_every_kind_of_user_has_a_share_and_a_wait() -> None:
    """Read, not imported: locust changes the process that imports it."""
    kinds = {path.stem for path in (ROOT / "loadtests" / "users").glob("*.py")} - {"__init__"}
    assert kinds == set(WEIGHTS) == set(WAITS)
    locustfile = ast.parse((ROOT / "loadtests" / "locustfile.py").read_text(encoding="utf-8"))
    imported = {node.module for node in ast.walk(locustfile) if isinstance(node, ast.ImportFrom)}
    assert imported == {f"loadtests.users.{kind}" for kind in kinds}
    assert all(0 < low < high for low, high in WAITS.values())
