/**
 * Fair admission. One queue stands before decoder and encoder and is the one place that refuses an image with
 * OVERLOADED; its slots are the embeddings to compute. A second stands before the catalogue's reads; its slots are
 * their cost. Both are shared fairly between callers, so that a caller that floods the service delays and is refused
 * mostly itself.
 */
import { SearchError } from '../../errors.js';
import type { Principal } from '../auth.js';

type Caller = Principal['caller'];

/** Slots for work in flight. `held`: slots of work that waits and of work that runs. */
export type FairQueue = {
  readonly held: number;
  /** Throws as `acquire` does. Called before a body is read, so that a refusal costs little. */
  requireRoom(caller: Caller, slots?: number): void;
  /**
   * Resolves with the function that releases the slots, when it is the caller's turn. Throws OVERLOADED where there is
   * no room, INVALID_REQUEST where there never is, and rejects with the signal's reason where it fires first.
   */
  acquire(request: {
    readonly caller: Caller;
    readonly slots: number;
    readonly signal: AbortSignal;
  }): Promise<() => void>;
};

/** Bounds of a fair queue. */
export type FairQueueOptions = {
  /** What the slots count (images), and the flags that bound them, for messages. */
  readonly unit: string;
  readonly flags: string;
  /** Most slots held at once, by waiting and by running work. */
  readonly limit: number;
  /**
   * Most slots that run at once: enough to keep the workers busy. All others wait here, where callers are told apart. A
   * larger request runs alone.
   */
  readonly window: number;
  /** The queue admits as many slots as it can serve in this time. */
  readonly maxWaitMs: number;
  /** Milliseconds of a steady clock. */
  readonly now: () => number;
};

/**
 * Dynamic threshold: a caller may hold this many times the free room. Alone it gets four fifths of all slots, two
 * callers get four ninths each, and some room is always left for a new caller. Source: Choudhury & Hahne 1998, Dynamic
 * queue length thresholds for shared-memory packet switches.
 */
const SHARE_OF_FREE = 4;
/** Slots that are admitted however long the wait: a burst of large pictures is slow, but not refused. */
const ALWAYS_SLOTS = 32;
/** Assumed before the first measurement. */
const INITIAL_MS_PER_SLOT = 10;
/** Busy time that makes one sample of the service rate, and the weight of a sample in the moving average. */
const SAMPLE_MS = 100;
const SAMPLE_WEIGHT = 0.3;

type Waiting = { readonly slots: number; readonly start: () => void };
type CallerQueue = { readonly waiting: Waiting[]; served: number; held: number };

