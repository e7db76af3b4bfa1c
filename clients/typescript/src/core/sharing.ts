/** One stream for all tabs: the one that holds the lock has it and tells the others; when it closes, the next takes over. */

import type { Channel, Tabs } from "../ports.ts";
import { isObject } from "./answers.ts";
import type { StreamEvent } from "./events.ts";
import type { Upstream } from "./upstream.ts";

const TELLING: ReadonlySet<string> = new Set(["snapshot", "change", "consent_withdrawn"]);

class Queue {
  readonly #waiting: StreamEvent[] = [];
  #ended = false;
  #error: unknown;
  #wake = () => {};

  push(event: StreamEvent): void {
    this.#waiting.push(event);
    this.#wake();
  }

  end(error?: unknown): void {
    [this.#ended, this.#error] = [true, error];
    this.#wake();
  }

  async *told(): AsyncGenerator<StreamEvent> {
    for (;;) {
      const next = this.#waiting.shift();
      if (next) yield next;
      else if (this.#error) throw this.#error;
      else if (this.#ended) return;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

/** What one tab hears, from its own stream or from another tab's. */
class Tab {
  readonly #queue = new Queue();
  readonly #channel: Channel;
  readonly #upstream: Upstream;
  #leads = false;
  // The newest event that tells everything, for tabs that come later.
  #newest: StreamEvent | undefined;

  constructor(upstream: Upstream, channel: Channel) {
    [this.#upstream, this.#channel] = [upstream, channel];
    channel.listen((message) => this.#hear(message));
  }

  #hear(message: unknown): void {
    if (!isObject(message)) return;
    if (message["hello"] && this.#leads && this.#newest) this.#channel.send(this.#newest);
    if (typeof message["event"] !== "string" || typeof message["id"] !== "string" || this.#leads) return;
    const event = message as unknown as StreamEvent;
    if (event.event === "resync") this.#upstream.place = "";
    else if (event.id) this.#upstream.place = event.id;
    this.#queue.push(event);
  }

  async lead(signal: AbortSignal): Promise<void> {
    this.#leads = true;
    for await (const event of this.#upstream.events(signal)) {
      if (TELLING.has(event.event)) this.#newest = event;
      this.#queue.push(event);
      this.#channel.send({ ...event });
    }
  }

  async *told(name: string, tabs: Tabs, signal: AbortSignal): AsyncGenerator<StreamEvent> {
    const stop = new AbortController();
    const end = () => (stop.abort(), this.#queue.end());
    signal.addEventListener("abort", end);
    if (signal.aborted) end();
    const leading = tabs.locks.alone(name, () => this.lead(stop.signal), stop.signal).then(
      () => this.#queue.end(),
      (error: unknown) => this.#queue.end(stop.signal.aborted ? undefined : error),
    );
    this.#channel.send({ hello: true });
    try {
      yield* this.#queue.told();
    } finally {
      signal.removeEventListener("abort", end);
      end();
      await leading;
      this.#channel.close();
    }
  }
}

export function shared(name: string, tabs: Tabs, upstream: Upstream, signal: AbortSignal): AsyncGenerator<StreamEvent> {
  return new Tab(upstream, tabs.channel(name)).told(name, tabs, signal);
}
