/** The image decoder of the service: a few killable processes behind one bounded queue and one memory budget. */
import { availableParallelism } from 'node:os';
import { SearchError } from '../errors.js';
import { THUMBNAIL_SIZE_MAX } from './decode-image.js';
import { DecodeJob, DecodeQueue, type DecodeResult, deadlineExceeded } from './decode-queue.js';
import type { DecoderChild } from './decoder-child.js';
import { DecoderSupervisor, type SupervisorOptions } from './decoder-supervisor.js';
import { recogniseFormat } from './format.js';
import type { DecodeRequest, ImageDecoder } from './image-decoder.js';
import { DEFAULT_IMAGE_LIMITS, type ImageLimits, MEMORY_BUDGET_SETTING } from './image-limits.js';
import { MemoryBudget } from './memory-budget.js';
import type { Preprocessing } from './preprocessing.js';

export type DecoderPoolOptions = Pick<SupervisorOptions, 'recycleAfterImages' | 'recycleWhenQuietMs' | 'recycleAboveBytes'> & {
  readonly preprocessing: Preprocessing;
  /** Default: one per core. */
  readonly processes?: number;
  /** Images that may wait for a decoder; one more is OVERLOADED. Default 256. */
  readonly queueLimit?: number;
  /** Bytes of images that may wait. Default 256 MiB. */
  readonly queueLimitBytes?: number;
  /** Longest that one decode may take. Default 5,000. */
  readonly decodeTimeoutMs?: number;
  /** Memory that all decodes together may take, by estimate. Default 1 GiB. */
  readonly memoryBudgetBytes?: number;
  readonly limits?: ImageLimits;
  /** Longest side of thumbnails, 1..512. Default 256. */
  readonly thumbnailSize?: number;
  /** Scheduling priority of the decoders, 0..19; larger leaves more to the thread that serves HTTP. Default: unchanged. */
  readonly niceness?: number;
  /** Environment variables for the decoders (an LD_PRELOAD for jemalloc, say); none is inherited. */
  readonly environment?: Readonly<Record<string, string>>;
};

/** An {@link ImageDecoder} of processes. */
export interface DecoderPool extends ImageDecoder {
  /** Resolves when every decoder has decoded a probe image; rejects with DECODER_FAILED where one cannot. */
  ready(): Promise<void>;
  /** The decoders that live now, for metrics and for tests that end one. */
  readonly processIds: readonly number[];
}

/**
 * Starts the decoders at once. `close()` fails what is queued with SHUTTING_DOWN, lets the decodes under way finish (at most the decode
 * timeout) and ends the processes.
 */
export function createDecoderPool(options: DecoderPoolOptions): DecoderPool {
  return new ProcessPool(options);
}

const MIB = 1024 * 1024;
/** Every decode has this much without asking; a photo of 8 megapixels needs less. */
const ALLOWANCE_BYTES = 16 * MIB;
const START_TIMEOUT_MS = 20_000;

class ProcessPool implements DecoderPool {
  readonly #processes: number;
  readonly #supervisor: DecoderSupervisor;
  readonly #queue: DecodeQueue;
  readonly #budget: MemoryBudget;
  readonly #allowanceBytes: number;
  readonly #memoryBudgetBytes: number;
  readonly #runs = new Set<Promise<void>>();
  #isClosed = false;
  #meanDecodeMs = 20;

