/** Edits that wait for the server: their order, their merging before they are sent, and what becomes of the refused. */

import type { Fault } from "../errors.ts";
import type { Conflict, Edited } from "../models.ts";
import { isObject } from "./answers.ts";
import { WRAPPED, isWrapped } from "./preferences.ts";
import type { Patch } from "./questions.ts";

const KEYS_MAX = 50;

/** Whose value stands when an edit comes late and the key was changed meanwhile. */
export type Side = "mine" | "theirs";
export type Judge = (conflict: Conflict) => Side;

/**
 * One waiting edit. `id` is its idempotency key: however often it is sent, it has one effect.
 *
 * `base` is the version that the user saw; it is sent with an edit that comes late, or that is `guarded`. In `ownVersions`
 * are those that earlier entries of this outbox made.
 */
export interface Entry {
  readonly id: string;
  readonly guest: string;
  readonly patch: Patch;
  readonly scope: string;
  readonly property?: string | undefined;
  readonly provenance?: string | undefined;
  readonly base?: number | undefined;
  readonly madeAt: number;
  readonly edits: number;
  readonly tried: number;
  readonly nextAt: number;
  readonly ownVersions: readonly number[];
  readonly guarded: boolean;
}

/** Whether another edit can still be merged into this one: not when the server may know it already. */
export function takes(entry: Entry, other: Entry): boolean {
  const alike =
    entry.scope === other.scope && entry.property === other.property && entry.provenance === other.provenance;
  const keys = new Set([...Object.keys(entry.patch), ...Object.keys(other.patch)]);
  return alike && !entry.tried && !other.tried && keys.size <= KEYS_MAX;
}

/** The last write of a key counts. The base stays: it is what the first of them was made on. */
export function merged(entry: Entry, other: Entry): Entry {
  const patch = { ...entry.patch, ...other.patch };
  return { ...entry, patch, edits: entry.edits + other.edits, guarded: entry.guarded || other.guarded };
}

export function without(entry: Entry, keys: ReadonlySet<string>): Entry {
  return { ...entry, patch: chosen(entry.patch, (key) => !keys.has(key)) };
}

function chosen(patch: Patch, wanted: (key: string) => boolean): Patch {
  return Object.fromEntries(Object.entries(patch).filter(([key]) => wanted(key)));
}

/** What of an edit was given up, and why. `theirs` holds what stands instead, by key, after a conflict. */
export interface DeadLetter {
  readonly id: string;
  readonly guest: string;
  readonly patch: Patch;
  readonly scope: string;
  readonly reason: string;
  readonly detail: string;
  readonly madeAt: number;
  readonly theirs: Readonly<Record<string, unknown>>;
}

export function dead(
  entry: Entry,
  reason: string,
  detail: string,
  keys?: ReadonlySet<string>,
  theirs: Record<string, unknown> = {},
): DeadLetter {
  const patch = chosen(entry.patch, (key) => !keys || keys.has(key));
  return { id: entry.id, guest: entry.guest, patch, scope: entry.scope, reason, detail, madeAt: entry.madeAt, theirs };
}

/** What became of waiting edits: done, given up, still waiting; and guests that are gone, with all about them. */
export interface Flushed {
  readonly done: ReadonlyMap<string, Edited>;
  readonly dead: readonly DeadLetter[];
  readonly gone: readonly string[];
  readonly waiting: number;
}

/** How an entry goes on after a conflict: what is still to be sent, and what is given up. */
export interface Settled {
  readonly entry: Entry;
  readonly lost?: DeadLetter | undefined;
}

/**
 * A key that we changed ourselves, or that holds what we want, is no conflict; about the others the judge decides. The
 * server names every key that changed since the base, so what goes on may stand on the current version.
 */
export function afterConflict(
  entry: Entry,
  conflicts: readonly Conflict[],
  current: number | undefined,
  judge: Judge,
): Settled {
  const [dropped, lost] = [new Set<string>(), new Set<string>()];
  const theirs: Record<string, unknown> = {};
  for (const conflict of conflicts) {
    if (entry.ownVersions.includes(conflict.version)) continue;
    if (isSame(entry.patch[conflict.key] ?? null, conflict.theirs)) dropped.add(conflict.key);
    else if (judge(conflict) === "theirs") {
      lost.add(conflict.key);
      theirs[conflict.key] = conflict.theirs;
    }
  }
  const letter = lost.size ? dead(entry, "CONFLICT", "changed since by somebody else", lost, theirs) : undefined;
  return { entry: { ...without(entry, new Set([...dropped, ...lost])), base: current }, lost: letter };
}

/**
 * Of merged edits one may be wrong: the keys at fault are given up and the others go on. A single edit is all or nothing,
 * as it was made.
 */
export function afterRefusal(entry: Entry, faults: readonly Fault[], code: string, detail: string): Settled {
  const named = new Set(faults.map(keyOf));
  const known = [...named].every((key) => Object.hasOwn(entry.patch, key));
  const wrong = entry.edits > 1 && named.size && known ? named : new Set(Object.keys(entry.patch));
  return { entry: without(entry, wrong), lost: dead(entry, code, detail, wrong) };
}

/** The preference key that a fault is about: the first segment of its pointer. */
export function keyOf(fault: Fault): string {
  const segment = fault.field.startsWith("/") ? fault.field.slice(1).split("/", 1)[0]! : "";
  return segment.replaceAll("~1", "/").replaceAll("~0", "~");
}

/** Whether what stands is what we wanted. Anything but plain values is taken as different. */
export function isSame(mine: unknown, theirs: unknown): boolean {
  if (mine === null) return theirs === null || theirs === undefined || (Array.isArray(theirs) && !theirs.length);
  const wanted = isWrapped(mine) ? mine : { [WRAPPED]: mine };
  if (Object.keys(wanted).some((name) => name !== WRAPPED && name !== "unit")) return false;
  if (!Array.isArray(theirs) || theirs.length !== 1 || !isObject(theirs[0])) return false;
  const stands = theirs[0];
  const context = stands["context"];
  if (isObject(context) && Object.keys(context).length) return false;
  if ((stands["strength"] ?? "preferred") !== "preferred") return false;
  const said = "unit" in wanted && isObject(stands["entered"]) ? stands["entered"] : stands;
  return isEqual(said[WRAPPED], wanted[WRAPPED]) && (wanted["unit"] === undefined || wanted["unit"] === said["unit"]);
}

function isEqual(one: unknown, other: unknown): boolean {
  if (Array.isArray(one) && Array.isArray(other)) {
    return one.length === other.length && one.every((member, at) => isEqual(member, other[at]));
  }
  if (isObject(one) && isObject(other)) {
    const names = Object.keys(one);
    const alike = names.length === Object.keys(other).length;
    return alike && names.every((name) => Object.hasOwn(other, name) && isEqual(one[name], other[name]));
  }
  return one === other;
}
