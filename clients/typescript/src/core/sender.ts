/** `fetch`: whole answers within their time, and streams that are told as they come. */

import { encoded } from "./questions.ts";
import type { Request, Response, Unreached } from "./exchange.ts";

export type Fetch = typeof globalThis.fetch;
type Answer = globalThis.Response;

/** An answer that may still be coming; `body` is read by whoever wants it. */
export interface Opened {
  readonly answer: Answer;
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
}

export class Sender {
  readonly #base: string;
  readonly #fetch: Fetch;

  constructor(base: string, fetch: Fetch) {
    this.#base = base.replace(/\/+$/, "");
    this.#fetch = fetch;
  }

  /** The answer within so many seconds: until it begins, and in all. What happens in real time is timed in real time. */
  async send(request: Request, connectS: number, totalS: number): Promise<Response | Unreached> {
    const stop = new AbortController();
    const late = (what: string, seconds: number) =>
      setTimeout(() => stop.abort(new Error(`no ${what} within ${seconds} s`)), seconds * 1000);
    const whole = late("whole answer", totalS);
    const begin = late("answer", connectS);
    try {
      const { answer, status, headers } = await this.open(request, stop.signal);
      clearTimeout(begin);
      return { status, headers, body: await answer.text() };
    } catch (error) {
      const timedOut = stop.signal.aborted;
      return { reason: String(timedOut ? stop.signal.reason : error), timedOut, cause: error };
    } finally {
      clearTimeout(begin);
      clearTimeout(whole);
    }
  }

  async open(request: Request, signal: AbortSignal): Promise<Opened> {
    const query = request.params.length ? `?${encoded(request.params)}` : "";
    const answer = await this.#fetch(this.#base + request.path + query, {
      method: request.method,
      headers: request.headers,
      ...(request.body !== undefined && { body: request.body }),
      signal,
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
    });
    const headers: Record<string, string> = {};
    answer.headers.forEach((value, name) => (headers[name.toLowerCase()] = value));
    return { answer, status: answer.status, headers };
  }
}
