/**
 * Measures of one ranking, given its relevant items (those of the query's class); class-measures.ts averages over
 * queries. Sources: Musgrave et al. 2020 (A Metric Learning Reality Check) for MAP@R and R-precision; the hashing
 * papers' convention for mAP@1000.
 */

/** All ranking measures of one query, each 0..1, larger is better. */
export type RankingMeasures = {
  readonly precisionAt1: number;
  readonly precisionAt10: number;
  readonly precisionAt100: number;
  /** (1 / R) sum over ranks i <= R of precision(i) where item i is relevant. */
  readonly mapAtR: number;
  /** Share of relevant items among the first R. */
  readonly rPrecision: number;
  /** Mean of precision(i) over the relevant items i among the first 1000; 0 without any. */
  readonly mapAt1000: number;
};

/** The deepest fixed rank that {@link rankingMeasures} looks at. */
export const FIXED_DEPTH = 1000;

/**
 * relevance: 1 or 0 per rank, best first, at least max(R, FIXED_DEPTH) ranks or the whole database; relevantInDatabase:
 * R, how many items the query could have found. A query with R = 0 scores 0 everywhere; leave such queries out of
 * a mean.
 */
export function rankingMeasures(relevance: ArrayLike<number>, relevantInDatabase: number): RankingMeasures {
  const R = relevantInDatabase;
  let hits = 0;
  let precisionSum = 0;
  let precisionSumAtR = 0;
  let hitsAtR = 0;
  let hitsAt1000 = 0;
  let precisionSumAt1000 = 0;
  const precisions = new Map<number, number>();
  const depth = Math.min(relevance.length, Math.max(R, FIXED_DEPTH));
  for (let i = 0; i < depth; i++) {
    if (relevance[i]) {
      hits++;
      precisionSum += hits / (i + 1);
    }
    const rank = i + 1;
    if (rank === 1 || rank === 10 || rank === 100) precisions.set(rank, hits / rank);
    if (rank <= R) [hitsAtR, precisionSumAtR] = [hits, precisionSum];
    if (rank <= FIXED_DEPTH) [hitsAt1000, precisionSumAt1000] = [hits, precisionSum];
  }
  // ranks beyond the database hold nothing relevant
  const precisionAt = (rank: number): number => precisions.get(rank) ?? hits / rank;
  return {
    precisionAt1: precisionAt(1),
    precisionAt10: precisionAt(10),
    precisionAt100: precisionAt(100),
    mapAtR: R > 0 ? precisionSumAtR / R : 0,
    rPrecision: R > 0 ? hitsAtR / R : 0,
    mapAt1000: hitsAt1000 > 0 ? precisionSumAt1000 / hitsAt1000 : 0,
  };
}
