/** A SQLite file, for Node from 22.13 on: survives a restart, readable by its owner only, what is deleted is overwritten. */

import { chmodSync, closeSync, openSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";

import type { Store, StoreRecord } from "../ports.ts";
import { ANSWERS_MAX, REPLACEABLE } from "./memory.ts";

const OWNER_ONLY = 0o600;
const SCHEMA = `
  PRAGMA secure_delete = ON;
  PRAGMA journal_mode = TRUNCATE;
  PRAGMA synchronous = FULL;
  CREATE TABLE IF NOT EXISTS records (
    place INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    account TEXT NOT NULL,
    guest TEXT NOT NULL,
    name TEXT NOT NULL,
    data TEXT NOT NULL,
    UNIQUE (guest, kind, account, name)
  )`;
const WHERE = `kind = ?1 AND account = ?2 AND (?3 IS NULL OR guest = ?3)`;

/** One process at a time may send from one file's outbox. */
export class SQLiteStore implements Store {
  readonly #database: DatabaseSync;
  readonly #answersMax: number;

  constructor(path: string, answersMax = ANSWERS_MAX) {
    closeSync(openSync(path, "a", OWNER_ONLY));
    chmodSync(path, OWNER_ONLY);
    this.#database = new DatabaseSync(path, { timeout: 5_000 });
    this.#database.exec(SCHEMA);
    this.#answersMax = answersMax;
  }

  async put(record: StoreRecord): Promise<void> {
    const { kind, account, guest, name, data } = record;
    this.#database
      .prepare(
        `INSERT INTO records (kind, account, guest, name, data) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (guest, kind, account, name) DO UPDATE SET data = excluded.data`,
      )
      .run(kind, account, guest, name, data);
    if (kind === REPLACEABLE) this.#forgetOldest();
  }

  #forgetOldest(): void {
    this.#database
      .prepare(
        `DELETE FROM records WHERE kind = ?1 AND place <=
         (SELECT place FROM records WHERE kind = ?1 ORDER BY place DESC LIMIT 1 OFFSET ?2)`,
      )
      .run(REPLACEABLE, this.#answersMax);
  }

  async get(kind: string, account: string, guest: string, name: string): Promise<string | undefined> {
    const found = this.#database.prepare(`SELECT data FROM records WHERE ${WHERE} AND name = ?4`);
    return (found.get(kind, account, guest, name) as { data: string } | undefined)?.data;
  }

  async listed(kind: string, account: string, guest?: string): Promise<readonly StoreRecord[]> {
    const found = this.#database.prepare(`SELECT * FROM records WHERE ${WHERE} ORDER BY place`);
    return found.all(kind, account, guest ?? null) as unknown as StoreRecord[];
  }

  async drop(kind: string, account: string, guest?: string, name?: string): Promise<void> {
    this.#database
      .prepare(`DELETE FROM records WHERE ${WHERE} AND (?4 IS NULL OR name = ?4)`)
      .run(kind, account, guest ?? null, name ?? null);
  }

  async wipe(guest?: string): Promise<void> {
    const gone = this.#database.prepare("DELETE FROM records WHERE ?1 IS NULL OR guest = ?1").run(guest ?? null);
    // Pages that became free hold nothing of it either.
    if (gone.changes) this.#database.exec("VACUUM");
  }

  async all(): Promise<readonly StoreRecord[]> {
    return this.#database.prepare("SELECT * FROM records ORDER BY place").all() as unknown as StoreRecord[];
  }

  async close(): Promise<void> {
    if (this.#database.isOpen) this.#database.close();
  }
}
