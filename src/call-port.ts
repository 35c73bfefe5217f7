/**
 * Typed calls between threads or processes: one side calls methods ({@link CallPort}), the other serves them
 * ({@link serveCalls}). A channel carries both directions. Errors cross as {@link SearchErrorData}; a peer that ends
 * rejects every call that waits for it.
 */
import type { ChildProcess } from 'node:child_process';
import type { MessagePort, Worker } from 'node:worker_threads';
import { type ErrorCode, fromErrorData, type SearchErrorData, toErrorData } from './errors.js';

/** The methods of a peer, as functions of structured-cloneable arguments. Their results arrive as promises. */
export type Methods<M> = { readonly [Name in keyof M]: (...args: never[]) => unknown };

/** Messages to and from one peer. */
export type CallChannel = {
  /** Buffers in `transfer` are moved, not copied, where the channel can do so. */
  send(message: CallMessage, transfer: readonly ArrayBuffer[]): void;
  onMessage(listener: (message: CallMessage) => void): void;
  /** Called once when the peer has ended, with the reason. */
  onGone(listener: (error: Error) => void): void;
};

/** What crosses a channel: a request, its result, its error, or an event that answers nothing. */
export type CallMessage =
  | { readonly kind: 'request'; readonly id: number; readonly method: string; readonly args: readonly unknown[] }
  | { readonly kind: 'result'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'error'; readonly id: number; readonly error: SearchErrorData }
  | { readonly kind: 'event'; readonly event: unknown };

export type CallPortOptions<Event> = {
  /** Makes the error of calls whose peer has ended. Default: the reason itself. */
  readonly toGoneError?: (reason: Error) => Error;
  readonly onEvent?: (event: Event) => void;
};

type Pending = { readonly resolve: (value: unknown) => void; readonly reject: (error: Error) => void };

/**
 * Calls the methods `M` of a peer. Calls are sent at once, in order; how many may wait is the caller's
 * limit ({@link pending}).
 */
export class CallPort<M extends Methods<M>, Event = never> {
  /** Resolves when the peer has ended, with the error that its calls reject with. */
  readonly gone: Promise<Error>;
  readonly #channel: CallChannel;
  readonly #pending = new Map<number, Pending>();
  #nextId = 0;
  #goneError: Error | undefined;
  #fail!: (error: Error) => void; // set in the constructor, by the promise's executor

