/** What an answer says: a shape of the API, or an error out of the tree. */

import {
  AnswerNotUnderstood,
  TimedOut,
  Unreachable,
  ofProblem,
  type GuestPrefsError,
} from "../errors.ts";
import type { Problem } from "../models.ts";
import { sha256 } from "./digest.ts";
import type { Response, Unreached } from "./exchange.ts";
import { ofBase64Url } from "./text.ts";

const SHOWN = 200;
// What says who a token speaks for. The others change with every token.
const WHO = ["iss", "sub", "role", "surface", "properties", "stay", "scope"];

export function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export function isObject(said: unknown): said is Record<string, unknown> {
  return typeof said === "object" && said !== null && !Array.isArray(said);
}

/** The answer as the shape that it must be if it has these members, or the error that it is. */
export function read<T extends object>(response: Response, ...members: (keyof T & string)[]): T {
  if (response.status < 200 || response.status >= 300) throw errorOf(response);
  const said = parsed(response.body);
  const missing = isObject(said) ? members.filter((name) => said[name] === undefined) : ["a JSON object"];
  if (missing.length) throw new AnswerNotUnderstood(response.status, `${missing.join(", ")} missing`);
  return said as T;
}

/** The error that an answer of 4xx or 5xx is. What is no problem document comes from something in between. */
export function errorOf(response: Response, now?: number): GuestPrefsError {
  const after = retryAfter(response, now);
  const said = parsed(response.body);
  if (isProblem(said)) return ofProblem(said, after);
  if (response.status !== 408 && response.status !== 429 && response.status < 500) {
    return new AnswerNotUnderstood(response.status, response.body.slice(0, SHOWN));
  }
  const problem: Problem = {
    type: "about:blank",
    title: "",
    status: response.status,
    detail: "something between here and the server answered",
    code: `HTTP_${response.status}`,
    errors: [],
    request_id: response.headers["x-request-id"] ?? "",
  };
  return ofProblem(problem, after);
}

function isProblem(said: unknown): said is Problem {
  return (
    isObject(said) && typeof said["code"] === "string" && typeof said["status"] === "number" && Array.isArray(said["errors"])
  );
}

export function errorOfSilence(heard: Unreached, idempotencyKey = ""): Unreachable {
  return new (heard.timedOut ? TimedOut : Unreachable)(heard.reason, idempotencyKey, heard.cause);
}

/** An instant as seconds since 1970. */
export function moment(text: string | undefined | null): number | undefined {
  const parsedAt = text ? Date.parse(text) : NaN;
  return Number.isNaN(parsedAt) ? undefined : parsedAt / 1000;
}

/** The server's wall clock, when it tells it. */
export function serverTime(response: Response): number | undefined {
  return moment(response.headers["date"]);
}

/** Seconds to wait. A date is read against the server's own clock, for ours may be wrong. */
export function retryAfter(response: Response, now?: number): number | undefined {
  const said = (response.headers["retry-after"] ?? "").trim();
  if (/^\d+$/.test(said)) return Number(said);
  const [until, since] = [moment(said), serverTime(response) ?? now];
  return until !== undefined && since !== undefined ? Math.max(0, until - since) : undefined;
}

/** Seconds since the server itself knew better: while its database is away it answers what it last knew. */
export function ageOf(response: Response): number {
  const said = response.headers["age"] ?? "";
  return /^\d+$/.test(said) ? Number(said) : 0;
}

/**
 * Under what name answers to this token are kept, so that nobody is shown what was answered to somebody else. Read out of
 * the token without believing it: it names a drawer and opens none.
 */
export function accountOf(token: string | undefined): string {
  if (!token) return "nobody";
  return sha256(whoOf(token) ?? token).slice(0, 32);
}

function whoOf(token: string): string | undefined {
  const claims = token.split(".")[1];
  if (!claims) return undefined;
  let told: unknown;
  try {
    told = parsed(ofBase64Url(claims));
  } catch {
    return undefined;
  }
  return isObject(told) && told["sub"] ? JSON.stringify(WHO.map((name) => told[name] ?? null)) : undefined;
}
