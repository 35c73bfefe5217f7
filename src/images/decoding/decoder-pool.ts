/** The image decoder of the service: a few killable processes behind one queue and one memory budget. */
import { availableParallelism } from 'node:os';
import { SearchError } from '../../errors.js';
import type { DecodeRequest, DecodeResult, ImageDecoder } from '../image-decoder.js';
import type { Preprocessing } from '../preprocessing.js';
import { THUMBNAIL_SIZE_MAX } from './decode-image.js';
import { DecodeJob } from './decode-job.js';
import type { DecoderChild } from './decoder-child.js';
import { DecoderSupervisor, type SupervisorOptions } from './decoder-supervisor.js';
import { recogniseFormat } from './format.js';
import { DEFAULT_IMAGE_LIMITS, type ImageLimits } from './image-limits.js';
import { MemoryBudget } from './memory-budget.js';

export type DecoderPoolOptions = Pick<
  SupervisorOptions,
  'recycleAfterImages' | 'recycleWhenQuietMs' | 'recycleAboveBytes'
> & {
  readonly preprocessing: Preprocessing;
  /** Default: one per processor. */
  readonly processes?: number;
  /** Images that may wait for a decoder. The caller's admission keeps below it: one more is a bug. Default 100,000. */
  readonly queueLimit?: number;
  /** A decoder that needs longer to start is taken to hang: a busy machine may take long. Default 120,000. */
  readonly startTimeoutMs?: number;
  /** Longest processor time of one decode. Default 5,000. */
  readonly decodeTimeoutMs?: number;
  /** Memory that all decodes together may take, by estimate. Default 1 GiB. */
  readonly memoryBudgetBytes?: number;
  readonly limits?: ImageLimits;
  /** Longest side of thumbnails, 1..512. Default 256. */
  readonly thumbnailSize?: number;
  /**
   * Scheduling priority of the decoders, 0..19; larger leaves more to the thread that serves HTTP. Default: unchanged.
   */
  readonly niceness?: number;
  /** Environment variables for the decoders (an LD_PRELOAD for jemalloc, say); none is inherited. */
  readonly environment?: Readonly<Record<string, string>>;
};

/** An {@link ImageDecoder} of processes. */
export interface DecoderPool extends ImageDecoder {
  /** Resolves when every decoder has decoded a probe image; rejects with DECODER_FAILED where one cannot. */
  ready(): Promise<void>;
  /** The decoders that live now, for metrics and for tests that kill one. */
  readonly processIds: readonly number[];
}

/**
 * Starts the decoders at once. `close()` fails what is queued with SHUTTING_DOWN, lets the decodes under way finish (at
 * most the decode timeout) and ends the processes.
 */
export function createDecoderPool(options: DecoderPoolOptions): DecoderPool {
  return new ProcessPool(options);
}

const MIB = 1024 * 1024;
/** Every decode has this much without admission; a photo of 8 megapixels needs less. */
const ALLOWANCE_BYTES = 16 * MIB;
/** Remedies where the decoders do not start, by the reason; the last fits all. */
const START_REMEDIES = [
  [
    /EAGAIN|Resource temporarily unavailable|pthread_create|uv_thread_create/,
    'The limit of processes or threads is reached (pids_limit, ulimit -u): raise it, or lower --decoders.',
  ],
  [/did not start within/, 'The machine is overloaded: start again when it is less busy, or lower --decoders.'],
  [/^/, 'Is sharp installed for this platform? Run `npm rebuild sharp`.'],
] as const;

class ProcessPool implements DecoderPool {
  readonly #supervisor: DecoderSupervisor;
  readonly #queue = new Set<DecodeJob>();
  readonly #queueLimit: number;
  readonly #budget: MemoryBudget;
  readonly #allowanceBytes: number;
  readonly #runs = new Set<Promise<void>>();
  #isClosed = false;

