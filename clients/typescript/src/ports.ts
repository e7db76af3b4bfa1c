/** What the client needs from its surroundings, so that a test or a device may bring its own. Times are in seconds. */

/** Time and waiting. `now` is the wall clock in seconds since 1970 and may jump; `elapsed` only ever grows. */
export interface Clock {
  now(): number;
  elapsed(): number;
  sleep(seconds: number, signal?: AbortSignal): Promise<void>;
}

/** Randomness: how long to wait, and names that nobody else makes up. */
export interface Chance {
  between(low: number, high: number): number;
  key(): string;
}

/** One thing remembered. By `guest` all of a guest can be found and erased. */
export interface StoreRecord {
  readonly kind: string;
  readonly account: string;
  readonly guest: string;
  readonly name: string;
  readonly data: string;
}

/**
 * Where answers and edits are kept. Whatever `put` resolved for has to survive what the store says it survives.
 *
 * A record is known by kind, account, guest and name. `put` of a known one replaces its data and keeps its place.
 */
export interface Store {
  /** Under what name other tabs of the same origin see the same records; undefined when they do not. */
  readonly sharedAs?: string | undefined;
  put(record: StoreRecord): Promise<void>;
  get(kind: string, account: string, guest: string, name: string): Promise<string | undefined>;
  /**
   * In the order in which they were first put. One that can be read no more comes without data, under names that `drop`
   * and `put` take for its own.
   */
  listed(kind: string, account: string, guest?: string): Promise<readonly StoreRecord[]>;
  drop(kind: string, account: string, guest?: string, name?: string): Promise<void>;
  /** Erase everything of a guest (of everybody, when none is named), under whatever account. */
  wipe(guest?: string): Promise<void>;
  /** Every record there is, of whomever, in the order in which they were first put. */
  all(): readonly StoreRecord[] | Promise<readonly StoreRecord[]>;
  close(): Promise<void>;
}

/** Names that are digests begin so. What is told of a record that does not open has such names. */
export const SEALED = "sealed:";
/** Of the record that says that a store is sealed; its names are `SEALED` alone. */
export const PROOF_KIND = "seal";

/**
 * Encrypts what a store keeps. `AesSeal` is one for whatever has WebCrypto; elsewhere (React Native) bring your own.
 *
 * A promise that is rejected says that the seal cannot be used now (a keychain that is locked).
 */
export interface Seal {
  /** Encrypt, so that it opens for nothing but the same `place`. */
  encrypt(text: string, place: string): Promise<string>;
  /** Undefined for what was encrypted with another key or for another place, or tampered with. */
  decrypt(sealed: string, place: string): Promise<string | undefined>;
  /** The same for the same word, and nothing that leads back to it without the key: an HMAC. */
  digest(word: string): Promise<string>;
}

/** One thing at a time for everybody who knows the name: the calls of a client, or all tabs of an origin. */
export interface Locks {
  alone<T>(name: string, task: () => Promise<T>, signal?: AbortSignal): Promise<T>;
}

/** What the tabs of an origin say to each other. */
export interface Channel {
  send(message: unknown): void;
  listen(listener: (message: unknown) => void): void;
  close(): void;
}

/** How tabs share one stream. */
export interface Tabs {
  readonly locks: Locks;
  channel(name: string): Channel;
}

/**
 * The beginning of an answer that goes on. `pieces` is its text as it comes; it throws where the way is cut, and may end at
 * any time: what goes on is asked for again.
 */
export interface Incoming {
  readonly status: number;
  /** Names are in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly pieces: AsyncGenerator<string, void>;
}

/** Opens an answer (GET) that is told as it comes. It rejects when `signal` ends it, and then its pieces throw. */
export type OpenStream = (url: string, headers: Readonly<Record<string, string>>, signal: AbortSignal) => Promise<Incoming>;

export type Token = string | undefined;
export type TokenSource = Token | (() => Token | Promise<Token>);
