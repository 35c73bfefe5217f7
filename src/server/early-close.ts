/**
 * Refusing a body that has not arrived. Node's own way is to read the rest and throw it away, ten gigabytes of it if need be; to close at
 * once instead sends a reset, which can overtake the answer. So: answer, send FIN, read nothing more, and destroy the socket a little later.
 */
import { Socket } from 'node:net';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { SearchError } from '../errors.js';

const LINGER_MS = 500;
/** A rest of this size is cheaper to read than a new connection. */
const SMALL_REST_BYTES = 64 * 1024;

/** Bytes that the request's headers declare; undefined where the body is chunked, 0 where there is none. */
export function declaredBytes(request: FastifyRequest): number | undefined {
  if (request.headers['transfer-encoding'] !== undefined) return undefined;
  return Number(request.headers['content-length'] ?? 0);
}

/** Throws UPLOAD_TOO_LARGE where the declared length is over the limit, before a byte of the body is read. */
export function refuseDeclaredExcess(request: FastifyRequest, maxBytes: number): void {
  const declared = declaredBytes(request);
  if (declared !== undefined && declared > maxBytes)
    throw new SearchError('UPLOAD_TOO_LARGE', `The body has ${declared} bytes; the limit is ${maxBytes}.`);
}

/** To be called just before an answer is sent: closes the connection, gently, where the body has not been read to its end. */
export function closeIfBodyIsUnread(request: FastifyRequest, reply: FastifyReply): void {
  const { raw } = request;
  if (raw.complete) return;
  const declared = declaredBytes(request);
  if (declared === 0) return;
  if (declared !== undefined && declared <= SMALL_REST_BYTES && !raw.readableDidRead) return; // Node reads it away and keeps the connection.
  reply.header('connection', 'close');
  const { socket } = raw;
  // Marks the body as consumed, or Node would read all of it away after the answer. That starts the socket's reading anew, with the next tick, after which it
  // is stopped before it takes a further buffer.
  raw.pause();
  raw.read(0);
  if (!(socket instanceof Socket)) return; // An injected request has no real one.
  process.nextTick(() => socket.pause());
  socket.destroySoon = () => {
    socket.end();
    const timer = setTimeout(() => socket.destroy(), LINGER_MS);
    timer.unref();
    socket.once('close', () => clearTimeout(timer));
  };
}
