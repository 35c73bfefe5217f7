import { SearchError } from '../errors.js';

/**
 * Weight of what the query shall not be like. With it the formula is that of Qdrant's recommendations (strategy
 * average_vector, 2 mean(P) - mean(N)), up to the length.
 */
export const NEGATIVE_WEIGHT = 0.5;
/** Shorter than this, the examples cancel out and what is left points nowhere. */
const LEAST_LENGTH = 1e-3;

/**
 * One query from several examples, all unit vectors of the same length: mean(positives) - {@link NEGATIVE_WEIGHT} x
 * mean(negatives), brought to length 1. A single positive comes back as it is. Throws INVALID_REQUEST where there is no
 * positive or the examples cancel out. Source: Rocchio 1971, Relevance feedback in information retrieval; Manning,
 * Raghavan and Schuetze 2008, section 9.1.1.
 */
export function combineExamples(examples: {
  readonly positives: readonly Float32Array[];
  readonly negatives: readonly Float32Array[];
}): Float32Array {
  const { positives, negatives } = examples;
  const [first] = positives;
  if (first === undefined)
    throw new SearchError('INVALID_REQUEST', 'A search needs something to be like: at least one positive example.');
  if (positives.length === 1 && negatives.length === 0) return first;
  const sum = new Float64Array(first.length);
  const add = (vectors: readonly Float32Array[], weight: number): void => {
    for (const vector of vectors)
      for (const [at, value] of vector.entries()) sum[at]! += (weight * value) / vectors.length;
  };
  add(positives, 1);
  add(negatives, -NEGATIVE_WEIGHT);
  const length = Math.hypot(...sum);
  if (!(length >= LEAST_LENGTH))
    throw new SearchError('INVALID_REQUEST', 'The examples cancel each other out; leave some away.');
  return Float32Array.from(sum, (value) => value / length);
}

/** A stored picture near the query, its embedding of length 1. */
export type ExpandingNeighbour = { readonly similarity: number; readonly embedding: Float32Array };

/**
 * Query expansion: the sum of the query and of its nearest neighbours, each times its cosine to the query, brought to
 * length 1. What points away from the query does not count. Source: Chum et al. 2007 (Total Recall: Automatic Query
 * Expansion); the weight is the similarity (Radenovic et al. 2018).
 */
export function expandedEmbedding(query: Float32Array, neighbours: readonly ExpandingNeighbour[]): Float32Array {
  const sum = Float64Array.from(query);
  for (const { similarity, embedding } of neighbours)
    if (similarity > 0) for (const [at, value] of embedding.entries()) sum[at]! += similarity * value;
  const length = Math.hypot(...sum);
  return Float32Array.from(sum, (value) => value / length);
}
