/**
 * A micro-batcher for a runner that is cheaper per item in batches. One batch runs at a time. While none runs, an item
 * runs at once; while one runs, items gather, and they run as the next batch when it is full or its oldest item has
 * waited `waitMs`.
 */
import { SearchError } from '../errors.js';

/** Runs a batch: a result or an Error for each item, in order. A rejection is the failure of the whole batch. */
export type RunBatch<In, Out> = (items: readonly In[]) => Promise<readonly (Out | Error)[]>;

/** Time, injected for tests. `now` in milliseconds; `after` returns the function that cancels. */
export type Clock = { now(): number; after(ms: number, act: () => void): () => void };

const SYSTEM_CLOCK: Clock = {
  now: () => performance.now(),
  after: (ms, act) => {
    const timer = setTimeout(act, ms);
    return () => clearTimeout(timer);
  },
};

export type BatcherOptions<In, Out> = {
  readonly run: RunBatch<In, Out>;
  /** Largest batch. */
  readonly batchSizeMax: number;
  /** Longest wait of the oldest item for its batch to fill, once the runner is free. */
  readonly waitMs: number;
  /** Items that may wait. The caller's admission keeps below it: one more is a bug. */
  readonly queueSizeMax: number;
  readonly clock?: Clock;
};

/** Limits of one item: `deadline` in milliseconds of the clock. */
export type ItemRequest = { readonly deadline?: number; readonly signal?: AbortSignal };

/** A result with the milliseconds that its item waited and its batch took. */
export type BatchResult<Out> = { readonly value: Out; readonly queueMs: number; readonly runMs: number };

type Entry<In, Out> = {
  readonly item: In;
  readonly deadline: number | undefined;
  readonly addedAt: number;
  startedAt: number;
  settled: boolean;
  settle(outcome: { readonly value: Out; readonly runMs: number } | { readonly error: unknown }): void;
};

/** See the head of the file. After `close()`, accepted items finish and later ones are SHUTTING_DOWN. */
export class Batcher<In, Out> {
  readonly #options: BatcherOptions<In, Out>;
  readonly #clock: Clock;
  #queue: Entry<In, Out>[] = [];
  #active: readonly Entry<In, Out>[] = [];
  #cancelWait: (() => void) | undefined;
  #running = false;
  #closing: Promise<void> | undefined;
  #onDrained: (() => void) | undefined;

  constructor(options: BatcherOptions<In, Out>) {
    const { batchSizeMax, queueSizeMax, waitMs } = options;
    if (!(batchSizeMax >= 1) || !(queueSizeMax >= 1) || !(waitMs >= 0))
      throw new Error('A batcher needs sizes of at least 1. This is a bug.');
    this.#options = options;
    this.#clock = options.clock ?? SYSTEM_CLOCK;
  }

