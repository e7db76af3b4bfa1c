/** Which edits become one, whose value stands, and what is shown while they wait. */

import assert from "node:assert/strict";
import test from "node:test";

import type { Conflict } from "../../../clients/typescript/src/models.ts";
import { afterConflict, afterRefusal, isSame, keyOf, merged, takes, type Entry } from "../../../clients/typescript/src/core/outbox.ts";
import { Preferences, narrowed, overlaid } from "../../../clients/typescript/src/core/preferences.ts";

const ENTRY: Entry = {
  id: "one",
  guest: "gst_1",
  patch: { "room.quiet": true, "lighting.brightness": 30 },
  scope: "profile",
  base: 2,
  madeAt: 0,
  edits: 1,
  tried: 0,
  nextAt: 0,
  ownVersions: [],
  guarded: false,
};

const conflict = (key: string, theirs: unknown, version = 3): Conflict => ({
  key,
  yours: null,
  theirs,
  base: null,
  by: "",
  at: "",
  version,
});

const stands = (value: unknown, more: object = {}) => [{ value, strength: "preferred", ...more }];

test("the last write of a key counts, and the base stays", () => {
  const later = { ...ENTRY, id: "two", patch: { "room.quiet": null }, base: 9, guarded: true };
  const one = merged(ENTRY, later);
  assert.deepEqual(one.patch, { "room.quiet": null, "lighting.brightness": 30 });
  assert.deepEqual([one.id, one.base, one.edits, one.guarded], ["one", 2, 2, true]);
});

test("what may have been sent takes nothing in, nor does another place or a full one", () => {
  assert.equal(takes(ENTRY, ENTRY), true);
  assert.equal(takes({ ...ENTRY, tried: 1 }, ENTRY), false);
  assert.equal(takes(ENTRY, { ...ENTRY, tried: 1 }), false);
  assert.equal(takes(ENTRY, { ...ENTRY, scope: "stay:1" }), false);
  assert.equal(takes(ENTRY, { ...ENTRY, property: "dallas" }), false);
  assert.equal(takes(ENTRY, { ...ENTRY, provenance: "observed" }), false);
  const many = Object.fromEntries(Array.from({ length: 49 }, (_, at) => [`key.${at}`, at]));
  assert.equal(takes(ENTRY, { ...ENTRY, patch: many }), false);
});

test("our own earlier edit and a wish that is granted are no conflicts; the judge decides the others", () => {
  const mine = { ...ENTRY, ownVersions: [4] };
  const conflicts = [conflict("room.quiet", stands(true)), conflict("lighting.brightness", stands(99), 4)];
  const settled = afterConflict(mine, conflicts, 5, () => "theirs");
  assert.deepEqual(settled.entry.patch, { "lighting.brightness": 30 });
  assert.deepEqual([settled.entry.base, settled.lost], [5, undefined]);
  const lost = afterConflict(ENTRY, [conflict("room.quiet", stands(false))], 5, () => "theirs");
  assert.deepEqual(lost.entry.patch, { "lighting.brightness": 30 });
  assert.deepEqual([lost.lost?.reason, lost.lost?.patch], ["CONFLICT", { "room.quiet": true }]);
  assert.deepEqual(lost.lost?.theirs, { "room.quiet": stands(false) });
  const kept = afterConflict(ENTRY, [conflict("room.quiet", stands(false))], 5, () => "mine");
  assert.deepEqual([kept.entry.patch, kept.lost], [ENTRY.patch, undefined]);
});

test("what stands is what we wanted only where both say it plainly", () => {
  assert.equal(isSame([1, { a: 2 }], stands([1, { a: 2 }])), true);
  assert.equal(isSame([1, { a: 2 }], stands([1, { a: 3 }])), false);
  assert.equal(isSame(true, stands(true, { context: { time_of_day: "night" } })), false);
  assert.equal(isSame(true, [{ value: true, strength: "required" }]), false);
  assert.equal(isSame(true, []), false);
  assert.equal(isSame(null, []), true);
  assert.equal(isSame(null, stands(true)), false);
  assert.equal(isSame({ value: 1, strength: "required" }, stands(1)), false);
  const warm = stands(20, { unit: "Cel", entered: { value: 68, unit: "[degF]" } });
  assert.equal(isSame({ value: 68, unit: "[degF]" }, warm), true);
  assert.equal(isSame({ value: 20, unit: "[degF]" }, warm), false);
});

test("of merged edits only the key at fault is given up", () => {
  const faults = [{ field: "/room.quiet/value", code: "WRONG_TYPE", detail: "" }];
  const two = afterRefusal({ ...ENTRY, edits: 2 }, faults, "INVALID", "");
  assert.deepEqual([two.entry.patch, two.lost?.patch], [{ "lighting.brightness": 30 }, { "room.quiet": true }]);
  assert.deepEqual(afterRefusal(ENTRY, faults, "INVALID", "").entry.patch, {});
  const elsewhere = [{ field: "/else", code: "X", detail: "" }];
  assert.deepEqual(afterRefusal({ ...ENTRY, edits: 2 }, elsewhere, "INVALID", "").entry.patch, {});
  assert.equal(keyOf({ field: "/a~1b~0c/value", code: "", detail: "" }), "a/b~c");
  assert.equal(keyOf({ field: "limit", code: "", detail: "" }), "");
});

const META = {
  fromCache: true,
  stale: true,
  asOf: new Date(0),
  etag: "",
  requestId: "",
  pendingWrites: 0,
  pendingKeys: new Set<string>(),
};

test("edits that wait are laid over what was known, as far as they say plainly what will apply", () => {
  const known = new Preferences("gst_1", 2, { "room.quiet": { value: true, status: "applied" } }, META);
  const shown = overlaid(known, [
    { scope: "profile", patch: { "room.quiet": null, "lighting.brightness": { value: 30, unit: "%" } } },
    { scope: "profile", patch: { "tv.volume": { value: 5, context: { time_of_day: "night" } } } },
    { scope: "stay:1", patch: { "bed.type": ["king"] } },
  ]);
  assert.deepEqual(shown.preferences, { "lighting.brightness": { value: 30, unit: "%", status: "pending" } });
  assert.deepEqual([...shown.meta.pendingKeys], ["room.quiet", "lighting.brightness", "tv.volume", "bed.type"]);
  assert.equal(shown.meta.pendingWrites, 3);
  assert.deepEqual(known.values(), { "room.quiet": true });
  assert.deepEqual(narrowed(shown, ["tv.volume"]).values(), {});
  assert.equal(known.value("constructor"), undefined);
});
