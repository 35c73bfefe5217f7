/** The image decoder of the service: a few killable processes behind one bounded queue and one memory budget. */
import { availableParallelism } from 'node:os';
import { SearchError } from '../errors.js';
import { THUMBNAIL_SIZE_MAX } from './decode-image.js';
import { DecodeJob, DecodeQueue, type DecodeResult, deadlineExceeded } from './decode-queue.js';
import { DecoderChild, type DecoderChildOptions } from './decoder-child.js';
import { recogniseFormat } from './format.js';
import type { DecodeRequest, ImageDecoder } from './image-decoder.js';
import { DEFAULT_IMAGE_LIMITS, type ImageLimits, MEMORY_BUDGET_SETTING } from './image-limits.js';
import { MemoryBudget } from './memory-budget.js';
import type { Preprocessing } from './preprocessing.js';

export type DecoderPoolOptions = {
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
  /**
   * A decoder is replaced when it holds more memory than this after an image, and after so many images: once nobody has asked for any for a while, or at ten
   * times as many. Defaults 5,000, one second and 512 MiB.
   */
  readonly recycleAfterImages?: number;
  readonly recycleWhenQuietMs?: number;
  readonly recycleAboveBytes?: number;
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
/** A decoder that died is replaced at once; if decoders go on dying with no image decoded between, ever later, up to the limit. */
const BACKOFF_MS = 50;
const BACKOFF_LIMIT_MS = 1000;
/**
 * While images come, an old decoder works on up to so many times its age: to start a process stops the thread that does it, and it is the one that answers
 * HTTP, for 25 to 80 ms where all cores are busy and the service is large.
 */
const OVERAGE_TIMES = 10;
/** So many deaths in a row without an image decoded, and waiting is pointless: what is queued fails. */
const HOPELESS_DEATHS = 8;

class ProcessPool implements DecoderPool {
  readonly #processes: number;
  readonly #childOptions: DecoderChildOptions;
  readonly #recycleAfterImages: number;
  readonly #recycleWhenQuietMs: number;
  readonly #recycleAboveBytes: number;
  readonly #queue: DecodeQueue;
  readonly #budget: MemoryBudget;
  readonly #allowanceBytes: number;
  readonly #memoryBudgetBytes: number;
  readonly #children = new Set<DecoderChild>();
  readonly #idle: DecoderChild[] = [];
  readonly #restartTimers = new Set<NodeJS.Timeout>();
  readonly #firstChildrenReady: Promise<unknown>;
  readonly #runs = new Set<Promise<void>>();
  #isClosed = false;
  #restarts = 0;
  #deathsInARow = 0;
  #lastAskedAt = 0;
  #quietTimer: NodeJS.Timeout | undefined;
  #meanDecodeMs = 20;

  constructor(options: DecoderPoolOptions) {
    this.#processes = options.processes ?? availableParallelism();
    this.#recycleAfterImages = options.recycleAfterImages ?? 5000;
    this.#recycleWhenQuietMs = options.recycleWhenQuietMs ?? 1000;
    this.#recycleAboveBytes = options.recycleAboveBytes ?? 512 * MIB;
    this.#memoryBudgetBytes = options.memoryBudgetBytes ?? 1024 * MIB;
    // Half the budget at most is given away as allowances; the rest is for those who ask.
    this.#allowanceBytes = Math.min(ALLOWANCE_BYTES, Math.floor(this.#memoryBudgetBytes / 2 / this.#processes));
    this.#budget = new MemoryBudget(this.#memoryBudgetBytes - this.#allowanceBytes * this.#processes);
    this.#queue = new DecodeQueue({ limit: options.queueLimit ?? 256, limitBytes: options.queueLimitBytes ?? 256 * MIB });
    const thumbnailSize = options.thumbnailSize ?? 256;
    if (thumbnailSize < 1 || thumbnailSize > THUMBNAIL_SIZE_MAX)
      throw new Error(`thumbnailSize ${thumbnailSize} is not in 1..${THUMBNAIL_SIZE_MAX}.`);
    this.#childOptions = {
      settings: { preprocessing: options.preprocessing, limits: options.limits ?? DEFAULT_IMAGE_LIMITS, thumbnailSize },
      decodeTimeoutMs: options.decodeTimeoutMs ?? 5000,
      startTimeoutMs: START_TIMEOUT_MS,
      niceness: options.niceness,
      environment: options.environment ?? {},
    };
    this.#firstChildrenReady = Promise.all(Array.from({ length: this.#processes }, () => this.#start().ready));
    this.#firstChildrenReady.catch(() => undefined); // told by ready()
  }

  async ready(): Promise<void> {
    try {
      await this.#firstChildrenReady;
    } catch (cause) {
      throw new SearchError(
        'DECODER_FAILED',
        'The image decoders do not start; is sharp installed for this platform? Run `npm rebuild sharp`.',
        { cause },
      );
    }
  }

  get processIds(): readonly number[] {
    return [...this.#children].flatMap((child) => child.pid ?? []);
  }

  get statistics() {
    return { queued: this.#queue.length, active: this.#runs.size, restarts: this.#restarts };
  }

  async decode(bytes: Uint8Array, request: DecodeRequest): Promise<DecodeResult> {
    if (this.#isClosed) throw shuttingDown();
    request.signal?.throwIfAborted();
    if (request.deadline !== undefined && request.deadline <= performance.now()) throw deadlineExceeded();
    recogniseFormat(bytes); // what is no image need not wait for a decoder to say so
    if (this.#idle.length === 0 && !this.#queue.hasRoomFor(bytes)) throw this.#overloaded();
    this.#lastAskedAt = performance.now();
    const job = new DecodeJob(bytes, request);
    this.#queue.add(job);
    this.#dispatch();
    return job.result;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (let job = this.#queue.take(); job !== undefined; job = this.#queue.take()) job.fail(shuttingDown());
    await Promise.all(this.#runs);
    for (const timer of this.#restartTimers) clearTimeout(timer);
    clearTimeout(this.#quietTimer);
    const exits = [...this.#children].map((child) => child.exited);
    for (const child of this.#children) child.kill();
    await Promise.all(exits);
  }

  #start(): DecoderChild {
    const child = new DecoderChild(this.#childOptions);
    this.#children.add(child);
    child.ready.then(
      () => this.#rest(child),
      () => undefined, // the exit is handled below
    );
    void child.exited.then(() => this.#replace(child));
    return child;
  }

  /** The decoder has nothing to do: it takes the next image, or is retired when it has grown very old or fat. */
  #rest(child: DecoderChild): void {
    if (!child.isAlive) return;
    if (child.imagesDecoded >= OVERAGE_TIMES * this.#recycleAfterImages || child.rssBytes > this.#recycleAboveBytes) {
      this.#retire(child);
      return;
    }
    this.#idle.push(child);
    if (this.#isOld(child)) this.#quietTimer ??= setTimeout(() => this.#retireWhenQuiet(), this.#recycleWhenQuietMs).unref();
    this.#dispatch();
  }

  #isOld(child: DecoderChild): boolean {
    return child.imagesDecoded >= this.#recycleAfterImages;
  }

  /** One after the other, so that the others are there for whoever comes. */
  #retireWhenQuiet(): void {
    this.#quietTimer = undefined;
    const isQuiet = this.#runs.size === 0 && performance.now() - this.#lastAskedAt >= this.#recycleWhenQuietMs;
    const at = this.#idle.findIndex((child) => this.#isOld(child));
    if (at >= 0 && isQuiet) this.#retire(this.#idle.splice(at, 1)[0]!);
    if (!this.#isClosed && this.#idle.some((child) => this.#isOld(child))) {
      this.#quietTimer = setTimeout(() => this.#retireWhenQuiet(), this.#recycleWhenQuietMs).unref();
    }
  }

  #retire(child: DecoderChild): void {
    this.#children.delete(child); // so that its end is not taken for a death
    child.kill();
    if (!this.#isClosed) this.#start();
  }

  #replace(child: DecoderChild): void {
    const at = this.#idle.indexOf(child);
    if (at >= 0) this.#idle.splice(at, 1);
    if (!this.#children.delete(child) || this.#isClosed) return;
    this.#restarts++;
    this.#deathsInARow++;
    if (this.#deathsInARow >= HOPELESS_DEATHS) this.#failQueued();
    const delayMs = this.#deathsInARow === 1 ? 0 : Math.min(BACKOFF_LIMIT_MS, BACKOFF_MS * 2 ** (this.#deathsInARow - 2));
    const timer = setTimeout(() => {
      this.#restartTimers.delete(timer);
      this.#start();
    }, delayMs);
    this.#restartTimers.add(timer);
  }

  #failQueued(): void {
    const error = () => new SearchError('DECODER_FAILED', 'The image decoders die one after another; the log says why.');
    for (let job = this.#queue.take(); job !== undefined; job = this.#queue.take()) job.fail(error());
  }

  #dispatch(): void {
    while (this.#idle.length > 0 && this.#queue.length > 0) {
      const job = this.#queue.take();
      const child = this.#idle.pop(); // the one used last has the warmest caches
      if (job === undefined || child === undefined) return;
      const run = this.#run(child, job).finally(() => {
        this.#runs.delete(run);
        this.#rest(child);
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
      if (child.isAlive) this.#deathsInARow = 0;
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
