"""The threat model of SECURITY.md names tests that exist, one at least for every attack."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


def rows(page: str) -> list[list[str]]:
    found = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line[:1] == "|"]
    return found[2:]  # past the head


def names_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(tree) if isinstance(node, functions) and node.name.startswith("test_")}


def missing(page: str) -> Iterator[str]:
    for file, name in NAMED.findall(page):
        path = ROOT / file
        if not path.is_file() or not names_in(path) or (name and name not in names_in(path)):
            yield f"{file}::{name}"


def test_every_attack_names_its_control_and_a_test() -> None:
    told = rows(PAGE)
    assert len(told) > 30
    for row in told:
        assert len(row) == 4, row
        assert row[0] and row[2], row
        assert NAMED.search(row[3]), f"no test is named: {row}"


def test_every_named_test_exists() -> None:
    assert list(missing(PAGE)) == []


def test_a_name_that_nobody_has_is_found() -> None:
    assert list(missing("`tests/test_house.py::test_nothing` `tests/none.py`")) == [
        "tests/test_house.py::test_nothing",
        "tests/none.py::",
    ]


def test_the_page_says_how_to_report_and_what_is_not_defended() -> None:
    headings = re.findall(r"^## (.*)$", PAGE, re.MULTILINE)
    assert headings[0] == "How to report" and headings[-1] == "What is not defended"
