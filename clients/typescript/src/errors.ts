/**
 * Everything that can go wrong, as one tree, so that a caller may catch as much of it as it means to.
 *
 * GuestPrefsError
 * ├── Unreachable                  no whole answer came; with an idempotency key the same call may be made again
 * │   └── TimedOut                 the answer did not come in time
 * ├── NothingKnown                 off line, and nothing about this is remembered
 * ├── WrongSeal                    what is kept was sealed with another key; the error says what to do
 * ├── AnswerNotUnderstood          an answer that is not of this API: another server, a proxy's page
 * └── ProblemError                 the server refused or failed, and said why in a problem document
 *     ├── BadRequest               the request as HTTP: 400, 405, 408, 413, 415
 *     ├── Unauthenticated          401: the token is missing, expired or revoked, and a new one did not help
 *     ├── NotAllowed               403
 *     ├── NotFound                 404: there is none, or it is not the caller's to see
 *     ├── Conflict                 409: keys changed since; `conflicts` holds both sides
 *     ├── VersionMoved             412: the document is at another version
 *     ├── Invalid                  422: `faults` names every field with what is wrong
 *     ├── RateLimited              429: `retryAfter` says when to come back
 *     └── ServerFailed             5xx
 *         └── Unavailable          503: not now; `retryAfter` says when
 */

import type { Conflict as KeyConflict, Problem } from "./models.ts";

/** One thing wrong: the field (a JSON pointer into the body, or the name of a parameter), a code, a sentence. */
export interface Fault {
  readonly field: string;
  readonly code: string;
  readonly detail: string;
}

/** Any failure of a call. Names are written out: whoever makes a bundle smaller renames classes. */
export class GuestPrefsError extends Error {
  override name = "GuestPrefsError";
}

export class Unreachable extends GuestPrefsError {
  override name = "Unreachable";
  readonly idempotencyKey: string;

  constructor(reason: string, idempotencyKey = "", cause?: unknown) {
    super(reason, { cause });
    this.cause ??= cause; // an engine may not know of causes
    this.idempotencyKey = idempotencyKey;
  }
}

export class TimedOut extends Unreachable {
  override name = "TimedOut";
}

export class NothingKnown extends GuestPrefsError {
  override name = "NothingKnown";
}

export class WrongSeal extends GuestPrefsError {
  override name = "WrongSeal";
}

export class AnswerNotUnderstood extends GuestPrefsError {
  override name = "AnswerNotUnderstood";
  readonly status: number;

  constructor(status: number, detail: string) {
    super(`HTTP ${status}: ${detail}`);
    this.status = status;
  }
}

/** A refusal or failure, as its problem document (RFC 9457) tells it. `retryAfter` is in seconds. */
export class ProblemError extends GuestPrefsError {
  override name = "ProblemError";
  readonly problem: Problem;
  readonly retryAfter: number | undefined;

  constructor(problem: Problem, retryAfter?: number) {
    const said = `${problem.code}: ${problem.detail}`;
    super(problem.request_id ? `${said} (request ${problem.request_id})` : said);
    this.problem = problem;
    this.retryAfter = retryAfter;
  }

  get status(): number {
    return this.problem.status;
  }

  get code(): string {
    return this.problem.code;
  }

  get requestId(): string {
    return this.problem.request_id;
  }

  get faults(): readonly Fault[] {
    return this.problem.errors.map((one) => ({
      field: one.pointer ?? one.parameter ?? "",
      code: one.code,
      detail: one.detail,
    }));
  }

  /** The first field that is at fault, or nothing. */
  get field(): string {
    return this.faults[0]?.field ?? "";
  }
}

export class BadRequest extends ProblemError {
  override name = "BadRequest";
}

export class Unauthenticated extends ProblemError {
  override name = "Unauthenticated";
}

export class NotAllowed extends ProblemError {
  override name = "NotAllowed";
}

export class NotFound extends ProblemError {
  override name = "NotFound";
}

export class Conflict extends ProblemError {
  override name = "Conflict";

  get conflicts(): readonly KeyConflict[] {
    return this.problem.conflicts ?? [];
  }

  get currentVersion(): number | undefined {
    return this.problem.current_version;
  }
}

export class VersionMoved extends ProblemError {
  override name = "VersionMoved";

  get currentVersion(): number | undefined {
    return this.problem.current_version;
  }
}

export class Invalid extends ProblemError {
  override name = "Invalid";
}

export class RateLimited extends ProblemError {
  override name = "RateLimited";
}

export class ServerFailed extends ProblemError {
  override name = "ServerFailed";
}

export class Unavailable extends ServerFailed {
  override name = "Unavailable";
}

type Kind = new (problem: Problem, retryAfter?: number) => ProblemError;

const BY_STATUS: ReadonlyMap<number, Kind> = new Map<number, Kind>([
  [401, Unauthenticated],
  [403, NotAllowed],
  [404, NotFound],
  [410, NotFound],
  [409, Conflict],
  [412, VersionMoved],
  [422, Invalid],
  [429, RateLimited],
  [503, Unavailable],
]);

export function ofProblem(problem: Problem, retryAfter?: number): ProblemError {
  const kind = BY_STATUS.get(problem.status) ?? (problem.status >= 500 ? ServerFailed : BadRequest);
  return new kind(problem, retryAfter);
}
