/** Any store under a seal: values encrypted and bound to their place; guests, accounts and questions as digests. */

import { WrongSeal } from "../errors.ts";
import { PROOF_KIND, SEALED, type Seal, type Store, type StoreRecord } from "../ports.ts";
import { Words } from "./words.ts";

/** A record that says nothing about anybody, by which the key is known again. */
const PROOF = { kind: PROOF_KIND, account: SEALED, guest: SEALED, name: SEALED } as const;

type Place = Omit<StoreRecord, "data">;

/** Values that were opened last: to open one again takes WebCrypto longer than the store takes to find it. */
const REMEMBERED_MAX = 64;

/**
 * What a store held before is sealed when it is first used. With another key every call but `wipe()` of everything is
 * refused with WrongSeal, and nothing is changed.
 */
export class SealedStore implements Store {
  readonly sharedAs: string | undefined;
  readonly #store: Store;
  readonly #seal: Seal;
  readonly #words: Words;
  #opened: Promise<void> | undefined;
  #lately = new Map<string, { readonly sealed: string; readonly record: StoreRecord }>();
  #turn: Promise<unknown> = Promise.resolve();

  constructor(store: Store, seal: Seal) {
    [this.#store, this.#seal, this.#words] = [store, seal, new Words(seal)];
    this.sharedAs = store.sharedAs;
  }

  async put(record: StoreRecord): Promise<void> {
    await this.#inTurn(async () => await this.#store.put(await this.#closed(record)));
  }

  async get(kind: string, account: string, guest: string, name: string): Promise<string | undefined> {
    await this.#ready();
    const place = await this.#place({ kind, account, guest, name });
    const sealed = await this.#found(place);
    if (sealed === undefined) return undefined;
    const told = await this.#told({ ...place, data: sealed });
    if (told) return told.data;
    await this.#inTurn(async () => {
      // Unless it was put again meanwhile.
      if ((await this.#found(place)) !== sealed) return;
      await this.#store.drop(place.kind, place.account, place.guest, place.name);
    });
    return undefined;
  }

  async listed(kind: string, account: string, guest?: string): Promise<readonly StoreRecord[]> {
    await this.#ready();
    if (kind === PROOF_KIND) return [];
    const its = guest === undefined ? undefined : await this.#words.of("guest", guest);
    const found = await this.#store.listed(kind, await this.#words.of("account", account), its);
    const open = async (one: StoreRecord): Promise<StoreRecord> =>
      (await this.#told(one)) ?? { kind, account, guest: guest ?? one.guest, name: one.name, data: "" };
    return await Promise.all(found.map(open));
  }

  async drop(kind: string, account: string, guest?: string, name?: string): Promise<void> {
    await this.#inTurn(async () => {
      const its = guest === undefined ? undefined : await this.#words.of("guest", guest);
      const named = name === undefined ? undefined : await this.#words.of("name", name);
      await this.#store.drop(kind, await this.#words.of("account", account), its, named);
      this.#forget();
    });
  }

