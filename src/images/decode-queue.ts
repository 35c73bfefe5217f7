import { SearchError } from '../errors.js';
import type { DecodeWishes } from './decoder-messages.js';
import type { DecodedImage, DecodeRequest, DecodeTimes } from './image-decoder.js';

export type DecodeResult = { readonly image: DecodedImage; readonly times: DecodeTimes };

/**
 * One caller's image from arrival to answer. It is settled once: by its decode, by its deadline or by its caller's abort, whichever comes
 * first; `signal` then aborts, so that whatever still works for it can stop.
 */
export class DecodeJob {
  readonly bytes: Uint8Array;
  readonly wishes: DecodeWishes;
  readonly result: Promise<DecodeResult>;
  readonly queuedAt = performance.now();
  readonly #settled = new AbortController();
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #request: DecodeRequest;
  readonly #onAbort = () => this.fail(this.#request.signal?.reason);
  #resolve!: (result: DecodeResult) => void;
  #reject!: (error: unknown) => void;

  constructor(bytes: Uint8Array, request: DecodeRequest) {
    this.bytes = bytes;
    this.wishes = { thumbnail: request.thumbnail, crop: request.crop, views: request.views, traits: request.traits };
    this.#request = request;
    this.result = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    const { deadline, signal } = request;
    if (deadline !== undefined) this.#timer = setTimeout(() => this.fail(deadlineExceeded()), Math.max(0, deadline - this.queuedAt));
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
    this.#request.signal?.removeEventListener('abort', this.#onAbort);
    this.#settled.abort(SETTLED);
  }
}

/** Why a job's signal fires. Given, since without a reason one is made for each image, with a stack. */
const SETTLED = new Error('The image is done with.');

/** Answer to a caller whose deadline passed before its image was decoded. */
export function deadlineExceeded(): SearchError {
  return new SearchError('DEADLINE_EXCEEDED', 'The image was not decoded before its deadline; the service is busy.');
}

/** Images that wait for a decoder, first come, first served. Bounded by number and by bytes; settled ones leave at once. */
export class DecodeQueue {
  readonly #jobs = new Set<DecodeJob>();
  readonly #limit: number;
  readonly #limitBytes: number;
  #bytes = 0;

  constructor(options: { readonly limit: number; readonly limitBytes: number }) {
    this.#limit = options.limit;
    this.#limitBytes = options.limitBytes;
  }

  get length(): number {
    return this.#jobs.size;
  }

  /** True where one more image of this size finds room. An empty queue has room for any one image. */
  hasRoomFor(bytes: Uint8Array): boolean {
    if (this.#jobs.size >= this.#limit) return false;
    return this.#jobs.size === 0 || this.#bytes + bytes.length <= this.#limitBytes;
  }

  add(job: DecodeJob): void {
    this.#jobs.add(job);
    this.#bytes += job.bytes.length;
    job.signal.addEventListener('abort', () => this.#remove(job), { once: true });
  }

  /** Takes the image that has waited longest. */
  take(): DecodeJob | undefined {
    const [first] = this.#jobs;
    if (first !== undefined) this.#remove(first);
    return first;
  }

  #remove(job: DecodeJob): void {
    if (this.#jobs.delete(job)) this.#bytes -= job.bytes.length;
  }
}
