import { ERROR_TABLE, type ErrorCode } from '../errors.js';

/** Codes of the client itself: no response, or one that the service did not write (such as the page of a proxy). */
export type ClientFaultCode = 'UNREACHABLE' | 'UNEXPECTED_ANSWER';

/**
 * A stable code of docs/errors.md, one of the client itself, or one of a newer service. Programs decide by the code,
 * not by the message.
 */
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
  UNREACHABLE: 'Check that `likeness serve` runs there and that the address is right.',
  UNEXPECTED_ANSWER: 'Check that the address is that of Likeness, and whether a proxy or a sign-in page is in between.',
};

/**
 * The error of every failed call. `code` is stable, `message` names the cause and the limit, `remedy` says what to do;
 * `httpStatus` is 0 where there was no response. `requestId` identifies the line in the log of the service;
 * `retryAfterSeconds` is the pause that the service requests.
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

  /**
   * True where the same request may succeed later: the service is overloaded, starting or stopping, or the quota
   * is spent.
   */
  get isTemporary(): boolean {
    return this.httpStatus === 503 || this.httpStatus === 429;
  }
}

function remedyOf(code: string): string {
  if (code in CLIENT_REMEDIES) return CLIENT_REMEDIES[code as ClientFaultCode]; // checked on this line
  return code in ERROR_TABLE ? ERROR_TABLE[code as ErrorCode].remedy : 'See docs/errors.md of the running version.';
}

/** The error of a response whose status is 400 or more. `body` is its parsed JSON; undefined where it is not JSON. */
export function errorOfResponse(response: Response, body: unknown): LikenessError {
  const { code, message } = (typeof body === 'object' && body !== null ? body : {}) as {
    code?: unknown;
    message?: unknown;
  };
  const retryAfter = Number(response.headers.get('retry-after') ?? Number.NaN);
  const facts = {
    httpStatus: response.status,
    requestId: response.headers.get('x-request-id') ?? undefined,
    retryAfterSeconds: Number.isFinite(retryAfter) ? retryAfter : undefined,
  };
  if (typeof code !== 'string' || typeof message !== 'string') {
    return new LikenessError({
      ...facts,
      code: 'UNEXPECTED_ANSWER',
      message: `The response has the status ${response.status} and no error of the service.`,
    });
  }
  return new LikenessError({ ...facts, code, message });
}
