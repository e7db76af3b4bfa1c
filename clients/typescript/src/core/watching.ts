/** Following one guest: what the events of a stream say of what applies now. */

import { NotFound } from "../errors.ts";
import { isObject, parsed } from "./answers.ts";
import type { StreamEvent } from "./events.ts";
import { keptOf, told } from "./kept.ts";
import { narrowed, type Preferences } from "./preferences.ts";
import type { Question } from "./questions.ts";
import { isAway, type Reader } from "./reading.ts";
import { LOOK, LOST } from "./upstream.ts";

const TELLING: ReadonlySet<string> = new Set(["change", "consent_withdrawn"]);
const PARTING: ReadonlySet<string> = new Set(["erased", "gone"]);

export class Watch {
  readonly #reader: Reader;
  readonly #asked: Question;
  #ended = false;
  #last: string | undefined;

  constructor(reader: Reader, asked: Question) {
    [this.#reader, this.#asked] = [reader, asked];
  }

  /** What applies, and again whenever it is something else, until the guest is gone. */
  async *told(events: AsyncIterable<StreamEvent>): AsyncGenerator<Preferences> {
    for await (const event of events) {
      for (const known of await this.#heard(event)) yield known;
      if (this.#ended) return;
    }
  }

  async #heard(event: StreamEvent): Promise<Preferences[]> {
    if (event.event === LOST.event) return await this.#lost();
    if (event.event === LOOK.event) return await this.#looked();
    const { wire, memory } = this.#reader;
    wire.connection.reached();
    if (PARTING.has(event.event)) {
      await memory.wipe(this.#asked.guest);
      this.#ended = true;
      return [];
    }
    const said = parsed(event.data);
    if (!isObject(said)) return [];
    const items = event.event === "snapshot" ? said["items"] : TELLING.has(event.event) ? [said] : [];
    const found: Preferences[] = [];
    for (const item of Array.isArray(items) ? items : []) {
      if (isObject(item) && item["guest"] === this.#asked.guest) found.push(...(await this.#toldOf(item)));
    }
    return found;
  }

  async #toldOf(item: Record<string, unknown>): Promise<Preferences[]> {
    const { wire, memory } = this.#reader;
    const { changed: _changed, purposes: _purposes, ...body } = item;
    const kept = keptOf({ status: 200, headers: {}, body: JSON.stringify(body) }, wire.clock.now());
    const seen = await memory.seen(this.#asked.guest);
    await memory.keep({ ...this.#asked, keys: undefined }, kept, memory.wipes);
    return await this.#cut(told(kept, { fromCache: false, stale: kept.version < seen }));
  }

  async #cut(known: Preferences): Promise<Preferences[]> {
    const wanted = this.#asked.keys ? narrowed(known, this.#asked.keys) : known;
    return this.#news(await this.#reader.laidOver(this.#asked, wanted));
  }

  /** Whoever has been told nothing yet is shown what was known last. */
  async #lost(): Promise<Preferences[]> {
    if (this.#last !== undefined) return [];
    await this.#reader.wire.knowAccount();
    const known = await this.#reader.remembered(this.#asked);
    return known ? this.#news(known) : [];
  }

  /** One look, where there is no stream; nothing new while the server is away. */
  async #looked(): Promise<Preferences[]> {
    try {
      const known = await this.#reader.read(this.#asked);
      return known.meta.stale && this.#last !== undefined ? [] : this.#news(known);
    } catch (error) {
      if (error instanceof NotFound && this.#last !== undefined) this.#ended = true;
      else if (!isAway(error)) throw error;
      return [];
    }
  }

  /** The same again is no news: what a stream tells twice after it was cut, what a look finds unchanged. */
  #news(known: Preferences): Preferences[] {
    const { stale, pendingKeys } = known.meta;
    const shown = JSON.stringify([stale, [...pendingKeys], [...known].sort(([a], [b]) => (a < b ? -1 : 1))]);
    if (shown === this.#last) return [];
    this.#last = shown;
    return [known];
  }
}
