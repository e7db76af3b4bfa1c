"""What of the TypeScript SDK is made, promised or shipped: models, types, error tree, layers, the package itself."""

from __future__ import annotations

import json
import re
import subprocess
import tarfile
from pathlib import Path

import pytest
from guestprefs_client import GuestPrefsError

from clients.typescript import generate
from tests.clients import node
from tests.test_house import FUNCTION_LINES_MAX, MODULE_LINES_MAX, drawn, nameless_modules, subclasses

ROOT = Path(__file__).resolve().parents[3]
HOME = ROOT / "clients" / "typescript"
SOURCE = HOME / "src"
TOOLS = HOME / "node_modules"
PACKAGE = json.loads((HOME / "package.json").read_text(encoding="utf-8"))
MADE = {"models.ts"}


def modules() -> dict[str, str]:
    return {path.relative_to(SOURCE).as_posix(): path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.ts")}


@pytest.fixture(scope="module")
def tarball(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as it would be published."""
    folder = tmp_path_factory.mktemp("typescript")
    node.run([node.NPM, "pack", "--ignore-scripts", "--loglevel=error", "--pack-destination", folder], package)
    (packed,) = folder.glob("*.tgz")
    return packed


@pytest.fixture(autouse=True)
def installed(tools: Path) -> None:
    """Whatever a test here runs was installed before."""


# ---- what is made ----


def test_the_models_are_what_the_document_says() -> None:
    document = (ROOT / "clients" / "openapi.json").read_text(encoding="utf-8")
    kept = (SOURCE / "models.ts").read_text(encoding="utf-8")
    assert generate.written(document) == kept, "run make sdk-models"
    changed = json.loads(document)
    changed["components"]["schemas"]["Edited"]["properties"]["mood"] = {"type": "string"}
    assert generate.written(json.dumps(changed)) != kept


# ---- what is written ----


def test_the_types_are_right() -> None:
    node.run([TOOLS / "typescript" / "bin" / "tsc", "-p", "tsconfig.json"], HOME)


def test_wrong_types_are_found(tmp_path: Path) -> None:
    """A patch is no text, and a unit may be missing."""
    text = f"""import {{ GuestPrefs }} from "{SOURCE / "index.ts"}";
        const client = new GuestPrefs("http://127.0.0.1:9");
        void client.edit("g", "quiet");
        const unit: string = (await client.get("g")).get("room.quiet")!.unit;
        export {{ unit }};"""
    (tmp_path / "planted.mts").write_text(text, encoding="utf-8")
    options = {"typeRoots": [str(TOOLS / "@types")], "rewriteRelativeImportExtensions": False}
    config = {
        "extends": str(HOME / "tsconfig.json"),
        "files": ["planted.mts"],
        "include": [],
        "compilerOptions": options,
    }
    (tmp_path / "tsconfig.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(AssertionError) as found:
        node.run([TOOLS / "typescript" / "bin" / "tsc", "-p", tmp_path / "tsconfig.json"], HOME)
    assert re.findall(r"planted\.mts\((\d),\d+\): error (TS\d+)", str(found.value)) == [
        ("3", "TS2345"),
        ("4", "TS2322"),
    ]


def test_modules_are_short_and_named_for_what_they_hold() -> None:
    for name, text in modules().items():
        assert list(nameless_modules(name, "")) == []
        assert name in MADE or len(text.splitlines()) <= MODULE_LINES_MAX, name
        assert name in MADE or text.startswith("/**"), f"{name} does not say what it holds"
        starts = [at for at, line in enumerate(text.splitlines()) if re.match(r"^  ?\S.*\{$", line)]
        ends = [at for at, line in enumerate(text.splitlines()) if re.match(r"^  ?\}", line)]
        lengths = [min((end for end in ends if end > start), default=start) - start for start in starts]
        assert name in MADE or max(lengths, default=0) <= FUNCTION_LINES_MAX, name


def test_the_error_tree_is_that_of_the_python_client() -> None:
    text = (SOURCE / "errors.ts").read_text(encoding="utf-8")
    found = dict(re.findall(r"^export class (\w+) extends (\w+)", text, re.M))
    python = {child.__name__: child.__bases__[0].__name__ for child in subclasses(GuestPrefsError)}
    assert {name: parent for name, parent in found.items() if parent != "Error"} == python
    tree = drawn("\n".join(line.removeprefix(" * ") for line in text.splitlines()))
    assert {name: parent for name, parent in tree.items() if parent} == python
    named = dict(re.findall(r'^export class (\w+) .*\n  override name = "(\w+)"', text, re.M))
    assert named == {name: name for name in found}


# The core decides and touches nothing: what it needs is handed in. Only one module of it sends.
TOUCHES = re.compile(
    r"\b(Date\.now|Math\.random|performance\.|crypto\.|indexedDB|localStorage|navigator|document|process)\b"
)


def astray(name: str, text: str) -> list[str]:
    text = re.sub(r"/\*\*.*?\*/|//.*", "", text, flags=re.S)
    imported = re.findall(r'from "([^"]+)"', text)
    faults = [f"imports {one}" for one in imported if not one.startswith(".") and not name.startswith("stores/sqlite")]
    if name.startswith("core/"):
        faults += [f"imports {one}" for one in imported if re.search(r"client|stores|surroundings|index", one)]
        faults += [f"touches {one}" for one in TOUCHES.findall(text)]
    return faults


def test_the_core_touches_nothing_and_nothing_foreign_is_imported() -> None:
    assert {name: astray(name, text) for name, text in modules().items() if astray(name, text)} == {}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("core/wire.ts", "const now = Date.now();"),
        ("core/kept.ts", 'import { MemoryStore } from "../stores/memory.ts";'),
        ("client.ts", 'import axios from "axios";'),
        ("stores/memory.ts", 'import { readFileSync } from "node:fs";'),
    ],
)
def test_the_rule_of_layers_can_fail(name: str, text: str) -> None:
    assert len(astray(name, text)) == 1


# ---- what is shipped ----


def test_it_needs_nothing_at_run_time() -> None:
    assert {"dependencies", "peerDependencies", "optionalDependencies"} & PACKAGE.keys() == set()
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in PACKAGE["devDependencies"].values())


def test_one_version_is_told_everywhere() -> None:
    assert f'/{PACKAGE["version"]}"' in (SOURCE / "client.ts").read_text(encoding="utf-8")
    lock = json.loads((HOME / "package-lock.json").read_text(encoding="utf-8"))
    assert lock["version"] == PACKAGE["version"]
    locked = [one for name, one in lock["packages"].items() if name and not one.get("link")]
    assert all(one["integrity"].startswith("sha512-") and "resolved" not in one for one in locked)


def test_the_package_holds_what_it_says(tarball: Path) -> None:
    with tarfile.open(tarball) as packed:
        names = {name.removeprefix("package/") for name in packed.getnames()}
    sources = {f"src/{name}" for name in modules() if not name.endswith(".test.ts")}
    built = {f"dist/{name[4:-3]}{kind}" for name in sources for kind in (".js", ".d.ts")}
    assert sources | built | {"package.json", "README.md"} <= names
    assert not [name for name in names if ".test." in name or name.endswith(".py") or "node_modules" in name]


def test_publint_has_nothing_to_say(tarball: Path) -> None:
    said = node.run([TOOLS / "publint" / "src" / "cli.js", "run", "--strict", tarball], HOME).stdout
    assert "All good" in said, said


def test_every_way_of_importing_finds_its_types(tarball: Path) -> None:
    tool = TOOLS / "@arethetypeswrong" / "cli" / "dist" / "index.js"
    node.run([tool, tarball, "--profile", "esm-only", "--no-emoji", "--no-color"], HOME)


def test_a_package_with_a_fault_is_not_clean(tarball: Path, tmp_path: Path) -> None:
    with tarfile.open(tarball) as packed:
        packed.extractall(tmp_path, filter="data")
    (tmp_path / "package" / "dist" / "index.d.ts").unlink()
    node.run([node.NPM, "pack", "--ignore-scripts", "--loglevel=error"], tmp_path / "package")
    (broken,) = (tmp_path / "package").glob("*.tgz")
    with pytest.raises(AssertionError):
        node.run([TOOLS / "publint" / "src" / "cli.js", "run", "--strict", broken], HOME)
    with pytest.raises(AssertionError):
        node.run([TOOLS / "@arethetypeswrong" / "cli" / "dist" / "index.js", broken, "--profile", "esm-only"], HOME)


def test_it_is_used_as_it_is_installed(tarball: Path, tmp_path: Path) -> None:
    """Unpacked where npm would put it, and imported by its name, as JavaScript."""
    home = tmp_path / "node_modules" / "@guestprefs"
    home.mkdir(parents=True)
    with tarfile.open(tarball) as packed:
        packed.extractall(home, filter="data")
    (home / "package").rename(home / "client")
    program = """
        import { GuestPrefs, MemoryStore, NothingKnown } from "@guestprefs/client";
        import { SQLiteStore } from "@guestprefs/client/sqlite";
        const store = new SQLiteStore("a.db");
        const client = new GuestPrefs("http://127.0.0.1:9", { offline: true, outbox: true, store });
        const edit = await client.edit("gst_1", { "room.quiet": true });
        const error = await client.get("gst_1").catch((one) => one);
        console.log(edit.queued, error instanceof NothingKnown, new MemoryStore().all().length);
    """
    done = subprocess.run(
        [str(node.NODE), "--input-type=module", "--eval", program],
        cwd=tmp_path,
        env=node.environ(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("true true 0\n", "")
