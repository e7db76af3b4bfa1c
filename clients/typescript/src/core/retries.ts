/** Whether and when to try again: full jitter, `Retry-After`, one deadline over all tries. */

import type { Chance } from "../ports.ts";
import { isAnswer, type Response, type Unreached } from "./exchange.ts";

// 409 and 412 are answers, not accidents: whoever asks blindly again would overwrite somebody else's edit.
export const AGAIN: ReadonlySet<number> = new Set([408, 429, 500, 502, 503, 504]);

/** Seconds that one try may take: until the answer begins (`fetch` does not say when a connection stands), and in all. */
export interface Timeouts {
  readonly connect: number;
  readonly total: number;
}

/** `tries` in all, within `deadline` seconds for everything; waits grow from `first` to at most `longest`. */
export interface Retries {
  readonly tries: number;
  readonly deadline: number;
  readonly first: number;
  readonly longest: number;
}

export const TIMEOUTS: Timeouts = { connect: 2, total: 5 };
export const RETRIES: Retries = { tries: 3, deadline: 15, first: 0.2, longest: 5 };
export const ONE_TRY: Retries = { ...RETRIES, tries: 1 };

/** Seconds to wait before the next try: full jitter, on top of what the server asked for. None when there is none. */
export function nextPause(
  retries: Retries,
  heard: Response | Unreached,
  tried: number,
  left: number,
  after: number | undefined,
  chance: Chance,
): number | undefined {
  if ((isAnswer(heard) && !AGAIN.has(heard.status)) || tried >= retries.tries) return undefined;
  const most = Math.min(retries.longest, retries.first * 2 ** (tried - 1));
  const pause = (after ?? 0) + chance.between(0, most);
  return pause < left ? pause : undefined;
}
