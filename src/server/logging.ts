import type { FastifyBaseLogger, FastifyReply, FastifyRequest } from 'fastify';
import { SearchError } from '../errors.js';
import type { FitReport } from './derived/collection-scores.js';
import type { RequestEnd } from './limits/request-tracker.js';

/** Where log lines go; standard output where `stream` is not given. */
export type LogOptions = { readonly level: string; readonly stream?: { write(line: string): void } };

/** What never stands in a log, wherever an object with headers may be logged. */
const SECRETS = [
  'req.headers.authorization',
  'req.headers["x-api-key"]',
  'headers.authorization',
  'headers["x-api-key"]',
];
const MAX_PATH_CHARACTERS = 200;

/** Options of Fastify's logger (pino: JSON, one line an event, control characters escaped). */
export function loggerOptions({ level, stream }: LogOptions) {
  return { level, redact: { paths: SECRETS, censor: '(secret)' }, ...(stream !== undefined && { stream }) };
}

/**
 * The one line of a request, written when it has ended: 5xx as errors with their cause, refusals and successes as
 * information. Of the URL only the path, since a query may hold what someone took for a place to put a key.
 */
export function logRequestEnd(request: FastifyRequest, reply: FastifyReply, end: RequestEnd): void {
  const { elapsedMs, isAborted, error } = end;
  const { method, url, ip } = request;
  const path = (url.split('?', 1)[0] ?? '').slice(0, MAX_PATH_CHARACTERS);
  const status = statusOf(reply, end);
  const code = error instanceof SearchError ? error.code : undefined;
  const isRefusal = error instanceof SearchError && error.isRefusal;
  const line = { method, path, status, ms: Math.round(elapsedMs * 10) / 10, ip, ...(code !== undefined && { code }) };
  if (isAborted) request.log.info(line, 'client gone');
  else if (status >= 500 && error !== undefined && !isRefusal)
    request.log.error({ ...line, err: error }, 'request failed');
  else request.log.info(line, 'request');
}

/** The status that was answered; 499, as reverse proxies have it, where the client did not wait for one. */
export function statusOf(reply: FastifyReply, { isAborted }: RequestEnd): number {
  return isAborted ? 499 : reply.statusCode;
}

/**
 * The one line of a fit of scores: what they are worth on pictures that were held out, by the collection's own curves
 * and by the encoder's.
 */
export function logFit(log: FastifyBaseLogger, { collection, images, before, used, isChanged }: FitReport): void {
  const { source, precision, recall } = used;
  const line = { collection, images, before, used: source, precision, recall };
  if (source === 'withdrawn')
    log.warn(line, 'score curves call too many wrong results copies here: they are withdrawn');
  else if (isChanged) log.info(line, 'the score curves of a collection changed');
  else log.info(line, 'the score curves of a collection were measured and kept');
}
