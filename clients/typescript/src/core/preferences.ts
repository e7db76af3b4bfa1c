/** What applies for one guest, and how it looks with the user's own waiting edits on top. */

import type { Preference } from "../models.ts";
import { isObject } from "./answers.ts";
import type { Patch } from "./questions.ts";

// A wrapped value is known by this member, in the API as here.
export const WRAPPED = "value";
export const PENDING = "pending";

/** Where an answer comes from. `stale` means that the server was not asked, or could not be, and may know better. */
export interface Meta {
  readonly fromCache: boolean;
  readonly stale: boolean;
  readonly asOf: Date;
  readonly etag: string;
  readonly requestId: string;
  readonly pendingWrites: number;
  readonly pendingKeys: ReadonlySet<string>;
}

/** What applies for one guest, by key, and where that is known from. */
export class Preferences implements Iterable<[string, Preference]> {
  readonly guest: string;
  readonly version: number;
  readonly preferences: Readonly<Record<string, Preference>>;
  readonly meta: Meta;
  readonly validUntil: Date | undefined;

  constructor(
    guest: string,
    version: number,
    preferences: Readonly<Record<string, Preference>>,
    meta: Meta,
    validUntil?: Date,
  ) {
    this.guest = guest;
    this.version = version;
    this.preferences = preferences;
    this.meta = meta;
    this.validUntil = validUntil;
  }

  get(key: string): Preference | undefined {
    return Object.hasOwn(this.preferences, key) ? this.preferences[key] : undefined;
  }

  /** The value of one key, or `otherwise` when there is none. What type it has is told by the catalogue. */
  value<T = unknown>(key: string, otherwise?: T): T {
    return (this.get(key)?.value ?? otherwise) as T;
  }

  values(): Record<string, unknown> {
    return Object.fromEntries([...this].map(([key, one]) => [key, one.value]));
  }

  [Symbol.iterator](): IterableIterator<[string, Preference]> {
    return Object.entries(this.preferences)[Symbol.iterator]();
  }

  with(preferences: Record<string, Preference>, meta: Meta): Preferences {
    return new Preferences(this.guest, this.version, preferences, meta, this.validUntil);
  }
}

/** An answer about everything, cut to what was asked for. */
export function narrowed(known: Preferences, keys: readonly string[]): Preferences {
  return known.with(Object.fromEntries([...known].filter(([key]) => keys.includes(key))), known.meta);
}

export interface Pending {
  readonly scope: string;
  readonly patch: Patch;
}

/**
 * With edits on top that the server has not heard of yet. Only what says plainly what will apply is shown: a value for the
 * profile and for every situation. Of the others the key is named as pending and the last known value stays.
 */
export function overlaid(known: Preferences, pending: readonly Pending[]): Preferences {
  if (!pending.length) return known;
  const shown: Record<string, Preference> = { ...known.preferences };
  const touched = new Set<string>();
  for (const { scope, patch } of pending) {
    for (const [key, said] of Object.entries(patch)) {
      touched.add(key);
      if (scope !== "profile") continue;
      if (said === null) delete shown[key];
      else if (plain(said)) shown[key] = plain(said)!;
    }
  }
  return known.with(shown, { ...known.meta, pendingWrites: pending.length, pendingKeys: touched });
}

function plain(said: unknown): Preference | undefined {
  const wrapped = isWrapped(said) ? said : { [WRAPPED]: said };
  const context = wrapped["context"];
  if (isObject(context) && Object.keys(context).length) return undefined;
  const shown = [WRAPPED, "unit", "strength"].filter((name) => name in wrapped);
  return { status: PENDING, ...Object.fromEntries(shown.map((name) => [name, wrapped[name]])) };
}

export function isWrapped(said: unknown): said is Record<string, unknown> {
  return isObject(said) && WRAPPED in said;
}
