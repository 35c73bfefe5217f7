/**
 * How errors become answers: Fastify's shape with our stable codes. 4xx say what was wrong, 5xx say only their code and
 * the remedy.
 */
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ERROR_TABLE, type ErrorCode, SearchError } from '../errors.js';
import { ClientGoneError, type RequestTracker } from './limits/request-tracker.js';

/** Body of every answer that is not a success. `error` is the status in words, as Fastify has it. */
export type ErrorBody = {
  readonly statusCode: number;
  readonly code: ErrorCode;
  readonly error: string;
  readonly message: string;
};

/** What a client may know of an error inside a list of results. */
export type PublicError = { readonly code: ErrorCode; readonly message: string };

/** Fastify's own codes, and those of its plugins, in our table. What is not here goes by its status. */
const FOREIGN_CODES: { readonly [code: string]: ErrorCode } = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'UNSUPPORTED_MEDIA_TYPE',
  FST_INVALID_MULTIPART_CONTENT_TYPE: 'UNSUPPORTED_MEDIA_TYPE',
  FST_ERR_CTP_BODY_TOO_LARGE: 'UPLOAD_TOO_LARGE',
  FST_REQ_FILE_TOO_LARGE: 'UPLOAD_TOO_LARGE',
  FST_FILES_LIMIT: 'TOO_MANY_FILES',
  FST_PARTS_LIMIT: 'TOO_MANY_FILES',
  FST_FIELDS_LIMIT: 'INVALID_REQUEST',
  FST_PROTO_VIOLATION: 'INVALID_REQUEST',
  FST_MP_PREMATURE_CLOSE: 'MALFORMED_MULTIPART',
};

const CODE_OF_STATUS: { readonly [status: number]: ErrorCode } = {
  404: 'NOT_FOUND',
  408: 'REQUEST_TIMEOUT',
  413: 'UPLOAD_TOO_LARGE',
  415: 'UNSUPPORTED_MEDIA_TYPE',
  429: 'RATE_LIMITED',
  431: 'HEADERS_TOO_LARGE',
};

/** Any thrown thing as a SearchError; what nobody foresaw is INTERNAL with its cause kept for the log. */
export function toSearchError(error: unknown): SearchError {
  if (error instanceof SearchError) return error;
  if (error instanceof Error) {
    const { code, statusCode } = error as { code?: unknown; statusCode?: unknown };
    const known = typeof code === 'string' ? FOREIGN_CODES[code] : undefined;
    if (known !== undefined) return new SearchError(known, error.message, { cause: error });
    if (typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500) {
      return new SearchError(CODE_OF_STATUS[statusCode] ?? 'INVALID_REQUEST', error.message, { cause: error });
    }
  }
  return new SearchError('INTERNAL', 'An unforeseen error.', { cause: error });
}

/**
 * Code and message of an error as strangers may see it: of our own faults only the remedy, never a path, a query or
 * a version.
 */
export function publicError(error: SearchError): PublicError {
  return { code: error.code, message: error.httpStatus >= 500 ? error.remedy : error.message };
}

/** The body an error answers with. */
export function errorBody(error: SearchError): ErrorBody {
  return { statusCode: error.httpStatus, error: STATUS_CODES[error.httpStatus] ?? 'Error', ...publicError(error) };
}

/** Sets status and headers that belong to an error, Retry-After and WWW-Authenticate among them. */
export function prepareErrorReply(reply: FastifyReply, error: SearchError): FastifyReply {
  reply.code(error.httpStatus);
  if (error.retryAfterSeconds !== undefined)
    reply.header('retry-after', String(Math.max(1, Math.ceil(error.retryAfterSeconds))));
  if (error.code === 'UNAUTHORISED') reply.header('www-authenticate', 'Bearer');
  return reply;
}

/**
 * Closer refusals than this are spread out, up to the longest delay. Clients that retry at once would otherwise use the
 * processors for refusals: row A2 of docs/reliability.md (goodput at twice the capacity) needs this.
 */
const REFUSAL_SPACING_MS = 2;
const REFUSAL_DELAY_MS_MAX = 30;