  async wipe(guest?: string): Promise<void> {
    if (guest === undefined) return await this.#afterwards(() => this.#wipeAll());
    await this.#inTurn(async () => {
      await this.#store.wipe(await this.#words.of("guest", guest));
      this.#forget();
    });
  }

  /** The key stays: tabs that share the store go on with it, and nothing is left that it could open. */
  async #wipeAll(): Promise<void> {
    await this.#store.wipe();
    this.#forget();
    await this.#prove();
    this.#opened = Promise.resolve();
  }

  async all(): Promise<readonly StoreRecord[]> {
    await this.#ready();
    const told = await Promise.all((await this.#store.all()).filter(isKept).map((one) => this.#told(one)));
    return told.filter((one) => one !== undefined);
  }

  async close(): Promise<void> {
    await this.#turn;
    this.#forget();
    await this.#store.close();
  }

  // ---- one after the other ----

  /** Sealing takes its time: what is written is written in the order in which it was asked for. */
  async #inTurn(task: () => Promise<void>): Promise<void> {
    await this.#afterwards(async () => {
      await this.#open();
      await task();
    });
  }

  async #afterwards(task: () => Promise<void>): Promise<void> {
    const mine = this.#turn.then(task);
    this.#turn = mine.catch(() => undefined);
    await mine;
  }

  /** What was asked for before has been written. */
  async #ready(): Promise<void> {
    await this.#inTurn(async () => {});
  }

  // ---- under the seal ----

  async #place(of: Place): Promise<Place> {
    const [account, guest, name] = await Promise.all([
      this.#words.of("account", of.account),
      this.#words.of("guest", of.guest),
      this.#words.of("name", of.name),
    ]);
    return { kind: of.kind, account, guest, name };
  }

  async #found(place: Place): Promise<string | undefined> {
    return await this.#store.get(place.kind, place.account, place.guest, place.name);
  }

  async #closed(record: StoreRecord): Promise<StoreRecord> {
    const place = await this.#place(record);
    const { kind, account, guest, name, data } = record;
    const text = JSON.stringify({ kind, account, guest, name, data });
    return { ...place, data: await this.#seal.encrypt(text, bound(place)) };
  }

  async #told(resting: StoreRecord): Promise<StoreRecord | undefined> {
    const [place, lately] = [bound(resting), this.#lately];
    const known = lately.get(place);
    if (known?.sealed === resting.data) return known.record;
    const text = await this.#seal.decrypt(resting.data, place);
    if (text === undefined) return undefined;
    const record = JSON.parse(text) as StoreRecord;
    if (lately.size >= REMEMBERED_MAX) lately.clear();
    lately.set(place, { sealed: resting.data, record });
    return record;
  }

  /** Nothing of what was wiped stays here either; what is being opened meanwhile is remembered by nobody. */
  #forget(): void {
    this.#lately = new Map();
    this.#words.forget();
  }

  #open(): Promise<void> {
    this.#opened ??= this.#recognise().catch((error: unknown) => {
      this.#opened = undefined;
      throw error;
    });
    return this.#opened;
  }

  async #recognise(): Promise<void> {
    const all = await this.#store.all();
    const sealed = all.filter((one) => one.guest.startsWith(SEALED));
    const proofs = sealed.filter((one) => one.kind === PROOF.kind);
    const ours = await Promise.all((proofs.length ? proofs : sealed).map((one) => this.#told(one)));
    if (ours.length && !ours.some((one) => one !== undefined)) throw this.#otherKey(sealed);
    if (!proofs.length) await this.#prove();
    await this.#sealInPlace(all.filter((one) => !one.guest.startsWith(SEALED)));
  }

  async #prove(): Promise<void> {
    await this.#store.put({ ...PROOF, data: await this.#seal.encrypt(JSON.stringify(PROOF), bound(PROOF)) });
  }

  /** What is sealed stands when it is there already: another tab may have gone on with it. */
  async #sealInPlace(plain: readonly StoreRecord[]): Promise<void> {
    for (const record of plain) {
      const closed = await this.#closed(record);
      if ((await this.#found(closed)) === undefined) await this.#store.put(closed);
    }
    for (const guest of new Set(plain.map((one) => one.guest))) await this.#store.wipe(guest);
  }

  #otherKey(sealed: readonly StoreRecord[]): WrongSeal {
    const waiting = sealed.filter((one) => one.kind === "edit").length;
    const name = this.#store.sharedAs ?? `a ${this.#store.constructor.name}`;
    return new WrongSeal(
      `The store (${name}) was sealed with another key: open it with that one, or wipe() it ` +
        `and with it ${waiting} edits that wait to be sent.`,
    );
  }
}

function isKept(record: StoreRecord): boolean {
  return record.kind !== PROOF.kind;
}

/** What a value is bound to: moved to another record, it does not open. */
function bound({ kind, account, guest, name }: Place): string {
  return JSON.stringify([kind, account, guest, name]);
}
