/** Writing: at once, merged with what others changed, or through the outbox when the server is away. */

import {
  Conflict,
  GuestPrefsError,
  Invalid,
  NotFound,
  ProblemError,
  RateLimited,
  ServerFailed,
  Unauthenticated,
  Unavailable,
  Unreachable,
  VersionMoved,
} from "../errors.ts";
import type { Edited, Preference } from "../models.ts";
import type { Locks } from "../ports.ts";
import { errorOf, read } from "./answers.ts";
import { DOUBLINGS_MAX } from "./connection.ts";
import type { Request, Response } from "./exchange.ts";
import type { Memory, UnderWay } from "./memory.ts";
import { afterConflict, afterRefusal, dead, without } from "./outbox.ts";
import type { DeadLetter, Entry, Flushed, Judge, Settled } from "./outbox.ts";
import type { Preferences } from "./preferences.ts";
import { patching, type Patch, type Question } from "./questions.ts";
import { isAway, type Reader } from "./reading.ts";

const [BASE_VERSION, IF_MATCH] = ["preferences-base-version", "if-match"] as const;
const EDIT_LASTS_S = 7 * 86_400;
const [PAUSE_FIRST_S, PAUSE_LONGEST_S] = [1, 60];
const MERGES_MAX = 3;

export type Change = (known: Preferences) => Patch | Promise<Patch>;

/** What became of an edit: stored with a version and the touched keys as they apply now, or queued. */
export interface Edit {
  readonly guest: string;
  readonly id: string;
  readonly queued: boolean;
  readonly version?: number;
  readonly preferences: Readonly<Record<string, Preference>>;
  readonly answer?: Edited;
}

interface Tally {
  readonly done: Map<string, Edited>;
  readonly dead: DeadLetter[];
  readonly gone: string[];
  readonly errors: Map<string, GuestPrefsError>;
}

export class Writer {
  readonly #reader: Reader;
  readonly #memory: Memory;
  readonly #locks: Locks;
  readonly #judge: Judge;
  readonly #queues: boolean;

  constructor(reader: Reader, locks: Locks, judge: Judge, queues: boolean) {
    [this.#reader, this.#memory, this.#locks] = [reader, reader.memory, locks];
    [this.#judge, this.#queues] = [judge, queues];
  }

  get #wire() {
    return this.#reader.wire;
  }

  #alone<T>(task: () => Promise<T>): Promise<T> {
    return this.#locks.alone(`guestprefs outbox ${this.#memory.store.sharedAs ?? ""} ${this.#memory.account}`, task);
  }

  // ---- one edit ----

