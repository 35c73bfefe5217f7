/**
 * Labelled measures of a search: queries against a database, one pass over the exact ranking, averaged over queries.
 */
import type { ExactSearch, RankedNeighbours, SearchRequest } from '../exact-search.js';
import { FIXED_DEPTH, type RankingMeasures, rankingMeasures } from './ranking-measures.js';

/** Share of queries whose vote names their own class. standardError: binomial, of that share. */
type VoteAccuracy = VoteSettings & { readonly accuracy: number; readonly standardError: number };

/** Means over `queries` (those with at least one relevant database row). */
export type ClassMeasures = RankingMeasures & { readonly queries: number; readonly votes: readonly VoteAccuracy[] };

/** Neighbours needed per query: the largest class, the deepest fixed rank or the widest vote. */
function depthOfClassMeasures(databaseLabels: ArrayLike<number>): number {
  return Math.max(FIXED_DEPTH, ...REPORTED_VOTES.map((vote) => vote.k), ...classSizes(databaseLabels).values());
}

/**
 * Ranks every query (without `exclude`d rows: itself in leave-one-out) and measures by class labels. Votes weigh by
 * similarity: give a cosine search for the field's convention; with a Euclidean search the weights are exp(-distance
 * / T).
 */
export async function measureClasses(options: {
  readonly search: ExactSearch;
  readonly request: Omit<SearchRequest, 'k'>;
  readonly databaseLabels: ArrayLike<number>;
  readonly queryLabels: ArrayLike<number>;
}): Promise<ClassMeasures> {
  const { search, request, databaseLabels, queryLabels } = options;
  const sizes = classSizes(databaseLabels);
  const totals = new ClassTotals(databaseLabels);
  for await (const block of search.blocks({ ...request, k: depthOfClassMeasures(databaseLabels) })) {
    for (let query = 0; query < block.queries; query++) {
      const label = queryLabels[block.firstQuery + query]!;
      const barred = request.exclude?.[block.firstQuery + query] ?? -1;
      const relevant = (sizes.get(label) ?? 0) - (barred >= 0 && databaseLabels[barred] === label ? 1 : 0);
      if (relevant > 0) totals.add({ block, query, label, relevant });
    }
  }
  return totals.means();
}

class ClassTotals {
  #queries = 0;
  readonly #sums = {
    precisionAt1: 0,
    precisionAt10: 0,
    precisionAt100: 0,
    mapAtR: 0,
    rPrecision: 0,
    mapAt1000: 0,
  };
  readonly #correct = REPORTED_VOTES.map(() => 0);
  readonly #databaseLabels: ArrayLike<number>;

  constructor(databaseLabels: ArrayLike<number>) {
    this.#databaseLabels = databaseLabels;
  }

  add(item: {
    readonly block: RankedNeighbours;
    readonly query: number;
    readonly label: number;
    readonly relevant: number;
  }): void {
    const { block, query, label, relevant } = item;
    const start = query * block.k;
    const labels = new Int32Array(block.k);
    const relevance = new Uint8Array(block.k);
    for (let i = 0; i < block.k; i++) {
      labels[i] = this.#databaseLabels[block.indices[start + i]!]!;
      relevance[i] = labels[i] === label ? 1 : 0;
    }
    const similarities = block.scores.subarray(start, start + block.k);
    REPORTED_VOTES.forEach((vote, index) => {
      if (voteOfNeighbours({ labels, similarities, vote }) === label) this.#correct[index] = this.#correct[index]! + 1;
    });
    const measures = rankingMeasures(relevance, relevant);
    // the keys of the literal above
    for (const name of Object.keys(this.#sums) as (keyof RankingMeasures)[]) this.#sums[name] += measures[name];
    this.#queries++;
  }

  means(): ClassMeasures {
    const mean = (sum: number): number => (this.#queries > 0 ? sum / this.#queries : 0);
    return {
      queries: this.#queries,
      precisionAt1: mean(this.#sums.precisionAt1),
      precisionAt10: mean(this.#sums.precisionAt10),
      precisionAt100: mean(this.#sums.precisionAt100),
      mapAtR: mean(this.#sums.mapAtR),
      rPrecision: mean(this.#sums.rPrecision),
      mapAt1000: mean(this.#sums.mapAt1000),
      votes: REPORTED_VOTES.map((vote, index) => {
        const accuracy = mean(this.#correct[index]!);
        return {
          ...vote,
          accuracy,
          standardError: Math.sqrt((accuracy * (1 - accuracy)) / Math.max(1, this.#queries)),
        };
      }),
    };
  }
}

function classSizes(labels: ArrayLike<number>): Map<number, number> {
  const sizes = new Map<number, number>();
  for (let i = 0; i < labels.length; i++) sizes.set(labels[i]!, (sizes.get(labels[i]!) ?? 0) + 1);
  return sizes;
}

/**
 * Weighted k-nearest-neighbour vote: the usual score of an encoder trained without labels, and the one nearest to what
 * a user of a search sees. Source: Wu et al. 2018 (Unsupervised Feature Learning via Non-Parametric Instance
 * Discrimination), section 3.4.
 */

/** How many neighbours vote, and the temperature T of their weights exp(similarity / T). */
export type VoteSettings = { readonly k: number; readonly temperature: number };

/** Votes reported for every encoder: the two conventions of the field, and the nearest neighbour. */
export const REPORTED_VOTES: readonly VoteSettings[] = [
  { k: 200, temperature: 0.1 },
  { k: 20, temperature: 0.07 },
  { k: 1, temperature: 1 },
];

/**
 * The class that wins the vote of one query. labels: classes of its neighbours, best first; similarities: their
 * cosine similarities, same order; at least one neighbour (fewer than k vote with what there is). Of equal sums the
 * class of the nearest neighbour among them wins. Also for scores of another kind (minus a distance): weights only
 * depend on differences.
 */
export function voteOfNeighbours(options: {
  readonly labels: ArrayLike<number>;
  readonly similarities: ArrayLike<number>;
  readonly vote: VoteSettings;
}): number {
  const { labels, similarities, vote } = options;
  const sums = new Map<number, number>();
  const nearest = similarities[0]!;
  for (let i = 0; i < Math.min(vote.k, labels.length); i++) {
    // relative to the nearest: the same winner without overflow
    const weight = Math.exp((similarities[i]! - nearest) / vote.temperature);
    sums.set(labels[i]!, (sums.get(labels[i]!) ?? 0) + weight);
  }
  let winner = labels[0]!;
  for (const [label, sum] of sums) if (sum > sums.get(winner)!) winner = label; // a Map keeps insertion order
  return winner;
}
