"""The README's five minutes with curl, run as they stand against a real server and compared answer by answer.

After an intended change of an answer, `python -m tests.test_readme` writes the new answers into the README; read the
difference before you commit it.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from prefs.settings import Settings
from tests.cli.served import Served, environment

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
BLOCK = re.compile(r"```sh\n(?P<commands>.*?)```\n(?:\n```json\n(?P<answer>.*?)```)?", re.DOTALL)
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
MADE_UP = re.compile(r"\b(prf_|req_)?[0-9a-f]{32}\b")


@dataclass(frozen=True, slots=True)
class Step:
    """Commands of the tutorial, and the answer the page promises for them."""

    commands: str
    answer: str | None


def steps(page: str) -> list[Step]:
    section = page.split("## Five minutes with curl", 1)[1].split("\n## ", 1)[0]
    return [Step(found["commands"], found["answer"]) for found in BLOCK.finditer(section)]


def run(folder: Path, commands: str) -> str:
    """What the commands print, in a shell that has read the demo's variables, as the reader's has."""
    done = subprocess.run(
        ["/bin/sh", "-euc", f". data/demo.env\n{commands}"],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{commands}\n{done.stderr}"
    return done.stdout


def comparable(answer: Any) -> Any:
    """An answer without what differs by nature: times of the clock and ids that are made up anew."""
    text = json.dumps(answer, sort_keys=True, ensure_ascii=False)
    return json.loads(MADE_UP.sub("(id)", TIME.sub("(time)", text)))


@pytest.mark.skipif(shutil.which("curl") is None, reason="NOT RUN: curl is not installed")
def test_the_tutorial_answers_what_the_page_says(tmp_path: Path) -> None:
    asked = steps(README.read_text(encoding="utf-8"))
    answered = 0
    with Served(tmp_path, "--demo"):
        for step in asked:
            printed = run(tmp_path, step.commands)
            if step.answer is not None:
                assert comparable(json.loads(printed)) == comparable(json.loads(step.answer)), step.commands
                answered += 1
    assert answered >= 7


def test_the_tutorial_states_and_reads_the_promised_three() -> None:
    page = README.read_text(encoding="utf-8")
    answers = "".join(step.answer or "" for step in steps(page))
    for said in ('"value": 68', '"unit": "[degF]"', '"foam"', '"espn"', '"number": 35', '"reason"', '"text"'):
        assert said in answers


def test_the_comparison_sees_a_difference() -> None:
    one = {"id": "prf_" + "a" * 32, "at": "2026-11-22T02:00:00Z", "value": 20}
    other = {"id": "prf_" + "b" * 32, "at": "2027-01-01T00:00:00.5Z", "value": 20}
    assert comparable(one) == comparable(other)
    assert comparable(one) != comparable({**other, "value": 20.5})


def test_settings_table_has_every_setting_with_its_default() -> None:
    page = README.read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| (.*?) \|", page, re.MULTILINE))
    assert set(rows) == set(Settings.variables())
    example = dict(re.findall(r"^([A-Z_]+)=(.*)$", (ROOT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(example) == set(Settings.variables())
    for name, field in Settings.variables().items():
        if field.default_factory is None:
            plain = f"{field.default:g}" if isinstance(field.default, float) else str(field.default)
            assert rows[name] == f"`{plain}`", name
            assert example[name] == plain, name
        else:
            assert example[name] == "", name


def test_paths_that_the_page_names_are_there() -> None:
    table = README.read_text(encoding="utf-8").split("## Where things are", 1)[1].split("\n## ", 1)[0]
    named = [
        path for cell in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for path in re.findall(r"`(.*?)`", cell)
    ]
    assert len(named) >= 12
    missing = [path for path in named if not (list(ROOT.glob(path)) if "*" in path else (ROOT / path).exists())]
    assert missing == []


def write_answers() -> None:
    page = README.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder, Served(Path(folder), "--demo"):
        for step in steps(page):
            printed = run(Path(folder), step.commands)
            if step.answer is not None:
                old = f"```sh\n{step.commands}```\n\n```json\n{step.answer}```"
                answer = compact(json.loads(printed))
                assert page.count(old) == 1, step.commands
                page = page.replace(old, f"```sh\n{step.commands}```\n\n```json\n{answer}\n```")
    README.write_text(page, encoding="utf-8")


def compact(value: Any, indent: str = "", before: int = 0, width: int = 116) -> str:
    """JSON for a page: what fits on a line stays on it. `before` is what the line already holds."""
    line = json.dumps(value, ensure_ascii=False)
    if len(indent) + before + len(line) < width or not isinstance(value, dict | list) or not value:
        return line
    deeper = indent + "  "
    if isinstance(value, dict):
        named = ((json.dumps(name, ensure_ascii=False), member) for name, member in value.items())
        parts = [f"{deeper}{name}: {compact(member, deeper, len(name) + 2)}" for name, member in named]
        return "{\n" + ",\n".join(parts) + f"\n{indent}}}"
    return "[\n" + ",\n".join(deeper + compact(member, deeper) for member in value) + f"\n{indent}]"


if __name__ == "__main__":
    write_answers()
