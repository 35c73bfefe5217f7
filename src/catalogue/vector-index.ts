/** A label found by a search, with its cosine similarity to the query, -1..1; larger is nearer. */
export type VectorMatch = { readonly label: number; readonly similarity: number };

/** Labels are sequence numbers, and HNSW keeps them in 32 bits: beyond this it would overwrite another image without a word. */
export const LABEL_LIMIT = 0xffff_ffff;

export type VectorSearchOptions = {
  /** Only labels for which this is true are answered. May throw: the search then throws the same, and nothing breaks. */
  readonly accepts?: (label: number) => boolean;
  /** Breadth of an approximate search; an exact index ignores it. */
  readonly ef?: number;
};

/**
 * Unit vectors under whole-number labels, and the nearest of them. One contract suite holds for every implementation.
 *
 * Labels ascend: each added label is larger than every one before, so that none can be used twice. Vectors are finite, of `dimensions`
 * elements and not all zero; what is not of length 1 is normalised. Matches come nearest first, equal ones by label.
 */
export interface VectorIndex {
  readonly dimensions: number;
  /** Vectors that a search can find. */
  readonly size: number;
  /** Throws INVALID_EMBEDDING for a vector it cannot hold and CATALOGUE_FULL beyond {@link LABEL_LIMIT}. */
  add(label: number, vector: Float32Array): void;
  /** True where the label was there. It is found by no later search. */
  remove(label: number): boolean;
  /** The `k` nearest, or all where there are fewer. Throws INVALID_EMBEDDING as `add` does. */
  search(vector: Float32Array, k: number, options?: VectorSearchOptions): VectorMatch[];
}
