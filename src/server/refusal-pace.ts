/** How fast refusals for want of room are given: at once while they are few, spread out when they flood. */

/**
 * Refusals that come closer than this wait for each other: 500 a second are given at once, about three times of what two cores can search.
 */
const SPACING_MS = 2;
/** Longest that a refusal is held back. Far under the 100 ms within which one is to be had, on a machine whose every core is busy too. */
const WAIT_MS_MAX = 30;

/**
 * Milliseconds that the refusal of this moment is to be held back. Clients that come again at once, whatever Retry-After says, would otherwise take the cores
 * with being refused: 64 of them left 60 searches a second of 156. `now`: milliseconds of a steady clock.
 */
export function createRefusalPace(now: () => number): () => number {
  let nextAt = Number.NEGATIVE_INFINITY;
  return () => {
    const at = now();
    const waitMs = Math.min(WAIT_MS_MAX, Math.max(0, nextAt - at));
    nextAt = at + waitMs + SPACING_MS;
    return waitMs;
  };
}
