/** A client of the guest preference service that survives the network. README.md shows it task by task. */

export { GuestPrefs, AGENT } from "./client.ts";
export type { EditOptions, Options, UpdateOptions, WatchOptions } from "./client.ts";
export * from "./errors.ts";
export type * from "./ports.ts";
export type * as models from "./models.ts";
export type { Status, StatusListener } from "./core/connection.ts";
export type { DeadLetter, Entry, Flushed, Judge, Side } from "./core/outbox.ts";
export { Preferences, type Meta } from "./core/preferences.ts";
export type { Asking, Patch } from "./core/questions.ts";
export type { Retries, Timeouts } from "./core/retries.ts";
export type { Fetch } from "./core/sender.ts";
export type { Change, Edit } from "./core/writing.ts";
export { AesSeal } from "./stores/aes.ts";
export { IndexedDBStore } from "./stores/indexeddb.ts";
export { MemoryStore } from "./stores/memory.ts";
export { SealedStore } from "./stores/sealed.ts";
export { TextStore, type TextStorage } from "./stores/text.ts";
export { fetchStreams, xhrStreams } from "./streams.ts";
export { sharedTabs, systemChance, systemClock } from "./surroundings.ts";
