/** Work in the background that must cost nobody anything. */
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';

/** Waits until nobody else needs the machine, then works. */
export type IdlePace = <T>(work: () => Promise<T>) => Promise<T>;

const POLL_MS = 50;
const POLL_MS_MIN = 1;
const REST_MS_MAX = 1000;

/**
 * Works only while `isQuiet`, and rests after each piece of work as long as it took (a second at most): half of the machine at the very most, and none of it
 * while others are busy. Rejects with the signal's reason.
 */
export function createIdlePace(options: { readonly isQuiet: () => boolean; readonly signal: AbortSignal }): IdlePace {
  const { isQuiet, signal } = options;
  let restUntil = 0;
  return async (work) => {
    for (;;) {
      signal.throwIfAborted();
      const restMs = restUntil - performance.now();
      if (restMs <= 0 && isQuiet()) break;
      await sleep(Math.max(POLL_MS_MIN, Math.min(POLL_MS, restMs > 0 ? restMs : POLL_MS)), undefined, { signal, ref: false });
    }
    const startedAt = performance.now();
    try {
      return await work();
    } finally {
      restUntil = performance.now() + Math.min(REST_MS_MAX, performance.now() - startedAt);
    }
  };
}
