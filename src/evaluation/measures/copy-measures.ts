/**
 * Measures of the search for copies, the main task of a reverse image search; no labels needed. Conventions: Douze et
 * al. 2021 (DISC21, the Image Similarity Challenge).
 */
import type { RankedNeighbours } from '../exact-search.js';

/** True database row of each query, or -1 for a query that has no match (a distractor query). */
export type TrueMatches = Int32Array;

/** Share of the queries with a match whose first neighbour is that match, 0..1. NaN where no query has a match. */
export function recallAt1(ranked: RankedNeighbours, matches: TrueMatches): number {
  let withMatch = 0;
  let found = 0;
  for (let query = 0; query < ranked.queries; query++) {
    const match = matches[ranked.firstQuery + query]!;
    if (match < 0) continue;
    withMatch++;
    if (ranked.indices[query * ranked.k] === match) found++;
  }
  return found / withMatch;
}

/**
 * Micro average precision, 0..1: the area under the precision-recall curve of all results of all queries, sorted by
 * score. It measures one threshold for all queries, so wrong results of distractor queries count too. Among equal
 * scores wrong results come first. Recall counts every query with a match.
 */
export function microAveragePrecision(ranked: RankedNeighbours, matches: TrueMatches): number {
  const order = Uint32Array.from({ length: ranked.queries * ranked.k }, (_, index) => index);
  const correct = new Uint8Array(order.length);
  let positives = 0;
  for (let query = 0; query < ranked.queries; query++) {
    const match = matches[ranked.firstQuery + query]!;
    if (match < 0) continue;
    positives++;
    for (let i = query * ranked.k; i < (query + 1) * ranked.k; i++) correct[i] = ranked.indices[i] === match ? 1 : 0;
  }
  order.sort((a, b) => ranked.scores[b]! - ranked.scores[a]! || correct[a]! - correct[b]!);
  let hits = 0;
  let sum = 0;
  for (let place = 0; place < order.length; place++) {
    if (!correct[order[place]!]) continue;
    hits++;
    sum += hits / (place + 1);
  }
  return sum / positives;
}

/** The number of nearest background images that {@link normaliseScores} averages, and the weight of that mean. */
export type ScoreNormalisation = { readonly neighbours: number; readonly weight: number };

/** As SSCD uses it (Pizzi et al. 2022, section 5). */
const SCORE_NORMALISATION: ScoreNormalisation = { neighbours: 10, weight: 1 };

/**
 * Scores minus the mean similarity of the query's nearest background images, so that one threshold suits queries that
 * resemble everything too. The order within a query stays. background: the same queries ranked against images that are
 * neither in the database nor copies of it.
 */
export function normaliseScores(
  ranked: RankedNeighbours,
  background: RankedNeighbours,
  settings: ScoreNormalisation = SCORE_NORMALISATION,
): RankedNeighbours {
  const scores = Float32Array.from(ranked.scores);
  const count = Math.min(settings.neighbours, background.k);
  for (let query = 0; query < ranked.queries; query++) {
    let sum = 0;
    for (let i = 0; i < count; i++) sum += background.scores[query * background.k + i]!;
    const offset = (settings.weight * sum) / count;
    for (let i = query * ranked.k; i < (query + 1) * ranked.k; i++) scores[i] = scores[i]! - offset;
  }
  return { ...ranked, scores };
}
