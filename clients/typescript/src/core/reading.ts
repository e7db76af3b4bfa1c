/** Reading: ask only for what changed, never older than what this client has seen, and the last known when off line. */

import { NotAllowed, NotFound, NothingKnown, RateLimited, ServerFailed, Unreachable } from "../errors.ts";
import type { Batch } from "../models.ts";
import { errorOf, read } from "./answers.ts";
import type { Request, Response } from "./exchange.ts";
import { confirmed, isFresh, keptOf, told, type Kept } from "./kept.ts";
import type { Memory } from "./memory.ts";
import type { Entry } from "./outbox.ts";
import { narrowed, overlaid, type Preferences } from "./preferences.ts";
import { BATCH_MAX, batch, isNarrow, question, reading, type Question } from "./questions.ts";
import { ONE_TRY } from "./retries.ts";
import type { Wire } from "./wire.ts";

const MIN_VERSION = "preferences-min-version";

/** Failures of the way or of the server, not answers about the guest: what is known serves instead. */
export function isAway(error: unknown): error is Unreachable | ServerFailed | RateLimited {
  return error instanceof Unreachable || error instanceof ServerFailed || error instanceof RateLimited;
}

const STALE = { fromCache: true, stale: true };

export class Reader {
  readonly wire: Wire;
  readonly memory: Memory;

  constructor(wire: Wire, memory: Memory) {
    this.wire = wire;
    this.memory = memory;
  }

  /** What applies. Asked of the server unless `maxAge` allows what is known; the last known when it is away. */
  async read(asked: Question, maxAge = 0): Promise<Preferences> {
    await this.wire.knowAccount();
    const [now, wipes] = [this.wire.clock.now(), this.memory.wipes];
    // All at once: a browser's database takes its time for each.
    const [kept, seen, waiting] = await Promise.all([
      this.memory.answer(asked, now),
      this.memory.seen(asked.guest),
      this.#isAway() ? this.memory.waiting(asked.guest) : undefined,
    ]);
    if (kept && maxAge > 0 && isFresh(kept, now, maxAge, seen)) {
      return await this.laidOver(asked, told(kept, { fromCache: true, stale: false }));
    }
    const known = kept ? told(kept, STALE) : await this.#wider(asked);
    const { connection, clock } = this.wire;
    if (connection.offline || (known && !connection.worthTrying(clock.elapsed()))) {
      const nothing = new NothingKnown(`nothing is known about ${asked.guest} off line`);
      return await this.#lastKnown(asked, known, nothing, waiting);
    }
    let response: Response;
    try {
      response = await this.#ask(asked, kept, seen);
    } catch (error) {
      if (!isAway(error)) throw error;
      return await this.#lastKnown(asked, known, error);
    }
    return await this.#answered(asked, kept, response, wipes);
  }

  /** What is remembered, without asking anybody. */
  async remembered(asked: Question): Promise<Preferences | undefined> {
    const kept = await this.memory.answer(asked, this.wire.clock.now());
    const known = kept ? told(kept, STALE) : await this.#wider(asked);
    return known && (await this.laidOver(asked, known));
  }

  async #ask(asked: Question, kept: Kept | undefined, seen: number): Promise<Response> {
    const headers: Record<string, string> = seen ? { [MIN_VERSION]: String(seen) } : {};
    if (kept?.etag) headers["if-none-match"] = kept.etag;
    const request: Request = { ...reading(asked), headers };
    return await this.wire.exchange(request, this.wire.connection.interrupted && kept ? ONE_TRY : undefined);
  }

  async #answered(asked: Question, kept: Kept | undefined, response: Response, wipes: number): Promise<Preferences> {
    const now = this.wire.clock.now();
    if (response.status === 304 && kept) {
      const same = confirmed(kept, response, now);
      await this.memory.keep(asked, same, wipes);
      return await this.laidOver(asked, told(same, { fromCache: true, stale: false }));
    }
    if (response.status === 200) {
      const fresh = keptOf(response, now);
      await this.memory.keep(asked, fresh, wipes);
      return await this.laidOver(asked, told(fresh, { fromCache: false, stale: false }));
    }
    const error = errorOf(response, now);
    if (error instanceof NotFound || error instanceof NotAllowed) await this.memory.forgetAnswer(asked);
    if (error instanceof NotFound) await this.afterNotFound(asked.guest, !isNarrow(asked));
    throw error;
  }

  /**
   * Whether the guest is gone; then every trace goes too. A 404 may also be about a property, a stay or a scope: unless
   * that is out of the question, the bare question is asked before anything of the guest is erased.
   */
  async afterNotFound(guest: string, sure: boolean): Promise<boolean> {
    if (!sure) {
      const response = await this.wire.exchange(reading(question(guest)));
      if (response.status !== 404 || !(errorOf(response) instanceof NotFound)) return false;
    }
    await this.memory.wipe(guest);
    return true;
  }

  /** A remembered answer about every key answers for some of them. */
  async #wider(asked: Question): Promise<Preferences | undefined> {
    if (!asked.keys) return undefined;
    const kept = await this.memory.answer({ ...asked, keys: undefined }, this.wire.clock.now());
    return kept && narrowed(told(kept, STALE), asked.keys);
  }

  #isAway(): boolean {
    const { connection, clock } = this.wire;
    return connection.offline || !connection.worthTrying(clock.elapsed());
  }

  async #lastKnown(
    asked: Question,
    known: Preferences | undefined,
    error: Error,
    waiting?: readonly Entry[],
  ): Promise<Preferences> {
    if (!known) throw error;
    return await this.laidOver(asked, known, waiting);
  }

  /** With what waits of the user's own edits on top, as far as it was asked for. */
  async laidOver(asked: Question, known: Preferences, listed?: readonly Entry[]): Promise<Preferences> {
    const waiting = listed ?? (await this.memory.waiting(asked.guest));
    const wanted = waiting.map(({ scope, patch }) => {
      const said = Object.entries(patch).filter(([key]) => !asked.keys || asked.keys.includes(key));
      return { scope, patch: Object.fromEntries(said) };
    });
    return overlaid(known, wanted);
  }

  /** Answers for many guests at once, kept for later; guests that cannot be seen are left out, and forgotten. */
  async prefetch(guests: readonly string[], property: string, keys?: readonly string[]): Promise<Preferences[]> {
    await this.wire.knowAccount();
    const found: Preferences[] = [];
    for (let start = 0; start < guests.length; start += BATCH_MAX) {
      const wipes = this.memory.wipes;
      const response = await this.wire.exchange(batch(guests.slice(start, start + BATCH_MAX), property, keys));
      const gone: string[] = [];
      for (const item of read<Batch>(response, "items").items) {
        const asked = { ...question(item.guest, { property }), keys };
        if (item.problem) {
          if (item.problem.status === 404) gone.push(item.guest);
          continue;
        }
        const one = keptOf(
          { status: 200, headers: { ...response.headers, etag: "" }, body: JSON.stringify(item) },
          this.wire.clock.now(),
        );
        const seen = await this.memory.seen(item.guest);
        await this.memory.keep(asked, one, wipes);
        found.push(await this.laidOver(asked, told(one, { fromCache: false, stale: one.version < seen })));
      }
      for (const guest of gone) await this.memory.wipe(guest);
    }
    return found;
  }
}
