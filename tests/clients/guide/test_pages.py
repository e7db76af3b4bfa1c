"""Every snippet of the guide as it stands, against what `make run` serves and with the variables that it writes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.cli.served import Served
from tests.clients import node, snippets
from tests.clients.snippets import Snippet

ROOT = node.ROOT
GUIDE = ROOT / "clients" / "guide"
PAGES = sorted(GUIDE.glob("*.md"))
PYTHON = [one for page in PAGES for one in snippets.of_page(page, "python")]
TYPESCRIPT = [one for page in PAGES for one in snippets.of_page(page, "ts")]
READERS = [ROOT / "README.md", ROOT / "clients" / "python" / "README.md", ROOT / "clients" / "typescript" / "README.md"]
OPENFEATURE = ROOT / "tests" / "clients" / "openfeature"
SECONDS_MAX = 60


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """What a reader's shell holds after `. data/demo.env`. Receivers of webhooks may be on this machine."""
    folder = tmp_path_factory.mktemp("demo")
    with Served(folder, "--demo", "--guests", "2", environ={"GUESTPREFS_WEBHOOK_NETWORKS": "127.0.0.0/8"}) as served:
        lines = (served.data / "demo.env").read_text(encoding="utf-8").splitlines()
        yield dict(shlex.split(line)[1].split("=", 1) for line in lines)


@pytest.fixture
def project(project: Path) -> Path:
    """A folder of somebody who has installed OpenFeature's packages too."""
    (project / "node_modules" / "@openfeature").symlink_to(node.packages(OPENFEATURE) / "@openfeature")
    return project


@pytest.mark.parametrize("snippet", PYTHON, ids=str)
def test_a_python_snippet_runs(snippet: Snippet, demo: Mapping[str, str], tmp_path: Path) -> None:
    snippets.run_python(snippet, tmp_path, demo)


@pytest.mark.parametrize("snippet", TYPESCRIPT, ids=str)
def test_a_typescript_snippet_runs(snippet: Snippet, demo: Mapping[str, str], project: Path) -> None:
    with snippets.start_node(snippet.code, project, demo, kind="mts") as process:
        _, complaints = process.communicate(timeout=SECONDS_MAX)
    assert process.returncode == 0 and not complaints, complaints


def test_the_types_of_the_snippets_are_right(tools: Path, project: Path) -> None:
    """All at once; a module each, as none of them declares anything for the others."""
    for number, snippet in enumerate(TYPESCRIPT):
        (project / f"{snippet.page.stem}-{number}.mts").write_text(snippet.code, encoding="utf-8")
    command = [tools / "typescript" / "bin" / "tsc", "--noEmit", "--strict", "--skipLibCheck", "--target", "esnext"]
    command += ["--module", "nodenext", "--typeRoots", tools / "@types", "--types", "node"]
    node.run([*command, *sorted(path.name for path in project.glob("*.mts"))], project)


def test_every_task_is_shown_in_both_languages_and_in_short() -> None:
    for page in PAGES:
        both = snippets.of_page(page, "python", "ts")
        assert {one.language for one in both} == {"python", "ts"}, page.name
        assert {one.task for one in both if one.language == "python"} == {
            one.task for one in both if one.language == "ts"
        }, page.name
        assert [str(one) for one in both if one.length >= snippets.LINES_MAX or "assert" not in one.code] == []


def test_every_page_says_what_happens_on_a_bad_day() -> None:
    tasks = {"edit.md", "read.md", "watch.md", "offline.md", "testing.md", "hotel-systems.md"}
    assert {page.name for page in PAGES} == tasks
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert [word for word in ("network", "409", "412", "surface") if word not in text] == [], page.name
        assert re.search(r"^## (What may be|Who may say) ", text, re.M), page.name


def links(page: Path) -> list[Path]:
    named = re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    return [(page.parent / one).resolve() for one in named]


def test_the_pages_are_found_and_lead_somewhere() -> None:
    for reader in READERS:
        assert set(PAGES) <= set(links(reader)), reader
    for page in PAGES:
        assert [one for one in links(page) if not one.exists()] == [], page.name