  constructor(options: DecoderPoolOptions) {
    const { processes = availableParallelism(), memoryBudgetBytes = 1024 * MIB, thumbnailSize = 256 } = options;
    if (thumbnailSize < 1 || thumbnailSize > THUMBNAIL_SIZE_MAX)
      throw new Error(`thumbnailSize ${thumbnailSize} is not in 1..${THUMBNAIL_SIZE_MAX}.`);
    // At most half the budget is given away as allowances; the rest is for images that need admission.
    this.#allowanceBytes = Math.min(ALLOWANCE_BYTES, Math.floor(memoryBudgetBytes / 2 / processes));
    this.#budget = new MemoryBudget(memoryBudgetBytes - this.#allowanceBytes * processes);
    this.#queueLimit = options.queueLimit ?? 100_000;
    const { recycleAfterImages, recycleWhenQuietMs, recycleAboveBytes } = options;
    this.#supervisor = new DecoderSupervisor({
      processes,
      child: {
        settings: {
          preprocessing: options.preprocessing,
          limits: options.limits ?? DEFAULT_IMAGE_LIMITS,
          thumbnailSize,
        },
        decodeTimeoutMs: options.decodeTimeoutMs ?? 5000,
        startTimeoutMs: options.startTimeoutMs ?? 120_000,
        niceness: options.niceness,
        environment: options.environment ?? {},
      },
      recycleAfterImages,
      recycleWhenQuietMs,
      recycleAboveBytes,
      onIdle: () => this.#dispatch(),
      onCrashLoop: () =>
        this.#failQueued(new SearchError('DECODER_FAILED', 'The image decoders die one after another; see the log.')),
    });
  }

  async ready(): Promise<void> {
    try {
      await this.#supervisor.ready;
    } catch (cause) {
      const reason = cause instanceof Error && cause.cause instanceof Error ? cause.cause.message : String(cause);
      const remedy = START_REMEDIES.find(([pattern]) => pattern.test(reason))?.[1];
      throw new SearchError('DECODER_FAILED', `The image decoders do not start. ${remedy} ${reason}`, { cause });
    }
  }

  get processIds(): readonly number[] {
    return this.#supervisor.processIds;
  }

  get statistics() {
    return { queued: this.#queue.size, active: this.#runs.size, restarts: this.#supervisor.restarts };
  }

  async decode(bytes: Uint8Array, request: DecodeRequest): Promise<DecodeResult> {
    if (this.#isClosed) throw shuttingDown();
    recogniseFormat(bytes); // what is no image need not wait for a decoder
    if (this.#queue.size >= this.#queueLimit)
      throw new Error(`More than ${this.#queueLimit} images wait for a decoder. This is a bug of the admission.`);
    const job = new DecodeJob(bytes, request);
    this.#queue.add(job);
    job.signal.addEventListener('abort', () => this.#queue.delete(job), { once: true });
    this.#dispatch();
    return job.result;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#failQueued(shuttingDown());
    await this.#supervisor.close(Promise.all(this.#runs));
  }

  #failQueued(error: SearchError): void {
    for (const job of this.#queue) job.fail(error);
  }

  #dispatch(): void {
    for (const job of this.#queue) {
      const child = this.#supervisor.hasIdle ? this.#supervisor.take() : undefined;
      if (child === undefined) return;
      this.#queue.delete(job);
      const run = this.#run(child, job).finally(() => {
        this.#runs.delete(run);
        this.#supervisor.giveBack(child);
      });
      this.#runs.add(run);
    }
  }

  async #run(child: DecoderChild, job: DecodeJob): Promise<void> {
    const startedAt = performance.now();
    let waitedMs = 0;
    let heldBytes = 0;
    let isOver = false;
    const admit = async (estimatedBytes: number): Promise<void> => {
      const extraBytes = estimatedBytes - this.#allowanceBytes;
      if (extraBytes > this.#budget.totalBytes) throw this.#beyondBudget(estimatedBytes);
      const askedAt = performance.now();
      await this.#budget.acquire(extraBytes, job.signal);
      waitedMs = performance.now() - askedAt;
      if (isOver) this.#budget.release(extraBytes);
      else heldBytes = extraBytes;
    };
    try {
      const { thumbnail, crop, views, copyFeatures, sha256 } = job.request;
      const image = await child.decode({
        bytes: job.bytes,
        options: { thumbnail, crop, views, copyFeatures, sha256 },
        allowanceBytes: this.#allowanceBytes,
        admit,
      });
      const decodeMs = performance.now() - startedAt - waitedMs;
      job.succeed({ image, times: { queueMs: startedAt - job.queuedAt + waitedMs, decodeMs } });
    } catch (error) {
      job.fail(error);
    } finally {
      isOver = true;
      this.#budget.release(heldBytes);
    }
  }

  #beyondBudget(estimatedBytes: number): SearchError {
    const needed = Math.ceil(estimatedBytes / MIB);
    const limit = Math.floor((this.#budget.totalBytes + this.#allowanceBytes) / MIB);
    return new SearchError(
      'IMAGE_TOO_LARGE',
      `Decoding the image takes about ${needed} MiB of memory; the limit is ${limit} MiB (--decode-memory-bytes).`,
    );
  }
}

function shuttingDown(): SearchError {
  return new SearchError(
    'SHUTTING_DOWN',
    'The service is shutting down; send the image to another instance or again after the restart.',
  );
}
