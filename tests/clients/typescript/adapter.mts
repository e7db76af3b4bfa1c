/** `node adapter.mts`: the TypeScript SDK on Node, as the contract suite drives it. */

import { createInterface } from "node:readline";
import { setImmediate as turn } from "node:timers/promises";

import { AesSeal, SealedStore } from "../../../clients/typescript/src/index.ts";
import { SQLiteStore } from "../../../clients/typescript/src/stores/sqlite.ts";
import { Driver, answerTo } from "./driver.mts";

const driver = new Driver({
  store: (path, secret) => {
    const file = new SQLiteStore(path);
    return secret ? new SealedStore(file, AesSeal.of(Buffer.from(secret, "hex"))) : file;
  },
  turn: () => turn(),
});
for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${await answerTo(driver, line)}\n`);
}
