/** Labelled measures of a search: queries against a database, one pass over the exact ranking, averaged over queries. */
import type { ExactSearch, RankedNeighbours, SearchRequest } from './exact-search.js';
import { FIXED_DEPTH, type RankingMeasures, rankingMeasures } from './ranking-measures.js';
import { REPORTED_VOTES, type VoteSettings, voteOfNeighbours } from './weighted-knn.js';

/** Share of queries whose vote names their own class. standardError: binomial, of that share. */
export type VoteAccuracy = VoteSettings & { readonly accuracy: number; readonly standardError: number };

/** Means over `queries` (those with at least one relevant database row). */
export type ClassMeasures = RankingMeasures & { readonly queries: number; readonly votes: readonly VoteAccuracy[] };

/** Neighbours needed per query: the largest class, the deepest fixed rank or the widest vote. */
export function depthOfClassMeasures(databaseLabels: ArrayLike<number>): number {
  return Math.max(FIXED_DEPTH, ...REPORTED_VOTES.map((vote) => vote.k), ...classSizes(databaseLabels).values());
}

/**
 * Ranks every query (without `exclude`d rows: itself in leave-one-out) and measures by class labels. Votes weigh by similarity: give a
 * cosine search for the field's convention; with a Euclidean search the weights are exp(-distance / T).
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
  private queries = 0;
  private readonly sums = { precisionAt1: 0, precisionAt10: 0, precisionAt100: 0, mapAtR: 0, rPrecision: 0, mapAt1000: 0 };
  private readonly correct = REPORTED_VOTES.map(() => 0);
  private readonly databaseLabels: ArrayLike<number>;

  constructor(databaseLabels: ArrayLike<number>) {
    this.databaseLabels = databaseLabels;
  }

  add(item: { readonly block: RankedNeighbours; readonly query: number; readonly label: number; readonly relevant: number }): void {
    const { block, query, label, relevant } = item;
    const start = query * block.k;
    const labels = new Int32Array(block.k);
    const relevance = new Uint8Array(block.k);
    for (let i = 0; i < block.k; i++) {
      labels[i] = this.databaseLabels[block.indices[start + i]!]!;
      relevance[i] = labels[i] === label ? 1 : 0;
    }
    const similarities = block.scores.subarray(start, start + block.k);
    REPORTED_VOTES.forEach((vote, index) => {
      if (voteOfNeighbours({ labels, similarities, vote }) === label) this.correct[index] = this.correct[index]! + 1;
    });
    const measures = rankingMeasures(relevance, relevant);
    // Object.keys of a literal whose keys are known: the cast only restores what TypeScript forgets.
    for (const name of Object.keys(this.sums) as (keyof RankingMeasures)[]) this.sums[name] += measures[name];
    this.queries++;
  }

  means(): ClassMeasures {
    const mean = (sum: number): number => (this.queries > 0 ? sum / this.queries : 0);
    return {
      queries: this.queries,
      precisionAt1: mean(this.sums.precisionAt1),
      precisionAt10: mean(this.sums.precisionAt10),
      precisionAt100: mean(this.sums.precisionAt100),
      mapAtR: mean(this.sums.mapAtR),
      rPrecision: mean(this.sums.rPrecision),
      mapAt1000: mean(this.sums.mapAt1000),
      votes: REPORTED_VOTES.map((vote, index) => {
        const accuracy = mean(this.correct[index]!);
        return { ...vote, accuracy, standardError: Math.sqrt((accuracy * (1 - accuracy)) / Math.max(1, this.queries)) };
      }),
    };
  }
}

function classSizes(labels: ArrayLike<number>): Map<number, number> {
  const sizes = new Map<number, number>();
  for (let i = 0; i < labels.length; i++) sizes.set(labels[i]!, (sizes.get(labels[i]!) ?? 0) + 1);
  return sizes;
}
