/** A seal of WebCrypto: AES-GCM for values, HMAC-SHA-256 for names. For browsers (with TLS), Node, Deno and workers. */

import type { Seal } from "../ports.ts";

const SECRET_BYTES = 32;
const NONCE_BYTES = 12;
const [AES, HMAC] = [
  { name: "AES-GCM", length: 256 },
  { name: "HMAC", hash: "SHA-256", length: 256 },
] as const;
const [KEYS, PAIR] = ["keys", "pair"] as const;
const CHUNK = 8_192;

interface Keys {
  readonly values: CryptoKey;
  readonly names: CryptoKey;
}

export class AesSeal implements Seal {
  readonly #make: () => Promise<Keys>;
  #keys: Promise<Keys> | undefined;

  private constructor(make: () => Promise<Keys>) {
    this.#make = make;
  }

  /** From 32 random bytes that you keep where a thief of the store does not find them: a keychain, your server. */
  static of(secret: Uint8Array): AesSeal {
    if (secret.length !== SECRET_BYTES) {
      throw new TypeError(`secret: must be ${SECRET_BYTES} random bytes, not ${secret.length}`);
    }
    const own = secret.slice();
    return new AesSeal(() => derived(own));
  }

  /** With keys that this browser makes once and keeps in a database of its own; no script can read them out. */
  static kept(name = "guestprefs-seal"): AesSeal {
    return new AesSeal(() => keptKeys(name));
  }

  async encrypt(text: string, place: string): Promise<string> {
    const { values } = await this.#ready();
    const nonce = crypto.getRandomValues(new Uint8Array(NONCE_BYTES));
    const sealed = await crypto.subtle.encrypt(bound(nonce, place), values, bytesOf(text));
    return base64([nonce, new Uint8Array(sealed)]);
  }

  async decrypt(sealed: string, place: string): Promise<string | undefined> {
    const { values } = await this.#ready();
    try {
      const bytes = fromBase64(sealed);
      const opening = bound(bytes.subarray(0, NONCE_BYTES), place);
      return new TextDecoder().decode(await crypto.subtle.decrypt(opening, values, bytes.subarray(NONCE_BYTES)));
    } catch {
      return undefined;
    }
  }

  async digest(word: string): Promise<string> {
    const { names } = await this.#ready();
    return base64([new Uint8Array(await crypto.subtle.sign(HMAC.name, names, bytesOf(word)))]);
  }

  #ready(): Promise<Keys> {
    this.#keys ??= this.#make().catch((error: unknown) => {
      this.#keys = undefined;
      throw error;
    });
    return this.#keys;
  }
}

function subtle(): SubtleCrypto {
  const found = globalThis.crypto?.subtle as SubtleCrypto | undefined;
  if (!found) throw new Error("no WebCrypto here: a page needs https, React Native a Seal of its own (see README.md)");
  return found;
}

async function derived(secret: Uint8Array<ArrayBuffer>): Promise<Keys> {
  const root = await subtle().importKey("raw", secret, "HKDF", false, ["deriveKey"]);
  const from = (info: string) => ({ name: "HKDF", hash: "SHA-256", salt: new Uint8Array(), info: bytesOf(info) });
  return {
    values: await subtle().deriveKey(from("guestprefs values"), root, AES, false, ["encrypt", "decrypt"]),
    names: await subtle().deriveKey(from("guestprefs names"), root, HMAC, false, ["sign"]),
  };
}

/** Of tabs that come at once the first to store its keys has made everybody's. */
async function keptKeys(name: string): Promise<Keys> {
  const made = {
    values: (await subtle().generateKey(AES, false, ["encrypt", "decrypt"])) as CryptoKey,
    names: (await subtle().generateKey(HMAC, false, ["sign"])) as CryptoKey,
  };
  const database = await new Promise<IDBDatabase>((resolve, reject) => {
    const asked = indexedDB.open(name, 1);
    asked.onupgradeneeded = () => asked.result.createObjectStore(KEYS);
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
  });
  try {
    return await new Promise<Keys>((resolve, reject) => {
      const transaction = database.transaction(KEYS, "readwrite", { durability: "strict" });
      const keys = transaction.objectStore(KEYS);
      const known: IDBRequest<Keys | undefined> = keys.get(PAIR);
      known.onsuccess = () => known.result ?? keys.put(made, PAIR);
      transaction.oncomplete = () => resolve(known.result ?? made);
      transaction.onabort = transaction.onerror = () => reject(transaction.error);
    });
  } finally {
    database.close();
  }
}

function bound(nonce: Uint8Array<ArrayBuffer>, place: string): AesGcmParams {
  return { name: AES.name, iv: nonce, additionalData: bytesOf(place) };
}

function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text) as Uint8Array<ArrayBuffer>;
}

function base64(parts: readonly Uint8Array[]): string {
  let text = "";
  for (const part of parts) {
    for (let at = 0; at < part.length; at += CHUNK) text += String.fromCharCode(...part.subarray(at, at + CHUNK));
  }
  return btoa(text);
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < binary.length; at++) bytes[at] = binary.charCodeAt(at);
  return bytes;
}
