/**
 * A token bucket for each of a bounded number of callers. @fastify/rate-limit counts requests, one each; what costs here is the image, and
 * one POST /index holds up to thirty-two of them, so the counting stands where the images are seen.
 */
export type TokenBuckets = {
  /** Takes `tokens` of a caller's bucket and returns 0, or takes nothing and returns the seconds until they would be there. */
  take(caller: string, tokens: number): number;
};

type Bucket = { tokens: number; at: number };

/**
 * `perMinute` tokens flow in steadily; an untouched bucket holds `burst`. At most `maxCallers` are remembered, the least recent is forgotten
 * first: whoever was forgotten starts full, so memory is bounded at the price of leniency. `now` in milliseconds, injected for tests.
 */
export function createTokenBuckets(options: {
  readonly perMinute: number;
  readonly burst: number;
  readonly maxCallers: number;
  readonly now: () => number;
}): TokenBuckets {
  const { perMinute, burst, maxCallers, now } = options;
  const buckets = new Map<string, Bucket>();
  const perMs = perMinute / 60_000;
  return {
    take(caller, tokens) {
      const at = now();
      const known = buckets.get(caller);
      const level = known === undefined ? burst : Math.min(burst, known.tokens + (at - known.at) * perMs);
      const isGranted = level >= tokens;
      buckets.delete(caller); // Deleted and set again: a Map keeps the order of insertion, so the first key is the least recent.
      buckets.set(caller, { tokens: isGranted ? level - tokens : level, at });
      if (buckets.size > maxCallers) {
        const eldest = buckets.keys().next();
        if (!eldest.done) buckets.delete(eldest.value);
      }
      return isGranted ? 0 : Math.max(1, Math.ceil((tokens - level) / perMs / 1000));
    },
  };
}
