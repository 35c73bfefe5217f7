import { SearchError } from '../../errors.js';
import { type Backbone, type Tap, tapCandidates } from './backbone.js';

/** A tap and how it is pooled: every pooled vector is scaled to norm 1 and becomes a part of the features. */
export type PooledTap = { readonly tap: Tap; readonly pools: readonly Pool[] };

/** `gem`: generalised mean with exponent 3 of what is positive. `first`: the class token. */
export type Pool = 'mean' | 'gem' | 'first';

/** Earlier stages besides the last. */
const EARLIER_STAGES = 3;
/** Values of all parts: the eigenproblem takes time with their cube, two minutes here. */
const VALUES_MAX = 3072;

/**
 * What is tapped unless --taps says otherwise, by shape alone. Of a convolutional network: the last map, and of each of
 * the three sizes before it the widest, the later of equals. Of a transformer: the last tokens, and those after five
 * sixths, two thirds and half of the network. INVALID_SETTINGS where there is nothing to tap.
 */
export async function defaultTaps(backbone: Backbone): Promise<readonly PooledTap[]> {
  const candidates = await tapCandidates(backbone);
  const last = candidates.at(-1);
  if (last === undefined) {
    const remedy = 'Name values of its program with --taps, or take another encoder';
    const message = `No map and no tokens were found in ${backbone.encoder.folder}/encoder.onnx. ${remedy}.`;
    throw new SearchError('INVALID_SETTINGS', message);
  }
  const chosen = last.kind === 'tokens' ? spreadTokens(candidates) : widestMaps(candidates);
  return withinLimit(chosen.map(pooled));
}

/** The same pools for taps that were named. */
export function pooled(tap: Tap): PooledTap {
  if (tap.kind === 'map') return { tap, pools: ['mean', 'gem'] };
  return { tap, pools: tap.prefix > 0 ? ['first', 'mean'] : ['mean'] };
}

export function featureSize(taps: readonly PooledTap[]): number {
  return taps.reduce((sum, { tap, pools }) => sum + tap.channels * pools.length, 0);
}

/** The last first. Wide layers of the last size say little that the last map does not, and lose copies. */
function widestMaps(candidates: readonly Tap[]): readonly Tap[] {
  const last = candidates.at(-1)!;
  const widest = new Map<number, Tap>();
  for (const tap of [...candidates].reverse()) {
    if (tap.kind !== 'map' || last.kind !== 'map' || tap.height <= last.height) continue;
    const known = widest.get(tap.height);
    if (known === undefined || tap.channels > known.channels) widest.set(tap.height, tap);
  }
  return [last, ...widest.values()].slice(0, 1 + EARLIER_STAGES);
}

function spreadTokens(candidates: readonly Tap[]): readonly Tap[] {
  const end = candidates.length - 1;
  const places = Array.from({ length: 1 + EARLIER_STAGES }, (_, step) => Math.floor(end * (1 - step / 6)));
  return [...new Set(places)].map((place) => candidates[place]!);
}

/** Leaves out generalised means, those of the earliest taps first, then taps; the mean of the last one stays. */
function withinLimit(taps: readonly PooledTap[]): readonly PooledTap[] {
  let kept = taps;
  while (featureSize(kept) > VALUES_MAX) {
    const fullest = kept.findLastIndex(({ pools }) => pools.length > 1);
    if (fullest >= 0) kept = kept.map((each, at) => (at === fullest ? { ...each, pools: ['mean'] } : each));
    else if (kept.length > 1) kept = kept.slice(0, -1);
    else return kept;
  }
  return kept;
}
