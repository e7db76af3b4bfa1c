/** Whether the server can be reached, who wants to know, and when it is worth trying again. */

import type { Chance } from "../ports.ts";

const [PROBE_FIRST_S, PROBE_LONGEST_S] = [1, 30];
export const DOUBLINGS_MAX = 16;

/**
 * `initializing` until the first answer; `interrupted` while answers fail; `unauthenticated` while the token is refused;
 * `offline` because the user said so.
 */
export type Status = "initializing" | "online" | "interrupted" | "unauthenticated" | "offline" | "closed";

export type StatusListener = (status: Status) => void;

/**
 * After a failure calls that can be answered from memory leave the server alone for a while: the time doubles, from half
 * to one and a half times of it, so that a thousand devices do not come back in the same second.
 */
export class Connection {
  status: Status;
  readonly #chance: Chance;
  readonly #listeners = new Set<StatusListener>();
  #failures = 0;
  #probeAt = 0;

  constructor(chance: Chance, offline: boolean) {
    this.#chance = chance;
    this.status = offline ? "offline" : "initializing";
  }

  /** Call `listener` with every new status; what comes back ends that. */
  listen(listener: StatusListener): () => void {
    const own: StatusListener = (status) => listener(status);
    this.#listeners.add(own);
    return () => void this.#listeners.delete(own);
  }

  get offline(): boolean {
    return this.status === "offline" || this.status === "closed";
  }

  get interrupted(): boolean {
    return this.status === "interrupted";
  }

  worthTrying(elapsed: number): boolean {
    return !this.offline && (!this.interrupted || elapsed >= this.#probeAt);
  }

  reached(letIn = true): void {
    this.#failures = 0;
    if (!this.offline) this.#become(letIn ? "online" : "unauthenticated");
  }

  failed(elapsed: number, retryAfter = 0): void {
    if (this.offline) return;
    const span = Math.min(PROBE_LONGEST_S, PROBE_FIRST_S * 2 ** Math.min(this.#failures, DOUBLINGS_MAX));
    this.#failures += 1;
    this.#probeAt = elapsed + Math.max(this.#chance.between(0.5 * span, 1.5 * span), retryAfter);
    this.#become("interrupted");
  }

  /** The user's own switch. On line again means not knowing yet. */
  go(offline: boolean): void {
    if (this.status === "closed" || offline === this.offline) return;
    [this.#failures, this.#probeAt] = [0, 0];
    this.#become(offline ? "offline" : "initializing");
  }

  close(): void {
    this.#become("closed");
  }

  #become(status: Status): void {
    if (status === this.status) return;
    this.status = status;
    for (const listener of [...this.#listeners]) listener(status);
  }
}
