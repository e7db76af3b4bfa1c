/** A stream of the server that goes on where it was cut, and asking again where there is none. */

import { NotAllowed } from "../errors.ts";
import { errorOf } from "./answers.ts";
import { DOUBLINGS_MAX } from "./connection.ts";
import type { Response } from "./exchange.ts";
import { EventParser, type StreamEvent } from "./events.ts";
import { getting, type Question } from "./questions.ts";
import { isAway, type Reader } from "./reading.ts";
import { AGAIN } from "./retries.ts";

const EVENT_STREAM = "text/event-stream";
// The service says something at least every 15 seconds; who hears nothing for three times that long is not connected.
const SILENCE_S = 45;
// How many times as long a stream may take to begin as another answer.
const BEGIN_TIMES = 2.5;
// Where the server answers but no stream begins, something in between waits for the end of it: it is asked for again.
const STREAMS_AGAIN_S = 600;
const [PAUSE_FIRST_S, PAUSE_LONGEST_S] = [0.5, 10];

/** Events of our own, beside those of the server: the way is cut; there is no stream, so look. */
export const LOST: StreamEvent = { event: "(lost)", data: "", id: "" };
export const LOOK: StreamEvent = { event: "(look)", data: "", id: "" };

class Refused extends Error {
  readonly response: Response;

  constructor(response: Response) {
    super(`HTTP ${response.status}`);
    this.response = response;
  }
}

/** No stream began in time. */
class Stuck extends Error {}

export class Upstream {
  /** Where the stream stands: the id of the last event. */
  place = "";
  readonly #reader: Reader;
  readonly #asked: Question;
  readonly #pollS: number;
  // When the next stream may be tried, as time elapses.
  #streamsFrom = 0;
  #failures = 0;
  // Another token was had since a stream last told something.
  #renewed = false;

  constructor(reader: Reader, asked: Question, pollS: number) {
    [this.#reader, this.#asked, this.#pollS] = [reader, asked, pollS];
  }

  /** Everything that is told until `signal` says enough. Throws what no patience mends. */
  async *events(signal: AbortSignal): AsyncGenerator<StreamEvent> {
    const { connection, clock } = this.#reader.wire;
    while (!signal.aborted) {
      if (connection.offline) {
        yield LOST;
        await this.#onLine(signal);
      } else if (!this.#streams) {
        yield LOOK;
        await clock.sleep(this.#pause(), signal);
      } else {
        yield* this.#once(signal);
        if (!signal.aborted && !connection.offline) await clock.sleep(this.#pause(), signal);
      }
    }
  }

  async *#once(signal: AbortSignal): AsyncGenerator<StreamEvent> {
    const { connection, clock } = this.#reader.wire;
    const stop = new AbortController();
    const end = () => stop.abort();
    signal.addEventListener("abort", end);
    const unlisten = connection.listen(() => connection.offline && end());
    try {
      for await (const event of this.#told(stop)) {
        if (event.event === "resync") this.place = "";
        else if (event.id) this.place = event.id;
        [this.#failures, this.#renewed] = [0, false];
        connection.reached();
        yield event;
      }
    } catch (error) {
      if (error instanceof Refused) {
        await this.#refused(error.response);
        if (AGAIN.has(error.response.status)) yield LOST;
      } else if (!signal.aborted && error instanceof Stuck && (await this.#answers())) {
        this.#streamsFrom = clock.elapsed() + STREAMS_AGAIN_S;
        yield LOOK;
      } else if (!signal.aborted) {
        connection.failed(clock.elapsed());
        yield LOST;
      }
    } finally {
      signal.removeEventListener("abort", end);
      unlisten();
      end();
    }
  }

  async *#told(stop: AbortController): AsyncGenerator<StreamEvent> {
    const { wire } = this.#reader;
    await wire.signIn();
    let late = false;
    let timer = setTimeout(() => ((late = true), stop.abort()), BEGIN_TIMES * wire.timeouts.connect * 1000);
    try {
      const { status, headers, pieces } = await wire.sender.open(this.#request(), stop.signal);
      if (status !== 200 || !headers["content-type"]?.startsWith(EVENT_STREAM)) {
        throw new Refused({ status, headers, body: status === 200 ? "" : await whole(pieces) });
      }
      const parser = new EventParser();
      for (;;) {
        clearTimeout(timer);
        timer = setTimeout(() => stop.abort(), SILENCE_S * 1000);
        const { done, value } = await pieces.next();
        if (done) return;
        yield* parser.feed(value);
      }
    } catch (error) {
      throw late ? new Stuck() : error;
    } finally {
      clearTimeout(timer);
      stop.abort();
    }
  }

  #request() {
    const params: [string, string][] = [["guest", this.#asked.guest]];
    if (this.#asked.property) params.push(["property", this.#asked.property]);
    const headers: Record<string, string> = { accept: EVENT_STREAM, "cache-control": "no-store" };
    if (this.place) headers["last-event-id"] = this.place;
    return this.#reader.wire.signed({ ...getting("/v1/changes", params), headers });
  }

  /** A way round it, patience, or the error. A 404 is about the guest or the whole route; reading says which. */
  async #refused(response: Response): Promise<void> {
    const { wire } = this.#reader;
    if (response.status === 401) {
      if (!this.#renewed && (await wire.signIn(true))) return void (this.#renewed = true);
      await wire.turnedAway();
    }
    if (AGAIN.has(response.status)) return;
    if (response.status === 404) await this.#reader.read(this.#asked);
    else if (response.status >= 300) throw await this.#error(response);
    this.#streamsFrom = Infinity;
  }

  get #streams(): boolean {
    return this.#reader.wire.clock.elapsed() >= this.#streamsFrom;
  }

  /** Whether the server says anything else than streams. */
  async #answers(): Promise<boolean> {
    try {
      return !(await this.#reader.read(this.#asked)).meta.stale;
    } catch (error) {
      return !isAway(error);
    }
  }

  async #error(response: Response): Promise<Error> {
    const { wire, memory } = this.#reader;
    const error = errorOf(response, wire.clock.now());
    if (error instanceof NotAllowed) {
      for (const asked of [this.#asked, { ...this.#asked, keys: undefined }]) await memory.forgetAnswer(asked);
    }
    return error;
  }

  /** Seconds until the next try: a moment after a stream that told something, ever longer after failures. */
  #pause(): number {
    const { chance } = this.#reader.wire;
    const growing = Math.min(PAUSE_LONGEST_S, PAUSE_FIRST_S * 2 ** Math.min(this.#failures, DOUBLINGS_MAX));
    const span = this.#streams ? growing : this.#pollS;
    this.#failures += 1;
    return chance.between(0.5 * span, 1.5 * span);
  }

  #onLine(signal: AbortSignal): Promise<void> {
    const { connection } = this.#reader.wire;
    return new Promise((resolve) => {
      const done = () => {
        if (connection.offline && !signal.aborted) return;
        unlisten();
        signal.removeEventListener("abort", done);
        resolve();
      };
      const unlisten = connection.listen(done);
      signal.addEventListener("abort", done);
      done();
    });
  }
}

async function whole(pieces: AsyncGenerator<string, void>): Promise<string> {
  let text = "";
  for await (const piece of pieces) text += piece;
  return text;
}
