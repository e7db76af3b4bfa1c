/** Names as they rest under a seal: digests with its key. */

import { SEALED, type Seal } from "../ports.ts";

/** Digests are asked for with every call and are mostly the same few. */
const REMEMBERED_MAX = 1_000;

export class Words {
  readonly #seal: Seal;
  #known = new Map<string, Promise<string>>();

  constructor(seal: Seal) {
    this.#seal = seal;
  }

  /** One that is a digest already is told as it is, so that such a record can be dropped. */
  of(column: string, said: string): Promise<string> | string {
    if (said.startsWith(SEALED)) return said;
    const word = `${column}\0${said}`;
    const known = this.#known.get(word);
    if (known) return known;
    if (this.#known.size >= REMEMBERED_MAX) this.forget();
    const made = this.#seal.digest(word).then((digest) => SEALED + digest);
    this.#known.set(word, made);
    made.catch(() => this.forget());
    return made;
  }

  /** Also what lies here names somebody. */
  forget(): void {
    this.#known = new Map();
  }
}
