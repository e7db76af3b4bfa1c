/** One call over the network: token, deadline, tries, and what the connection learns from it. */

import { GuestPrefsError, NothingKnown, Unreachable } from "../errors.ts";
import type { Chance, Clock, Token, TokenSource } from "../ports.ts";
import { accountOf, errorOf, errorOfSilence, retryAfter } from "./answers.ts";
import type { Connection } from "./connection.ts";
import { isAnswer, type Request, type Response } from "./exchange.ts";
import type { Memory } from "./memory.ts";
import { AGAIN, nextPause, type Retries, type Timeouts } from "./retries.ts";
import type { Sender } from "./sender.ts";

const KEY = "idempotency-key";
// Not now, whoever asks. A 500 is about one request.
const BUSY: ReadonlySet<number> = new Set([429, 502, 503, 504]);

export interface WireOptions {
  readonly clock: Clock;
  readonly chance: Chance;
  readonly timeouts: Timeouts;
  readonly retries: Retries;
  readonly headers: Readonly<Record<string, string>>;
  readonly account: string | undefined;
  readonly token: TokenSource;
}

export class Wire {
  readonly clock: Clock;
  readonly chance: Chance;
  readonly connection: Connection;
  readonly sender: Sender;
  readonly #memory: Memory;
  readonly #options: WireOptions;
  #token: Token;
  #signedIn = false;

  constructor(options: WireOptions, connection: Connection, memory: Memory, sender: Sender) {
    [this.clock, this.chance] = [options.clock, options.chance];
    [this.connection, this.sender] = [connection, sender];
    [this.#memory, this.#options] = [memory, options];
  }

  get timeouts(): Timeouts {
    return this.#options.timeouts;
  }

  /** Have a token; whether it is another one than before. */
  async signIn(renew = false): Promise<boolean> {
    if (this.#signedIn && !renew) return false;
    const token = await this.#credential();
    const changed = token !== this.#token;
    [this.#token, this.#signedIn] = [token, true];
    this.#memory.account = this.#options.account ?? accountOf(token);
    return changed;
  }

  /** Whose answers are remembered is known before anything is: from the options, or from the token. */
  async knowAccount(): Promise<void> {
    if (this.#options.account === undefined) await this.signIn();
  }

  async #credential(): Promise<Token> {
    const { token } = this.#options;
    if (typeof token !== "function") return token;
    try {
      return await token();
    } catch (error) {
      if (error instanceof GuestPrefsError) throw error;
      throw new Unreachable(`no token: ${String(error)}`, "", error);
    }
  }

  /** The answer, whatever it says, as long as the server itself gave one; else an error. */
  async exchange(request: Request, retries?: Retries): Promise<Response> {
    if (this.connection.offline) throw new NothingKnown("the client is off line");
    await this.signIn();
    let response = await this.#tried(request, retries ?? this.#options.retries);
    if (response.status === 401 && (await this.signIn(true))) {
      response = await this.#tried(request, retries ?? this.#options.retries);
    }
    if (response.status === 401) await this.turnedAway();
    return response;
  }

  /** Nobody may go on reading what was answered to someone who is not let in any more. Edits wait. */
  async turnedAway(): Promise<void> {
    this.connection.reached(false);
    await this.#memory.forgetAnswers();
  }

  async #tried(request: Request, retries: Retries): Promise<Response> {
    const { clock, connection } = this;
    const until = clock.elapsed() + retries.deadline;
    for (let tried = 1; ; tried++) {
      const { connect, total } = this.#options.timeouts;
      const most = Math.min(total, until - clock.elapsed());
      const heard = await this.sender.send(this.signed(request), Math.min(connect, most), most);
      const after = isAnswer(heard) ? retryAfter(heard, clock.now()) : undefined;
      const pause = nextPause(retries, heard, tried, until - clock.elapsed(), after, this.chance);
      if (pause !== undefined) {
        await clock.sleep(pause);
        continue;
      }
      if (!isAnswer(heard)) {
        connection.failed(clock.elapsed());
        throw errorOfSilence(heard, request.headers[KEY]);
      }
      if (BUSY.has(heard.status)) connection.failed(clock.elapsed(), after);
      else if (heard.status !== 401) connection.reached();
      if (AGAIN.has(heard.status)) throw errorOf(heard, clock.now());
      return heard;
    }
  }

  signed(request: Request): Request {
    const headers: Record<string, string> = { accept: "application/json", ...this.#options.headers, ...request.headers };
    if (this.#token) headers["authorization"] = `Bearer ${this.#token}`;
    return { ...request, headers };
  }

  /** The same request, done once however often it is sent. */
  once(request: Request, key: string = this.chance.key()): Request {
    return { ...request, headers: { ...request.headers, [KEY]: key } };
  }
}
