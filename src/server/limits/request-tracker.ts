import { setMaxListeners } from 'node:events';
import { Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { SearchError } from '../../errors.js';
import type { Principal } from '../auth.js';
import type { FairQueue } from './fair-queue.js';

/**
 * The client closed the connection before the response was written. Never sent and never counted as a fault of
 * the service.
 */
export class ClientGoneError extends Error {
  constructor() {
    super('The client closed the connection before the response was written.');
    this.name = 'ClientGoneError';
  }
}

/**
 * The bounds of the work for one request: a deadline (milliseconds of `performance.now()`) and a signal that fires when
 * the deadline has passed or the client has disconnected. Both are passed down to decoder and encoder, so that
 * abandoned work stops.
 */
export type RequestScope = {
  /** For fair queueing and quotas. */
  readonly caller: Principal['caller'];
  readonly deadline: number;
  readonly signal: AbortSignal;
  /** Resolves as `work` does, or rejects at once with DEADLINE_EXCEEDED or {@link ClientGoneError}. */
  race<T>(work: Promise<T>): Promise<T>;
  /**
   * Runs `work`, which reads the catalogue, when it is the caller's turn. `cost` in slots of the read queue
   * (read-cost.ts), 1 if not given. Rejects with OVERLOADED where there is no room.
   */
  read<T>(work: () => Promise<T>, cost?: number): Promise<T>;
  /** Writes one stage of the request to the log, at level debug, under the request's id. */
  debug(stage: string, fields?: { readonly [name: string]: unknown }): void;
};

/**
 * How a request ended. `error` is what its handler threw; `isAborted` where the client disconnected before the response
 * was written.
 */
export type RequestEnd = { readonly elapsedMs: number; readonly isAborted: boolean; readonly error: unknown };

/** Tracks every request from its headers to the last byte of its response. */
export type RequestTracker = {
  open(request: FastifyRequest, reply: FastifyReply): void;
  /** The scope of a request that passed authentication; the same object at every call. */
  scopeOf(request: FastifyRequest): RequestScope;
  /** Keeps the error for the log line that is written when the request ends. */
  noteError(request: FastifyRequest, error: unknown): void;
  /** `whole`: requests whose body has arrived; the others may stay half-sent for ever. */
  readonly inFlight: { readonly total: number; readonly whole: number };
};

type Entry = {
  readonly startedAt: number;
  readonly request: FastifyRequest;
  scope: { readonly value: RequestScope; end(): void; abort(reason: unknown): void } | undefined;
  isClosed: boolean;
  error: unknown;
};

/** `onEnd` is called once for each request, with or without a response. */
export function createRequestTracker(options: {
  readonly requestTimeoutMs: number;
  /** The queue of `scope.read`. */
  readonly reads: FairQueue;
  readonly callerOf: (request: FastifyRequest) => Principal['caller'];
  readonly onEnd: (request: FastifyRequest, reply: FastifyReply, end: RequestEnd) => void;
}): RequestTracker {
  const entries = new WeakMap<FastifyRequest, Entry>();
  const open = new Set<Entry>();

  return {
    open(request, reply) {
      const entry: Entry = {
        startedAt: performance.now(),
        request,
        scope: undefined,
        isClosed: false,
        error: undefined,
      };
      entries.set(request, entry);
      open.add(entry);
      const { socket } = request.raw;
      const end = (): void => {
        if (entry.isClosed) return;
        open.delete(entry);
        entry.isClosed = true;
        socket.off('close', end);
        const isAborted = !reply.raw.writableEnded;
        entry.scope?.end();
        if (isAborted) entry.scope?.abort(new ClientGoneError());
        const { startedAt, error } = entry;
        options.onEnd(request, reply, { elapsedMs: performance.now() - startedAt, isAborted, error });
      };
      reply.raw.once('close', end);
      // A response queued behind another on its connection emits no 'close' of its own when the connection ends.
      socket.once('close', end);
    },
    scopeOf(request) {
      const entry = entries.get(request);
      if (entry === undefined) throw new Error(`Request ${request.id} is not tracked. This is a bug.`);
      entry.scope ??= startScope(entry, options.callerOf(request), options);
      return entry.scope.value;
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

/** A scope for work outside a request: it ends at its deadline or with `signal`. Call `end` when the work is done. */
export function backgroundScope(options: {
  readonly caller: Principal['caller'];
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
}): RequestScope & { end(): void } {
  const { caller, timeoutMs } = options;
  const late = new AbortController();
  const timer = setTimeout(
    () => late.abort(new SearchError('DEADLINE_EXCEEDED', `It took longer than ${timeoutMs} ms.`)),
    timeoutMs,
  );
  const signal = AbortSignal.any([options.signal, late.signal]);
  const deadline = performance.now() + timeoutMs;
  return {
    caller,
    deadline,
    signal,
    race: racing(signal),
    read: (work) => work(),
    debug() {},
    end() {
      clearTimeout(timer);
      // Node.js keeps a combined signal that has listeners, and what they hold, until it fires.
      late.abort(new Error('The work of this scope has ended. This is a bug.'));
    },
  };
}

/** The deadline counts from the end of the body: request-limits.ts bounds how slowly that may arrive. */
function startScope(
  entry: Entry,
  caller: Principal['caller'],
  { requestTimeoutMs, reads }: { readonly requestTimeoutMs: number; readonly reads: FairQueue },
): NonNullable<Entry['scope']> {
  const controller = new AbortController();
  const { signal } = controller;
  setMaxListeners(0, signal); // Each image of the request adds a listener while it waits.
  const { raw, log } = entry.request;
  const isArriving = (): boolean => raw.socket instanceof Socket && !raw.complete && !raw.destroyed;
  let deadline = entry.startedAt + requestTimeoutMs;
  const expire = (): void => {
    if (isArriving()) restart();
    else controller.abort(new SearchError('DEADLINE_EXCEEDED', `The request took longer than ${requestTimeoutMs} ms.`));
  };
  const restart = (): void => {
    clearTimeout(timer);
    deadline = performance.now() + requestTimeoutMs;
    timer = setTimeout(expire, requestTimeoutMs);
    timer.unref();
  };
  let timer = setTimeout(expire, Math.max(0, deadline - performance.now()));
  timer.unref();
  if (isArriving()) raw.once('end', restart);
  const end = (): void => {
    raw.off('end', restart);
    clearTimeout(timer);
  };
  const race = racing(signal);
  if (entry.isClosed) {
    end();
    controller.abort(new ClientGoneError());
  }
  const debug: RequestScope['debug'] = (stage, fields) => log.debug(fields ?? {}, stage);
  const value: RequestScope = {
    caller,
    get deadline() {
      return isArriving() ? performance.now() + requestTimeoutMs : deadline;
    },
    signal,
    race,
    async read(work, slots = 1) {
      const release = await reads.acquire({ caller, slots, signal });
      debug('read', { slots });
      const reading = work();
      reading.then(release, release);
      return race(reading);
    },
    debug,
  };
  return { value, end, abort: (reason) => controller.abort(reason) };
}

function racing(signal: AbortSignal): RequestScope['race'] {
  const aborted = new Promise<never>((_, reject) =>
    signal.addEventListener('abort', () => reject(signal.reason), { once: true }),
  );
  aborted.catch(() => {}); // Safe: whoever races against it receives the rejection.
  return (work) => Promise.race([work, aborted]);
}