  /** Items waiting, and items in the batch that runs. */
  get statistics(): { readonly queued: number; readonly active: number } {
    return { queued: this.#queue.length, active: this.#active.length };
  }

  /**
   * Adds an item and resolves when its batch has run. Rejects with DEADLINE_EXCEEDED at the deadline, the signal's
   * reason, SHUTTING_DOWN after close(), or the item's own error. An aborted item is left out of its batch.
   */
  add(item: In, request: ItemRequest = {}): Promise<BatchResult<Out>> {
    const { deadline, signal } = request;
    if (signal?.aborted) return Promise.reject(signal.reason);
    if (this.#closing !== undefined) return Promise.reject(new SearchError('SHUTTING_DOWN', 'The encoder is closing.'));
    const now = this.#clock.now();
    if (deadline !== undefined && deadline <= now) return Promise.reject(deadlineExceeded());
    const { queueSizeMax } = this.#options;
    if (this.#queue.length >= queueSizeMax)
      return Promise.reject(new Error(`More than ${queueSizeMax} items wait. This is a bug of the admission.`));
    return new Promise((resolve, reject) => {
      const cancelDeadline =
        deadline === undefined
          ? undefined
          : this.#clock.after(deadline - now, () => this.#drop(entry, deadlineExceeded()));
      const onAbort = (): void => this.#drop(entry, signal?.reason);
      const entry: Entry<In, Out> = {
        item,
        deadline,
        addedAt: now,
        startedAt: now,
        settled: false,
        settle(outcome) {
          if (entry.settled) return;
          entry.settled = true;
          cancelDeadline?.();
          signal?.removeEventListener('abort', onAbort);
          if ('error' in outcome) reject(outcome.error);
          else resolve({ value: outcome.value, queueMs: entry.startedAt - entry.addedAt, runMs: outcome.runMs });
        },
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#queue.push(entry);
      this.#consider(false);
    });
  }

  /** Stops accepting items, and resolves when the accepted ones are settled. */
  close(): Promise<void> {
    this.#closing ??= new Promise((resolve) => {
      this.#onDrained = resolve;
    });
    this.#consider(false);
    this.#resolveIfDrained();
    return this.#closing;
  }

  /** Settles an item early and removes it from the queue. */
  #drop(entry: Entry<In, Out>, error: unknown): void {
    entry.settle({ error });
    this.#queue = this.#queue.filter((other) => other !== entry);
    if (this.#queue.length === 0) this.#stopWaiting();
    this.#resolveIfDrained();
  }

  /** Starts the next batch, or a timer for it. `afterBatch`: a batch has just ended, so more items may follow soon. */
  #consider(afterBatch: boolean): void {
    if (this.#running || this.#queue.length === 0) return;
    const { batchSizeMax, waitMs } = this.#options;
    const oldest = this.#queue[0]!;
    const remainingMs = oldest.addedAt + waitMs - this.#clock.now();
    const mayGather = afterBatch || this.#cancelWait !== undefined;
    if (mayGather && remainingMs > 0 && this.#queue.length < batchSizeMax && this.#closing === undefined) {
      this.#cancelWait ??= this.#clock.after(remainingMs, () => {
        this.#cancelWait = undefined;
        this.#consider(false);
      });
      return;
    }
    this.#stopWaiting();
    void this.#runNext();
  }

  #stopWaiting(): void {
    this.#cancelWait?.();
    this.#cancelWait = undefined;
  }

  async #runNext(): Promise<void> {
    this.#running = true;
    await undefined; // items added in the same turn join the batch
    const now = this.#clock.now();
    const expired = (entry: Entry<In, Out>) => entry.deadline !== undefined && entry.deadline <= now;
    // A deadline's timer may be late when the thread was busy.
    for (const entry of this.#queue) if (expired(entry)) entry.settle({ error: deadlineExceeded() });
    this.#queue = this.#queue.filter((entry) => !entry.settled);
    const batch = this.#queue.splice(0, this.#options.batchSizeMax);
    this.#active = batch;
    if (batch.length > 0) await this.#runBatch(batch);
    this.#active = [];
    this.#running = false;
    this.#consider(true);
    this.#resolveIfDrained();
  }

  /** Runs a batch. If it fails as a whole, its items run one by one, so that only the faulty item fails. */
  async #runBatch(batch: readonly Entry<In, Out>[]): Promise<void> {
    const startedAt = this.#clock.now();
    for (const entry of batch) entry.startedAt = startedAt;
    try {
      this.#settleAll(batch, await this.#options.run(batch.map(({ item }) => item)), startedAt);
      return;
    } catch (error) {
      if (batch.length === 1) {
        batch[0]!.settle({ error });
        return;
      }
    }
    for (const entry of batch) {
      if (entry.settled) continue;
      try {
        this.#settleAll([entry], await this.#options.run([entry.item]), startedAt);
      } catch (error) {
        entry.settle({ error });
      }
    }
  }

  #settleAll(batch: readonly Entry<In, Out>[], outcomes: readonly (Out | Error)[], startedAt: number): void {
    const runMs = this.#clock.now() - startedAt;
    if (outcomes.length !== batch.length) {
      const error = new Error(`The runner gave ${outcomes.length} results for ${batch.length} items. This is a bug.`);
      for (const entry of batch) entry.settle({ error });
      return;
    }
    for (const [index, entry] of batch.entries()) {
      const outcome = outcomes[index]!;
      entry.settle(outcome instanceof Error ? { error: outcome } : { value: outcome, runMs });
    }
  }

  #resolveIfDrained(): void {
    if (this.#queue.length === 0 && !this.#running) this.#onDrained?.();
  }
}

function deadlineExceeded(): SearchError {
  return new SearchError('DEADLINE_EXCEEDED', 'The image was not encoded before its deadline; the service is busy.');
}
