/** Text as bytes and back, by hand, as the platform does it where it can. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import test from "node:test";

import { GuestPrefs, Unreachable } from "../../../clients/typescript/src/index.ts";
import { accountOf } from "../../../clients/typescript/src/core/answers.ts";
import { sha256 } from "../../../clients/typescript/src/core/digest.ts";
import { ofBase64Url, utf8 } from "../../../clients/typescript/src/core/text.ts";

const UNITS = [0x0, 0x25, 0x41, 0x7f, 0x80, 0x7ff, 0x800, 0xffff, 0xd7ff, 0xd800, 0xdbff, 0xdc00, 0xdfff, 0xe000];

function* texts(): Generator<string> {
  yield "";
  for (const one of UNITS) {
    for (const two of UNITS) for (const three of UNITS) yield String.fromCharCode(one, two, three, one);
  }
}

test("bytes are those of the platform, whatever the text", () => {
  const encoder = new TextEncoder();
  for (const text of texts()) assert.deepEqual(utf8(text), encoder.encode(text), JSON.stringify(text));
  assert.equal(sha256("ທ😀"), createHash("sha256").update("ທ😀").digest("hex"));
});

test("parts of tokens are read as the platform reads them", () => {
  for (const text of texts()) {
    const whole = Buffer.from(text).toString();
    assert.equal(ofBase64Url(Buffer.from(whole).toString("base64url")), whole, JSON.stringify(text));
  }
  for (const wrong of ["a.b", "a b", "_w", "4pyT4p"]) assert.throws(() => ofBase64Url(wrong), wrong);
});

test("a token that is renewed is the same account on an engine that lacks half of the platform", async () => {
  const lacking = ["TextEncoder", "TextDecoder", "atob", "crypto", "BroadcastChannel"] as const;
  const had = lacking.map((name) => [name, Object.getOwnPropertyDescriptor(globalThis, name)!] as const);
  const token = (jti: number) => `e.${Buffer.from(JSON.stringify({ sub: "Žofie ທ", jti })).toString("base64url")}.s`;
  const expected = accountOf(token(1));
  try {
    for (const name of lacking) Reflect.deleteProperty(globalThis, name);
    assert.equal(accountOf(token(2)), expected);
    assert.notEqual(accountOf("e.e.s"), expected);
    const fetch = () => Promise.reject(new TypeError("Network request failed"));
    const client = new GuestPrefs("http://nowhere.invalid", { token: token(3), outbox: true, retries: { tries: 1 }, fetch });
    assert.equal((await client.edit("gst_1", { "room.quiet": true })).queued, true);
  } finally {
    for (const [name, descriptor] of had) Object.defineProperty(globalThis, name, descriptor);
  }
});

test("what did not come in time says so without a reason of the signal", async () => {
  class Plain extends AbortController {
    override abort(): void {
      super.abort(new Error("AbortError")); // that of React Native drops what it is given
    }
  }
  const had = globalThis.AbortController;
  globalThis.AbortController = Plain;
  try {
    const fetch: typeof globalThis.fetch = (_, init) =>
      new Promise((_, reject) => init!.signal!.addEventListener("abort", () => reject(new Error("Aborted"))));
    const hasty = { timeouts: { total: 0.02 }, retries: { tries: 1 }, fetch };
    const error: unknown = await new GuestPrefs("http://nowhere.invalid", hasty).get("gst_1").catch((one) => one);
    assert.ok(error instanceof Unreachable && error.name === "TimedOut");
    assert.match(error.message, /within 0.02 s/);
  } finally {
    globalThis.AbortController = had;
  }
});

test("fetch is told of caches only where it knows them", async () => {
  const asked: RequestInit[] = [];
  const fetch: typeof globalThis.fetch = async (_, init) => {
    asked.push(init!);
    return Response.json({ definitions: [] });
  };
  const client = new GuestPrefs("http://nowhere.invalid", { fetch });
  await client.catalogue();
  const had = Object.getOwnPropertyDescriptor(Request.prototype, "cache")!;
  Reflect.deleteProperty(Request.prototype, "cache");
  try {
    await client.catalogue();
  } finally {
    Object.defineProperty(Request.prototype, "cache", had);
  }
  assert.deepEqual(asked.map((one) => one.cache), ["no-store", undefined]);
});
