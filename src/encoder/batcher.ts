/**
 * A micro-batcher: many callers with one item each, one runner that is cheaper per item in batches. It knows nothing of what it batches.
 * While nothing runs, an item is run at once; while a batch runs, items gather, and what has gathered goes as the next batch as soon as it
 * is full or its oldest item has waited long enough. One batch runs at a time.
 */
import { SearchError } from '../errors.js';

/** Runs a batch: an answer or an Error for each item, same length, same order. A rejection is the failure of the whole batch. */
export type RunBatch<In, Out> = (items: readonly In[]) => Promise<readonly (Out | Error)[]>;

/** Time as the batcher sees it, so that tests own it. `now` in milliseconds; `after` returns the function that cancels. */
export type Clock = { now(): number; after(ms: number, act: () => void): () => void };

/** The machine's clock: milliseconds of performance.now(). */
export const SYSTEM_CLOCK: Clock = {
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
  /** How long the oldest gathered item may wait for its batch to fill, once the runner is free. */
  readonly waitMs: number;
  /** Items waiting beyond which a newcomer is OVERLOADED; those of the running batch do not count. */
  readonly queueSizeMax: number;
  readonly clock?: Clock;
};

/** A request's limits: `deadline` in milliseconds of the clock. */
export type ItemRequest = { readonly deadline?: number; readonly signal?: AbortSignal };

/** An answer with the time the item waited for its batch and the time the batch took, in milliseconds. */
export type Answer<Out> = { readonly value: Out; readonly queueMs: number; readonly runMs: number };

type Entry<In, Out> = {
  readonly item: In;
  readonly deadline: number | undefined;
  readonly addedAt: number;
  startedAt: number;
  settled: boolean;
  settle(outcome: { readonly value: Out; readonly runMs: number } | { readonly error: unknown }): void;
};

/** How much the newest batch weighs in the running mean of time per item, from which Retry-After is told. */
const RECENT_WEIGHT = 0.2;

/** See the head of the file. `close()` ends it: what was accepted is answered, what comes later is SHUTTING_DOWN. */
export class Batcher<In, Out> {
  private readonly options: BatcherOptions<In, Out>;
  private readonly clock: Clock;
  private queue: Entry<In, Out>[] = [];
  private active: readonly Entry<In, Out>[] = [];
  private cancelWait: (() => void) | undefined;
  private running = false;
  private closing: { readonly done: Promise<void>; readonly resolve: () => void } | undefined;
  private msPerItem = 1;

  constructor(options: BatcherOptions<In, Out>) {
    const { batchSizeMax, queueSizeMax, waitMs } = options;
    if (!(batchSizeMax >= 1) || !(queueSizeMax >= 1) || !(waitMs >= 0))
      throw new Error('A batcher needs sizes of at least 1. This is a bug.');
    this.options = options;
    this.clock = options.clock ?? SYSTEM_CLOCK;
  }

  /** Items waiting, and items in the batch that runs. */
  get statistics(): { readonly queued: number; readonly active: number } {
    return { queued: this.queue.length, active: this.active.length };
  }

  /**
   * Adds an item and answers when its batch has run. Rejects with OVERLOADED (and when to come again) where the queue is full,
   * DEADLINE_EXCEEDED at the deadline wherever the item then is, the signal's reason where the caller goes, SHUTTING_DOWN after close(),
   * or the item's own error. An item whose caller has gone is left out of its batch.
   */
  add(item: In, request: ItemRequest = {}): Promise<Answer<Out>> {
    const { deadline, signal } = request;
    if (signal?.aborted) return Promise.reject(signal.reason);
    if (this.closing !== undefined) return Promise.reject(new SearchError('SHUTTING_DOWN', 'The encoder is closing.'));
    const now = this.clock.now();
    if (deadline !== undefined && deadline <= now) return Promise.reject(deadlineExceeded());
    const { queueSizeMax } = this.options;
    if (this.queue.length >= queueSizeMax) {
      const retryAfterSeconds = Math.max(1, Math.ceil((this.queue.length * this.msPerItem) / 1000));
      const message = `${queueSizeMax} images wait for the encoder already. Try again in ${retryAfterSeconds} s.`;
      return Promise.reject(new SearchError('OVERLOADED', message, { retryAfterSeconds }));
    }
    return new Promise((resolve, reject) => {
      const cancelDeadline =
        deadline === undefined ? undefined : this.clock.after(deadline - now, () => this.drop(entry, deadlineExceeded()));
      const onAbort = (): void => this.drop(entry, signal?.reason);
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
      this.queue.push(entry);
      this.consider(false);
    });
  }

