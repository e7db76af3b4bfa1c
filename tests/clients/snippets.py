"""Snippets of pages as a reader sees them, and how each is run: as it stands, by Python or by Node.

Whoever writes a page puts a snippet between fences whose first word is its language; a second word tells the test of
that page that this one needs company, such as somebody who edits meanwhile.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest

from tests.clients import node

LINES_MAX = 30
SOON_S = 1.0  # by when whoever follows is shown an edit, as the pages promise
_FENCE = re.compile(r"^```(?P<language>\w*) ?(?P<company>\w*)$")


@dataclass(frozen=True, slots=True)
class Snippet:
    """`task` is the heading it stands under; `line` is that of its fence, for a reader of a failure."""

    page: Path
    line: int
    task: str
    language: str
    company: str
    code: str

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line} {self.language}"

    @property
    def length(self) -> int:
        return sum(bool(line.strip()) for line in self.code.splitlines())


def of_page(page: Path, *languages: str) -> list[Snippet]:
    return [one for one in _all(page) if one.language in languages]


def _all(page: Path) -> Iterator[Snippet]:
    task, opened, code = "", None, list[str]()
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(keepends=True), 1):
        fence = _FENCE.match(line.rstrip())
        if opened is None and fence:
            opened, code = (number, fence), []
        elif opened is not None and line.rstrip() == "```":
            yield Snippet(page, opened[0], task, opened[1]["language"], opened[1]["company"], "".join(code))
            opened = None
        elif opened is not None:
            code.append(line)
        elif line.startswith("## "):
            task = line[3:].strip()


def shown_after(edit: Callable[[], object], shown: IO[str]) -> tuple[str, float]:
    """The next line after an edit, and the seconds from before it was made until it was shown."""
    began = time.monotonic()
    edit()
    line = shown.readline()
    return line, time.monotonic() - began


def run_python(snippet: Snippet, folder: Path, environ: Mapping[str, str] | None = None) -> None:
    """Here, with this folder as the working folder; what it asserts is asserted."""
    with pytest.MonkeyPatch.context() as around:
        around.chdir(folder)
        for name, value in (environ or {}).items():
            around.setenv(name, value)
        # The line numbers of a failure are those of the page.
        code = compile("\n" * snippet.line + snippet.code, str(snippet.page), "exec")
        exec(code, {"__name__": "__main__"})


def start_node(
    code: str, folder: Path, environ: Mapping[str, str], *words: str, kind: str = "mjs"
) -> subprocess.Popen[str]:
    """In a process of its own. `kind` is the ending of the file that it is put into: `mts` is TypeScript."""
    (folder / f"snippet.{kind}").write_text(code, encoding="utf-8")
    command = [str(node.NODE), f"snippet.{kind}", *words]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, cwd=folder, env=node.environ(**environ), text=True, stdin=pipe, stdout=pipe, stderr=pipe
    )
