/** Text as bytes and back, by hand: React Native has no TextEncoder and no TextDecoder on every version, nor `atob`. */

const BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const UNREADABLE = "\uFFFD";
const LONE_SURROGATES = /[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(^|[^\uD800-\uDBFF])[\uDC00-\uDFFF]/g;

/** UTF-8; half of a pair of surrogates is no character. */
export function utf8(text: string): Uint8Array {
  // Twice: of two halves side by side the first match takes what the second looks at.
  const whole = text.replace(LONE_SURROGATES, `$1${UNREADABLE}`).replace(LONE_SURROGATES, `$1${UNREADABLE}`);
  const escaped = encodeURIComponent(whole);
  const bytes: number[] = [];
  for (let at = 0; at < escaped.length; at++) {
    if (escaped[at] !== "%") bytes.push(escaped.charCodeAt(at));
    else bytes.push(parseInt(escaped.slice(at + 1, (at += 2) + 1), 16));
  }
  return Uint8Array.from(bytes);
}

/** The text that a part of a token is (base64url of UTF-8); throws where it is none. */
export function ofBase64Url(coded: string): string {
  let [escaped, bits, held] = ["", 0, 0];
  for (const letter of coded.replace(/=+$/, "")) {
    const value = BASE64.indexOf(letter);
    if (value < 0) throw new TypeError("not base64url");
    [held, bits] = [((held << 6) | value) & 0xfff, bits + 6];
    if (bits < 8) continue;
    bits -= 8;
    escaped += `%${((held >> bits) & 0xff).toString(16).padStart(2, "0")}`;
  }
  return decodeURIComponent(escaped);
}
