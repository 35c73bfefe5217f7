import { SearchError } from '../../errors.js';
import type { DecodeRequest, DecodeResult } from '../image-decoder.js';

/**
 * One image from request to result. It is settled once: by its decode, its deadline or its caller's abort, whichever
 * comes first; `signal` then aborts, so that what still works for it can stop.
 */
export class DecodeJob {
  readonly bytes: Uint8Array;
  readonly request: DecodeRequest;
  readonly result: Promise<DecodeResult>;
  readonly queuedAt = performance.now();
  readonly #settled = new AbortController();
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #onAbort = () => this.fail(this.request.signal?.reason);
  #resolve!: (result: DecodeResult) => void;
  #reject!: (error: unknown) => void;

  /** Throws where the caller is gone or the deadline has passed. */
  constructor(bytes: Uint8Array, request: DecodeRequest) {
    const { deadline = Number.POSITIVE_INFINITY, signal } = request;
    signal?.throwIfAborted();
    const leftMs = deadline - this.queuedAt;
    if (leftMs <= 0) throw deadlineExceeded();
    this.bytes = bytes;
    this.request = request;
    this.result = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    if (leftMs < Number.POSITIVE_INFINITY) this.#timer = setTimeout(() => this.fail(deadlineExceeded()), leftMs);
    signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  /** Aborts when the job is settled. */
  get signal(): AbortSignal {
    return this.#settled.signal;
  }

  succeed(result: DecodeResult): void {
    this.#settle();
    this.#resolve(result);
  }

  fail(error: unknown): void {
    this.#settle();
    this.#reject(error);
  }

  #settle(): void {
    clearTimeout(this.#timer);
    this.request.signal?.removeEventListener('abort', this.#onAbort);
    this.#settled.abort(SETTLED);
  }
}

/** The reason of every job's signal. One for all, since without it each abort makes an error with a stack. */
const SETTLED = new Error('The image is settled.');

function deadlineExceeded(): SearchError {
  return new SearchError('DEADLINE_EXCEEDED', 'The image was not decoded before its deadline; the service is busy.');
}
