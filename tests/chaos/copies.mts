/** `node copies.mts URL TOKEN GUEST WORDS FILE`: two clients that watch a guest and have an edit of theirs waiting, one
 * with a file and one with its memory. Lines on stdin: offline, online, memory (say what lies there). */

import { createInterface } from "node:readline";

import { GuestPrefs, MemoryStore, type Store } from "../../clients/typescript/src/index.ts";
import { SQLiteStore } from "../../clients/typescript/src/stores/sqlite.ts";

const [url, token, guest, words, file] = process.argv.slice(2) as [string, string, string, string, string];
const say = (said: object) => process.stdout.write(JSON.stringify(said) + "\n");
const memory = new MemoryStore();

async function opened(store: Store): Promise<GuestPrefs> {
  const client = new GuestPrefs(url, { token, store, outbox: true });
  await client.get(guest);
  client.offline = true;
  const edit = await client.edit(guest, { "comms.addressed_as": { name: `${words} waits` } });
  if (!edit.queued) throw new Error("it was sent");
  client.offline = false;
  return client;
}

async function watched(client: GuestPrefs, told: () => void): Promise<void> {
  for await (const known of client.watch(guest)) {
    if (!known.meta.pendingWrites) throw new Error("nothing waits");
    told();
  }
}

const clients = [await opened(new SQLiteStore(file)), await opened(memory)];
const waiting = new Set(clients);
const watching = clients.map((client) =>
  watched(client, () => {
    if (waiting.delete(client) && waiting.size === 0) say({ told: true });
  }),
);
void Promise.all(watching).then(() => say({ over: true }));
for await (const order of createInterface({ input: process.stdin })) {
  if (order === "memory") say({ memory: memory.all() });
  else for (const client of clients) client.offline = order === "offline";
}
for (const client of clients) await client.close();
