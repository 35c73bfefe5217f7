/**
 * Weighted k-nearest-neighbour vote: the usual score of an encoder trained without labels, and the one nearest to what a user of a search
 * sees. Source: Wu et al. 2018 (Unsupervised Feature Learning via Non-Parametric Instance Discrimination), section 3.4.
 */

/** How many neighbours vote, and the temperature T of their weights exp(similarity / T). */
export type VoteSettings = { readonly k: number; readonly temperature: number };

/** Those reported for every encoder: the two conventions of the field, and the plain nearest neighbour. */
export const REPORTED_VOTES: readonly VoteSettings[] = [
  { k: 200, temperature: 0.1 },
  { k: 20, temperature: 0.07 },
  { k: 1, temperature: 1 },
];

/**
 * The class that wins the vote of one query. labels: classes of its neighbours, best first; similarities: their cosine similarities,
 * same order; at least one neighbour (fewer than k vote with what there is). Of equal sums the class of the nearest neighbour among them
 * wins. Also for scores of another kind (minus a distance): weights only depend on differences.
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
    // Relative to the nearest: the same winner, and exp never overflows.
    const weight = Math.exp((similarities[i]! - nearest) / vote.temperature);
    sums.set(labels[i]!, (sums.get(labels[i]!) ?? 0) + weight);
  }
  let winner = labels[0]!;
  for (const [label, sum] of sums) if (sum > sums.get(winner)!) winner = label; // a Map keeps the order of first arrival
  return winner;
}
