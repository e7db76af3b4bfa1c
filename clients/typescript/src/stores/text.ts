/** Everything as one text in whatever keeps texts by name: AsyncStorage of React Native, localStorage, a keychain. */

import type { Store, StoreRecord } from "../ports.ts";
import { MemoryStore } from "./memory.ts";

/** The part of AsyncStorage and of localStorage that is needed. */
export interface TextStorage {
  getItem(name: string): Promise<string | null> | string | null;
  setItem(name: string, text: string): Promise<unknown> | unknown;
  removeItem(name: string): Promise<unknown> | unknown;
}

/** Each is written whole again with every change, so keep it for few guests: a phone has one. */
const TEXT_ANSWERS_MAX = 50;

export class TextStore implements Store {
  readonly #storage: TextStorage;
  readonly #name: string;
  readonly #memory: MemoryStore;
  #loaded: Promise<void> | undefined;
  #written: Promise<unknown> = Promise.resolve();

  constructor(storage: TextStorage, name = "guestprefs", answersMax = TEXT_ANSWERS_MAX) {
    [this.#storage, this.#name] = [storage, name];
    this.#memory = new MemoryStore(answersMax);
  }

  async put(record: StoreRecord): Promise<void> {
    await this.#load();
    await this.#memory.put(record);
    await this.#write();
  }

  async get(kind: string, account: string, guest: string, name: string): Promise<string | undefined> {
    await this.#load();
    return await this.#memory.get(kind, account, guest, name);
  }

  async listed(kind: string, account: string, guest?: string): Promise<readonly StoreRecord[]> {
    await this.#load();
    return await this.#memory.listed(kind, account, guest);
  }

  async drop(kind: string, account: string, guest?: string, name?: string): Promise<void> {
    await this.#load();
    await this.#memory.drop(kind, account, guest, name);
    await this.#write();
  }

  async wipe(guest?: string): Promise<void> {
    await this.#load();
    await this.#memory.wipe(guest);
    await this.#write();
  }

  async all(): Promise<readonly StoreRecord[]> {
    await this.#load();
    return this.#memory.all();
  }

  async close(): Promise<void> {
    await this.#written;
  }

  #load(): Promise<void> {
    this.#loaded ??= (async () => {
      const text = await this.#storage.getItem(this.#name);
      for (const record of JSON.parse(text ?? "[]") as StoreRecord[]) await this.#memory.put(record);
    })();
    return this.#loaded;
  }

  /** One after the other, each with what is known when its turn comes. */
  async #write(): Promise<void> {
    const write = async () => {
      const all = this.#memory.all();
      if (all.length) await this.#storage.setItem(this.#name, JSON.stringify(all));
      else await this.#storage.removeItem(this.#name);
    };
    const mine = this.#written.then(write, write);
    this.#written = mine.catch(() => undefined);
    await mine;
  }
}
