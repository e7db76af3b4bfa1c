/**
 * `node host.mts BUNDLE`: the native side of React Native for a bundle in the Hermes VM, on loopback.
 *
 * The VM of the npm package has no sockets, no timers and no files: what React Native's modules written in Kotlin do for
 * its JavaScript is done here, by the same events in the same order. What comes on stdin is an order for the bundle, one a
 * line; what it answers goes to stdout.
 */

import { spawn } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request as ask, type ClientRequest, type IncomingMessage } from "node:http";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const HERMES = here("node_modules/hermes-engine-cli/linux64-bin/hermes");
const OPTIONS = ["-prompt=", "-prompt2=", "-Xes6-promise", "-Xmicrotask-queue"];
const SAYS = "\u0001";
// What the VM says of a line that it ran.
const SILENT = new Set(["", "undefined"]);
// Planted by a test: what comes of an answer is told at its end only, whatever was asked for.
const NOT_INCREMENTAL = process.env["RN_NOT_INCREMENTAL"] === "1";

const vm = spawn(HERMES, OPTIONS, { stdio: ["pipe", "pipe", "inherit"] });
vm.on("exit", (code) => process.exit(code ?? 1));
vm.stdin.on("error", () => {}); // it has ended, and says so itself

function run(code: string): void {
  vm.stdin.write(code.replaceAll("\u2028", "\\u2028").replaceAll("\u2029", "\\u2029") + "\n");
}

function tell(message: object): void {
  run(`__fromHost(${JSON.stringify(message)})`);
}

function program(path: string): void {
  run(`(0, eval)(${JSON.stringify(readFileSync(path, "utf8"))});0`);
}

// ---- timers ----

const timers = new Map<number, NodeJS.Timeout>();

function start({ timer, ms, repeats }: { timer: number; ms: number; repeats: boolean }): void {
  const ring = () => {
    if (!repeats) timers.delete(timer);
    tell({ held: timer });
  };
  timers.set(timer, repeats ? setInterval(ring, ms) : setTimeout(ring, ms));
}

function clear(timer: number): void {
  clearTimeout(timers.get(timer));
  timers.delete(timer);
}

// ---- blobs ----

type BlobPart = { blobId: string; offset: number; size: number };
const blobs = new Map<string, Buffer>();
const partOf = ({ blobId, offset, size }: BlobPart) => blobs.get(blobId)!.subarray(offset, offset + size);

function kept(bytes: Buffer): BlobPart {
  const blobId = `host-${blobs.size}-${Math.random()}`;
  blobs.set(blobId, bytes);
  return { blobId, offset: 0, size: bytes.length };
}

// ---- the network ----

const requests = new Map<number, ClientRequest>();
type Kind = "text" | "blob" | "base64";

function send(
  method: string,
  url: string,
  id: number,
  headers: [string, string][],
  body: { string?: string },
  kind: Kind,
  incremental: boolean,
): void {
  const event = (name: string, ...args: unknown[]) => requests.has(id) && tell({ event: name, args: [id, ...args] });
  const end = (error: string | null) => {
    event("didCompleteNetworkResponse", error, false);
    requests.delete(id);
  };
  const request = ask(url, { method, headers: { "user-agent": "okhttp/4.12.0", ...Object.fromEntries(headers) } });
  requests.set(id, request);
  request.on("error", (error) => end(error.message));
  request.on("response", (response) => {
    event("didReceiveNetworkResponse", response.statusCode, plain(response), url);
    const told = incremental && kind === "text" && !NOT_INCREMENTAL;
    const [bytes, decoder]: [Buffer[], TextDecoder] = [[], new TextDecoder()];
    let loaded = 0;
    response.on("data", (piece: Buffer) => {
      if (!told) return void bytes.push(piece);
      loaded += piece.length;
      event("didReceiveNetworkIncrementalData", decoder.decode(piece, { stream: true }), loaded, -1);
    });
    response.on("error", (error) => end(error.message));
    response.on("end", () => {
      const all = Buffer.concat(bytes);
      if (!told) event("didReceiveNetworkData", { text: () => all.toString(), base64: () => all.toString("base64"), blob: () => kept(all) }[kind]());
      end(null);
    });
  });
  request.end(body.string);
}

