/** Stores under a seal: what rests cannot be read, moved or quietly lost, and everything else is as without one. */

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";

import {
  AesSeal,
  GuestPrefs,
  MemoryStore,
  SealedStore,
  TextStore,
  WrongSeal,
  type Seal,
  type Store,
  type StoreRecord,
} from "../../../clients/typescript/src/index.ts";
import { SQLiteStore } from "../../../clients/typescript/src/stores/sqlite.ts";
import { MiddleChance, MovedClock } from "./surroundings.mts";

const [ANA, BEN] = ["gst_ana", "gst_ben"];
const KEY = new Uint8Array(32).fill(7);

class Texts {
  readonly kept = new Map<string, string>();
  readonly getItem = async (name: string) => this.kept.get(name) ?? null;
  readonly setItem = async (name: string, text: string) => void this.kept.set(name, text);
  readonly removeItem = async (name: string) => void this.kept.delete(name);
}

function record(kind: string, guest: string, name: string, data: string, account = "a-guest"): StoreRecord {
  return { kind, account, guest, name, data };
}

const STEPS: readonly ((store: Store) => Promise<unknown>)[] = [
  (store) => store.put(record("edit", ANA, "1", "one")),
  (store) => store.put(record("edit", BEN, "2", "two")),
  (store) => store.put(record("edit", ANA, "3", "three")),
  (store) => store.put(record("edit", ANA, "1", "one again")),
  (store) => store.put(record("edit", ANA, "4", "of another account", "b-guest")),
  (store) => store.get("edit", "a-guest", ANA, "1"),
  (store) => store.listed("edit", "a-guest"),
  (store) => store.listed("edit", "a-guest", ANA),
  (store) => store.drop("edit", "a-guest", ANA, "3"),
  (store) => store.listed("edit", "a-guest"),
  ...["a", "b", "c"].map((name) => (store: Store) => store.put(record("answer", BEN, name, name))),
  (store) => store.listed("answer", "a-guest"),
  (store) => store.drop("answer", "a-guest"),
  (store) => store.listed("answer", "a-guest"),
  (store) => store.wipe(ANA),
  (store) => store.listed("edit", "b-guest"),
  (store) => store.listed("edit", "a-guest"),
  async (store) => [...(await store.all())],
  (store) => store.wipe(),
  async (store) => [...(await store.all())],
  (store) => store.put(record("seen", BEN, "version", "3")),
  (store) => store.get("seen", "a-guest", BEN, "version"),
];

async function shown(store: Store): Promise<unknown[]> {
  const told = [];
  for (const step of STEPS) told.push((await step(store)) ?? null);
  await store.close();
  return JSON.parse(JSON.stringify(told, (name, value) => (name === "place" ? undefined : value)));
}

test("under a seal every store does what it does without one", async () => {
  const folder = mkdtempSync(join(tmpdir(), "sealed-"));
  const stores: [Store, Store][] = [
    [new MemoryStore(2), new MemoryStore(2)],
    [new TextStore(new Texts(), "one", 2), new TextStore(new Texts(), "one", 2)],
    [new SQLiteStore(join(folder, "plain.db"), 2), new SQLiteStore(join(folder, "sealed.db"), 2)],
  ];
  for (const [plain, inner] of stores) {
    assert.deepEqual(await shown(new SealedStore(inner, AesSeal.of(KEY))), await shown(plain));
  }
  rmSync(folder, { recursive: true });
});

test("no name and no value can be read where it rests", async () => {
  const inner = new MemoryStore();
  const store = new SealedStore(inner, AesSeal.of(KEY));
  await store.put(record("answer", ANA, '{"keys":["accessibility.hearing"]}', "a word"));
  const text = JSON.stringify(inner.all());
  for (const word of [ANA, "a-guest", "accessibility", "a word"]) assert.ok(!text.includes(word), word);
  assert.ok(text.includes("answer"));
});

