/** Clients that know a guest, and how many microseconds each takes to tell so once the server is away. */

import * as index from "../../clients/typescript/src/index.ts";

type Clients = Record<string, index.GuestPrefs>;

export async function prepared(
  url: string,
  guest: string,
  stores: (exported: typeof index) => Record<string, index.Store>,
): Promise<Clients> {
  const clients: Clients = {};
  for (const [name, store] of Object.entries(stores(index))) {
    clients[name] = new index.GuestPrefs(url, { token: "a-token", account: "a-guest", outbox: true, store, tabs: null });
    await clients[name].get(guest);
  }
  return clients;
}

export async function times(clients: Clients, guest: string, reads: number): Promise<Record<string, number[]>> {
  const found: Record<string, number[]> = {};
  for (const [name, client] of Object.entries(clients)) {
    await client.edit(guest, { "room.quiet": false }); // by which it notices that the server is away
    const own: number[] = [];
    for (let read = 0; read < reads; read++) {
      const begun = performance.now();
      const { meta } = await client.get(guest);
      own.push((performance.now() - begun) * 1_000);
      if (!meta.stale || !meta.pendingWrites) throw new Error("what was told is not what was known last");
    }
    found[name] = own;
  }
  return found;
}