/** Fastify's error handler. It responds and keeps the error for the request's log line. */
export function createErrorHandler(tracker: RequestTracker) {
  let nextRefusalAt = 0;
  const refusalDelayMs = (): number => {
    const now = performance.now();
    const delayMs = Math.min(REFUSAL_DELAY_MS_MAX, Math.max(0, nextRefusalAt - now));
    nextRefusalAt = now + delayMs + REFUSAL_SPACING_MS;
    return delayMs;
  };
  return (thrown: unknown, request: FastifyRequest, reply: FastifyReply): void => {
    if (thrown instanceof ClientGoneError || reply.raw.destroyed) {
      tracker.noteError(request, thrown);
      reply.hijack();
      reply.raw.destroy();
      return;
    }
    const error = withContentType(toSearchError(thrown), request);
    tracker.noteError(request, error);
    const respond = (): void => {
      prepareErrorReply(reply, error).type('application/json; charset=utf-8').send(errorBody(error));
    };
    const delayMs = error.code === 'OVERLOADED' ? refusalDelayMs() : 0;
    if (delayMs > 0) setTimeout(respond, delayMs);
    else respond();
  };
}

/**
 * Answers what never became a request: unreadable HTTP, headers too large, or bytes that came too slowly. Then closes
 * the connection. Returns the code, for counting; undefined where nothing was answered: the client has gone, or had its
 * answer before Node's timer looked.
 */
export function answerClientError(error: Error & { code?: string }, socket: Socket): ErrorCode | undefined {
  const answer = new SearchError(clientErrorCode(error.code), 'The request could not be read as HTTP/1.1.');
  const { remedy, code, httpStatus } = answer;
  if (error.code === 'ECONNRESET' || socket.destroyed || !socket.writable) {
    socket.destroy();
    return undefined;
  }
  const message = code === 'INVALID_REQUEST' ? answer.message : remedy;
  const body = JSON.stringify({ ...errorBody(answer), message });
  const head = [
    `HTTP/1.1 ${httpStatus} ${STATUS_CODES[httpStatus]}`,
    'content-type: application/json; charset=utf-8',
    `content-length: ${Buffer.byteLength(body)}`,
    'x-content-type-options: nosniff',
    'connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy());
  return code;
}

function clientErrorCode(code: string | undefined): ErrorCode {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return 'REQUEST_TIMEOUT';
  return code === 'HPE_HEADER_OVERFLOW' ? 'HEADERS_TOO_LARGE' : 'INVALID_REQUEST';
}

/** docs/errors.md: the table of codes for people, generated so that it cannot lag behind. */
export function errorsDocument(): string {
  const rows = (Object.keys(ERROR_TABLE) as ErrorCode[]).map((code) => {
    const { httpStatus, remedy } = ERROR_TABLE[code];
    return `| \`${code}\` | ${httpStatus} | ${remedy} |`;
  });
  return `# Errors

Every answer that is not a success has the body \`{"statusCode", "code", "error", "message"}\`. \`code\` is stable and never reused; decide by it, not
by the message. Of 4xx the message names the thing, the limit and the remedy; 5xx say only the code and the remedy, and the log holds the cause
under the request id (header \`x-request-id\`). 429 and 503 may carry \`Retry-After\` in seconds. The codes from \`INVALID_SETTINGS\` on appear at the
start and on the command line only. This file is generated from \`src/errors.ts\` (\`node dist/src/cli.js docs\`).

| code | status | what to do |
|---|---|---|
${rows.join('\n')}
`;
}

/** Fastify's refusal of a content type, with the type and the ones that are accepted. */
function withContentType(error: SearchError, request: FastifyRequest): SearchError {
  const { code } = (error.cause ?? {}) as { readonly code?: unknown }; // Fastify's errors have one
  if (code !== 'FST_ERR_CTP_INVALID_MEDIA_TYPE') return error;
  const type = request.headers['content-type'] ?? '';
  const sent = type === '' ? 'No content type was sent' : `The content type "${type.slice(0, 100)}" is not accepted`;
  const message = `${sent}; send a form as multipart/form-data, one picture as image/jpeg, image/png or application/octet-stream, or options as application/json.`;
  return new SearchError('UNSUPPORTED_MEDIA_TYPE', message, { cause: error.cause });
}
