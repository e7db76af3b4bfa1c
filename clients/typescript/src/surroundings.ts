/** The clock, the chance, the streams, the locks and the tabs of the machine that the client runs on. */

import type { Fetch } from "./core/sender.ts";
import type { Chance, Channel, Clock, Locks, OpenStream, Tabs } from "./ports.ts";
import { fetchStreams, xhrStreams } from "./streams.ts";

const LONGEST_TIMER_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now() / 1000,
  elapsed: () => performance.now() / 1000,
  sleep: (seconds, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const done = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, Math.min(seconds * 1000, LONGEST_TIMER_MS));
      signal?.addEventListener("abort", done);
    }),
};

export const systemChance: Chance = {
  between: (low, high) => low + (high - low) * Math.random(),
  key: () => {
    // randomUUID is missing where a page came without TLS; an idempotency key is a name and no secret.
    if (typeof crypto !== "undefined" && "randomUUID" in crypto) return crypto.randomUUID();
    const word = () => Math.floor(Math.random() * 2 ** 32).toString(16).padStart(8, "0");
    return word() + word() + word() + word();
  },
};

/**
 * Streams through the `fetch` that was given, or that of the machine; where that one tells an answer only when it is whole
 * (React Native), through XMLHttpRequest.
 */
export function systemStreams(given: Fetch | undefined): OpenStream {
  if (given) return fetchStreams(given);
  const streams = typeof TextDecoder !== "undefined" && "body" in Response.prototype;
  if (!streams && typeof XMLHttpRequest !== "undefined") return xhrStreams();
  return fetchStreams(globalThis.fetch.bind(globalThis));
}

/** Turns within one client. */
export class OwnLocks implements Locks {
  #last = new Map<string, Promise<unknown>>();

  async alone<T>(name: string, task: () => Promise<T>): Promise<T> {
    const before = this.#last.get(name) ?? Promise.resolve();
    const mine = before.then(task, task);
    const settled = mine.catch(() => undefined);
    this.#last.set(name, settled);
    try {
      return await mine;
    } finally {
      if (this.#last.get(name) === settled) this.#last.delete(name);
    }
  }
}

/** Turns among all tabs of an origin (Web Locks). */
class SharedLocks implements Locks {
  readonly #locks: LockManager;

  constructor(locks: LockManager) {
    this.#locks = locks;
  }

  async alone<T>(name: string, task: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    return (await this.#locks.request(name, signal ? { signal } : {}, task)) as T;
  }
}

class Broadcast implements Channel {
  readonly #channel: BroadcastChannel;

  constructor(name: string) {
    this.#channel = new BroadcastChannel(name);
    // A channel must not keep a program of Node alive.
    (this.#channel as { unref?: () => void }).unref?.();
  }

  send(message: unknown): void {
    this.#channel.postMessage(message);
  }

  listen(listener: (message: unknown) => void): void {
    this.#channel.onmessage = (event: MessageEvent) => listener(event.data);
  }

  close(): void {
    this.#channel.close();
  }
}

function lockManager(): LockManager | undefined {
  return (globalThis as { navigator?: { locks?: LockManager } }).navigator?.locks;
}

/** Tabs, where this is a page and its browser has what they need; elsewhere there are none. */
export function pageTabs(): Tabs | undefined {
  return "document" in globalThis ? sharedTabs() : undefined;
}

/** Tabs or threads that see the same Web Locks and BroadcastChannel as this one. */
export function sharedTabs(): Tabs | undefined {
  const locks = lockManager();
  if (!locks || typeof BroadcastChannel === "undefined") return undefined;
  return { locks: new SharedLocks(locks), channel: (name) => new Broadcast(name) };
}