function plain(response: IncomingMessage): Record<string, string> {
  const named: Record<string, string> = {};
  for (let at = 0; at < response.rawHeaders.length; at += 2) {
    const [name, value] = [response.rawHeaders[at]!, response.rawHeaders[at + 1]!];
    named[name] = name in named ? `${named[name]}, ${value}` : value;
  }
  return named;
}

function abort(id: number): void {
  const request = requests.get(id);
  requests.delete(id); // whoever aborted hears no more of it
  request?.destroy();
}

// ---- AsyncStorage, in one file ----

let file = "";
const texts = (): Record<string, string> => (file && existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : {});

function keep(changed: Record<string, string>): void {
  if (Object.keys(changed).length) writeFileSync(file, JSON.stringify(changed));
  else rmSync(file, { force: true });
}

// ---- what the bundle calls ----

type Answer = (...args: unknown[]) => void;
// What they are called with is what React Native's JavaScript hands over.
const native: Record<string, (...args: any[]) => void> = {
  "Networking.sendRequest": send,
  "Networking.abortRequest": abort,
  "Blobs.addNetworkingHandler": () => {},
  "Blobs.createFromParts": (parts: { type: string; data: string & BlobPart }[], id: string) =>
    blobs.set(id, Buffer.concat(parts.map(({ type, data }) => (type === "blob" ? partOf(data) : Buffer.from(data))))),
  "Blobs.release": (id: string) => blobs.delete(id),
  "Blobs.readAsText": (blob: BlobPart, _encoding: string, answer: Answer) => answer(partOf(blob).toString()),
  "Storage.multiGet": (names: string[], answer: Answer) => {
    const all = texts();
    answer(null, names.map((name) => [name, all[name] ?? null]));
  },
  "Storage.multiSet": (pairs: [string, string][], answer: Answer) => {
    keep({ ...texts(), ...Object.fromEntries(pairs) });
    answer(null);
  },
  "Storage.multiRemove": (names: string[], answer: Answer) => {
    keep(Object.fromEntries(Object.entries(texts()).filter(([name]) => !names.includes(name))));
    answer(null);
  },
  "Host.keepIn": (path: string) => void (file = path),
  "Host.complain": (words: string) => process.stderr.write(`${words}\n`),
  "Host.reportException": ({ message, stack }: { message: string; stack: unknown }) =>
    process.stderr.write(`${message}\n${JSON.stringify(stack)}\n`),
  "Host.fail": (why: string) => {
    process.stderr.write(`${why}\n`);
    process.exit(1);
  },
  "Host.answer": (line: string) => process.stdout.write(`${line}\n`),
};

function hear(line: string): void {
  const at = line.indexOf(SAYS);
  if (at < 0) {
    if (!SILENT.has(line.trim()) && line.trim() !== "0") process.stderr.write(`${line}\n`);
    return;
  }
  const said = JSON.parse(line.slice(at + 1));
  if ("timer" in said) return start(said);
  if ("clear" in said) return clear(said.clear);
  const args = said.args.map((one: { callback?: number; plain?: unknown }) => {
    if (one.callback === undefined) return one.plain ?? undefined;
    return (...given: unknown[]) => {
      tell({ held: one.callback, args: given });
      run(`__forget(${one.callback})`);
    };
  });
  native[said.call]!(...args);
}

createInterface({ input: vm.stdout }).on("line", hear);
program(here("prelude.js"));
program(process.argv[2]!);
createInterface({ input: process.stdin })
  .on("line", (line) => tell({ order: line }))
  .on("close", () => process.exit(0));
process.on("exit", () => vm.kill());
