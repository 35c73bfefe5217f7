/** Folding: copies among the results of a page stand under the best of them. */
import type { ImageId } from '../../catalogue/catalogue.js';
import { type CopyRules, isNearHash, judgeCopy } from '../../matching/copy-verdict.js';
import { cosineOf } from '../../matching/nearest-rows.js';
import type { RequestScope } from '../limits/request-tracker.js';
import type { OpenCollection, RouteCatalogue } from '../tenancy.js';
import type { ComparisonThreads } from './comparison-threads.js';
import { hashDistance, hashOf, isFlat } from './hash-evidence.js';
import type { Match } from './query-matches.js';

/** A result, and its copies among the results after it. */
export type FoldedMatch = { readonly kept: Match; readonly folded: readonly Match[] };

/** Pairs of a page that are aligned, some 2.5 ms of a thread each. Results beyond it stand for themselves. */
const PAIRS_MAX = 64;

/**
 * Folds each result under the first one that it is a copy of. Near hashes alone show no copy, since documents of one
 * layout have them too: such pairs are aligned, as for POST /compare, and what there is no room or time to align stands
 * for itself. Embeddings are needed. Rejects only as `scope` does.
 */
export async function foldCopies(
  matches: readonly Match[],
  context: {
    readonly rules: CopyRules;
    readonly collection: OpenCollection;
    readonly scope: RequestScope;
    readonly catalogue: Pick<RouteCatalogue, 'thumbnail'>;
    readonly comparisons: ComparisonThreads;
  },
): Promise<readonly FoldedMatch[]> {
  const { rules, collection, scope, catalogue, comparisons } = context;
  const thumbnailOf = (id: ImageId): Promise<Uint8Array | undefined> => catalogue.thumbnail(collection, id);
  let room = PAIRS_MAX;

  /** Which of some results are copies of `kept`. */
  const copiesOf = async (kept: Match, others: readonly Match[]): Promise<ReadonlySet<Match>> => {
    const copies = new Set(others.filter(({ sha256 }) => Buffer.compare(sha256, kept.sha256) === 0));
    const near = others.filter((other) => isNearHash(hashEvidence(kept, other), rules.hashThreshold));
    const open = near.filter((other) => !copies.has(other)).slice(0, room);
    if (open.length === 0) return copies;
    room -= open.length;
    const [query, ...thumbnails] = await scope.race(Promise.all([kept, ...open].map(({ id }) => thumbnailOf(id))));
    if (query === undefined) return copies; // removed meanwhile
    const there = open.flatMap((match, at) => (thumbnails[at] === undefined ? [] : [[match, thumbnails[at]] as const]));
    const alignments = await comparisons.align(
      scope,
      query,
      there.map(([{ sequence }, thumbnail]) => ({ sequence, view: 'original' as const, thumbnail })),
    );
    for (const [at, [match]] of there.entries()) {
      const alignment = alignments[at];
      if (alignment === undefined) continue;
      const evidence = { ...hashEvidence(kept, match), hasSameBytes: false, agreement: alignment?.agreement ?? null };
      if (judgeCopy(evidence, rules).copy !== 'none') copies.add(match);
    }
    return copies;
  };

  const entries: FoldedMatch[] = [];
  let left = matches;
  while (left.length > 0) {
    const [kept, ...others] = left as readonly [Match, ...Match[]];
    const copies = await copiesOf(kept, others);
    entries.push({ kept, folded: others.filter((other) => copies.has(other)) });
    left = others.filter((other) => !copies.has(other));
  }
  return entries;
}

function hashEvidence(a: Match, b: Match) {
  return {
    distance: hashDistance(hashOf(a), hashOf(b)),
    similarity: a.embedding === undefined || b.embedding === undefined ? 0 : cosineOf(a.embedding, b.embedding),
    isFlat: isFlat(a.perceptualHashQuality) || isFlat(b.perceptualHashQuality),
  };
}