test("a value that was moved to another record does not open, and is forgotten", async () => {
  const inner = new MemoryStore();
  const store = new SealedStore(inner, AesSeal.of(KEY));
  await store.put(record("answer", ANA, "all", "of ana"));
  await store.put(record("answer", BEN, "all", "of ben"));
  const [ana, ben] = inner.all().filter((one) => one.kind === "answer");
  await inner.put({ ...ana!, data: ben!.data });
  assert.equal(await store.get("answer", "a-guest", ANA, "all"), undefined);
  assert.equal(await store.get("answer", "a-guest", BEN, "all"), "of ben");
  assert.deepEqual(inner.all().filter((one) => one.kind === "answer"), [ben]);
});

test("an edit that does not open is told as given up, and the others go on", async () => {
  const inner = new MemoryStore();
  const sent: string[] = [];
  const fetch = async (url: unknown, init: unknown) => {
    const request = new Request(String(url), { ...(init as RequestInit), cache: "default" });
    if (request.method === "PATCH") sent.push(new URL(request.url).pathname.split("/")[3]!);
    return Response.json({ guest: BEN, version: 2, preferences: {} });
  };
  const ports = { clock: new MovedClock(), chance: new MiddleChance(), account: "a-guest", fetch };
  const store = new SealedStore(inner, AesSeal.of(KEY));
  const client = new GuestPrefs("http://service.invalid", { ...ports, store, token: "t", outbox: true, offline: true });
  await client.edit(ANA, { "room.quiet": true });
  await client.edit(BEN, { "room.quiet": true });
  const damaged = inner.all().find((one) => one.kind === "edit")!;
  await inner.put({ ...damaged, data: `${damaged.data.slice(0, -8)}AAAAAAA=` });
  assert.deepEqual((await client.waiting()).map((one) => one.guest), [BEN]);
  assert.deepEqual((await client.givenUp(ANA)).map((one) => one.reason), ["UNREADABLE"]);
  client.offline = false;
  assert.equal((await client.flush()).waiting, 0);
  assert.deepEqual(sent, [BEN]);
  const [letter] = await client.givenUp();
  await client.discard(letter!);
  assert.deepEqual(await client.givenUp(), []);
  await client.wipe(ANA);
  assert.ok(!inner.all().some((one) => one.guest === damaged.guest));
});

test("another key is refused and changes nothing, until everything is wiped", async () => {
  const inner = new MemoryStore();
  await new SealedStore(inner, AesSeal.of(KEY)).put(record("edit", ANA, "1", "one"));
  const before = inner.all();
  const other = new SealedStore(inner, AesSeal.of(KEY.map((byte) => byte + 1)));
  await assert.rejects(other.listed("edit", "a-guest"), (error) => error instanceof WrongSeal && /1 edits/.test(error.message));
  await assert.rejects(other.put(record("edit", ANA, "2", "two")), WrongSeal);
  assert.deepEqual(inner.all(), before);
  const own = new SealedStore(inner, AesSeal.of(KEY));
  assert.deepEqual((await own.listed("edit", "a-guest")).map((one) => one.data), ["one"]);
  await other.wipe();
  await other.put(record("edit", ANA, "2", "two"));
  assert.deepEqual((await other.listed("edit", "a-guest")).map((one) => one.data), ["two"]);
});

test("a sealed store that is used without its seal is refused, until everything is wiped", async () => {
  const inner = new MemoryStore();
  await new SealedStore(inner, AesSeal.of(KEY)).put(record("edit", ANA, "1", "one"));
  const client = new GuestPrefs("http://service.invalid", { store: inner, outbox: true, offline: true, account: "a-guest" });
  await assert.rejects(client.get(ANA), WrongSeal);
  await assert.rejects(client.edit(ANA, { "room.quiet": true }), WrongSeal);
  assert.equal(inner.all().length, 2);
  await client.wipe();
  assert.equal((await client.edit(ANA, { "room.quiet": true })).queued, true);
});

