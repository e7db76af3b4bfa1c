"""How long a client takes to tell what it knew last while the server is away, by where it keeps it: ours in Python, and
ours in TypeScript in Node and in a browser. Each has an edit of its own waiting, which is laid over every answer."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from playwright.sync_api import Page

from loadtests.bench.budgets import Finding
from loadtests.bench.percentiles import counted, percentile
from tests.browsers import BROWSERS, chromium
from tests.clients import node

ROOT = Path(__file__).resolve().parents[2]
HERE = "loadtests/bench/offline.mts"
READS = 3_000
_KINDS = {".mts": "text/javascript", ".ts": "text/javascript"}
# A browser has no types: Node takes them out, and everything stays where it was.
_STRIPPED = """import { stripTypeScriptTypes } from "node:module";
import { cpSync, readFileSync, writeFileSync, readdirSync } from "node:fs";
const [from, to] = process.argv.slice(1);
for (const part of ["clients/typescript/src", "loadtests/bench/offline.mts"]) cpSync(`${from}/${part}`, `${to}/${part}`,
  { recursive: true });
for (const file of readdirSync(to, { recursive: true })) {
  if (!/\\.m?ts$/.test(file)) continue;
  writeFileSync(`${to}/${file}`, stripTypeScriptTypes(readFileSync(`${to}/${file}`, "utf8")));
}"""
_IN_NODE = """const { prepared, times } = await import(process.argv[1]);
const { SQLiteStore } = await import(process.argv[2]);
const [url, guest, folder, reads] = process.argv.slice(3);
const stores = (index) => ({
  memory: new index.MemoryStore(),
  SQLite: new SQLiteStore(`${folder}/plain.db`),
  "sealed SQLite": new index.SealedStore(new SQLiteStore(`${folder}/sealed.db`), index.AesSeal.of(new Uint8Array(32))),
});
const clients = await prepared(url, guest, stores);
console.log("known");
for await (const _ of process.stdin) break;
process.stdout.write(JSON.stringify(await times(clients, guest, Number(reads))), () => process.exit(0));"""
_IN_PAGE = """async ([url, guest]) => {
  window.offline = await import("/loadtests/bench/offline.mts");
  window.clients = await offline.prepared(url, guest, (index) => ({
    IndexedDB: new index.IndexedDBStore("plain"),
    "sealed IndexedDB": new index.SealedStore(new index.IndexedDBStore("sealed"), index.AesSeal.kept()),
  }));
}"""


def last_known(document: bytes) -> dict[str, Finding]:
    """Rows of the budget, each the slowest of its stores."""
    guest = json.loads(document)["guest"]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        node.run(["--no-warnings", "--input-type=module", "--eval", _STRIPPED, ROOT, folder], folder)
        server = _Server(folder, document)
        stack.callback(server.leave)
        python, typescript = (
            stack.enter_context(_knowing(command, environ, server.url, guest, folder))
            for command, environ in (_python(), _typescript())
        )
        page = stack.enter_context(_page()) if any(map(shutil.which, BROWSERS)) else None
        if page is not None:
            page.goto(server.url)
            page.evaluate(_IN_PAGE, [server.url, guest])
        server.leave()
        found = {"client/python": _measured(python), "client/node": _measured(typescript)}
        if page is None:
            found["client/browser"] = Finding(note="no Chromium on this machine")
        else:
            told = page.evaluate("([guest, reads]) => offline.times(clients, guest, reads)", [guest, READS])
            found["client/browser"] = _finding(told)
        return found


def _measured(process: subprocess.Popen[str]) -> Finding:
    said, _ = process.communicate("go\n")
    return _finding(json.loads(said))


def _finding(measured: Mapping[str, list[float]]) -> Finding:
    each = {
        name: [percentile(counted(latencies), share) / 1000 for share in (0.5, 0.99)]
        for name, latencies in measured.items()
    }
    note = ", ".join(f"{name} p50 {p50:.2f} p99 {p99:.2f}" for name, (p50, p99) in each.items())
    return Finding(max(p99 for _, p99 in each.values()), f"{READS:,} reads each, ms: {note}")


# ---- the clients ----


def _python() -> tuple[Sequence[str], Mapping[str, str]]:
    places = os.pathsep.join([str(ROOT), str(ROOT / "clients" / "python" / "src")])
    return [sys.executable, "-m", "loadtests.bench.remembering"], {**os.environ, "PYTHONPATH": places}


def _typescript() -> tuple[Sequence[str], Mapping[str, str]]:
    sqlite = ROOT / "clients" / "typescript" / "src" / "stores" / "sqlite.ts"
    command = [str(node.NODE), "--no-warnings", "--input-type=module", "--eval", _IN_NODE]
    return [*command, (ROOT / HERE).as_uri(), sqlite.as_uri()], node.environ()


@contextmanager
def _knowing(
    command: Sequence[str], environ: Mapping[str, str], url: str, guest: str, folder: Path
) -> Iterator[subprocess.Popen[str]]:
    """Once it is here it knows the guest; a line on its stdin has it measure."""
    with subprocess.Popen(
        [*command, url, guest, str(folder), str(READS)],
        env=dict(environ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        if process.stdout.readline() != "known\n":
            raise SystemExit(f"a client did not come up: {command[-1]}")
        yield process


@contextmanager
def _page() -> Iterator[Page]:
    with chromium() as browser:
        yield browser.new_page()


# ---- the server that goes away ----


class _Server:
    """Tells one guest's preferences whatever is asked below /v1/, and the files of a folder; until it leaves."""

    def __init__(self, folder: Path, document: bytes) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Answering, folder, document))
        self._server.daemon_threads = True
        self._up = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def leave(self) -> None:
        if self._up:
            self._up = False
            self._server.shutdown()
            self._server.server_close()


class _Answering(BaseHTTPRequestHandler):
    def __init__(self, folder: Path, document: bytes, *more: object) -> None:
        self._folder, self._document = folder, document
        super().__init__(*more)  # type: ignore[arg-type]

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: what is measured comes after."""

    def do_GET(self) -> None:
        path, kind = self._folder / self.path.lstrip("/"), "application/json"
        body = self._document
        if self.path == "/":
            body, kind = b"<!doctype html><link rel=icon href=data:,>", "text/html"
        elif not self.path.startswith("/v1/"):
            body, kind = path.read_bytes(), _KINDS[path.suffix]
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
