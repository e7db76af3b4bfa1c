/** Following a guest: as a stream that is cut and goes on, by asking again where there is none, and with other tabs. */

import assert from "node:assert/strict";
import test from "node:test";
import { setTimeout as soon } from "node:timers/promises";

import { GuestPrefs, fetchStreams, sharedTabs, type Options } from "../../../clients/typescript/src/index.ts";
import { EventParser } from "../../../clients/typescript/src/core/events.ts";
import { MiddleChance, MovedClock } from "./surroundings.mts";

const GUEST = "gst_" + "1".repeat(32);
const ENCODER = new TextEncoder();

function answer(version: number, brightness: number) {
  return { guest: GUEST, version, preferences: { "lighting.brightness": { value: brightness, status: "applied" } } };
}

function event(kind: string, place: string, data: object = {}): string {
  return `event: ${kind}\nid: ${place}\ndata: ${JSON.stringify(data)}\n\n`;
}

const change = (place: string, version: number, brightness: number) =>
  event("change", place, { ...answer(version, brightness), changed: ["lighting.brightness"] });
const SNAPSHOT = event("snapshot", "a", { items: [answer(2, 10)], complete: true });

type Part = string | "cut" | "open" | number;

/** A server that tells what a script says, one stream after the other; `cut` ends one as a broken network does. */
class Streams {
  readonly asked: (string | null)[] = [];
  readonly #scripts: Part[][];
  say: (text: string) => void = () => {};

  constructor(...scripts: Part[][]) {
    this.#scripts = scripts;
  }

  readonly fetch = async (url: unknown, init: unknown): Promise<Response> => {
    const { headers, signal } = init as { headers: Record<string, string>; signal: AbortSignal };
    assert.equal(new URL(String(url)).pathname, "/v1/changes");
    this.asked.push(headers["last-event-id"] ?? null);
    const script = this.#scripts.shift() ?? ["cut"];
    if (typeof script[0] === "number") {
      const problem = { type: "", title: "", status: script[0], detail: "", code: "X", errors: [], request_id: "" };
      return Response.json(problem, { status: script[0] });
    }
    const body = new ReadableStream<Uint8Array>({
      start: (stream) => {
        for (const part of script) {
          if (part === "cut") return stream.error(new TypeError("terminated"));
          if (part === "open") {
            this.say = (text) => stream.enqueue(ENCODER.encode(text));
            signal.addEventListener("abort", () => stream.error(signal.reason));
            return;
          }
          stream.enqueue(ENCODER.encode(String(part)));
        }
        stream.close();
      },
    });
    return new Response(body, { headers: { "content-type": "text/event-stream" } });
  };
}

function clientOf(fetch: typeof globalThis.fetch, more: Options = {}) {
  const ports = { clock: new MovedClock(), chance: new MiddleChance(), fetch };
  return new GuestPrefs("http://streams.invalid", { ...ports, token: "t", ...more });
}

test("a stream that is cut goes on where it was", async () => {
  // A stream that ends with an error drops what was not read of it: those that tell something just end.
  const streams = new Streams(
    ["retry: 1000\n\n", SNAPSHOT, ":\n\n", change("b", 3, 20)],
    [503],
    [change("b", 3, 20), change("c", 4, 30)],
    [event("resync", "d"), event("snapshot", "e", { items: [answer(4, 30)], complete: true })],
    ["cut"],
    [event("consent_withdrawn", "f", { ...answer(5, 40), changed: [], purposes: [] }), event("erased", "g", { guest: GUEST })],
  );
  const client = clientOf(streams.fetch);
  const seen: number[] = [];
  for await (const known of client.watch(GUEST)) seen.push(known.value("lighting.brightness"));
  assert.deepEqual(seen, [10, 20, 30, 40]);
  assert.deepEqual(streams.asked, [null, "b", "b", "c", "e", "e"]);
  client.offline = true;
  await assert.rejects(client.get(GUEST), { name: "NothingKnown" }); // the erased guest was forgotten
});

test("a stream that is refused says why", async () => {
  await assert.rejects(clientOf(new Streams([403]).fetch).watch(GUEST).next(), { name: "NotAllowed" });
});

test("where there is no stream it asks again, and whoever is gone ends it", async () => {
  let brightness = 0;
  const fetch = async (url: unknown) => {
    if (String(url).includes("/v1/changes")) return new Response("not here", { status: 200 });
    brightness += 10;
    const status = brightness > 30 ? 404 : 200;
    const problem = { type: "", title: "", status, detail: "", code: "NOT_FOUND", errors: [], request_id: "" };
    return status === 200 ? Response.json(answer(2, brightness)) : Response.json(problem, { status });
  };
  const seen: number[] = [];
  for await (const known of clientOf(fetch).watch(GUEST)) seen.push(known.value("lighting.brightness"));
  assert.deepEqual(seen, [10, 20, 30]);
});