/** A start-time fair queue: of the callers that wait, the one with the fewest slots served goes next. */
export function createFairQueue(options: FairQueueOptions): FairQueue {
  const { unit, flags, limit, window, maxWaitMs } = options;
  const queues = new Map<Caller, CallerQueue>();
  const rate = createServiceRate(options.now);
  let held = 0;
  let running = 0;
  let waiting = 0;
  /** `served` of the caller that started last. A new caller starts here, with neither credit nor debt. */
  let virtualTime = 0;

  /** Slots that can be served within the longest wait. */
  const capacity = (): number => Math.min(limit, Math.max(ALWAYS_SLOTS, Math.floor(maxWaitMs / rate.msPerSlot)));

  /**
   * A caller without slots waits for at most as many slots per other caller as it requests itself, so long queues of
   * others do not refuse it. A caller with slots waits behind its own and shares the free room.
   */
  const fits = (own: number, slots: number): boolean => {
    if (held === 0) return true;
    const free = capacity() - held;
    if (own > 0) return slots <= free && own + slots <= SHARE_OF_FREE * free;
    let ahead = 0;
    for (const other of queues.values()) ahead += Math.min(other.held, slots);
    return held + slots <= limit && ahead + slots <= capacity();
  };

  const requireRoom = (caller: Caller, slots: number): void => {
    if (slots > limit) {
      const message = `The request needs ${slots} ${unit} at once; the service takes at most ${limit} (${flags}).`;
      throw new SearchError('INVALID_REQUEST', message);
    }
    const own = queues.get(caller)?.held ?? 0;
    if (fits(own, slots)) return;
    const retryAfterSeconds = Math.max(1, Math.ceil((held * rate.msPerSlot) / 1000));
    const whose = own > 0 ? `, ${own} of them of this caller` : '';
    const message = `${held} ${unit} are in flight${whose} (${flags}). Try again in ${retryAfterSeconds} s.`;
    throw new SearchError('OVERLOADED', message, { retryAfterSeconds });
  };

  const startNext = (): void => {
    while (waiting > 0) {
      const next = leastServed(queues);
      const { slots, start } = next.waiting[0]!;
      if (running > 0 && running + slots > window) return;
      running += slots;
      waiting -= 1;
      virtualTime = next.served;
      next.served += slots;
      next.waiting.shift();
      start();
    }
  };

  const release = (caller: Caller, queue: CallerQueue, slots: number): void => {
    held -= slots;
    queue.held -= slots;
    if (queue.held === 0) queues.delete(caller);
  };

  return {
    get held() {
      return held;
    },
    requireRoom: (caller, slots = 1) => requireRoom(caller, slots),
    async acquire({ caller, slots, signal }) {
      signal.throwIfAborted();
      requireRoom(caller, slots);
      const queue = queues.get(caller) ?? { waiting: [], served: virtualTime, held: 0 };
      queues.set(caller, queue);
      held += slots;
      queue.held += slots;
      await new Promise<void>((resolve, reject) => {
        const leave = (): void => {
          queue.waiting.splice(queue.waiting.indexOf(entry), 1);
          waiting -= 1;
          release(caller, queue, slots);
          rate.setBusy(waiting > 0);
          reject(signal.reason);
          startNext();
        };
        const entry: Waiting = {
          slots,
          start: () => {
            signal.removeEventListener('abort', leave);
            resolve();
          },
        };
        signal.addEventListener('abort', leave, { once: true });
        queue.waiting.push(entry);
        waiting += 1;
        startNext();
        rate.setBusy(waiting > 0);
      });
      let isReleased = false;
      return () => {
        if (isReleased) throw new Error('Slots were released twice. This is a bug.');
        isReleased = true;
        running -= slots;
        release(caller, queue, slots);
        rate.observe(slots);
        startNext();
        rate.setBusy(waiting > 0);
      };
    },
  };
}

/** The waiting caller with the fewest slots served; of several, the one that came first. */
function leastServed(queues: ReadonlyMap<Caller, CallerQueue>): CallerQueue {
  let found: CallerQueue | undefined;
  for (const queue of queues.values()) {
    if (queue.waiting.length > 0 && (found === undefined || queue.served < found.served)) found = queue;
  }
  if (found === undefined) throw new Error('Images wait but no caller has any. This is a bug.');
  return found;
}

/**
 * Moving average of milliseconds per slot, over the times when images wait: only then does the service run at its
 * full rate.
 */
function createServiceRate(now: () => number): {
  readonly msPerSlot: number;
  setBusy(isBusy: boolean): void;
  observe(slots: number): void;
} {
  let msPerSlot = INITIAL_MS_PER_SLOT;
  let busySince: number | undefined;
  let busyMs = 0;
  let served = 0;
  return {
    get msPerSlot() {
      return msPerSlot;
    },
    setBusy(isBusy) {
      if (!isBusy) busySince = undefined;
      else busySince ??= now();
    },
    observe(slots) {
      if (busySince === undefined) return;
      const at = now();
      busyMs += at - busySince;
      busySince = at;
      served += slots;
      if (busyMs < SAMPLE_MS) return;
      msPerSlot += SAMPLE_WEIGHT * (busyMs / served - msPerSlot);
      busyMs = 0;
      served = 0;
    },
  };
}