test("where there is no WebCrypto it is said what to do", async () => {
  const own = Object.getOwnPropertyDescriptor(globalThis, "crypto")!;
  Object.defineProperty(globalThis, "crypto", { value: undefined, configurable: true });
  await assert.rejects(AesSeal.of(KEY).digest("a word"), /no WebCrypto here: .*a Seal of its own/);
  Object.defineProperty(globalThis, "crypto", own);
});

test("what was kept without a seal is sealed in place, in its order, and leaves nothing readable", async () => {
  const folder = mkdtempSync(join(tmpdir(), "sealed-"));
  const path = join(folder, "a.db");
  const plain = new SQLiteStore(path);
  for (const [guest, name] of [[ANA, "1"], [BEN, "2"], [ANA, "3"]] as const) await plain.put(record("edit", guest, name, name));
  assert.ok(readFileSync(path).includes(ANA));
  const store = new SealedStore(plain, AesSeal.of(KEY));
  assert.deepEqual((await store.listed("edit", "a-guest")).map((one) => one.data), ["1", "2", "3"]);
  assert.ok(!readFileSync(path).includes("gst_"));
  await store.close();
  rmSync(folder, { recursive: true });
});

test("writes are made in the order in which they were asked for, however long sealing takes", async () => {
  const own = AesSeal.of(KEY);
  const slowFirst: Seal = {
    encrypt: async (text, place) => {
      if (text.includes("slow")) await new Promise((resolve) => setTimeout(resolve, 20));
      return await own.encrypt(text, place);
    },
    decrypt: (sealed, place) => own.decrypt(sealed, place),
    digest: (word) => own.digest(word),
  };
  const store = new SealedStore(new MemoryStore(), slowFirst);
  const writes = [store.put(record("seen", ANA, "version", "slow")), store.put(record("seen", ANA, "version", "quick"))];
  assert.equal(await store.get("seen", "a-guest", ANA, "version"), "quick");
  const wiped = store.put(record("edit", ANA, "1", "slow")).then(() => undefined);
  await store.wipe(ANA);
  await Promise.all([...writes, wiped]);
  assert.deepEqual(await store.all(), []);
});

test("of a guest who is wiped while an answer is sealed nothing is kept", async () => {
  const [inner, own] = [new MemoryStore(), AesSeal.of(KEY)];
  let begun = () => {};
  const sealing = new Promise<void>((resolve) => (begun = resolve));
  const slow: Seal = {
    encrypt: async (text, place) => {
      if (text.includes("takenAt")) begun(), await new Promise((resolve) => setTimeout(resolve, 20));
      return await own.encrypt(text, place);
    },
    decrypt: (sealed, place) => own.decrypt(sealed, place),
    digest: (word) => own.digest(word),
  };
  const fetch = async () => Response.json({ guest: ANA, version: 2, preferences: {} });
  const client = new GuestPrefs("http://service.invalid", { token: "t", store: new SealedStore(inner, slow), fetch });
  const asked = client.get(ANA);
  await sealing;
  await client.wipe(ANA);
  assert.equal((await asked).version, 2);
  assert.deepEqual(inner.all().map((one) => one.kind), ["seal"]);
});

test("a seal that cannot be used now loses nothing", async () => {
  const [inner, own] = [new MemoryStore(), AesSeal.of(KEY)];
  let locked = false;
  const keychain: Seal = {
    encrypt: (text, place) => own.encrypt(text, place),
    decrypt: async (sealed, place) => {
      if (locked) throw new Error("the device is locked");
      return await own.decrypt(sealed, place);
    },
    digest: (word) => own.digest(word),
  };
  const store = new SealedStore(inner, keychain);
  await store.put(record("answer", ANA, "all", "one"));
  locked = true;
  await assert.rejects(store.get("answer", "a-guest", ANA, "all"), /locked/);
  await assert.rejects(new SealedStore(inner, keychain).get("answer", "a-guest", ANA, "all"), /locked/);
  locked = false;
  assert.equal(await store.get("answer", "a-guest", ANA, "all"), "one");
});

test("a secret that is no key is refused", () => {
  assert.throws(() => AesSeal.of(new Uint8Array(16)), /secret: must be 32 random bytes, not 16/);
});
