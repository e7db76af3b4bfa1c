/**
 * Answers that go on for long, told as they come: through `fetch` where it gives them piece by piece, through
 * XMLHttpRequest where `fetch` waits for the end (React Native).
 */

import { discreetly, headersOf, type Fetch } from "./core/sender.ts";
import type { Incoming, OpenStream } from "./ports.ts";

// XMLHttpRequest keeps all that came until it ends. The next stream goes on where this one was.
const KEPT_LETTERS_MAX = 2 ** 21;
const EVENT_ENDS = "\n\n";
const ALL_CAME = 4;

/** Through `fetch`, from its bytes. An answer that cannot be had so is told when it is whole. */
export function fetchStreams(fetch: Fetch): OpenStream {
  return async (url, headers, signal) => {
    const answer = await fetch(url, { method: "GET", headers, signal, ...discreetly() });
    const pieces = answer.body ? decoded(answer.body) : whole(answer);
    return { status: answer.status, headers: headersOf(answer), pieces };
  };
}

async function* decoded(body: ReadableStream<Uint8Array>): AsyncGenerator<string, void> {
  const [bytes, decoder] = [body.getReader(), new TextDecoder()];
  for (;;) {
    const { done, value } = await bytes.read();
    if (done) return;
    yield decoder.decode(value, { stream: true });
  }
}

async function* whole(answer: Response): AsyncGenerator<string, void> {
  yield await answer.text();
}

/** Through XMLHttpRequest. It begins with its first text: one that is told at its end only never begins. */
export function xhrStreams(lettersMax = KEPT_LETTERS_MAX): OpenStream {
  return (url, headers, signal) =>
    new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      const told = new Told();
      let head: Omit<Incoming, "pieces"> | undefined;
      const end = (error?: Error) => {
        signal.removeEventListener("abort", stop);
        told.end(error);
        reject(error);
      };
      const stop = () => {
        end(new Error("the stream was given up"));
        request.abort();
      };
      const look = (all: boolean) => {
        // Of one that broke, React Native says why in the place of the text: only `load` says that it is whole.
        if (told.ended || !request.status || (request.readyState === ALL_CAME && !all)) return;
        head ??= { status: request.status, headers: namedHeaders(request.getAllResponseHeaders() ?? "") };
        const text = request.responseText;
        told.hear(text);
        if (text || all) resolve({ ...head, pieces: told.pieces() });
        if (!all && (text.length < lettersMax || !text.endsWith(EVENT_ENDS))) return;
        end();
        if (!all) request.abort();
      };
      // React Native tells the text as it comes only to whoever listens to either.
      request.onreadystatechange = request.onprogress = () => look(false);
      request.onload = () => look(true);
      request.onerror = request.ontimeout = request.onabort = () => end(new TypeError("the connection broke"));
      signal.addEventListener("abort", stop);
      if (signal.aborted) return stop();
      request.open("GET", url);
      request.withCredentials = false;
      for (const name of Object.keys(headers)) request.setRequestHeader(name, headers[name]!);
      request.send();
    });
}

function namedHeaders(lines: string): Record<string, string> {
  const named: Record<string, string> = {};
  for (const line of lines.split(/\r?\n/)) {
    const [, name, value] = /^([^:]+):\s*(.*)$/.exec(line) ?? [];
    if (name) named[name.toLowerCase()] = value ?? "";
  }
  return named;
}

/** A text that grows, cut into what is new of it. */
class Told {
  ended = false;
  #text = "";
  #read = 0;
  #error: Error | undefined;
  #wake = () => {};

  hear(text: string): void {
    if (text.length <= this.#text.length) return;
    this.#text = text;
    this.#wake();
  }

  end(error?: Error): void {
    if (this.ended) return;
    [this.ended, this.#error] = [true, error];
    this.#wake();
  }

  async *pieces(): AsyncGenerator<string, void> {
    for (;;) {
      const piece = this.#text.slice(this.#read);
      this.#read = this.#text.length;
      if (piece) yield piece;
      else if (this.#error) throw this.#error;
      else if (this.ended) return;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}
