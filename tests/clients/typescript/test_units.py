"""The unit tests of the TypeScript SDK (node:test), each told by name; and faults planted in it are found by them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.clients import node

HERE = Path(__file__).resolve().parent
SOURCE = node.ROOT / "clients" / "typescript" / "src"
TESTS = sorted(HERE.glob("*.test.mts"))
NAMES = [name for file in TESTS for name in re.findall(r'^test\("(.+?)"', file.read_text(encoding="utf-8"), re.M)]


def reported(folder: Path) -> dict[str, str]:
    """What became of each test, by name; what went wrong is told beside."""
    command = [str(node.NODE), "--test", "--test-reporter=tap", "--test-timeout=10000", "--test-force-exit"]
    files = sorted(str(file) for file in folder.glob("*.test.mts"))
    done = subprocess.run(
        [*command, *files], cwd=folder, env=node.environ(), capture_output=True, text=True, check=False, timeout=100
    )
    parts = re.split(r"^(not ok|ok) \d+ - (.*)$", done.stdout, flags=re.M)
    return {name: "" if said == "ok" else rest for said, name, rest in zip(*[iter(parts[1:])] * 3, strict=True)}


@pytest.fixture(scope="module")
def report() -> dict[str, str]:
    return reported(HERE)


@pytest.mark.parametrize("name", NAMES)
def test_it_holds(name: str, report: dict[str, str]) -> None:
    assert report[name] == ""


PLANTED = [
    ("core/outbox.ts", "!entry.tried && !other.tried &&", ""),
    ("core/outbox.ts", "if (entry.ownVersions.includes(conflict.version)) continue;", ""),
    ("core/outbox.ts", "entry.edits > 1 && named.size", "named.size"),
    ("core/memory.ts", "this.wipes += 1;", ""),
    ("core/memory.ts", "if (wipes === this.wipes) return;", "return;"),
    ("core/writing.ts", "if (!behind.some((one) => one.id === entry.id)) return;", ""),
    ("core/preferences.ts", 'if (scope !== "profile") continue;', ""),
    ("core/upstream.ts", 'if (this.place) headers["last-event-id"] = this.place;', ""),
    ("core/upstream.ts", 'if (event.event === "resync") this.place = "";', 'if (event.event === "resync") return;'),
    ("core/sharing.ts", "this.#channel.send({ ...event });", ""),
    ("core/sharing.ts", 'if (message["hello"] && this.#leads', "if (false"),
    ("core/watching.ts", "await memory.wipe(this.#asked.guest);", ""),
    ("core/watching.ts", "if (shown === this.#last) return [];", ""),
    ("core/events.ts", r'text.replace(/\r\n/g, "\n")', "text"),
    ("core/answers.ts", '"sub", ', ""),
    ("stores/text.ts", "const mine = this.#written.then(write, write);", "const mine = Promise.resolve();"),
    ("stores/aes.ts", ", additionalData: bytesOf(place)", ""),
    ("stores/words.ts", "if (said.startsWith(SEALED)) return said;", "return said;"),
    ("stores/words.ts", "if (said.startsWith(SEALED)) return said;", ""),
    ("core/memory.ts", "if (this.#recognised) return;", "return;"),
    ("stores/sealed.ts", "const mine = this.#turn.then(task);", "const mine = task();"),
    (
        "stores/sealed.ts",
        "for (const guest of new Set(plain.map((one) => one.guest))) await this.#store.wipe(guest);",
        "",
    ),
    ("stores/sealed.ts", "&& !ours.some((one) => one !== undefined)", "&& false"),
    ("core/memory.ts", "if (!lost.length) return records;", "return records;"),
    ("core/text.ts", "if (bits < 8) continue;", "if (bits <= 8) continue;"),
    ("core/digest.ts", "utf8(text)", "new TextEncoder().encode(text)"),
    ("core/sender.ts", "String(late ?? error)", "String(stop.signal.reason)"),
    ("core/sender.ts", "caches && ", ""),
    ("core/upstream.ts", "error instanceof Stuck && (await this.#answers())", "false"),
    ("core/upstream.ts", "error instanceof Stuck && (await this.#answers())", "error instanceof Stuck"),
    ("streams.ts", "decoder.decode(value, { stream: true })", "decoder.decode(value)"),
    ("surroundings.ts", "const mine = before.then(task, task);", "const mine = task();"),
]


@pytest.mark.prove
@pytest.mark.parametrize(("name", "text", "instead"), PLANTED, ids=[f"{one[0]}: {one[1][:40]}" for one in PLANTED])
def test_a_planted_fault_is_found(name: str, text: str, instead: str, tmp_path: Path) -> None:
    source = tmp_path / "clients" / "typescript"
    shutil.copytree(SOURCE, source / "src")
    (source / "package.json").write_text('{"type": "module"}', encoding="utf-8")
    tests = tmp_path / "tests" / "clients" / "typescript"
    shutil.copytree(HERE, tests, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    before = (source / "src" / name).read_text(encoding="utf-8")
    assert text in before
    (source / "src" / name).write_text(before.replace(text, instead, 1), encoding="utf-8")
    assert [name for name, fault in reported(tests).items() if fault] != []