test("off line it tells what was known, and on line it goes on", async () => {
  const streams = new Streams([SNAPSHOT, "open"], [SNAPSHOT, "open"], [change("b", 3, 20)]);
  const client = clientOf(streams.fetch, { outbox: true });
  for await (const known of client.watch(GUEST)) {
    assert.equal(known.value("lighting.brightness"), 10);
    break;
  }
  client.offline = true;
  await client.edit(GUEST, { "room.quiet": true });
  const watching = client.watch(GUEST);
  const stale = (await watching.next()).value!;
  assert.deepEqual([stale.meta.stale, stale.values()], [true, { "lighting.brightness": 10, "room.quiet": true }]);
  client.offline = false;
  const fresh = (await watching.next()).value!;
  assert.deepEqual([fresh.meta.stale, fresh.meta.pendingWrites], [false, 1]);
  client.offline = true; // this ends the stream that is open
  client.offline = false;
  assert.equal((await watching.next()).value!.value("lighting.brightness"), 20);
  await watching.return();
});

test("a signal ends it, and so does closing the client", async () => {
  const streams = new Streams([SNAPSHOT, "open"], [SNAPSHOT, "open"]);
  const client = clientOf(streams.fetch);
  const stop = new AbortController();
  const watching = client.watch(GUEST, { signal: stop.signal });
  assert.equal((await watching.next()).done, false);
  const next = watching.next();
  stop.abort();
  assert.equal((await next).done, true);
  const another = client.watch(GUEST);
  assert.equal((await another.next()).done, false);
  const last = another.next();
  await client.close();
  assert.equal((await last).done, true);
});

test("tabs share one stream, and the next takes over from where it was", async () => {
  const streams = new Streams([SNAPSHOT, "open"], [change("c", 4, 30), "open"]);
  const tabs = sharedTabs()!;
  const [one, two, three] = [1, 2, 3].map(() => clientOf(streams.fetch, { tabs }).watch(GUEST));
  const brightness = async (watching: typeof one) => (await watching!.next()).value!.value("lighting.brightness");
  assert.equal(await brightness(one), 10);
  const second = brightness(two); // hears what the first has heard already
  assert.equal(await second, 10);
  assert.deepEqual(streams.asked, [null]);
  streams.say(change("b", 3, 20));
  assert.deepEqual(await Promise.all([brightness(one), brightness(two)]), [20, 20]);
  await one!.return();
  assert.equal(await brightness(two), 30);
  assert.deepEqual(streams.asked, [null, "b"]);
  assert.equal(await brightness(three), 30);
  await two!.return();
  await three!.return();
  await soon(0);
});

test("events are found however the bytes are cut", () => {
  const text = "\uFEFFevent: change\r\nid: a\r\ndata: {\"ທ\":\r\ndata:1}\r\n\r\n:\rid: b\r\rdata\n\nretry: 5\n\nid: \0\ndata: x\n\n";
  const expected = [
    { event: "change", data: '{"ທ":\n1}', id: "a" },
    { event: "", data: "", id: "b" },
    { event: "message", data: "", id: "" },
    { event: "message", data: "x", id: "" },
  ];
  for (const size of [1, 2, 3, 7, text.length]) {
    const parser = new EventParser();
    const found = [];
    for (let at = 0; at < text.length; at += size) found.push(...parser.feed(text.slice(at, at + size)));
    assert.deepEqual(found, expected, `${size} letters at a time`);
  }
});

test("letters are whole however the bytes of a stream are cut", async () => {
  const bytes = ENCODER.encode("ທ 😀 né");
  const body = new ReadableStream<Uint8Array>({
    start: (stream) => {
      for (const byte of bytes) stream.enqueue(Uint8Array.of(byte));
      stream.close();
    },
  });
  const opened = await fetchStreams(async () => new Response(body))("http://streams.invalid", {}, new AbortController().signal);
  let text = "";
  for await (const piece of opened.pieces) text += piece;
  assert.equal(text, "ທ 😀 né");
});

test("where a stream never begins it asks again, and tries the stream again later", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const streams = new Streams([SNAPSHOT, change("b", 3, 90), event("erased", "c", { guest: GUEST })]);
  let [begun, looked] = [0, 0];
  const fetch: typeof globalThis.fetch = async (url, init) => {
    if (!String(url).includes("/v1/changes")) return Response.json(answer(2, Math.min(++looked, 3)));
    if (begun++) return await streams.fetch(url, init);
    // Waits for the end of what has none, as React Native's does.
    return await new Promise((_, reject) => {
      init!.signal!.addEventListener("abort", () => reject(new Error("Aborted")));
      context.mock.timers.tick(5000);
    });
  };
  const client = clientOf(fetch);
  const seen: number[] = [];
  for await (const known of client.watch(GUEST, { poll: 200 })) seen.push(known.value("lighting.brightness"));
  assert.deepEqual(seen, [2, 3, 10, 90]); // the first look only finds out that the server answers
  assert.deepEqual([begun, looked], [2, 4]);
});

test("a stream that never begins because the server is away is no reason to do without", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const streams = new Streams([SNAPSHOT, event("erased", "c", { guest: GUEST })]);
  let begun = 0;
  const fetch: typeof globalThis.fetch = async (url, init) => {
    if (!String(url).includes("/v1/changes")) throw new TypeError("no network");
    if (begun++ > 1) return await streams.fetch(url, init);
    return await new Promise((_, reject) => {
      init!.signal!.addEventListener("abort", () => reject(new Error("Aborted")));
      context.mock.timers.tick(5000);
    });
  };
  const seen: number[] = [];
  for await (const known of clientOf(fetch).watch(GUEST)) seen.push(known.value("lighting.brightness"));
  assert.deepEqual([seen, begun], [[10], 3]);
});
