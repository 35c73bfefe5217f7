import { DecoderChild, type DecoderChildOptions } from './decoder-child.js';

export type SupervisorOptions = {
  readonly processes: number;
  readonly child: DecoderChildOptions;
  /**
   * A decoder is recycled after this many images, once none was requested for `recycleWhenQuietMs`, or at ten times as
   * many. Default 5,000.
   */
  readonly recycleAfterImages?: number | undefined;
  /** Default 1,000. */
  readonly recycleWhenQuietMs?: number | undefined;
  /** A decoder that holds more memory than this after an image is recycled. Default 512 MiB. */
  readonly recycleAboveBytes?: number | undefined;
  /** Called when a decoder has become idle. */
  readonly onIdle: () => void;
  /** Called when decoders die one after another without an image decoded: waiting for one is pointless. */
  readonly onCrashLoop: () => void;
};

/** The first death is replaced at once; further ones in a row after a pause that doubles up to the limit. */
const BACKOFF_MS = 50;
const BACKOFF_LIMIT_MS = 1000;
const CRASH_LOOP_DEATHS = 8;
/**
 * While images come, an old decoder works on up to this many times its age: starting a process blocks the main thread
 * for tens of milliseconds when all cores are busy.
 */
const OVERAGE_TIMES = 10;

/**
 * Keeps the decoder processes of a pool alive: starts them together, replaces those that die, recycles those that are
 * old or large.
 */
export class DecoderSupervisor {
  /**
   * Resolves when each decoder that the constructor started has decoded a probe image; rejects where one has
   * died before.
   */
  readonly ready: Promise<unknown>;
  /** Deaths so far; a recycled decoder did not die. */
  restarts = 0;
  readonly #options: SupervisorOptions;
  readonly #recycleAfterImages: number;
  readonly #recycleWhenQuietMs: number;
  readonly #recycleAboveBytes: number;
  readonly #children = new Set<DecoderChild>();
  readonly #idle: DecoderChild[] = [];
  readonly #restartTimers = new Set<NodeJS.Timeout>();
  #isClosed = false;
  #deathsInARow = 0;
  #lastTakenAt = 0;
  #quietTimer: NodeJS.Timeout | undefined;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#recycleAfterImages = options.recycleAfterImages ?? 5000;
    this.#recycleWhenQuietMs = options.recycleWhenQuietMs ?? 1000;
    this.#recycleAboveBytes = options.recycleAboveBytes ?? 512 * 1024 * 1024;
    this.ready = Promise.all(Array.from({ length: options.processes }, () => this.#start().ready));
    this.ready.catch(() => undefined); // for whoever awaits it
  }

  get processIds(): readonly number[] {
    return [...this.#children].flatMap((child) => child.pid ?? []);
  }

  get hasIdle(): boolean {
    return this.#idle.length > 0;
  }

  /** An idle decoder, until {@link giveBack}; undefined if all are busy. */
  take(): DecoderChild | undefined {
    this.#lastTakenAt = performance.now();
    return this.#idle.pop(); // the one used last has the warmest caches
  }

  /** To be called when the decoder's image is finished, decoded or failed. */
  giveBack(child: DecoderChild): void {
    if (!child.isAlive) return;
    this.#deathsInARow = 0;
    this.#rest(child);
  }

  /**
   * Starts no more decoders, kills the present ones once `underWay` has resolved, and resolves when they have exited.
   */
  async close(underWay: Promise<unknown>): Promise<void> {
    this.#isClosed = true;
    await underWay;
    for (const timer of this.#restartTimers) clearTimeout(timer);
    clearTimeout(this.#quietTimer);
    const exits = [...this.#children].map((child) => child.exited);
    for (const child of this.#children) child.kill();
    await Promise.all(exits);
  }

  #start(): DecoderChild {
    const child = new DecoderChild(this.#options.child);
    this.#children.add(child);
    child.ready.then(
      () => this.#rest(child),
      () => undefined, // its exit is handled below
    );
    void child.exited.then(() => this.#replace(child));
    return child;
  }

  #rest(child: DecoderChild): void {
    if (!child.isAlive) return;
    if (child.imagesDecoded >= OVERAGE_TIMES * this.#recycleAfterImages || child.rssBytes > this.#recycleAboveBytes) {
      this.#recycle(child);
      return;
    }
    this.#idle.push(child);
    if (this.#isOld(child)) this.#watchForQuiet();
    this.#options.onIdle();
  }

  #isOld(child: DecoderChild): boolean {
    return child.imagesDecoded >= this.#recycleAfterImages;
  }

  #watchForQuiet(): void {
    this.#quietTimer ??= setTimeout(() => this.#recycleWhenQuiet(), this.#recycleWhenQuietMs).unref();
  }

  /** One at a time, so that the others can take images. */
  #recycleWhenQuiet(): void {
    this.#quietTimer = undefined;
    const isQuiet =
      this.#idle.length === this.#children.size && performance.now() - this.#lastTakenAt >= this.#recycleWhenQuietMs;
    const at = this.#idle.findIndex((child) => this.#isOld(child));
    if (at >= 0 && isQuiet) this.#recycle(this.#idle.splice(at, 1)[0]!);
    if (!this.#isClosed && this.#idle.some((child) => this.#isOld(child))) this.#watchForQuiet();
  }

  #recycle(child: DecoderChild): void {
    this.#children.delete(child); // so that its exit does not count as a death
    child.kill();
    if (!this.#isClosed) this.#start();
  }

  #replace(child: DecoderChild): void {
    const at = this.#idle.indexOf(child);
    if (at >= 0) this.#idle.splice(at, 1);
    if (!this.#children.delete(child) || this.#isClosed) return;
    this.restarts++;
    const deaths = ++this.#deathsInARow;
    if (deaths >= CRASH_LOOP_DEATHS) this.#options.onCrashLoop();
    const delayMs = deaths === 1 ? 0 : Math.min(BACKOFF_LIMIT_MS, BACKOFF_MS * 2 ** (deaths - 2));
    const timer = setTimeout(() => {
      this.#restartTimers.delete(timer);
      this.#start();
    }, delayMs);
    this.#restartTimers.add(timer);
  }
}
