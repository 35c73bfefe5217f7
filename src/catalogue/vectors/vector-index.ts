/** A found label and its cosine similarity to the query, -1..1; larger is nearer. */
export type VectorMatch = { readonly label: number; readonly similarity: number };

/** Largest label: HNSW keeps 32 bits of it, and would overwrite another image beyond that. */
export const LABEL_LIMIT = 0xffff_ffff;

export type VectorSearchOptions = {
  /** Returns only labels for which this is true. May throw: the search then throws the same. */
  readonly accepts?: (label: number) => boolean;
  /** efSearch of an approximate search; an exact index ignores it. */
  readonly ef?: number;
};

/**
 * Unit vectors with whole-number labels, searched by similarity. One contract suite holds for every implementation.
 *
 * Each added label is larger than all before, so none is used twice. Vectors are finite, of `dimensions` elements and
 * not all zero; they are normalised to length 1. Matches are sorted nearest first, ties by label.
 */
export interface VectorIndex {
  readonly dimensions: number;
  /** Vectors that a search can find. */
  readonly size: number;
  /** Throws INVALID_EMBEDDING for a vector it cannot hold and CATALOGUE_FULL beyond {@link LABEL_LIMIT}. */
  add(label: number, vector: Float32Array): void;
  /** True where the label existed. No later search finds it. */
  remove(label: number): boolean;
  /** The `k` nearest, or all where there are fewer. Throws INVALID_EMBEDDING as `add` does. */
  search(vector: Float32Array, k: number, options?: VectorSearchOptions): VectorMatch[];
}
