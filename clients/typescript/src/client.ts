/** The client: every call of it, in one place. README.md says what each is for. */

import { AnswerNotUnderstood, NotFound } from "./errors.ts";
import type { Catalogue, Change as HistoryChange, Edited, Guest, History } from "./models.ts";
import type { Chance, Clock, OpenStream, Store, Tabs, TokenSource } from "./ports.ts";
import { errorOf, parsed, read } from "./core/answers.ts";
import { Connection, type Status, type StatusListener } from "./core/connection.ts";
import type { Request } from "./core/exchange.ts";
import { Memory } from "./core/memory.ts";
import type { DeadLetter, Entry, Flushed, Judge } from "./core/outbox.ts";
import type { Preferences } from "./core/preferences.ts";
import { anyCall, getting, path, posting, question } from "./core/questions.ts";
import type { Asking, Patch } from "./core/questions.ts";
import { Reader } from "./core/reading.ts";
import { RETRIES, TIMEOUTS, type Retries, type Timeouts } from "./core/retries.ts";
import { Sender, type Fetch } from "./core/sender.ts";
import { shared } from "./core/sharing.ts";
import { Upstream } from "./core/upstream.ts";
import { Watch } from "./core/watching.ts";
import { Wire } from "./core/wire.ts";
import { Writer, type Change, type Edit } from "./core/writing.ts";
import { MemoryStore } from "./stores/memory.ts";
import { OwnLocks, pageTabs, systemChance, systemClock, systemStreams } from "./surroundings.ts";

export const AGENT = "guestprefs-client-typescript/0.1.0";
const PAGE = 50;

/** How a client behaves. All times are in seconds. */
export interface Options {
  /** A token, or a function that gives one: called when it is needed, and again when one was refused. */
  readonly token?: TokenSource;
  /** Where answers and edits are kept; in memory, unless it is another one. */
  readonly store?: Store;
  /** Keep edits that could not be sent, and send them later. */
  readonly outbox?: boolean;
  readonly offline?: boolean;
  readonly timeouts?: Partial<Timeouts>;
  readonly retries?: Partial<Retries>;
  readonly language?: string;
  /** Whose answers they are, when that should not be read out of the token. */
  readonly account?: string;
  readonly onConflict?: Judge;
  readonly clock?: Clock;
  readonly chance?: Chance;
  readonly fetch?: Fetch;
  /** How a stream is opened: unless it is said, through `fetch`, and in React Native through XMLHttpRequest. */
  readonly openStream?: OpenStream;
  /** How tabs share one stream and one outbox; on a page they do, unless this is null. */
  readonly tabs?: Tabs | null;
}

export interface EditOptions {
  readonly scope?: string;
  readonly property?: string;
  readonly provenance?: string;
  readonly idempotencyKey?: string;
}

export interface UpdateOptions {
  readonly scope?: string;
  readonly property?: string;
  readonly stay?: string;
  readonly keys?: Iterable<string>;
  /** Whether edits of other keys are conflicts too. */
  readonly exact?: boolean;
}

export interface WatchOptions {
  readonly property?: string;
  readonly keys?: Iterable<string>;
  /** Seconds between two looks where there is no stream. */
  readonly poll?: number;
  readonly signal?: AbortSignal;
}

export class GuestPrefs {
  readonly #base: string;
  readonly #store: Store;
  readonly #tabs: Tabs | undefined;
  readonly #chance: Chance;
  readonly #clock: Clock;
  readonly #connection: Connection;
  readonly #memory: Memory;
  readonly #wire: Wire;
  readonly #reader: Reader;
  readonly #writer: Writer;

