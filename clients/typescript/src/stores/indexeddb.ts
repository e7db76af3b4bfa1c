/** A database of the browser, which survives a reload and is shared by the tabs of an origin. */

import type { Store, StoreRecord } from "../ports.ts";
import { ANSWERS_MAX, REPLACEABLE } from "./memory.ts";

const RECORDS = "records";
const [ONE, DRAWER, GUEST, KIND] = ["one", "drawer", "guest", "kind"] as const;

interface Row extends StoreRecord {
  place?: number;
}

function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

export class IndexedDBStore implements Store {
  readonly sharedAs: string;
  readonly #name: string;
  readonly #answersMax: number;
  #database: Promise<IDBDatabase> | undefined;

  constructor(name = "guestprefs", answersMax = ANSWERS_MAX) {
    [this.#name, this.#answersMax] = [name, answersMax];
    this.sharedAs = `indexeddb ${name}`;
  }

  async put(record: StoreRecord): Promise<void> {
    // What was promised to be done is on the disk before the call returns; an answer can be asked for again.
    const durability = record.kind === REPLACEABLE ? "relaxed" : "strict";
    await this.#within("readwrite", durability, async (rows) => {
      const known = await settled<IDBValidKey | undefined>(rows.index(ONE).getKey(keyOf(record)));
      const row: Row = { ...record, ...(known !== undefined && { place: known as number }) };
      if (known === undefined && record.kind === REPLACEABLE) await this.#makeRoom(rows);
      await settled(rows.put(row));
    });
  }

  async #makeRoom(rows: IDBObjectStore): Promise<void> {
    const [kinds, range] = [rows.index(KIND), IDBKeyRange.only(REPLACEABLE)];
    if ((await settled(kinds.count(range))) < this.#answersMax) return;
    const oldest = await settled(kinds.getKey(range));
    if (oldest !== undefined) await settled(rows.delete(oldest));
  }

  async get(kind: string, account: string, guest: string, name: string): Promise<string | undefined> {
    const row = await this.#within("readonly", "relaxed", (rows) =>
      settled<Row | undefined>(rows.index(ONE).get(keyOf({ kind, account, guest, name }))),
    );
    return row?.data;
  }

  async listed(kind: string, account: string, guest?: string): Promise<readonly StoreRecord[]> {
    const rows = await this.#within("readonly", "relaxed", (all) =>
      settled<Row[]>(all.index(DRAWER).getAll(IDBKeyRange.only([kind, account]))),
    );
    return rows.filter((row) => guest === undefined || row.guest === guest).sort((a, b) => a.place! - b.place!);
  }

  async drop(kind: string, account: string, guest?: string, name?: string): Promise<void> {
    await this.#within("readwrite", "strict", async (rows) => {
      const found = await settled<Row[]>(rows.index(DRAWER).getAll(IDBKeyRange.only([kind, account])));
      const wanted = (row: Row) =>
        (guest === undefined || row.guest === guest) && (name === undefined || row.name === name);
      for (const row of found.filter(wanted)) await settled(rows.delete(row.place!));
    });
  }

  async wipe(guest?: string): Promise<void> {
    await this.#within("readwrite", "strict", async (rows) => {
      if (guest === undefined) return await settled(rows.clear());
      const places = await settled(rows.index(GUEST).getAllKeys(IDBKeyRange.only(guest)));
      for (const place of places) await settled(rows.delete(place));
    });
  }

  async all(): Promise<readonly StoreRecord[]> {
    return await this.#within("readonly", "relaxed", (rows) => settled<Row[]>(rows.getAll()));
  }

  async close(): Promise<void> {
    (await this.#database)?.close();
    this.#database = undefined;
  }

  async #within<T>(
    mode: IDBTransactionMode,
    durability: IDBTransactionDurability,
    task: (rows: IDBObjectStore) => Promise<T>,
  ): Promise<T> {
    const database = await this.#opened();
    const transaction = database.transaction(RECORDS, mode, { durability });
    const ended = new Promise<void>((resolve, reject) => {
      transaction.oncomplete = () => resolve();
      transaction.onabort = transaction.onerror = () => reject(transaction.error);
    });
    ended.catch(() => undefined);
    const told = await task(transaction.objectStore(RECORDS));
    if (mode === "readwrite") await ended; // what was only read is known already
    return told;
  }

  #opened(): Promise<IDBDatabase> {
    this.#database ??= this.#open().catch((error: unknown) => {
      this.#database = undefined;
      throw error;
    });
    return this.#database;
  }

  async #open(): Promise<IDBDatabase> {
    const asked = indexedDB.open(this.#name, 1);
    asked.onupgradeneeded = () => {
      const rows = asked.result.createObjectStore(RECORDS, { keyPath: "place", autoIncrement: true });
      rows.createIndex(ONE, ["guest", "kind", "account", "name"], { unique: true });
      rows.createIndex(DRAWER, ["kind", "account"]);
      rows.createIndex(GUEST, "guest");
      rows.createIndex(KIND, "kind");
    };
    const database = await settled(asked);
    // Cleared by the user or wanted by a newer page: the next call opens it again.
    database.onclose = () => (this.#database = undefined);
    database.onversionchange = () => {
      database.close();
      this.#database = undefined;
    };
    return database;
  }
}

function keyOf(record: Omit<StoreRecord, "data">): IDBValidKey {
  return [record.guest, record.kind, record.account, record.name];
}
