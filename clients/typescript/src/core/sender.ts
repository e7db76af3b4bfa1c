/** What is sent: whole answers within their time through `fetch`, and streams through whatever tells them as they come. */

import type { Incoming, OpenStream } from "../ports.ts";
import { encoded } from "./questions.ts";
import type { Request, Response, Unreached } from "./exchange.ts";

export type Fetch = typeof globalThis.fetch;

/** What every request asks of `fetch`: no cookies, no detours, nothing kept beside what we keep. */
export function discreetly(): RequestInit {
  // React Native's `fetch` knows no caches: told to leave them alone, it adds a parameter to the address.
  const caches = typeof Request !== "undefined" && "cache" in Request.prototype;
  return { credentials: "omit", redirect: "error", ...(caches && { cache: "no-store" }) };
}

export function headersOf(answer: globalThis.Response): Record<string, string> {
  const named: Record<string, string> = {};
  answer.headers.forEach((value, name) => (named[name.toLowerCase()] = value));
  return named;
}

export class Sender {
  readonly #base: string;
  readonly #fetch: Fetch;
  readonly #openStream: OpenStream;

  constructor(base: string, fetch: Fetch, openStream: OpenStream) {
    this.#base = base.replace(/\/+$/, "");
    [this.#fetch, this.#openStream] = [fetch, openStream];
  }

  /** The answer within so many seconds: until it begins, and in all. What happens in real time is timed in real time. */
  async send(request: Request, connectS: number, totalS: number): Promise<Response | Unreached> {
    const stop = new AbortController();
    // Kept here: the signals of React Native keep no reason.
    let late: Error | undefined;
    const within = (what: string, seconds: number) =>
      setTimeout(() => stop.abort((late = new Error(`no ${what} within ${seconds} s`))), seconds * 1000);
    const whole = within("whole answer", totalS);
    const begin = within("answer", connectS);
    try {
      const answer = await this.#fetch(this.#address(request), {
        method: request.method,
        headers: request.headers,
        ...(request.body !== undefined && { body: request.body }),
        signal: stop.signal,
        ...discreetly(),
      });
      clearTimeout(begin);
      return { status: answer.status, headers: headersOf(answer), body: await answer.text() };
    } catch (error) {
      return { reason: String(late ?? error), timedOut: late !== undefined, cause: error };
    } finally {
      clearTimeout(begin);
      clearTimeout(whole);
    }
  }

  /** An answer that is told as it comes, until `signal` says enough. */
  async open(request: Request, signal: AbortSignal): Promise<Incoming> {
    return await this.#openStream(this.#address(request), request.headers, signal);
  }

  #address({ path, params }: Request): string {
    return this.#base + path + (params.length ? `?${encoded(params)}` : "");
  }
}
