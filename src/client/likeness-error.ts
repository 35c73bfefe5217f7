import { ERROR_TABLE, type ErrorCode } from '../errors.js';

/** What a client meets besides the service's own codes: no answer at all, or one that the service did not write (a proxy's page). */
export type ClientFaultCode = 'UNREACHABLE' | 'UNEXPECTED_ANSWER';

/** A stable code of docs/errors.md, one of the client's own, or one of a newer service. Decide by it, not by the message. */
export type LikenessErrorCode = ErrorCode | ClientFaultCode | (string & {});

type ErrorFacts = {
  readonly code: LikenessErrorCode;
  readonly message: string;
  readonly httpStatus: number;
  readonly requestId?: string | undefined;
  readonly retryAfterSeconds?: number | undefined;
  readonly cause?: unknown;
};

const CLIENT_REMEDIES: { readonly [code in ClientFaultCode]: string } = {
  UNREACHABLE: 'Check that the service runs and that its address is right.',
  UNEXPECTED_ANSWER: 'Check that the address is that of Likeness, and what stands between (a proxy, a sign-in page).',
};

/**
 * Every refusal and failure that a client meets. `code` is stable, `message` names the thing and the limit, `remedy` says what to do;
 * `httpStatus` is 0 where there was no answer. `requestId` finds the log line, `retryAfterSeconds` is what the service asked for.
 */
export class LikenessError extends Error {
  readonly code: LikenessErrorCode;
  readonly httpStatus: number;
  readonly remedy: string;
  readonly requestId: string | undefined;
  readonly retryAfterSeconds: number | undefined;

  constructor({ code, message, httpStatus, requestId, retryAfterSeconds, cause }: ErrorFacts) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'LikenessError';
    this.code = code;
    this.httpStatus = httpStatus;
    this.remedy = remedyOf(code);
    this.requestId = requestId;
    this.retryAfterSeconds = retryAfterSeconds;
  }

  /** True where the same request may succeed later: the service is full, starting, stopping, or the quota is spent. */
  get isTemporary(): boolean {
    return this.httpStatus === 503 || this.httpStatus === 429;
  }
}

function remedyOf(code: string): string {
  if (code in CLIENT_REMEDIES) return CLIENT_REMEDIES[code as ClientFaultCode]; // The line above has looked.
  return code in ERROR_TABLE ? ERROR_TABLE[code as ErrorCode].remedy : 'docs/errors.md of the running version tells what to do.';
}

/** The error that an answer of status 400 or more stands for. `body` is its parsed JSON, undefined where it is none. */
export function errorOfAnswer(response: Response, body: unknown): LikenessError {
  const { code, message } = (typeof body === 'object' && body !== null ? body : {}) as { code?: unknown; message?: unknown };
  const retryAfter = Number(response.headers.get('retry-after') ?? Number.NaN);
  const facts = {
    httpStatus: response.status,
    requestId: response.headers.get('x-request-id') ?? undefined,
    retryAfterSeconds: Number.isFinite(retryAfter) ? retryAfter : undefined,
  };
  if (typeof code !== 'string' || typeof message !== 'string') {
    return new LikenessError({ ...facts, code: 'UNEXPECTED_ANSWER', message: `Answered ${response.status} without an error of ours.` });
  }
  return new LikenessError({ ...facts, code, message });
}
