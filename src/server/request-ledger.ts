import { setMaxListeners } from 'node:events';
import { performance } from 'node:perf_hooks';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { SearchError } from '../errors.js';
import type { Visitor } from './auth.js';

/** Why a request was given up when its client went away. Never answered (nobody listens) and never counted as our fault. */
export class ClientGoneError extends Error {
  constructor() {
    super('The client closed the connection before it was answered.');
    this.name = 'ClientGoneError';
  }
}

/**
 * What bounds the work for one request: a deadline (milliseconds of `performance.now()`) and a signal that fires when the deadline has
 * passed or the client has gone. Both travel down to decoder and encoder, so that nobody works for an answer that no one awaits. `caller` is for whom.
 */
export type RequestLife = {
  readonly caller: Visitor['caller'];
  readonly deadline: number;
  readonly signal: AbortSignal;
  /** The work, or a rejection as soon as deadline or client end it: DEADLINE_EXCEEDED or {@link ClientGoneError}. */
  bound<T>(work: Promise<T>): Promise<T>;
};

/** How a request ended. `error` is what its handler threw; `isAborted` where the client left before the answer was written. */
export type RequestEnd = { readonly elapsedMs: number; readonly isAborted: boolean; readonly error: unknown };

/** Every request from its first header to its last byte: who is in flight, until when, and how it ended. */
export type RequestLedger = {
  open(request: FastifyRequest, reply: FastifyReply): void;
  lifeOf(request: FastifyRequest): RequestLife;
  /** Keeps the error for the one line that is logged when the request ends. */
  noteError(request: FastifyRequest, error: unknown): void;
  /** `whole`: requests whose body has arrived; the others may yet be half-sent for ever. */
  readonly inFlight: { readonly total: number; readonly whole: number };
};

type Entry = {
  readonly startedAt: number;
  readonly request: FastifyRequest;
  life: { readonly value: RequestLife; readonly controller: AbortController; readonly timer: NodeJS.Timeout } | undefined;
  isClosed: boolean;
  error: unknown;
};

/** Opens the ledger. `onEnd` is called once for each request, answered or not: the place for its log line and its metrics. */
export function createRequestLedger(options: {
  readonly requestTimeoutMs: number;
  /** Whose a request is; asked once it has passed the gate. */
  readonly callerOf: (request: FastifyRequest) => Visitor['caller'];
  readonly onEnd: (request: FastifyRequest, reply: FastifyReply, end: RequestEnd) => void;
}): RequestLedger {
  const entries = new WeakMap<FastifyRequest, Entry>();
  const open = new Set<Entry>();

  const entryOf = (request: FastifyRequest): Entry => {
    const entry = entries.get(request);
    if (entry === undefined) throw new Error(`Request ${request.id} is not in the ledger. This is a bug.`);
    return entry;
  };

  return {
    open(request, reply) {
      const entry: Entry = { startedAt: performance.now(), request, life: undefined, isClosed: false, error: undefined };
      entries.set(request, entry);
      open.add(entry);
      const { socket } = request.raw;
      const end = (): void => {
        if (entry.isClosed) return;
        open.delete(entry);
        entry.isClosed = true;
        socket.off('close', end);
        const isAborted = !reply.raw.writableEnded;
        if (entry.life !== undefined) {
          clearTimeout(entry.life.timer);
          if (isAborted) entry.life.controller.abort(new ClientGoneError());
        }
        options.onEnd(request, reply, { elapsedMs: performance.now() - entry.startedAt, isAborted, error: entry.error });
      };
      reply.raw.once('close', end);
      // An answer that waits behind another on its connection hears nothing when that ends.
      socket.once('close', end);
    },
    lifeOf(request) {
      const entry = entryOf(request);
      entry.life ??= startLife(entry, options.callerOf(request), options.requestTimeoutMs);
      return entry.life.value;
    },
    noteError(request, error) {
      const entry = entries.get(request);
      if (entry !== undefined) entry.error = error;
    },
    get inFlight() {
      let whole = 0;
      for (const { request } of open) if (request.raw.complete) whole += 1;
      return { total: open.size, whole };
    },
  };
}

/**
 * A life for work that no request waits for: it ends at its deadline or with `signal`, whose reason it rejects with. `end` is to be called when the work is done.
 */
export function startWorkLife(options: {
  readonly caller: Visitor['caller'];
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
}): RequestLife & { end(): void } {
  const { caller, timeoutMs } = options;
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(new SearchError('DEADLINE_EXCEEDED', `It took longer than ${timeoutMs} ms.`)), timeoutMs);
  const signal = AbortSignal.any([options.signal, late.signal]);
  const ended = new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));
  ended.catch(() => {}); // whoever is bound to it hears of it
  const end = (): void => clearTimeout(timer);
  return { caller, deadline: performance.now() + timeoutMs, signal, bound: (work) => Promise.race([work, ended]), end };
}

function startLife(entry: Entry, caller: Visitor['caller'], requestTimeoutMs: number): NonNullable<Entry['life']> {
  const controller = new AbortController();
  const { signal } = controller;
  setMaxListeners(0, signal); // Each image of the request listens while it waits.
  const deadline = entry.startedAt + requestTimeoutMs;
  const timer = setTimeout(
    () => controller.abort(new SearchError('DEADLINE_EXCEEDED', `The request took longer than ${requestTimeoutMs} ms.`)),
    Math.max(0, deadline - performance.now()),
  );
  timer.unref();
  const ended = new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));
  ended.catch(() => {}); // Whoever is bound to it hears of it; a request that no longer works for anything need not.
  if (entry.isClosed) {
    clearTimeout(timer);
    controller.abort(new ClientGoneError());
  }
  return { value: { caller, deadline, signal, bound: (work) => Promise.race([work, ended]) }, controller, timer };
}
