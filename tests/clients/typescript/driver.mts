/** The TypeScript SDK as the contract suite drives it, one JSON object a line. It knows of no machine that it runs on. */

import { GuestPrefs, GuestPrefsError, ProblemError } from "../../../clients/typescript/src/index.ts";
import type { Edit, Preferences, Store } from "../../../clients/typescript/src/index.ts";
import { MiddleChance, MovedClock } from "./surroundings.mts";

// Orders come from the runner as the cases tell them.
const PATIENCE_MS = 10_000;
type Order = Record<string, any>;

/** What a machine has: a store at a path, sealed with a secret (hex) if there is one, and a turn for whatever else waits. */
export interface Machine {
  store(path: string, secret: string | undefined): Store;
  turn(): Promise<unknown>;
}

export class Driver {
  readonly #machine: Machine;
  #clock: MovedClock;
  #chance = new MiddleChance();
  #statuses: string[] = [];
  #client: GuestPrefs | undefined;
  #watching: AsyncGenerator<Preferences> | undefined;
  #underWay: Promise<unknown> | undefined;

  constructor(machine: Machine) {
    this.#machine = machine;
    this.#clock = new MovedClock(machine.turn);
  }

  async do(order: Order): Promise<unknown> {
    switch (order["do"]) {
      case "reset":
        [this.#clock, this.#chance, this.#statuses] = [new MovedClock(this.#machine.turn), new MiddleChance(), []];
        return null;
      case "open":
        return this.#open(order);
      case "pass":
        return this.#clock.passBy(order["seconds"]);
      case "jump":
        return this.#clock.jump(order["seconds"]);
      case "pauses":
        return this.#clock.pauses.splice(0);
      default:
        return await this.#call(this.#client!, order);
    }
  }

  async #call(client: GuestPrefs, order: Order): Promise<unknown> {
    const { do: what, guest, max_age: maxAge, patch, add, guests, ...more } = order;
    switch (what) {
      case "close":
        await this.#watching?.return(undefined);
        this.#watching = undefined;
        return await client.close();
      case "watch":
        await this.#watching?.return(undefined);
        this.#watching = client.watch(guest, more);
        return null;
      case "told": {
        const { done, value } = await this.#watching!.next();
        return done ? null : shown(value);
      }
      case "status":
        return { now: client.status, heard: this.#statuses };
      case "offline":
        return void (client.offline = order["is"]);
      case "get":
        return shown(await client.get(guest, { ...more, maxAge }));
      case "edit":
        return edited(await client.edit(guest, patch, more));
      case "update":
        return edited(await client.update(guest, added(add), more));
      case "prefetch":
        return (await client.prefetch(guests, { property: order["property"], ...more })).map(shown);
      case "flush": {
        const { done, dead, gone, waiting } = await client.flush(guest);
        return { done: done.size, dead: dead.map(lost), gone: gone.length, waiting };
      }
      case "waiting":
        return (await client.waiting()).map((one) => ({ patch: one.patch, tried: one.tried }));
      case "given_up":
        return (await client.givenUp()).map(lost);
      case "begin":
        this.#underWay = this.do({ ...order["what"], guest });
        this.#underWay.catch(() => {}); // whoever finishes it hears of it
        return null;
      case "finish":
        return await Promise.race([this.#underWay, tooLate()]);
      case "wipe":
        return await client.wipe(guest);
      default:
        throw new Error(`no such order: ${JSON.stringify(order)}`);
    }
  }

  #open({ url, store, options, secret }: Order): void {
    const { tokens = ["a-token"], ...given } = options;
    const left: string[] = [...tokens];
    const token = () => (left.length > 1 ? left.shift() : left[0]);
    const ports = { clock: this.#clock, chance: this.#chance, store: this.#machine.store(store, secret), account: "a-guest" };
    this.#client = new GuestPrefs(url, { token, ...ports, ...given });
    this.#client.onStatus((status) => this.#statuses.push(status));
  }
}

async function tooLate(): Promise<never> {
  await new Promise((resolve) => {
    const timer: { unref?(): void } | number = setTimeout(resolve, PATIENCE_MS);
    if (typeof timer === "object") timer.unref?.();
  });
  throw new Error("what is under way does not end");
}

function shown(known: Preferences) {
  const { fromCache, stale, asOf, pendingWrites, pendingKeys } = known.meta;
  return {
    version: known.version,
    values: known.values(),
    as_of: asOf.getTime() / 1000,
    from_cache: fromCache,
    stale,
    pending_writes: pendingWrites,
    pending_keys: [...pendingKeys].sort(),
  };
}

function edited(edit: Edit | undefined) {
  return edit ? { queued: edit.queued, version: edit.version ?? null } : null;
}

function lost(letter: { reason: string; patch: object }) {
  return { reason: letter.reason, patch: letter.patch };
}

function added(amounts: Record<string, number>) {
  return (known: Preferences) =>
    Object.fromEntries(Object.entries(amounts).map(([key, amount]) => [key, known.value(key, 0) + amount]));
}

function toldOf(error: GuestPrefsError) {
  if (!(error instanceof ProblemError)) return { kind: error.name };
  const { name: kind, status, code, field, requestId, retryAfter } = error;
  return { kind, status, code, field, request_id: requestId, retry_after: retryAfter ?? null };
}

/** The answer to an order. What no error of ours explains ends the adapter. */
export async function answerTo(driver: Driver, line: string): Promise<string> {
  let answer: object;
  try {
    answer = { ok: (await driver.do(JSON.parse(line))) ?? null };
  } catch (error) {
    if (!(error instanceof GuestPrefsError)) throw error;
    answer = { error: toldOf(error) };
  }
  return JSON.stringify(answer);
}