  constructor(channel: CallChannel, options: CallPortOptions<Event> = {}) {
    this.#channel = channel;
    this.gone = new Promise((resolve) => {
      this.#fail = (error) => {
        if (this.#goneError !== undefined) return;
        this.#goneError = error;
        for (const { reject } of this.#pending.values()) reject(error);
        this.#pending.clear();
        resolve(error);
      };
    });
    channel.onMessage((message) => {
      if (message.kind === 'event')
        options.onEvent?.(message.event as Event); // by the peer's own type
      else if (message.kind !== 'request') this.#settle(message);
    });
    channel.onGone((reason) => this.#fail(options.toGoneError?.(reason) ?? reason));
  }

  /** Calls that have no result yet. */
  get pending(): number {
    return this.#pending.size;
  }

  /** Calls one method. Rejects with the SearchError that the peer threw, or with the error of its end. */
  call<Name extends keyof M & string>(
    method: Name,
    args: Parameters<M[Name]>,
    transfer: readonly ArrayBuffer[] = [],
  ): Promise<Awaited<ReturnType<M[Name]>>> {
    if (this.#goneError !== undefined) return Promise.reject(this.#goneError);
    const id = this.#nextId++;
    this.#channel.send({ kind: 'request', id, method, args }, transfer);
    return new Promise((resolve, reject) => {
      // The peer serves each method with a value of the type that M promises.
      this.#pending.set(id, { resolve: resolve as (value: unknown) => void, reject });
    });
  }

  /** Gives the peer up: what waits and what comes later rejects with `error`. */
  abandon(error: Error): void {
    this.#fail(error);
  }

  #settle(message: Extract<CallMessage, { kind: 'result' | 'error' }>): void {
    const pending = this.#pending.get(message.id);
    this.#pending.delete(message.id);
    if (message.kind === 'result') pending?.resolve(message.value);
    else pending?.reject(fromErrorData(message.error));
  }
}

/** A result some of whose buffers are moved to the caller instead of copied; the peer must not use them afterwards. */
export class Transferred<Value> {
  readonly value: Value;
  readonly buffers: readonly ArrayBuffer[];

  constructor(value: Value, buffers: readonly ArrayBuffer[]) {
    this.value = value;
    this.buffers = buffers;
  }
}

/** The functions that serve the methods `M`. */
export type Handlers<M extends Methods<M>> = {
  readonly [Name in keyof M]: (
    ...args: Parameters<M[Name]>
  ) => Result<Awaited<ReturnType<M[Name]>>> | Promise<Result<Awaited<ReturnType<M[Name]>>>>;
};
type Result<Value> = Value | Transferred<Value>;

/**
 * Serves calls as they arrive, or with `sequential` one after the other. A SearchError is sent as it is; other errors
 * get the code `fallback` (INTERNAL). Returns the function that sends an event.
 */
export function serveCalls<M extends Methods<M>, Event = never>(
  channel: Pick<CallChannel, 'send' | 'onMessage'>,
  handlers: Handlers<M>,
  { sequential = false, fallback }: { readonly sequential?: boolean; readonly fallback?: ErrorCode } = {},
): (event: Event) => void {
  const byName = new Map<string, (...args: never[]) => unknown>(Object.entries(handlers));
  const respond = async ({ id, method, args }: Extract<CallMessage, { kind: 'request' }>): Promise<void> => {
    try {
      const handler = byName.get(method);
      if (handler === undefined) throw new Error(`There is no method ${method}. This is a bug.`);
      const result = await handler(...(args as never[])); // by the caller's own type
      const value = result instanceof Transferred ? result.value : result;
      channel.send({ kind: 'result', id, value }, result instanceof Transferred ? result.buffers : []);
    } catch (error) {
      channel.send({ kind: 'error', id, error: toErrorData(error, fallback) }, []);
    }
  };
  let last: Promise<void> = Promise.resolve();
  channel.onMessage((message) => {
    if (message.kind !== 'request') return;
    if (sequential) last = last.then(() => respond(message));
    else void respond(message);
  });
  return (event) => channel.send({ kind: 'event', event }, []);
}

/** The channel to a worker thread, as its owner holds it. */
export function workerChannel(worker: Worker): CallChannel {
  return {
    send: (message, transfer) => worker.postMessage(message, transfer),
    onMessage: (listener) => worker.on('message', listener),
    onGone: (listener) => {
      worker.once('error', listener);
      worker.once('exit', (code) => listener(new Error(`The thread ended with code ${code}.`)));
    },
  };
}

/** The channel of a worker thread to its owner: `parentPort`. */
export function portChannel(port: MessagePort): CallChannel {
  return {
    send: (message, transfer) => port.postMessage(message, transfer),
    onMessage: (listener) => port.on('message', listener),
    onGone: (listener) => port.once('close', () => listener(new Error('The port was closed.'))),
  };
}

/**
 * The channel to a forked process, or of such a process to its parent. Use `serialization: 'advanced'`; nothing is
 * transferred, all is copied.
 */
export function processChannel(peer: ChildProcess | NodeJS.Process): CallChannel {
  return {
    send: (message) => void peer.send?.(message),
    // only serveCalls and CallPort send
    onMessage: (listener) => peer.on('message', (message) => listener(message as CallMessage)),
    onGone: (listener) => {
      if (peer === process) return void process.once('disconnect', () => listener(new Error('The parent is gone.')));
      peer.once('error', listener);
      peer.once('exit', (code: number | null, signal: string | null) =>
        listener(new Error(`The process ended ${signal === null ? `with code ${code}` : `by ${signal}`}.`)),
      );
    },
  };
}