  /** Store an edit now or throw; with an outbox it is written down first, and stays there when nobody answers. */
  async edit(entry: Entry): Promise<Edit> {
    if (!this.#queues) return await this.#editNow(entry, {});
    await this.#wire.knowAccount();
    return await this.#alone(() => this.#editByOutbox(entry));
  }

  async #editByOutbox(entry: Entry): Promise<Edit> {
    const base = entry.base ?? ((await this.#memory.seen(entry.guest)) || undefined);
    const kept = await this.#memory.enqueue({ ...entry, base });
    const single = kept.edits === 1;
    const tally = await this.#flush(entry.guest, false, single ? kept.id : "");
    const error = tally.errors.get(kept.id);
    if (error) {
      // Whoever made it hears of it now, and no inbox has to say it again.
      for (const letter of tally.dead) if (single && letter.id === kept.id) await this.#memory.discard(letter);
      throw error;
    }
    const done = tally.done.get(kept.id);
    return done ? stored(kept.id, done) : { guest: entry.guest, id: kept.id, queued: true, preferences: {} };
  }

  async #editNow(entry: Entry, conditions: Record<string, string>): Promise<Edit> {
    const underWay = this.#memory.begin(entry.guest);
    try {
      const response = await this.#wire.exchange(requestOf(entry, conditions));
      return stored(entry.id, await this.#edited(entry, response, underWay));
    } finally {
      this.#memory.end(underWay);
    }
  }

  async #edited(entry: Entry, response: Response, underWay: UnderWay): Promise<Edited> {
    if (response.status === 404) {
      const error = errorOf(response);
      if (error instanceof NotFound) await this.#reader.afterNotFound(entry.guest, isAboutGuest(entry));
      throw error;
    }
    const edited = read<Edited>(response, "guest", "version", "preferences");
    await this.#memory.made(underWay, edited.version);
    return edited;
  }

  // ---- read, change, write ----

  /**
   * `change` says what to write, given what applies. When one of its keys changed meanwhile (any key, if `exact`) it is
   * asked again with what applies now. Nothing to write is no write.
   */
  async update(asked: Question, change: Change, entry: Entry, exact: boolean): Promise<Edit | undefined> {
    for (let attempt = 0; ; attempt++) {
      const known = await this.#reader.read(asked);
      const patch = await change(known);
      if (!Object.keys(patch).length) return undefined;
      const wanted: Entry = { ...entry, patch, base: known.version, guarded: true };
      if (this.#queues && (known.meta.stale || known.meta.pendingWrites)) return await this.edit(wanted);
      const condition: Record<string, string> = exact
        ? { [IF_MATCH]: `"${known.version}.0"` }
        : { [BASE_VERSION]: String(known.version) };
      try {
        return await this.#editNow(wanted, condition);
      } catch (error) {
        if (this.#queues && isAway(error)) return await this.edit({ ...wanted, tried: 1 });
        const moved = error instanceof Conflict || error instanceof VersionMoved ? error.currentVersion : undefined;
        if (moved === undefined || attempt === MERGES_MAX) throw error;
        // The next read has to be at least as new as what this one collided with.
        await this.#memory.saw(entry.guest, moved);
      }
    }
  }

  // ---- the outbox ----

  /** Send what waits if its time has come and the server is worth trying. */
  async flushDue(): Promise<void> {
    if (!this.#queues || !this.#wire.connection.worthTrying(this.#wire.clock.elapsed())) return;
    await this.#wire.knowAccount();
    const now = this.#wire.clock.now();
    // A clock that was set back must not hold anything up.
    const due = (await this.#memory.waiting()).some((entry) => entry.nextAt <= now || now < entry.madeAt);
    if (due) await this.#alone(() => this.#flush(undefined, false, ""));
  }

  /** Send what waits, in the order in which it was made for each guest. */
  async flush(guest?: string): Promise<Flushed> {
    await this.#wire.knowAccount();
    const tally = await this.#alone(() => this.#flush(guest, true, ""));
    const left = await this.#memory.waiting(guest);
    return { done: tally.done, dead: tally.dead, gone: tally.gone, waiting: left.length };
  }

  /**
   * `fresh` is the entry that is made this moment: what it says is meant to stand, whatever was said before. All others
   * come late, and say what they were made on.
   */
  async #flush(guest: string | undefined, askedFor: boolean, fresh: string): Promise<Tally> {
    const tally: Tally = { done: new Map(), dead: [], gone: [], errors: new Map() };
    const held = new Set<string>();
    for (const entry of await this.#memory.waiting(guest)) {
      if (held.has(entry.guest) || tally.gone.includes(entry.guest)) continue;
      const { connection, clock } = this.#wire;
      if (connection.offline || !(askedFor || connection.worthTrying(clock.elapsed()))) break;
      const late = entry.id !== fresh || entry.tried > 0 || entry.guarded;
      try {
        await this.#settle(entry, tally, late);
      } catch (error) {
        if (!isForTimeToMend(error)) throw error;
        await this.#postpone(entry, error);
        if (!isAboutOneGuest(error)) break;
        held.add(entry.guest);
      }
    }
    return tally;
  }

  /** Bring one entry to its end: done, given up, or gone with its guest. Throws what only time can mend. */
  async #settle(entry: Entry, tally: Tally, late: boolean): Promise<void> {
    for (let given: Entry | undefined = entry; given; ) {
      const now = this.#wire.clock.now();
      if (now - given.madeAt > EDIT_LASTS_S) {
        return await this.#giveUp(given, dead(given, "EXPIRED", "waited for too long"), tally);
      }
      const standing: Entry | undefined = await this.#asItStands(given);
      if (!standing) return; // wiped while the ones before it were sent
      given = { ...standing, tried: given.tried + 1 };
      await this.#memory.putEntry(given);
      const conditions: Record<string, string> =
        given.base !== undefined && late ? { [BASE_VERSION]: String(given.base) } : {};
      const response: Response = await this.#wire.exchange(requestOf(given, conditions));
      if (response.status >= 200 && response.status < 300) {
        return await this.#done(given, read<Edited>(response, "guest", "version", "preferences"), tally);
      }
      given = await this.#afterError(given, errorOf(response, now), tally);
    }
  }

  /** The entry with what the store has of it now: versions that our own earlier edits made may have been added. */
  async #asItStands(entry: Entry): Promise<Entry | undefined> {
    const found = (await this.#memory.waiting(entry.guest)).find((one) => one.id === entry.id);
    return found && { ...entry, ownVersions: found.ownVersions };
  }

  async #done(entry: Entry, edited: Edited, tally: Tally): Promise<void> {
    tally.done.set(entry.id, edited);
    const behind = await this.#memory.waiting(entry.guest);
    if (!behind.some((one) => one.id === entry.id)) return; // wiped meanwhile: nothing of it is written down again
    await this.#memory.saw(entry.guest, edited.version);
    for (const other of behind) {
      if (other.id === entry.id) continue;
      await this.#memory.putEntry({ ...other, ownVersions: [...other.ownVersions, edited.version] });
    }
    await this.#memory.dropEntry(entry);
  }

  /** What is still to be sent after a refusal. The server keeps no key of what it refused, so the id stays. */
  async #afterError(entry: Entry, error: GuestPrefsError, tally: Tally): Promise<Entry | undefined> {
    if (error instanceof Unauthenticated) throw error;
    if (error instanceof NotFound && (await this.#reader.afterNotFound(entry.guest, isAboutGuest(entry)))) {
      tally.gone.push(entry.guest);
      tally.errors.set(entry.id, error);
      return undefined;
    }
    // Wiped meanwhile: nothing of it is written down again.
    if (!(await this.#asItStands(entry))) {
      tally.errors.set(entry.id, error);
      return undefined;
    }
    const moved = error instanceof VersionMoved ? error.currentVersion : undefined;
    if (moved !== undefined && moved !== entry.base) {
      // The server is behind what we saw: it was restored from an older state.
      await this.#memory.sawLast(entry.guest, moved);
      return { ...entry, base: moved };
    }
    const settled = this.#settled(entry, error);
    const goesOn = Object.keys(settled.entry.patch).length > 0;
    if (settled.lost) await this.#giveUp(entry, settled.lost, tally, goesOn, error);
    else if (!goesOn) await this.#memory.dropEntry(entry);
    return goesOn ? settled.entry : undefined;
  }

  #settled(entry: Entry, error: GuestPrefsError): Settled {
    if (error instanceof Conflict && error.conflicts.length) {
      return afterConflict(entry, error.conflicts, error.currentVersion, this.#judge);
    }
    if (error instanceof Invalid) return afterRefusal(entry, error.faults, error.code, error.problem.detail);
    const code = error instanceof ProblemError ? error.code : "REFUSED";
    return { entry: without(entry, new Set(Object.keys(entry.patch))), lost: dead(entry, code, error.message) };
  }

  async #giveUp(entry: Entry, letter: DeadLetter, tally: Tally, keep = false, error?: GuestPrefsError): Promise<void> {
    tally.dead.push(letter);
    if (error) tally.errors.set(entry.id, error);
    await this.#memory.giveUp(letter);
    if (!keep) await this.#memory.dropEntry(entry);
  }

  async #postpone(entry: Entry, error: ProblemError | Unreachable): Promise<void> {
    const after = error instanceof ProblemError ? (error.retryAfter ?? 0) : 0;
    const span = Math.min(PAUSE_LONGEST_S, PAUSE_FIRST_S * 2 ** Math.min(entry.tried, DOUBLINGS_MAX));
    const pause = Math.max(this.#wire.chance.between(0.5 * span, 1.5 * span), after);
    const nextAt = this.#wire.clock.now() + pause;
    for (const other of await this.#memory.waiting(entry.guest)) {
      if (other.id === entry.id) await this.#memory.putEntry({ ...other, nextAt });
    }
  }
}

function isForTimeToMend(error: unknown): error is ProblemError | Unreachable {
  return isAway(error) || error instanceof Unauthenticated;
}

/** A failure that says nothing about other guests: not the way, not the door, not the whole service. */
function isAboutOneGuest(error: ProblemError | Unreachable): boolean {
  return error instanceof ServerFailed && !(error instanceof Unavailable) && !(error instanceof RateLimited);
}

function requestOf(entry: Entry, conditions: Record<string, string>): Request {
  const where: [string, string | undefined][] = [
    ["scope", entry.scope],
    ["property", entry.property],
    ["provenance", entry.provenance],
  ];
  const request = patching(entry.guest, entry.patch, where);
  return { ...request, headers: { ...request.headers, "idempotency-key": entry.id, ...conditions } };
}

function stored(id: string, edited: Edited): Edit {
  const { guest, version, preferences } = edited;
  return { guest, id, queued: false, version, preferences, answer: edited };
}

/** Whether a 404 can be about nothing but the guest. */
function isAboutGuest(entry: Entry): boolean {
  return entry.scope === "profile" && entry.property === undefined;
}
