/**
 * A server for tests of what you build: in the process, without a network, and right about versions and conflicts.
 *
 * `FakeServer` keeps guests in memory and answers the calls that a client makes as the service does: ETags and
 * `If-None-Match`, `If-Match`, base versions with both sides of a conflict, idempotency keys, problem documents. It knows no
 * catalogue, so it takes any key, resolves by scope alone and applies no rule of a house; and it has no streams, so `watch`
 * asks again. What it does is held to the real service by the tests of this package.
 */

import { GuestPrefs, type Options } from "../client.ts";
import { sha256 } from "../core/digest.ts";
import type { Patch } from "../core/questions.ts";
import type { Fetch } from "../core/sender.ts";
import type { Clock } from "../ports.ts";
import { systemClock } from "../surroundings.ts";
import { FakeGuest, Refusal } from "./guests.ts";

const NOT_FOUND = "There is no such thing here, or it is not yours to see.";
const [SOMEBODY, CALLER] = ["somebody-else", "guest"];

/** A request as the server hears it; names of headers in lower case. */
export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly params: Readonly<Record<string, string>>;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

type Call = (asked: Asked, ...parts: string[]) => Answer;

/** `const server = new FakeServer(); const guest = server.addGuest({ "room.quiet": true }); const client = server.client();` */
export class FakeServer {
  readonly url = "http://fake.invalid";
  /** What was asked. */
  readonly requests: Asked[] = [];
  /** No network. */
  down = false;
  /** Tokens that are let in; everybody is, unless there are some. */
  tokens: ReadonlySet<string> | undefined;
  readonly #clock: Clock;
  readonly #guests = new Map<string, FakeGuest>();
  readonly #done = new Map<string, { said: string; answer: Answer }>();
  readonly #failures: Answer[] = [];
  #number = 0;

  constructor(clock: Clock = systemClock) {
    this.#clock = clock;
  }

  // ---- for the test ----

  /** A client that speaks to this server. */
  client(options: Options = {}): GuestPrefs {
    return new GuestPrefs(this.url, { token: "a-token", tabs: null, ...options, fetch: this.fetch });
  }

  addGuest(preferences: Patch = {}, displayName = "Ana Torres", identifiers: readonly { system: string; id: string }[] = []): string {
    this.#number += 1;
    const id = `gst_${this.#number.toString(16).padStart(32, "0")}`;
    this.#guests.set(id, new FakeGuest(id, displayName, identifiers.map((one) => ({ ...one })), SOMEBODY, this.#at()));
    if (Object.keys(preferences).length) this.edit(id, preferences);
    return id;
  }

  /** Somebody else edits; what comes back is the new version. */
  edit(guest: string, patch: Patch, scope = "profile"): number {
    this.#known(guest).apply(patch, scope, SOMEBODY, this.#at());
    return this.version(guest);
  }

  erase(guest: string): void {
    this.#guests.delete(guest);
  }

  /** What is stored, as it was said, by key, for the profile. */
  values(guest: string): Record<string, unknown> {
    return this.#known(guest).values();
  }

  version(guest: string): number {
    return this.#known(guest).version;
  }

  /** Answer the next calls with this. */
  fail(status: number, options: { readonly code?: string; readonly times?: number; readonly retryAfter?: number } = {}): void {
    const { code = "UNAVAILABLE", times = 1, retryAfter } = options;
    const headers: Record<string, string> = retryAfter === undefined ? {} : { "retry-after": String(retryAfter) };
    for (let left = times; left > 0; left--) {
      this.#failures.push(this.#problem(new Refusal(status, code, "as the test asked for"), headers));
    }
  }

  // ---- as a server ----

