/** The outbox and what a client remembers, over stores that survive and a network that a test speaks for. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import test from "node:test";

import { GuestPrefs, MemoryStore, TextStore, Unreachable, type Options } from "../../../clients/typescript/src/index.ts";
import { sha256 } from "../../../clients/typescript/src/core/digest.ts";
import { MiddleChance, MovedClock } from "./surroundings.mts";

const GUEST = "gst_" + "1".repeat(32);
const OTHER = "gst_" + "2".repeat(32);

interface Sent {
  readonly guest: string;
  readonly patch: Record<string, unknown>;
  readonly key: string | null;
}

/** A service that stores what it is sent; `meet` may do something else first, and answer in its place. */
class Service {
  readonly sent: Sent[] = [];
  version = 1;
  meet: (request: Request) => Promise<Response | undefined> | Response | undefined = () => undefined;

  readonly fetch = async (url: unknown, init: unknown): Promise<Response> => {
    const request = new Request(String(url), { ...(init as RequestInit), cache: "default" });
    const guest = new URL(request.url).pathname.split("/")[3]!;
    const instead = await this.meet(request);
    if (instead) return instead;
    if (request.method === "PATCH") {
      this.sent.push({ guest, patch: await request.json(), key: request.headers.get("idempotency-key") });
      this.version += 1;
    }
    return Response.json({ guest, version: this.version, preferences: {} });
  };
}

function clientOf(service: Service, more: Options = {}) {
  const ports = { clock: new MovedClock(), chance: new MiddleChance(), retries: { tries: 1 }, fetch: service.fetch };
  return new GuestPrefs("http://service.invalid", { ...ports, token: "t", outbox: true, ...more });
}

class Texts {
  readonly kept = new Map<string, string>();
  readonly getItem = async (name: string) => this.kept.get(name) ?? null;
  readonly setItem = async (name: string, text: string) => void this.kept.set(name, text);
  readonly removeItem = async (name: string) => void this.kept.delete(name);
}

test("edits made at the same time are sent in the order in which they were made", async () => {
  const service = new Service();
  const client = clientOf(service);
  await Promise.all([1, 2, 3, 4, 5].map((brightness) => client.edit(GUEST, { "lighting.brightness": brightness })));
  assert.deepEqual(service.sent.map((one) => one.patch["lighting.brightness"]), [1, 2, 3, 4, 5]);
  assert.equal(new Set(service.sent.map((one) => one.key)).size, 5);
});

test("an outbox as one text survives a restart, and a wiped one leaves no text", async () => {
  const [service, texts] = [new Service(), new Texts()];
  const before = clientOf(service, { store: new TextStore(texts), offline: true });
  await Promise.all([before.edit(GUEST, { "room.quiet": true }), before.edit(OTHER, { "room.quiet": false })]);
  await before.close();
  assert.match([...texts.kept.values()].join(), new RegExp(GUEST));
  const after = clientOf(service, { store: new TextStore(texts) });
  assert.equal((await after.waiting()).length, 2);
  await after.wipe(OTHER);
  assert.doesNotMatch([...texts.kept.values()].join(), new RegExp(OTHER));
  assert.equal((await after.flush()).done.size, 1);
  assert.deepEqual(service.sent.map((one) => one.guest), [GUEST]);
  await after.wipe();
  assert.equal(texts.kept.size, 0);
});

test("an answer that arrives after its guest was wiped is not kept", async () => {
  const [service, store] = [new Service(), new MemoryStore()];
  const client = clientOf(service, { store });
  service.meet = async () => void (await client.wipe(GUEST));
  assert.equal((await client.get(GUEST)).version, 1);
  assert.deepEqual(store.all(), []);
  service.meet = () => undefined;
  await client.get(GUEST);
  assert.equal(store.all().length, 2);
});

test("an edit whose guest is wiped while it is sent is not written down again", async () => {
  const [service, store] = [new Service(), new MemoryStore()];
  const client = clientOf(service, { store });
  service.meet = async () => void (await client.wipe(GUEST));
  assert.equal((await client.edit(GUEST, { "room.quiet": true })).queued, false);
  assert.deepEqual(store.all(), []);
  service.meet = async () => (await client.wipe(GUEST), new Response("", { status: 503 }));
  await client.edit(GUEST, { "room.quiet": true });
  assert.deepEqual(store.all(), []);
});

test("a memory is bounded by answers, never by edits", async () => {
  const [service, store] = [new Service(), new MemoryStore(3)];
  const client = clientOf(service, { store });
  client.offline = true;
  await client.edit(GUEST, { "room.quiet": true });
  client.offline = false;
  service.meet = (request) => (request.method === "PATCH" ? new Response("", { status: 503 }) : undefined);
  for (let number = 0; number < 5; number++) await client.get(`gst_${number}`);
  const answers = store.all().filter((record) => record.kind === "answer");
  assert.deepEqual(answers.map((record) => record.guest), ["gst_2", "gst_3", "gst_4"]);
  assert.equal((await client.waiting()).length, 1);
});

test("a token that cannot be had is a network that cannot be had", async () => {
  const client = clientOf(new Service(), { token: () => Promise.reject(new TypeError("fetch failed")), outbox: false });
  await assert.rejects(client.get(GUEST), (error: Unreachable) => error.name === "Unreachable" && error.cause instanceof TypeError);
});

test("answers are kept apart by whom the token speaks for, not by the token", async () => {
  const service = new Service();
  const store = new MemoryStore();
  const token = (claims: object) => ["e30", btoa(JSON.stringify(claims)), "x"].join(".");
  for (const [claims, known] of [
    [{ sub: "ana", exp: 1 }, false],
    [{ sub: "ana", exp: 2 }, true],
    [{ sub: "ben", exp: 1 }, false],
  ] as const) {
    const client = clientOf(service, { store, token: () => token(claims) });
    client.offline = true;
    const found = await client.get(GUEST).then(() => true, () => false);
    assert.equal(found, known, JSON.stringify(claims));
    client.offline = false;
    await client.get(GUEST);
  }
});

test("digests are those of SHA-256", () => {
  for (const text of ["", "abc", "ທ".repeat(100), "x".repeat(55), "x".repeat(56), "x".repeat(64)]) {
    assert.equal(sha256(text), createHash("sha256").update(text).digest("hex"));
  }
});

test("an address that is none is refused with its field", () => {
  assert.throws(() => new GuestPrefs("prefs.example"), /baseUrl: must begin with/);
});