  constructor(options: DecoderPoolOptions) {
    this.#processes = options.processes ?? availableParallelism();
    this.#memoryBudgetBytes = options.memoryBudgetBytes ?? 1024 * MIB;
    // Half the budget at most is given away as allowances; the rest is for those who ask.
    this.#allowanceBytes = Math.min(ALLOWANCE_BYTES, Math.floor(this.#memoryBudgetBytes / 2 / this.#processes));
    this.#budget = new MemoryBudget(this.#memoryBudgetBytes - this.#allowanceBytes * this.#processes);
    this.#queue = new DecodeQueue({ limit: options.queueLimit ?? 256, limitBytes: options.queueLimitBytes ?? 256 * MIB });
    const thumbnailSize = options.thumbnailSize ?? 256;
    if (thumbnailSize < 1 || thumbnailSize > THUMBNAIL_SIZE_MAX)
      throw new Error(`thumbnailSize ${thumbnailSize} is not in 1..${THUMBNAIL_SIZE_MAX}.`);
    const { recycleAfterImages, recycleWhenQuietMs, recycleAboveBytes } = options;
    this.#supervisor = new DecoderSupervisor({
      processes: this.#processes,
      child: {
        settings: { preprocessing: options.preprocessing, limits: options.limits ?? DEFAULT_IMAGE_LIMITS, thumbnailSize },
        decodeTimeoutMs: options.decodeTimeoutMs ?? 5000,
        startTimeoutMs: START_TIMEOUT_MS,
        niceness: options.niceness,
        environment: options.environment ?? {},
      },
      recycleAfterImages,
      recycleWhenQuietMs,
      recycleAboveBytes,
      onIdle: () => this.#dispatch(),
      onHopeless: () => this.#failQueued(),
    });
  }

  async ready(): Promise<void> {
    try {
      await this.#supervisor.ready;
    } catch (cause) {
      throw new SearchError(
        'DECODER_FAILED',
        'The image decoders do not start; is sharp installed for this platform? Run `npm rebuild sharp`.',
        { cause },
      );
    }
  }

  get processIds(): readonly number[] {
    return this.#supervisor.processIds;
  }

  get statistics() {
    return { queued: this.#queue.length, active: this.#runs.size, restarts: this.#supervisor.restarts };
  }

  async decode(bytes: Uint8Array, request: DecodeRequest): Promise<DecodeResult> {
    if (this.#isClosed) throw shuttingDown();
    request.signal?.throwIfAborted();
    if (request.deadline !== undefined && request.deadline <= performance.now()) throw deadlineExceeded();
    recogniseFormat(bytes); // what is no image need not wait for a decoder to say so
    if (!this.#supervisor.hasIdle && !this.#queue.hasRoomFor(bytes)) throw this.#overloaded();
    const job = new DecodeJob(bytes, request);
    this.#queue.add(job);
    this.#dispatch();
    return job.result;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (let job = this.#queue.take(); job !== undefined; job = this.#queue.take()) job.fail(shuttingDown());
    await this.#supervisor.close(Promise.all(this.#runs));
  }

  #failQueued(): void {
    const error = () => new SearchError('DECODER_FAILED', 'The image decoders die one after another; the log says why.');
    for (let job = this.#queue.take(); job !== undefined; job = this.#queue.take()) job.fail(error());
  }

  #dispatch(): void {
    while (this.#supervisor.hasIdle && this.#queue.length > 0) {
      const job = this.#queue.take();
      const child = this.#supervisor.take();
      if (job === undefined || child === undefined) return;
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
    const admit = async (estimatedBytes: number): Promise<boolean> => {
      const extraBytes = estimatedBytes - this.#allowanceBytes;
      if (extraBytes > this.#budget.totalBytes) throw this.#beyondBudget(estimatedBytes);
      const askedAt = performance.now();
      const admitted = await this.#budget.acquire(extraBytes, job.signal);
      waitedMs = performance.now() - askedAt;
      if (admitted && isOver) this.#budget.release(extraBytes);
      else if (admitted) heldBytes = extraBytes;
      return admitted;
    };
    try {
      const image = await child.decode({ bytes: job.bytes, wishes: job.wishes, allowanceBytes: this.#allowanceBytes, admit });
      const decodeMs = performance.now() - startedAt - waitedMs;
      this.#meanDecodeMs += (decodeMs - this.#meanDecodeMs) / 16;
      job.succeed({ image, times: { queueMs: startedAt - job.queuedAt + waitedMs, decodeMs } });
    } catch (error) {
      job.fail(error);
    } finally {
      isOver = true;
      this.#budget.release(heldBytes);
    }
  }

  #overloaded(): SearchError {
    const waitMs = (this.#queue.length * this.#meanDecodeMs) / this.#processes;
    const retryAfterSeconds = Math.min(60, Math.max(1, Math.ceil(waitMs / 1000)));
    const message = `${this.#queue.length} images wait to be decoded already (LIKENESS_DECODE_QUEUE); try again in ${retryAfterSeconds} s.`;
    return new SearchError('OVERLOADED', message, { retryAfterSeconds });
  }

  #beyondBudget(estimatedBytes: number): SearchError {
    const limit = this.#budget.totalBytes + this.#allowanceBytes;
    const message = `Decoding the image takes about ${Math.ceil(estimatedBytes / MIB)} MiB of memory; at most ${Math.floor(limit / MIB)} MiB can be had (${MEMORY_BUDGET_SETTING}).`;
    return new SearchError('IMAGE_TOO_LARGE', message);
  }
}

function shuttingDown(): SearchError {
  return new SearchError('SHUTTING_DOWN', 'The service is shutting down; send the image to another instance or again after the restart.');
}
