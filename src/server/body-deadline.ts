import type { Server } from 'node:http';
import { Socket } from 'node:net';
import type { FastifyRequest } from 'fastify';
import { declaredBytes } from './early-close.js';

/** A handler that reads its own body ends a slow one a little earlier, with an answer of its own. */
const GRACE_MS = 500;

/**
 * Ends a request whose body has not arrived in time, just as Node's requestTimeout does: REQUEST_TIMEOUT, and the connection is closed. Node has one limit for
 * all routes, and an archive may take longer than a picture.
 */
export function endSlowBody(server: Server, request: FastifyRequest, timeoutMs: number): void {
  const { raw } = request;
  // An injected request has no real connection.
  if (raw.complete || declaredBytes(request) === 0 || !(raw.socket instanceof Socket)) return;
  const timer = setTimeout(() => {
    const { socket } = raw;
    if (raw.complete || socket.destroyed) return;
    server.emit('clientError', Object.assign(new Error('The body did not arrive in time.'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' }), socket);
  }, timeoutMs + GRACE_MS);
  timer.unref();
  raw.once('end', () => clearTimeout(timer));
  raw.once('close', () => clearTimeout(timer));
}
