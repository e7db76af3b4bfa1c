"""An app of React Native, as far as the engine and the network: bundled by Metro, run by the Hermes VM.

`make react-native` installs what it takes from npm: React Native's JavaScript, its bundler, and a Hermes VM for Linux.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.clients import node, snippets

HERE = Path(__file__).resolve().parent
MODULES = HERE / "node_modules"
HERMES = MODULES / "hermes-engine-cli" / "linux64-bin" / "hermes"
TYPESCRIPT = HERE.parent / "typescript"
FOLLOWING = "Show a guest, and follow what changes"
STRIPPED = """
import { readFileSync, writeFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
const [from, to] = process.argv.slice(1);
writeFileSync(to, stripTypeScriptTypes(readFileSync(from, "utf8")));
"""
# Ours is told how often it may look, so that what it tells was told by a stream.
NEVER_LOOKS = ("{ keys: [warmth] }", "{ keys: [warmth], poll: 3600 }")


def missing() -> str:
    """Why nothing can be run here; empty where it can."""
    return "" if HERMES.exists() else "no React Native: make react-native installs it"


def bundled(package: Path, folder: Path, *, looks: bool = False) -> Path:
    """The client as it is shipped, our driver of it and the first snippet of its page, in one bundle."""
    home = folder / "node_modules" / "@guestprefs" / "client"
    shutil.copytree(package, home, ignore=shutil.ignore_patterns("node_modules"))
    for name in ("driver", "surroundings"):
        target = folder / f"{name}.js"
        node.run(
            ["--no-warnings", "--input-type=module", "--eval", STRIPPED, TYPESCRIPT / f"{name}.mts", target], folder
        )
        code = target.read_text(encoding="utf-8").replace(
            "../../../clients/typescript/src/index.ts", "@guestprefs/client"
        )
        target.write_text(code.replace('"./surroundings.mts"', '"./surroundings"'), encoding="utf-8")
    (folder / "following.js").write_text(following(looks), encoding="utf-8")
    shutil.copy(HERE / "entry.ts", folder)
    (folder / "package.json").write_text('{"name": "app"}', encoding="utf-8")
    (folder / "babel.config.js").write_text(
        'module.exports = { presets: ["module:@react-native/babel-preset"] };', encoding="utf-8"
    )
    (folder / "node_modules" / "@react-native").symlink_to(MODULES / "@react-native")
    node.run([HERE / "build.mjs", folder], folder)
    return folder / "bundle.js"


def following(looks: bool) -> str:
    """The snippet as it stands, but in a function, for there is no process to have its words from."""
    (snippet,) = [
        one
        for one in snippets.of_page(node.ROOT / "clients" / "typescript" / "README.md", "js")
        if one.task == FOLLOWING
    ]
    lines = snippet.code.splitlines(keepends=True)
    imports = "".join(line for line in lines if line.startswith("import "))
    body = "".join(line for line in lines if not line.startswith("import "))
    assert NEVER_LOOKS[0] in body
    body = body if looks else body.replace(*NEVER_LOOKS)
    return f"{imports}export async function follow(process, console) {{\n{body}}}\n"


def command(bundle: Path) -> list[str]:
    return [str(node.NODE), str(HERE / "host.mts"), str(bundle)]
