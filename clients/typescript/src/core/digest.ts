/** SHA-256 (FIPS 180-4): `crypto.subtle` is missing where a page came without TLS, and in React Native. */

import { utf8 } from "./text.ts";

function primes(count: number): number[] {
  const found: number[] = [];
  for (let n = 2; found.length < count; n++) if (found.every((p) => n % p)) found.push(n);
  return found;
}

const fraction = (root: number) => Math.floor((root - Math.floor(root)) * 2 ** 32);
const START = primes(8).map((p) => fraction(Math.sqrt(p)));
const STEPS = primes(64).map((p) => fraction(Math.cbrt(p)));
const turned = (word: number, by: number) => (word >>> by) | (word << (32 - by));

function padded(text: string): DataView {
  const bytes = utf8(text);
  const whole = new Uint8Array(Math.ceil((bytes.length + 9) / 64) * 64);
  whole.set(bytes);
  whole[bytes.length] = 0x80;
  const view = new DataView(whole.buffer);
  view.setUint32(whole.length - 8, Math.floor((bytes.length * 8) / 2 ** 32));
  view.setUint32(whole.length - 4, bytes.length * 8);
  return view;
}

function block(state: Uint32Array, view: DataView, at: number): void {
  const w = new Uint32Array(64);
  for (let i = 0; i < 64; i++) {
    if (i < 16) {
      w[i] = view.getUint32(at + i * 4);
      continue;
    }
    const [x, y] = [w[i - 15]!, w[i - 2]!];
    const s0 = turned(x, 7) ^ turned(x, 18) ^ (x >>> 3);
    const s1 = turned(y, 17) ^ turned(y, 19) ^ (y >>> 10);
    w[i] = w[i - 16]! + s0 + w[i - 7]! + s1;
  }
  let [a, b, c, d, e, f, g, h] = state as unknown as [number, number, number, number, number, number, number, number];
  for (let i = 0; i < 64; i++) {
    const s1 = turned(e, 6) ^ turned(e, 11) ^ turned(e, 25);
    const one = (h + s1 + ((e & f) ^ (~e & g)) + STEPS[i]! + w[i]!) | 0;
    const s0 = turned(a, 2) ^ turned(a, 13) ^ turned(a, 22);
    const two = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    [h, g, f, e, d, c, b, a] = [g, f, e, (d + one) | 0, c, b, a, (one + two) | 0];
  }
  [a, b, c, d, e, f, g, h].forEach((word, i) => (state[i] = state[i]! + word));
}

export function sha256(text: string): string {
  const view = padded(text);
  const state = new Uint32Array(START);
  for (let at = 0; at < view.byteLength; at += 64) block(state, view, at);
  return [...state].map((word) => word.toString(16).padStart(8, "0")).join("");
}
