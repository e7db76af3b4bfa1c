/** Guests of the server for tests: versions, entries by scope, what changed when, and what collides with what. */

import { sha256 } from "../core/digest.ts";
import { isWrapped, WRAPPED } from "../core/preferences.ts";
import type { Patch } from "../core/questions.ts";

// From the least to the most special; what says more about here and now counts.
const SCOPES = ["profile", "brand", "property", "stay", "room"];

type Members = Record<string, unknown>;

interface Entry {
  readonly scope: string;
  readonly key: string;
  readonly said: unknown;
  readonly shown: Members;
}

interface KeyChange {
  readonly key: string;
  readonly before: readonly Members[];
  readonly after: readonly Members[];
}

interface Change {
  readonly told: Members & { version: number; at: string; actor: string; keys: KeyChange[] };
  readonly scope: string;
  readonly before: Record<string, unknown>;
}

/** What is answered in place of what was asked for. */
export class Refusal extends Error {
  readonly status: number;
  readonly code: string;
  readonly errors: readonly Members[];
  readonly more: Members;

  constructor(status: number, code: string, detail: string, errors: readonly Members[] = [], more: Members = {}) {
    super(detail);
    [this.status, this.code, this.errors, this.more] = [status, code, errors, more];
  }
}

export class FakeGuest {
  readonly id: string;
  readonly displayName: string;
  readonly identifiers: readonly Members[];
  version = 1;
  readonly #entries = new Map<string, Entry>();
  readonly #changes: Change[] = [];

  constructor(id: string, displayName: string, identifiers: readonly Members[], by: string, at: string) {
    [this.id, this.displayName, this.identifiers] = [id, displayName, identifiers];
    const made = { version: 1, at, actor: by, role: "service", surface: "front_desk", action: "create", note: "", keys: [] };
    this.#changes.push({ told: made, scope: "", before: {} });
  }

  /** What changes nothing makes no version. */
  apply(patch: Patch, scope: string, by: string, at: string, action = "edit"): void {
    const before = this.said(Object.keys(patch), scope);
    if (Object.entries(patch).every(([key, said]) => isSame(before[key], said))) return;
    this.version += 1;
    const keys: KeyChange[] = [];
    for (const [key, said] of Object.entries(patch)) {
      const name = JSON.stringify([scope, key]);
      const old = this.#entries.get(name);
      this.#entries.delete(name);
      if (said !== null) this.#entries.set(name, { scope, key, said, shown: entry(key, scope, said, this.version, by, at) });
      keys.push({ key, before: listed(old), after: listed(this.#entries.get(name)) });
    }
    const made = { version: this.version, at, actor: by, role: "guest", surface: "guest_app", action, note: "", keys };
    this.#changes.push({ told: made, scope, before });
  }

  /** What is stored, as it was said. */
  said(keys: readonly string[], scope: string): Record<string, unknown> {
    return Object.fromEntries(keys.map((key) => [key, this.#entries.get(JSON.stringify([scope, key]))?.said ?? null]));
  }

  values(): Record<string, unknown> {
    const mine = [...this.#entries.values()].filter((one) => one.scope === "profile");
    return Object.fromEntries(mine.map((one) => [one.key, one.said]));
  }

  effective(keys?: readonly string[]): Members & { preferences: Record<string, Members> } {
    const rank = (one: Entry) => SCOPES.indexOf(one.scope.split(":")[0]!);
    const preferences: Record<string, Members> = {};
    for (const one of [...this.#entries.values()].sort((a, b) => rank(a) - rank(b))) {
      if (keys && !keys.includes(one.key)) continue;
      const names = ["value", "unit", "entered", "strength"].filter((name) => name in one.shown);
      const plain = Object.fromEntries(names.map((name) => [name, one.shown[name]]));
      preferences[one.key] = { ...plain, status: "applied", layer: `stated/${one.scope.split(":")[0]}` };
    }
    return { guest: this.id, version: this.version, preferences };
  }

  /** The touched keys as they apply now. */
  edited(keys: readonly string[]): Members {
    const shown = this.effective(keys);
    const nothing = { value: null, status: "default", layer: null };
    const preferences = Object.fromEntries(keys.map((key) => [key, shown.preferences[key] ?? nothing]));
    return { ...shown, preferences, warnings: [] };
  }

  document(): Members {
    const entries: Record<string, Record<string, readonly Members[]>> = {};
    for (const one of this.#entries.values()) (entries[one.scope] ??= {})[one.key] = listed(one);
    const named = { display_name: this.displayName, identifiers: this.identifiers, consents: [] };
    return { guest: this.id, version: this.version, ...named, entries };
  }

  history(): Members {
    return { changes: this.#changes.map((one) => one.told).reverse(), next_cursor: null };
  }

  /** Undo what made this version; the keys that it had touched, or nothing when there is no such version. */
  revert(version: number, by: string, at: string): readonly string[] | undefined {
    const undone = this.#changes.find((one) => one.told.version === version);
    if (!undone) return undefined;
    const stands = this.said(Object.keys(undone.before), undone.scope);
    const differing = Object.entries(undone.before).filter(([key, said]) => !isSame(stands[key], said));
    this.refuseConflicts(Object.fromEntries(differing), undone.scope, version);
    this.apply(undone.before, undone.scope, by, at, "revert");
    return Object.keys(undone.before);
  }

  refuseConflicts(patch: Patch, scope: string, base: number): void {
    if (base > this.version) throw this.moved(base);
    const since = this.#changes.filter((one) => one.told.version > base && one.scope === scope);
    const conflicts = Object.entries(patch).flatMap(([key, yours]) => {
      const touching = since.flatMap(({ told }) => told.keys.filter((one) => one.key === key).map((one) => ({ told, one })));
      const [first, last] = [touching[0], touching.at(-1)];
      if (!first || !last) return [];
      const sides = { key, yours, theirs: last.one.after, base: first.one.before };
      return [{ ...sides, by: last.told.actor, at: last.told.at, version: last.told.version }];
    });
    if (!conflicts.length) return;
    const detail = `Changed since your base version: ${conflicts.map((one) => one.key).join(", ")}`;
    throw new Refusal(409, "CONFLICT", detail, [], { conflicts, current_version: this.version });
  }

  moved(wanted: number): Refusal {
    const detail = `The document is at version ${this.version}, not ${wanted}.`;
    const fault = { parameter: "If-Match", code: "VERSION_MOVED", detail };
    return new Refusal(412, "VERSION_MOVED", detail, [fault], { current_version: this.version });
  }
}

function isSame(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

function listed(one: Entry | undefined): readonly Members[] {
  return one ? [one.shown] : [];
}

/** A bare value, or the wrapped form that is known by its member `value`; degrees Fahrenheit as the service does. */
function entry(key: string, scope: string, said: unknown, version: number, by: string, at: string): Members {
  const wrapped: Members = isWrapped(said) ? said : { [WRAPPED]: said };
  const id = `prf_${sha256(`${scope} ${key} ${version}`).slice(0, 32)}`;
  const shown: Members = { id, scope, strength: "preferred", ...wrapped };
  if (wrapped["unit"] === "[degF]") {
    const warmth = Number(wrapped[WRAPPED]);
    Object.assign(shown, { value: Math.round(((warmth - 32) / 1.8) * 100) / 100, unit: "Cel" });
    shown["entered"] = { value: warmth, unit: "[degF]" };
  }
  return { ...shown, provenance: { kind: "stated", actor: by, surface: "guest_app", at }, version };
}
