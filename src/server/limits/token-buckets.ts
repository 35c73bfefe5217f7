import { LruMap } from '../../lru.js';

/** A token bucket per caller. Tokens are images, not requests: one POST /index may hold many. */
export type TokenBuckets = {
  /** Takes `tokens` and returns 0, or takes none and returns the seconds until they are available. */
  take(caller: string, tokens: number): number;
};

/**
 * `perMinute` tokens are added steadily, up to `burst`. The least recently used of more than `maxCallers` buckets is
 * evicted and starts full again: memory is bounded at the price of leniency. `now` in milliseconds.
 */
export function createTokenBuckets(options: {
  readonly perMinute: number;
  readonly burst: number;
  readonly maxCallers: number;
  readonly now: () => number;
}): TokenBuckets {
  const { perMinute, burst, maxCallers, now } = options;
  const buckets = new LruMap<string, { readonly tokens: number; readonly at: number }>(maxCallers);
  const perMs = perMinute / 60_000;
  return {
    take(caller, tokens) {
      const at = now();
      const known = buckets.get(caller);
      const level = known === undefined ? burst : Math.min(burst, known.tokens + (at - known.at) * perMs);
      const isGranted = level >= tokens;
      buckets.set(caller, { tokens: isGranted ? level - tokens : level, at });
      return isGranted ? 0 : Math.max(1, Math.ceil((tokens - level) / perMs / 1000));
    },
  };
}
