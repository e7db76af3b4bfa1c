/** What is remembered, in the store's records: answers, waiting edits, given-up edits, and versions seen. */

import { WrongSeal } from "../errors.ts";
import { PROOF_KIND, SEALED, type Store, type StoreRecord } from "../ports.ts";
import type { Kept } from "./kept.ts";
import { merged, takes, type DeadLetter, type Entry } from "./outbox.ts";
import { isLasting, nameOf, type Question } from "./questions.ts";

const [ANSWER, EDIT, DEAD, SEEN] = ["answer", "edit", "dead", "seen"] as const;
const ONE = "version";
const UNREADABLE = "UNREADABLE";
// After this long an answer is nobody's last known state any more.
const ANSWER_LASTS_S = 30 * 86_400;

/** An edit that nothing remembers but whoever waits for its answer. `wiped` once its guest was, meanwhile. */
export interface UnderWay {
  readonly guest: string;
  wiped: boolean;
}

export class Memory {
  readonly store: Store;
  readonly language: string;
  account: string;
  /** Grows when something is wiped: an answer that was asked for before that is not kept any more. */
  wipes = 0;
  readonly #highest = new Map<string, Map<string, number>>();
  readonly #underWay = new Set<UnderWay>();
  #recognised = false;

  constructor(store: Store, language: string, account: string) {
    this.store = store;
    this.language = language;
    this.account = account;
  }

  /** A sealed store that is used without its seal would show nothing, and hold what waits for ever. */
  async #recognise(): Promise<void> {
    if (this.#recognised) return;
    if ((await this.store.listed(PROOF_KIND, SEALED)).length) {
      throw new WrongSeal("The store is sealed: put the SealedStore around it that it was made with, or wipe() it.");
    }
    this.#recognised = true;
  }

  async answer(asked: Question, now: number): Promise<Kept | undefined> {
    await this.#recognise();
    const data = await this.store.get(ANSWER, this.account, asked.guest, nameOf(asked, this.language));
    const kept = data === undefined ? undefined : (JSON.parse(data) as Kept);
    return kept && now - kept.takenAt < ANSWER_LASTS_S ? kept : undefined;
  }

  /** Keep an answer, and the version that it shows, unless something was wiped since it was asked for. */
  async keep(asked: Question, kept: Kept, wipes: number): Promise<void> {
    if (wipes !== this.wipes) return;
    if (isLasting(asked)) await this.#put(ANSWER, asked.guest, nameOf(asked, this.language), kept);
    await this.saw(asked.guest, kept.version);
    if (wipes === this.wipes) return;
    await this.forgetAnswer(asked); // wiped before all of it was written: it is taken back
    await this.#forgetVersion(asked.guest);
  }

  async #forgetVersion(guest: string): Promise<void> {
    this.#mine.delete(guest);
    await this.store.drop(SEEN, this.account, guest, ONE);
  }

  async forgetAnswer(asked: Question): Promise<void> {
    await this.store.drop(ANSWER, this.account, asked.guest, nameOf(asked, this.language));
  }

  async forgetAnswers(): Promise<void> {
    await this.store.drop(ANSWER, this.account);
  }

  /** The highest version of this guest that this client knows of. */
  async seen(guest: string): Promise<number> {
    const data = await this.store.get(SEEN, this.account, guest, ONE);
    return Math.max(Number(data ?? 0), this.#mine.get(guest) ?? 0);
  }

  async saw(guest: string, version: number): Promise<void> {
    if (version <= (await this.seen(guest))) return;
    // Of two calls at once the one with the older answer may write last: it writes the highest all the same.
    this.#mine.set(guest, Math.max(version, this.#mine.get(guest) ?? 0));
    await this.#put(SEEN, guest, ONE, this.#mine.get(guest));
  }

  begin(guest: string): UnderWay {
    const edit = { guest, wiped: false };
    this.#underWay.add(edit);
    return edit;
  }

  end(edit: UnderWay): void {
    this.#underWay.delete(edit);
  }

  /** The version that an edit made, unless its guest was wiped since it was sent. */
  async made(edit: UnderWay, version: number): Promise<void> {
    if (!edit.wiped) await this.saw(edit.guest, version);
    if (edit.wiped) await this.#forgetVersion(edit.guest); // wiped before all of it was written
  }

  /** The version that the server itself says is its newest, even if it was further before it was restored. */
  async sawLast(guest: string, version: number): Promise<void> {
    this.#mine.set(guest, version);
    await this.#put(SEEN, guest, ONE, version);
  }

  async waiting(guest?: string): Promise<Entry[]> {
    const records = await this.#legible(EDIT, guest);
    return records.map((record) => JSON.parse(record.data) as Entry);
  }

  /** Put an edit behind the others of its guest, or into the last of them while that was never sent. */
  async enqueue(entry: Entry): Promise<Entry> {
    const [last] = (await this.waiting(entry.guest)).slice(-1);
    const kept = last && takes(last, entry) ? merged(last, entry) : entry;
    await this.putEntry(kept);
    return kept;
  }

  async putEntry(entry: Entry): Promise<void> {
    await this.#put(EDIT, entry.guest, entry.id, entry);
  }

  async dropEntry(entry: Entry): Promise<void> {
    await this.store.drop(EDIT, this.account, entry.guest, entry.id);
  }

  /** First written down as given up, then no longer waiting: a crash between the two loses nothing. */
  async giveUp(letter: DeadLetter): Promise<void> {
    await this.#put(DEAD, letter.guest, `${letter.id}/${letter.reason}`, letter);
  }

  async givenUp(guest?: string): Promise<DeadLetter[]> {
    const records = await this.#legible(DEAD, guest);
    return records.map((record) => JSON.parse(record.data) as DeadLetter);
  }

  async discard(letter: DeadLetter): Promise<void> {
    await this.store.drop(DEAD, this.account, letter.guest, `${letter.id}/${letter.reason}`);
  }

  async wipe(guest?: string): Promise<void> {
    this.wipes += 1;
    for (const edit of this.#underWay) edit.wiped ||= guest === undefined || guest === edit.guest;
    if (guest === undefined) this.#highest.clear();
    else for (const known of this.#highest.values()) known.delete(guest);
    await this.store.wipe(guest);
  }

  get #mine(): Map<string, number> {
    const known = this.#highest.get(this.account) ?? new Map<string, number>();
    this.#highest.set(this.account, known);
    return known;
  }

  /**
   * What can be read. Of an edit that cannot be any more (its store was damaged, or tampered with) it is written down that
   * it was given up: it neither vanishes unsaid nor holds up the others.
   */
  async #legible(kind: string, guest?: string): Promise<readonly StoreRecord[]> {
    await this.#recognise();
    const records = await this.store.listed(kind, this.account, guest);
    const lost = records.filter((record) => !record.data);
    if (!lost.length) return records;
    for (const { name, guest: whose } of lost) {
      const letter = { id: name, guest: whose, patch: {}, scope: "", madeAt: 0, theirs: {} };
      await this.giveUp({ ...letter, reason: UNREADABLE, detail: "what was kept of it does not open" });
      await this.store.drop(kind, this.account, whose, name);
    }
    return (await this.store.listed(kind, this.account, guest)).filter((record) => record.data);
  }

  async #put(kind: string, guest: string, name: string, said: unknown): Promise<void> {
    await this.store.put({ kind, account: this.account, guest, name, data: JSON.stringify(said) });
  }
}