  constructor(baseUrl: string, options: Options = {}) {
    if (!/^https?:\/\//.test(baseUrl)) {
      throw new TypeError(`baseUrl: must begin with http:// or https://, not ${JSON.stringify(baseUrl)}`);
    }
    this.#base = baseUrl;
    this.#store = options.store ?? new MemoryStore();
    this.#tabs = options.tabs === undefined ? pageTabs() : (options.tabs ?? undefined);
    this.#chance = options.chance ?? systemChance;
    this.#clock = options.clock ?? systemClock;
    this.#connection = new Connection(this.#chance, options.offline ?? false);
    this.#memory = new Memory(this.#store, options.language ?? "", options.account ?? "");
    const fetch = options.fetch ?? globalThis.fetch.bind(globalThis);
    const sender = new Sender(baseUrl, fetch, options.openStream ?? systemStreams(options.fetch));
    this.#wire = new Wire(wireOptions(options, this.#clock, this.#chance), this.#connection, this.#memory, sender);
    this.#reader = new Reader(this.#wire, this.#memory);
    const locks = (this.#store.sharedAs && this.#tabs?.locks) || new OwnLocks();
    this.#writer = new Writer(this.#reader, locks, options.onConflict ?? (() => "theirs"), options.outbox ?? false);
  }

  // ---- the connection ----

  /** How the connection is. */
  get status(): Status {
    return this.#connection.status;
  }

  /** Call `listener` with every new status; call what comes back to end that. */
  onStatus(listener: StatusListener): () => void {
    return this.#connection.listen(listener);
  }

  /** Whether the network is left alone. Set it to go off line and back. */
  get offline(): boolean {
    return this.#connection.offline;
  }

  set offline(wanted: boolean) {
    this.#connection.go(wanted);
  }

  // ---- preferences ----

  /**
   * What applies for a guest. While the server is away: the last known, with `meta.stale`. An answer at most `maxAge`
   * seconds old will do without asking, unless this client knows of a newer version.
   */
  async get(guest: string, asking: Asking & { readonly maxAge?: number } = {}): Promise<Preferences> {
    await this.#writer.flushDue();
    return await this.#reader.read(question(guest, asking), asking.maxAge);
  }

  /** Set keys (null removes one). With an outbox the edit is kept, and `queued`, while the server is away. */
  async edit(guest: string, patch: Patch, options: EditOptions = {}): Promise<Edit> {
    return await this.#writer.edit(this.#entry(guest, patch, options));
  }

  /** Read, let `change` say what to write, write it; when one of its keys changed meanwhile, ask it again. */
  async update(guest: string, change: Change, options: UpdateOptions = {}): Promise<Edit | undefined> {
    await this.#writer.flushDue();
    const asked = question(guest, { property: options.property, stay: options.stay, keys: options.keys });
    return await this.#writer.update(asked, change, this.#entry(guest, {}, options), options.exact ?? false);
  }

  /**
   * What applies now, and again whenever it is something else, until the guest is gone or `signal` says enough. A stream
   * that is cut goes on where it was. Where the server or the device has none, it is asked every `poll` seconds.
   */
  async *watch(guest: string, options: WatchOptions = {}): AsyncGenerator<Preferences, void, undefined> {
    const stop = new AbortController();
    const end = () => stop.abort();
    options.signal?.addEventListener("abort", end);
    const unlisten = this.#connection.listen((status) => status === "closed" && end());
    if (options.signal?.aborted || this.status === "closed") end();
    try {
      await this.#wire.knowAccount();
      const asked = question(guest, { property: options.property, keys: options.keys });
      const upstream = new Upstream(this.#reader, asked, options.poll ?? 1);
      const events = this.#tabs
        ? shared(this.#streamName(guest, options.property), this.#tabs, upstream, stop.signal)
        : upstream.events(stop.signal);
      yield* new Watch(this.#reader, asked).told(events);
    } finally {
      options.signal?.removeEventListener("abort", end);
      unlisten();
      end();
    }
  }

  /** Tabs share a stream when it would tell both the same. */
  #streamName(guest: string, property: string | undefined): string {
    return `guestprefs stream ${JSON.stringify([this.#base, this.#memory.account, this.#memory.language, guest, property])}`;
  }

  /** Answers for many guests at once, remembered for later; guests that cannot be seen are left out. */
  async prefetch(
    guests: Iterable<string>,
    options: { readonly property: string; readonly keys?: Iterable<string> },
  ): Promise<Preferences[]> {
    const keys = options.keys && [...new Set(options.keys)].sort();
    return await this.#reader.prefetch([...new Set(guests)], options.property, keys);
  }

  /** Every change, newest first, asked for page by page. */
  async *history(guest: string): AsyncGenerator<HistoryChange, void, undefined> {
    for (let cursor: string | null | undefined; ; ) {
      const params: [string, string][] = [["limit", String(PAGE)], ...(cursor ? [["cursor", cursor] as [string, string]] : [])];
      const page: History = await this.#call<History>(getting(path("guests", guest, "history"), params), "changes");
      yield* page.changes;
      cursor = page.next_cursor;
      if (!cursor) return;
    }
  }

  /** Undo what made this version, as a new version. */
  async revert(guest: string, version: number): Promise<Edit> {
    const id = this.#chance.key();
    const address = path("guests", guest, "history", String(version), "revert");
    const answer = await this.#call<Edited>(this.#wire.once(posting(address), id), "version", "preferences");
    await this.#memory.saw(guest, answer.version);
    return { guest, id, queued: false, version: answer.version, preferences: answer.preferences, answer };
  }

  // ---- guests and the rest ----

  /** The whole document: identifiers, consents, entries by scope. */
  async guest(guest: string): Promise<Guest> {
    try {
      return await this.#call<Guest>(getting(path("guests", guest)), "guest");
    } catch (error) {
      if (error instanceof NotFound) await this.#reader.afterNotFound(guest, false);
      throw error;
    }
  }

  /** The guest whom another system knows by this identifier. */
  async findGuest(system: string, id: string): Promise<Guest> {
    return await this.#call<Guest>(getting("/v1/guests", [["system", system], ["id", id]]), "guest");
  }

  async createGuest(displayName = "", identifiers: Iterable<{ system: string; id: string }> = []): Promise<Guest> {
    const body = { display_name: displayName, identifiers: [...identifiers] };
    return await this.#call<Guest>(this.#wire.once(posting("/v1/guests", body)), "guest");
  }

  /** Every key with its type, unit, range and labels. */
  async catalogue(): Promise<Catalogue> {
    return await this.#call<Catalogue>(getting("/v1/catalogue"), "definitions");
  }

  /** Any other call of the API, with the same tries, token and errors; what comes back is the JSON. */
  async call(
    method: string,
    address: string,
    options: { readonly params?: Record<string, string>; readonly body?: unknown } = {},
  ): Promise<unknown> {
    const asked = anyCall(method, address, options.params ?? {}, options.body);
    const response = await this.#wire.exchange(method === "GET" ? asked : this.#wire.once(asked));
    if (response.status >= 300) throw errorOf(response, this.#clock.now());
    if (!response.body) return undefined;
    const said = parsed(response.body);
    if (said === undefined) throw new AnswerNotUnderstood(response.status, response.body.slice(0, 200));
    return said;
  }

  async #call<T extends object>(request: Request, ...members: (keyof T & string)[]): Promise<T> {
    return read<T>(await this.#wire.exchange(request), ...members);
  }

  // ---- what waits, and what is remembered ----

  /** Send waiting edits now. */
  async flush(guest?: string): Promise<Flushed> {
    return await this.#writer.flush(guest);
  }

  /** Edits that the server has not answered. */
  async waiting(guest?: string): Promise<readonly Entry[]> {
    await this.#wire.knowAccount();
    return await this.#memory.waiting(guest);
  }

  /** Edits that came late and were refused, or lost against somebody else's. */
  async givenUp(guest?: string): Promise<readonly DeadLetter[]> {
    await this.#wire.knowAccount();
    return await this.#memory.givenUp(guest);
  }

  async discard(letter: DeadLetter): Promise<void> {
    await this.#wire.knowAccount();
    await this.#memory.discard(letter);
  }

  /** Erase every local trace of a guest, or of everybody. */
  async wipe(guest?: string): Promise<void> {
    await this.#memory.wipe(guest);
  }

  /** Ends streams and closes the store. */
  async close(): Promise<void> {
    this.#connection.close();
    await this.#store.close();
  }

  #entry(guest: string, patch: Patch, options: EditOptions): Entry {
    const { scope = "profile", property, provenance, idempotencyKey } = options;
    const id = idempotencyKey ?? this.#chance.key();
    const fresh = { madeAt: this.#clock.now(), edits: 1, tried: 0, nextAt: 0, ownVersions: [], guarded: false };
    return { id, guest, patch: { ...patch }, scope, property, provenance, ...fresh };
  }
}

function wireOptions(options: Options, clock: Clock, chance: Chance) {
  // A page's browser names itself, and asks first about every header that it does not know.
  const headers: Record<string, string> = "document" in globalThis ? {} : { "user-agent": AGENT };
  if (options.language) headers["accept-language"] = options.language;
  const timeouts = { ...TIMEOUTS, ...options.timeouts };
  const retries = { ...RETRIES, ...options.retries };
  return { clock, chance, timeouts, retries, headers, account: options.account, token: options.token };
}
