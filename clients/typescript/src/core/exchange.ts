/** What goes over the wire, as data. */

/** One HTTP request. `params` are in the order in which they are sent; `body` is JSON text or nothing. */
export interface Request {
  readonly method: string;
  readonly path: string;
  readonly params: readonly (readonly [string, string])[];
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** One whole answer; names of headers are in lower case. */
export interface Response {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** There was no whole answer. Whether the server acted on the request is not known. */
export interface Unreached {
  readonly reason: string;
  readonly timedOut: boolean;
  readonly cause?: unknown;
}

export function isAnswer(heard: Response | Unreached): heard is Response {
  return "status" in heard;
}
