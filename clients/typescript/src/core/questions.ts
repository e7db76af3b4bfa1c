/** The requests of the API's calls, as data. The same question is always the same text, so that it can be remembered. */

import type { Request } from "./exchange.ts";

const JSON_TYPE = "application/json";
export const MERGE_PATCH = "application/merge-patch+json";
export const BATCH_MAX = 1000;

/** Values by key; null removes a key. */
export type Patch = Readonly<Record<string, unknown>>;

/** What may be asked about a guest. */
export interface Asking {
  readonly property?: string | undefined;
  readonly stay?: string | undefined;
  readonly keys?: Iterable<string> | undefined;
  readonly at?: Date | undefined;
  readonly trip?: string | undefined;
  readonly party?: string | undefined;
  readonly explain?: boolean | undefined;
}

/** What is asked about a guest, in its one form. */
export interface Question {
  readonly guest: string;
  readonly property?: string | undefined;
  readonly stay?: string | undefined;
  readonly keys?: readonly string[] | undefined;
  readonly at?: string | undefined;
  readonly trip?: string | undefined;
  readonly party?: string | undefined;
  readonly explain: boolean;
}

export function question(guest: string, asking: Asking = {}): Question {
  const keys = asking.keys ? [...new Set(asking.keys)].sort() : undefined;
  const { property, stay, trip, party } = asking;
  return { guest, property, stay, keys, at: asking.at?.toISOString(), trip, party, explain: asking.explain ?? false };
}

export function paramsOf(asked: Question): [string, string][] {
  const given: [string, string | undefined][] = [
    ["property", asked.property],
    ["stay", asked.stay],
    ["keys", asked.keys?.length ? asked.keys.join(",") : undefined],
    ["at", asked.at],
    ["trip", asked.trip],
    ["party", asked.party],
    ["explain", asked.explain ? "true" : undefined],
  ];
  return given.filter((one): one is [string, string] => one[1] !== undefined);
}

export function nameOf(asked: Question, language: string): string {
  return encoded([...paramsOf(asked), ["language", language]]);
}

/** Whether the answer may be asked for again: one about a moment is about that moment only. */
export function isLasting(asked: Question): boolean {
  return asked.at === undefined;
}

/** Whether a 404 may be about something else than the guest. */
export function isNarrow(asked: Question): boolean {
  return Boolean(asked.property || asked.stay);
}

/** By hand: URLSearchParams of React Native is not whole. */
export function encoded(params: readonly (readonly [string, string])[]): string {
  return params.map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`).join("&");
}

export function path(...parts: string[]): string {
  return "/v1/" + parts.map(encodeURIComponent).join("/");
}

export function getting(address: string, params: readonly (readonly [string, string])[] = []): Request {
  return { method: "GET", path: address, params, headers: {} };
}

export function reading(asked: Question): Request {
  return getting(path("guests", asked.guest, "preferences"), paramsOf(asked));
}

export function posting(address: string, body?: unknown): Request {
  if (body === undefined) return { method: "POST", path: address, params: [], headers: {} };
  const headers = { "content-type": JSON_TYPE };
  return { method: "POST", path: address, params: [], headers, body: JSON.stringify(body) };
}

export function patching(guest: string, patch: Patch, where: [string, string | undefined][]): Request {
  const params = where.filter((one): one is [string, string] => one[1] !== undefined);
  const address = path("guests", guest, "preferences");
  return { method: "PATCH", path: address, params, headers: { "content-type": MERGE_PATCH }, body: JSON.stringify(patch) };
}

export function batch(guests: readonly string[], property: string, keys: readonly string[] | undefined): Request {
  return posting("/v1/preferences/batch", { guests, property, ...(keys && { keys }) });
}

/** A call that has no method of its own. */
export function anyCall(method: string, address: string, params: Record<string, string>, body: unknown): Request {
  const kind = method === "PATCH" ? MERGE_PATCH : JSON_TYPE;
  const asked = { method, path: encodeURI(address).replaceAll("%25", "%"), params: Object.entries(params), headers: {} };
  return body === undefined ? asked : { ...asked, headers: { "content-type": kind }, body: JSON.stringify(body) };
}
