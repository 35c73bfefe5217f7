/** Who keeps the decoder processes of a pool alive: started together, replaced when they die, retired when they are old or fat. */
import { DecoderChild, type DecoderChildOptions } from './decoder-child.js';

export type SupervisorOptions = {
  readonly processes: number;
  readonly child: DecoderChildOptions;
  /**
   * A decoder is retired when it holds more memory than this after an image, and after so many images: once nobody has asked for any for a while, or at ten
   * times as many. Defaults 5,000, one second and 512 MiB.
   */
  readonly recycleAfterImages?: number | undefined;
  readonly recycleWhenQuietMs?: number | undefined;
  readonly recycleAboveBytes?: number | undefined;
  /** A decoder has come to have nothing to do. */
  readonly onIdle: () => void;
  /** The decoders die one after another and decode nothing: waiting for one is pointless. */
  readonly onHopeless: () => void;
};

/** A decoder that died is replaced at once; if decoders go on dying with no image decoded between, ever later, up to the limit. */
const BACKOFF_MS = 50;
const BACKOFF_LIMIT_MS = 1000;
/** So many deaths in a row without an image decoded are hopeless. */
const HOPELESS_DEATHS = 8;
/**
 * While images come, an old decoder works on up to so many times its age: to start a process stops the thread that does it, and it is the one that answers
 * HTTP, for 25 to 80 ms where all cores are busy and the service is large.
 */
const OVERAGE_TIMES = 10;

/** The decoders of a pool. What they decode, and for whom, is the pool's affair. */
export class DecoderSupervisor {
  /** Resolves when each decoder that the constructor started has decoded a probe image; rejects where one has died before. */
  readonly ready: Promise<unknown>;
  readonly #options: SupervisorOptions;
  readonly #recycleAfterImages: number;
  readonly #recycleWhenQuietMs: number;
  readonly #recycleAboveBytes: number;
  readonly #children = new Set<DecoderChild>();
  readonly #idle: DecoderChild[] = [];
  readonly #restartTimers = new Set<NodeJS.Timeout>();
  #isClosed = false;
  #restarts = 0;
  #deathsInARow = 0;
  #lastTakenAt = 0;
  #quietTimer: NodeJS.Timeout | undefined;

  /** Starts the decoders at once. */
  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#recycleAfterImages = options.recycleAfterImages ?? 5000;
    this.#recycleWhenQuietMs = options.recycleWhenQuietMs ?? 1000;
    this.#recycleAboveBytes = options.recycleAboveBytes ?? 512 * 1024 * 1024;
    this.ready = Promise.all(Array.from({ length: options.processes }, () => this.#start().ready));
    this.ready.catch(() => undefined); // told to whoever awaits it; nobody has to
  }

  /** The decoders that live now. */
  get processIds(): readonly number[] {
    return [...this.#children].flatMap((child) => child.pid ?? []);
  }

  /** Deaths so far; a decoder that was retired did not die. */
  get restarts(): number {
    return this.#restarts;
  }

  get hasIdle(): boolean {
    return this.#idle.length > 0;
  }

  /** A decoder with nothing to do, which is the caller's until it is given back; none if all are busy. */
  take(): DecoderChild | undefined {
    this.#lastTakenAt = performance.now();
    return this.#idle.pop(); // the one used last has the warmest caches
  }

  /** The decoder has finished its image, for good or ill: it may be taken again, or is retired. */
  giveBack(child: DecoderChild): void {
    if (!child.isAlive) return;
    this.#deathsInARow = 0;
    this.#rest(child);
  }

  /** Starts no more decoders, ends those there are once `underWay` has resolved, and resolves when they are gone. */
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
      () => undefined, // the exit is handled below
    );
    void child.exited.then(() => this.#replace(child));
    return child;
  }

  #rest(child: DecoderChild): void {
    if (!child.isAlive) return;
    if (child.imagesDecoded >= OVERAGE_TIMES * this.#recycleAfterImages || child.rssBytes > this.#recycleAboveBytes) {
      this.#retire(child);
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
    this.#quietTimer ??= setTimeout(() => this.#retireWhenQuiet(), this.#recycleWhenQuietMs).unref();
  }

  /** One after the other, so that the others are there for whoever comes. */
  #retireWhenQuiet(): void {
    this.#quietTimer = undefined;
    const isQuiet = this.#idle.length === this.#children.size && performance.now() - this.#lastTakenAt >= this.#recycleWhenQuietMs;
    const at = this.#idle.findIndex((child) => this.#isOld(child));
    if (at >= 0 && isQuiet) this.#retire(this.#idle.splice(at, 1)[0]!);
    if (!this.#isClosed && this.#idle.some((child) => this.#isOld(child))) this.#watchForQuiet();
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
    if (this.#deathsInARow >= HOPELESS_DEATHS) this.#options.onHopeless();
    const delayMs = this.#deathsInARow === 1 ? 0 : Math.min(BACKOFF_LIMIT_MS, BACKOFF_MS * 2 ** (this.#deathsInARow - 2));
    const timer = setTimeout(() => {
      this.#restartTimers.delete(timer);
      this.#start();
    }, delayMs);
    this.#restartTimers.add(timer);
  }
}