  /** Stops accepting, lets what was accepted finish (each within its own deadline), and resolves when nothing is left. */
  close(): Promise<void> {
    if (this.closing === undefined) {
      this.closing = withResolve();
      this.consider(false);
      this.resolveIfDrained();
    }
    return this.closing.done;
  }

  /** Answers an item early; one still in the queue leaves it, so that it holds no place there. */
  private drop(entry: Entry<In, Out>, error: unknown): void {
    entry.settle({ error });
    this.queue = this.queue.filter((other) => other !== entry);
    if (this.queue.length === 0) this.stopWaiting();
    this.resolveIfDrained();
  }

  /** Starts the next batch now, or sets the time when it must. `afterBatch`: a batch has just ended, so more items may be on their way. */
  private consider(afterBatch: boolean): void {
    if (this.running || this.queue.length === 0) return;
    const { batchSizeMax, waitMs } = this.options;
    const oldest = this.queue[0]!;
    const remainingMs = oldest.addedAt + waitMs - this.clock.now();
    const mayGather = afterBatch || this.cancelWait !== undefined;
    if (mayGather && remainingMs > 0 && this.queue.length < batchSizeMax && this.closing === undefined) {
      this.cancelWait ??= this.clock.after(remainingMs, () => {
        this.cancelWait = undefined;
        this.consider(false);
      });
      return;
    }
    this.stopWaiting();
    void this.runNext();
  }

  private stopWaiting(): void {
    this.cancelWait?.();
    this.cancelWait = undefined;
  }

  private async runNext(): Promise<void> {
    this.running = true;
    await undefined; // Items added in the same turn join the batch.
    const now = this.clock.now();
    const expired = (entry: Entry<In, Out>) => entry.deadline !== undefined && entry.deadline <= now;
    // A deadline's timer may be late where the thread was busy.
    for (const entry of this.queue) if (expired(entry)) entry.settle({ error: deadlineExceeded() });
    this.queue = this.queue.filter((entry) => !entry.settled);
    const batch = this.queue.splice(0, this.options.batchSizeMax);
    this.active = batch;
    if (batch.length > 0) await this.runBatch(batch);
    this.active = [];
    this.running = false;
    this.consider(true);
    this.resolveIfDrained();
  }

  /** Runs a batch; if it fails as a whole, its items run again one by one, so that only the item at fault fails. */
  private async runBatch(batch: readonly Entry<In, Out>[]): Promise<void> {
    const startedAt = this.clock.now();
    for (const entry of batch) entry.startedAt = startedAt;
    try {
      this.settleAll(batch, await this.options.run(batch.map(({ item }) => item)), startedAt);
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
        this.settleAll([entry], await this.options.run([entry.item]), startedAt);
      } catch (error) {
        entry.settle({ error });
      }
    }
  }

  private settleAll(batch: readonly Entry<In, Out>[], outcomes: readonly (Out | Error)[], startedAt: number): void {
    const runMs = this.clock.now() - startedAt;
    this.msPerItem += RECENT_WEIGHT * (runMs / batch.length - this.msPerItem);
    if (outcomes.length !== batch.length) {
      const error = new Error(`The batch's runner answered ${outcomes.length} results for ${batch.length} items. This is a bug.`);
      for (const entry of batch) entry.settle({ error });
      return;
    }
    for (const [index, entry] of batch.entries()) {
      const outcome = outcomes[index]!;
      entry.settle(outcome instanceof Error ? { error: outcome } : { value: outcome, runMs });
    }
  }

  private resolveIfDrained(): void {
    if (this.queue.length === 0 && !this.running) this.closing?.resolve();
  }
}

function deadlineExceeded(): SearchError {
  return new SearchError('DEADLINE_EXCEEDED', 'The image was not encoded within its time. Try again when the service is less busy.');
}

function withResolve(): { readonly done: Promise<void>; readonly resolve: () => void } {
  let resolve: () => void = () => undefined;
  const done = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { done, resolve };
}