  /** For the option `fetch` of a client. */
  readonly fetch: Fetch = async (input, init = {}) => {
    init.signal?.throwIfAborted();
    if (this.down) throw new TypeError("fetch failed: the fake server is down");
    const url = new URL(input instanceof Request ? input.url : String(input));
    const headers: Record<string, string> = {};
    new Headers(init.headers).forEach((value, name) => (headers[name] = value));
    const method = init.method ?? "GET";
    const asked = { method, path: url.pathname, params: Object.fromEntries(url.searchParams), headers };
    const answer = this.answer({ ...asked, body: typeof init.body === "string" ? init.body : "" });
    const empty = answer.status === 204 || answer.status === 304;
    return new Response(empty ? null : answer.body, { status: answer.status, headers: { ...answer.headers } });
  };

  answer(asked: Asked): Answer {
    this.requests.push(asked);
    const failure = this.#failures.shift();
    if (failure) return failure;
    try {
      if (this.tokens && !this.tokens.has((asked.headers["authorization"] ?? "").slice(7))) {
        throw new Refusal(401, "UNAUTHENTICATED", "The token has expired.");
      }
      return this.#once(asked);
    } catch (error) {
      if (error instanceof Refusal) return this.#problem(error);
      throw error;
    }
  }

  #once(asked: Asked): Answer {
    const key = asked.headers["idempotency-key"];
    if (key === undefined || asked.method === "GET") return this.#routed(asked);
    const said = JSON.stringify([asked.method, asked.path, Object.entries(asked.params).sort(), asked.body]);
    const before = this.#done.get(key);
    if (before && before.said !== said) {
      const fault = { parameter: "Idempotency-Key", code: "IDEMPOTENCY_KEY_REUSED", detail: "used before" };
      throw new Refusal(422, "IDEMPOTENCY_KEY_REUSED", "The key was used for another request.", [fault]);
    }
    if (before) return { ...before.answer, headers: { ...before.answer.headers, "idempotency-replayed": "true" } };
    const answer = this.#routed(asked);
    this.#done.set(key, { said, answer });
    return answer;
  }

  #routed(asked: Asked): Answer {
    const parts = asked.path.replace(/^\/v1\//, "").split("/").map(decodeURIComponent);
    const routes: readonly (readonly [string, Call])[] = [
      ["GET guests * preferences", (...given) => this.#getPreferences(...(given as [Asked, string]))],
      ["PATCH guests * preferences", (...given) => this.#editPreferences(...(given as [Asked, string]))],
      ["POST preferences batch", (one) => this.#batch(one)],
      ["POST guests", (one) => this.#createGuest(one)],
      ["GET guests", (one) => this.#findGuest(one)],
      ["GET guests *", (one, guest = "") => this.#told(one, this.#known(guest).document(), this.version(guest))],
      ["DELETE guests *", (_, guest = "") => this.#eraseGuest(guest)],
      ["GET guests * history", (one, guest = "") => this.#told(one, this.#known(guest).history(), this.version(guest))],
      ["POST guests * history * revert", (...given) => this.#revert(...(given as [Asked, string, string]))],
    ];
    for (const [route, call] of routes) {
      const [method, ...wanted] = route.split(" ");
      const fits = wanted.length === parts.length && wanted.every((want, at) => want === "*" || want === parts[at]);
      if (method === asked.method && fits) return call(asked, ...parts.filter((_, at) => wanted[at] === "*"));
    }
    throw new Refusal(404, "NOT_FOUND", NOT_FOUND);
  }

  // ---- calls ----

  #getPreferences(asked: Asked, guest: string): Answer {
    const found = this.#known(guest);
    return this.#told(asked, found.effective(asked.params["keys"]?.split(",")), found.version);
  }

  #editPreferences(asked: Asked, guest: string): Answer {
    const found = this.#known(guest);
    const patch = JSON.parse(asked.body) as Record<string, unknown>;
    const scope = asked.params["scope"] ?? "profile";
    if (!Object.keys(patch).length) {
      const fault = { pointer: "", code: "WRONG_LENGTH", detail: "must name a key" };
      throw new Refusal(422, "WRONG_LENGTH", "must name a key", [fault]);
    }
    const [match, base] = [asked.headers["if-match"] ?? "*", asked.headers["preferences-base-version"]];
    const wanted = Number.parseInt(match.replaceAll('"', ""), 10);
    if (match !== "*" && wanted !== found.version) throw found.moved(wanted);
    if (base !== undefined) found.refuseConflicts(patch, scope, Number(base));
    found.apply(patch, scope, CALLER, this.#at());
    return this.#told(asked, found.edited(Object.keys(patch)), found.version);
  }

  #batch(asked: Asked): Answer {
    const said = JSON.parse(asked.body) as { guests: string[]; keys?: string[] };
    const unknown = (guest: string) => ({ guest, problem: this.#document(new Refusal(404, "NOT_FOUND", NOT_FOUND)) });
    const items = said.guests.map((guest) => this.#guests.get(guest)?.effective(said.keys) ?? unknown(guest));
    return this.#told(asked, { items });
  }

  #createGuest(asked: Asked): Answer {
    const said = JSON.parse(asked.body || "{}") as { display_name?: string; identifiers?: { system: string; id: string }[] };
    const guest = this.#known(this.addGuest({}, said.display_name ?? "", said.identifiers));
    const answer = this.#told(asked, guest.document(), guest.version);
    return { ...answer, status: 201, headers: { ...answer.headers, location: `/v1/guests/${guest.id}` } };
  }

  #findGuest(asked: Asked): Answer {
    const { system, id } = asked.params;
    const guest = [...this.#guests.values()].find((one) => one.identifiers.some((own) => own["system"] === system && own["id"] === id));
    if (!guest) throw new Refusal(404, "NOT_FOUND", NOT_FOUND);
    return this.#told(asked, guest.document(), guest.version);
  }

  #eraseGuest(guest: string): Answer {
    this.#known(guest);
    this.erase(guest);
    return { status: 204, headers: this.#headers(), body: "" };
  }

  #revert(asked: Asked, guest: string, version: string): Answer {
    const found = this.#known(guest);
    const keys = found.revert(Number(version), CALLER, this.#at());
    if (!keys) throw new Refusal(404, "NOT_FOUND", NOT_FOUND);
    return this.#told(asked, found.edited(keys), found.version);
  }

  #known(guest: string): FakeGuest {
    const found = this.#guests.get(guest);
    if (!found) throw new Refusal(404, "NOT_FOUND", NOT_FOUND);
    return found;
  }

  // ---- answers ----

  #at(): string {
    return new Date(this.#clock.now() * 1000).toISOString().replace(/\.\d+Z$/, "Z");
  }

  #headers(): Record<string, string> {
    this.#number += 1;
    const told = { date: new Date(this.#clock.now() * 1000).toUTCString(), "x-request-id": `req-${this.#number}` };
    return { ...told, "cache-control": "private, no-cache", vary: "Authorization, Accept-Language" };
  }

  #told(asked: Asked, said: object, version?: number): Answer {
    const body = JSON.stringify(said);
    const etag = `"${version ?? 0}.${sha256(body).slice(0, 20)}"`;
    const headers: Record<string, string> = { ...this.#headers(), etag, "content-type": "application/json" };
    if (version !== undefined) headers["preferences-version"] = String(version);
    const known = (asked.headers["if-none-match"] ?? "").split(",").map((one) => one.trim().replace(/^W\//, ""));
    if (asked.method === "GET" && known.includes(etag)) return { status: 304, headers, body: "" };
    return { status: 200, headers, body };
  }

  #document(refusal: Refusal): Record<string, unknown> & { request_id: string } {
    this.#number += 1;
    const { status, code, message: detail, errors, more } = refusal;
    const type = `urn:guestprefs:problem:${code.toLowerCase().replaceAll("_", "-")}`;
    return { type, title: code, status, detail, code, errors, request_id: `req-${this.#number}`, ...more };
  }

  #problem(refusal: Refusal, more: Readonly<Record<string, string>> = {}): Answer {
    const document = this.#document(refusal);
    const told = { "content-type": "application/problem+json", "cache-control": "no-store", ...more };
    const headers = { ...this.#headers(), ...told, "x-request-id": document.request_id };
    return { status: refusal.status, headers, body: JSON.stringify(document) };
  }
}
