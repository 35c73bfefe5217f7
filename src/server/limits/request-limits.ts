/**
 * Limits on what a connection may send that Node does not set itself: bodies that are refused unread, bodies that
 * arrive too slowly, and requests sent ahead of their responses (HTTP pipelining).
 */
import type { RequestListener, Server, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { SearchError } from '../../errors.js';

/** Most unanswered requests of one connection. Browsers send one at a time, HTTP libraries a few ahead. */
export const UNANSWERED_MAX = 32;
/** After the time that every body may take, each interval of this length must bring its share of bytes. */
const INTERVAL_MS = 5000;
const LINGER_MS = 500;
/** An unread rest of this size is cheaper to read than a new connection. */
const SMALL_REST_BYTES = 64 * 1024;

/** Bytes that the request's headers declare; undefined for a chunked body, 0 without a body. */
export function declaredBytes(request: FastifyRequest): number | undefined {
  if (request.headers['transfer-encoding'] !== undefined) return undefined;
  return Number(request.headers['content-length'] ?? 0);
}

/**
 * Throws for headers that proxies and this service could read differently, and for compressed bodies, which no
 * route takes.
 */
export function refuseAmbiguousHeaders(request: FastifyRequest): void {
  const { raw, headers } = request;
  const hosts = raw.rawHeaders.filter((name, at) => at % 2 === 0 && name.toLowerCase() === 'host').length;
  if (hosts > 1) throw new SearchError('INVALID_REQUEST', `The request has ${hosts} Host headers; send one.`);
  const encoding = headers['content-encoding'];
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity')
    throw new SearchError(
      'UNSUPPORTED_MEDIA_TYPE',
      `The body has Content-Encoding ${encoding.slice(0, 50)}; send it as it is, without compression.`,
    );
}

/** Throws UPLOAD_TOO_LARGE where the declared length is over the limit, before the body is read. */
export function refuseDeclaredExcess(request: FastifyRequest, maxBytes: number): void {
  const declared = declaredBytes(request);
  if (declared !== undefined && declared > maxBytes)
    throw new SearchError('UPLOAD_TOO_LARGE', `The body has ${declared} bytes; the limit is ${maxBytes}.`);
}

/**
 * Closes the connection after a response that is sent before the body was read. Node reads such a body to its end, and
 * closing at once sends a reset that can overtake the response. So: respond, send FIN, read nothing more, destroy the
 * socket a little later. Called just before the response is sent.
 */
export function closeIfBodyIsUnread(request: FastifyRequest, reply: FastifyReply): void {
  const { raw } = request;
  if (raw.complete) return;
  const declared = declaredBytes(request);
  if (declared === 0) return;
  // Node discards it and keeps the connection.
  if (declared !== undefined && declared <= SMALL_REST_BYTES && !raw.readableDidRead) return;
  reply.header('connection', 'close');
  const { socket } = raw;
  // Marks the body as consumed, or Node would read all of it after the response. That resumes the socket on the next
  // tick; it is paused again before it reads.
  raw.pause();
  raw.read(0);
  if (!(socket instanceof Socket)) return; // An injected request has no real socket.
  process.nextTick(() => socket.pause());
  socket.destroySoon = () => {
    socket.end();
    const timer = setTimeout(() => socket.destroy(), LINGER_MS);
    timer.unref();
    socket.once('close', () => clearTimeout(timer));
  };
}

/**
 * Ends a request whose body arrives too slowly with REQUEST_TIMEOUT: after `graceMs` it must have brought
 * `bytesPerSecond` on average, and so must each later interval. A steady upload over a slow line is not cut; one that
 * drips is.
 */
export function endSlowBody(
  server: Server,
  request: FastifyRequest,
  { graceMs, bytesPerSecond }: { readonly graceMs: number; readonly bytesPerSecond: number },
): void {
  const { raw } = request;
  if (raw.complete || declaredBytes(request) === 0 || !(raw.socket instanceof Socket)) return;
  const { socket } = raw;
  let read = socket.bytesRead;
  const check = (intervalMs: number): void => {
    if (raw.complete || socket.destroyed) return;
    const isStarved = raw.readableLength === 0; // else it is the service that does not read
    if (isStarved && socket.bytesRead - read < (bytesPerSecond * intervalMs) / 1000) {
      const error = new Error('The body arrived too slowly.');
      server.emit('clientError', Object.assign(error, { code: 'ERR_HTTP_REQUEST_TIMEOUT' }), socket);
      return;
    }
    read = socket.bytesRead;
    timer = setTimeout(() => check(INTERVAL_MS), INTERVAL_MS);
    timer.unref();
  };
  let timer = setTimeout(() => check(graceMs), graceMs);
  timer.unref();
  raw.once('end', () => clearTimeout(timer));
  raw.once('close', () => clearTimeout(timer));
}

type Connection = { unanswered: number; last: ServerResponse | undefined };

/**
 * Starts the requests of a connection one after another, each when the response before it is out. Node starts all that
 * arrive in one chunk and holds every response in memory until it is read. Closes a connection with too many requests
 * and calls `onExcess` with its address. Stands before Fastify, where a waiting request needs the least memory.
 */
export function oneByOne(listener: RequestListener, onExcess: (ip: string | undefined) => void): RequestListener {
  const connections = new WeakMap<object, Connection>();
  return (request, response) => {
    const { socket } = request;
    if (socket.destroyed) return; // It was read before the connection was closed.
    const connection = connections.get(socket) ?? { unanswered: 0, last: undefined };
    connections.set(socket, connection);
    if (connection.unanswered >= UNANSWERED_MAX) {
      onExcess(socket.remoteAddress);
      socket.destroy();
      return;
    }
    const { last } = connection;
    connection.unanswered += 1;
    connection.last = response;
    response.once('close', () => {
      connection.unanswered -= 1;
      if (connection.last === response) connection.last = undefined;
    });
    const start = (): void => {
      if (!socket.destroyed) listener(request, response);
    };
    if (last === undefined) start();
    else last.once('close', start);
  };
}
