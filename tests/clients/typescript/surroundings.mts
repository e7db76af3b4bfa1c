/** A clock that a test moves, and dice that always fall on the middle. */

import type { Chance, Clock } from "../../../clients/typescript/src/ports.ts";

const START = 1_780_000_000;

export class MovedClock implements Clock {
  pauses: number[] = [];
  #now = START;
  #elapsed = 0;
  readonly #turn: () => Promise<unknown>;

  /** While it sleeps others have their turn, and so has what ends a test that would never end. */
  constructor(turn: () => Promise<unknown> = () => new Promise((resolve) => setImmediate(resolve))) {
    this.#turn = turn;
  }

  now(): number {
    return this.#now;
  }

  elapsed(): number {
    return this.#elapsed;
  }

  passBy(seconds: number): void {
    this.#now += seconds;
    this.#elapsed += seconds;
  }

  jump(seconds: number): void {
    this.#now += seconds;
  }

  async sleep(seconds: number): Promise<void> {
    this.pauses.push(Math.round(seconds * 1e6) / 1e6);
    this.passBy(seconds);
    await this.#turn();
  }
}

export class MiddleChance implements Chance {
  #number = 0;

  between(low: number, high: number): number {
    return (low + high) / 2;
  }

  key(): string {
    this.#number += 1;
    return `key-${this.#number}`;
  }
}
