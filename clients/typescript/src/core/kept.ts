/** Answers as they are remembered, and how fresh they are. */

import type { EffectivePreferences } from "../models.ts";
import { ageOf, moment, read, serverTime } from "./answers.ts";
import type { Response } from "./exchange.ts";
import { Preferences } from "./preferences.ts";

/** One answer as it lies in a store. Times are of our wall clock, spans are told by the server's own. */
export interface Kept {
  readonly body: string;
  readonly version: number;
  readonly etag: string;
  readonly takenAt: number;
  readonly serverAhead: number;
  readonly validFor?: number | undefined;
  readonly age: number;
  readonly requestId: string;
}

export function keptOf(response: Response, now: number): Kept {
  const said = read<EffectivePreferences>(response, "guest", "version", "preferences");
  const [told, until] = [serverTime(response), moment(said.valid_until)];
  return {
    body: response.body,
    version: said.version,
    etag: response.headers["etag"] ?? "",
    takenAt: now,
    serverAhead: told === undefined ? 0 : told - now,
    validFor: until === undefined ? undefined : until - (told ?? now),
    age: ageOf(response),
    requestId: response.headers["x-request-id"] ?? "",
  };
}

/** The same after a 304. What it is valid for began to run when it was first answered. */
export function confirmed(kept: Kept, response: Response, now: number): Kept {
  const told = serverTime(response);
  const spent = Math.max(0, now - kept.takenAt);
  return {
    ...kept,
    takenAt: now,
    serverAhead: told === undefined ? kept.serverAhead : told - now,
    validFor: kept.validFor === undefined ? undefined : kept.validFor - spent,
    age: ageOf(response),
    requestId: response.headers["x-request-id"] ?? kept.requestId,
  };
}

/** Whether it will do without asking. A clock that was set back makes nothing younger. */
export function isFresh(kept: Kept, now: number, maxAge: number, leastVersion: number): boolean {
  const spent = now - kept.takenAt;
  const valid = kept.validFor === undefined || spent < kept.validFor;
  return spent >= 0 && spent <= maxAge && valid && kept.version >= leastVersion && !kept.age;
}

export function told(kept: Kept, from: { fromCache: boolean; stale: boolean }): Preferences {
  const said = JSON.parse(kept.body) as EffectivePreferences;
  const until = moment(said.valid_until);
  const meta = {
    fromCache: from.fromCache,
    stale: from.stale || kept.age > 0,
    asOf: new Date((kept.takenAt + kept.serverAhead - kept.age) * 1000),
    etag: kept.etag,
    requestId: kept.requestId,
    pendingWrites: 0,
    pendingKeys: new Set<string>(),
  };
  const validUntil = until === undefined ? undefined : new Date(until * 1000);
  return new Preferences(said.guest, said.version, said.preferences, meta, validUntil);
}
