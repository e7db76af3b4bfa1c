/** Forgets everything with the page or the process: right for devices that many people share. */

import type { Store, StoreRecord } from "../ports.ts";

/** Kinds that may be dropped when there are too many: they can be asked for again. */
export const REPLACEABLE = "answer";
export const ANSWERS_MAX = 5_000;

type Wanted = Partial<Omit<StoreRecord, "data">>;

function fits(record: StoreRecord, wanted: Wanted): boolean {
  const alike = <T>(asked: T | undefined, own: T) => asked === undefined || asked === own;
  return (
    alike(wanted.kind, record.kind) &&
    alike(wanted.account, record.account) &&
    alike(wanted.guest, record.guest) &&
    alike(wanted.name, record.name)
  );
}

function nameOf(kind: string, account: string, guest: string, name: string): string {
  return JSON.stringify([kind, account, guest, name]);
}

export class MemoryStore implements Store {
  readonly #records = new Map<string, StoreRecord>();
  readonly #answersMax: number;
  #answers = 0;

  constructor(answersMax = ANSWERS_MAX) {
    this.#answersMax = answersMax;
  }

  async put(record: StoreRecord): Promise<void> {
    const name = nameOf(record.kind, record.account, record.guest, record.name);
    if (record.kind === REPLACEABLE && !this.#records.has(name)) {
      this.#answers += 1;
      if (this.#answers > this.#answersMax) this.#forgetOldest();
    }
    this.#records.set(name, record);
  }

  #forgetOldest(): void {
    for (const [name, record] of this.#records) {
      if (record.kind !== REPLACEABLE) continue;
      this.#records.delete(name);
      this.#answers -= 1;
      return;
    }
  }

  async get(kind: string, account: string, guest: string, name: string): Promise<string | undefined> {
    return this.#records.get(nameOf(kind, account, guest, name))?.data;
  }

  async listed(kind: string, account: string, guest?: string): Promise<readonly StoreRecord[]> {
    return this.all().filter((record) => fits(record, { kind, account, ...(guest !== undefined && { guest }) }));
  }

  async drop(kind: string, account: string, guest?: string, name?: string): Promise<void> {
    this.#forget({ kind, account, ...(guest !== undefined && { guest }), ...(name !== undefined && { name }) });
  }

  async wipe(guest?: string): Promise<void> {
    this.#forget(guest === undefined ? {} : { guest });
  }

  async close(): Promise<void> {}

  all(): StoreRecord[] {
    return [...this.#records.values()];
  }

  #forget(wanted: Wanted): void {
    for (const [name, record] of this.#records) {
      if (!fits(record, wanted)) continue;
      this.#records.delete(name);
      if (record.kind === REPLACEABLE) this.#answers -= 1;
    }
  }
}
