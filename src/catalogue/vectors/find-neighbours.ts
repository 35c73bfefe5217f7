import type { Neighbour, NeighbourQuery } from '../catalogue.js';
import { lowerBound } from '../filters/filter-cache.js';
import type { HashIndex } from '../hashes/hash-index.js';
import type { RecordStore } from '../records/record-store.js';
import type { CollectionIndex } from './collection-index.js';

/** Least quality (0..100) at which two equal perceptual hashes say that two pictures are equal. */
const RELIABLE_QUALITY = 50;

/**
 * The neighbours of a query in one collection: the nearest by embedding, the images of the query's bytes (which a graph
 * search may miss), and the nearest by perceptual hash. Images of the same bytes come first, then those of an equal
 * hash, then by similarity, then by sequence. `key`: the collection's. `passes`: labels that pass the
 * filter, ascending.
 */
export function findNeighbours(
  query: NeighbourQuery,
  collection: {
    readonly key: number;
    readonly index: CollectionIndex;
    readonly hashes: HashIndex;
    readonly store: RecordStore;
    readonly passes: readonly number[] | undefined;
  },
): Neighbour[] {
  const { key, index, hashes, store, passes } = collection;
  const { embedding, k, ef, exact = false, sha256, nearHash, withEmbedding = false } = query;
  const { minSimilarity = Number.NEGATIVE_INFINITY } = query;
  const nearest =
    passes === undefined
      ? index.search(embedding, k, { ef, exact })
      : index.searchAmong(embedding, k, { ef, exact, passes });
  const isAllowed = (label: number): boolean => passes === undefined || passes[lowerBound(passes, label)] === label;
  const sameBytes = new Set(sha256 === undefined ? [] : store.sequencesOfBytes(key, sha256, k));
  const byHash = nearHash === undefined ? [] : hashes.near(nearHash.hashes, nearHash);
  const sameHash = new Set(byHash.filter(({ distance }) => distance === 0).map(({ label }) => label));
  const known = new Set(nearest.map(({ label }) => label));
  const missed = new Set([...sameBytes, ...byHash.map(({ label }) => label)]);
  const further = index.scored(
    embedding,
    [...missed].filter((label) => isAllowed(label) && !known.has(label)),
  );
  const found = [...nearest, ...further]
    .filter(({ similarity }) => similarity >= minSimilarity)
    .flatMap(({ label, similarity }): { readonly rank: number; readonly neighbour: Neighbour }[] => {
      const record = store.matched(label);
      if (record === undefined) return []; // damaged: left out
      const { id, metadata, sequence, perceptualHash, perceptualHashQuality = null, fileName, hasOriginal } = record;
      const isSamePicture = sameHash.has(label) && (perceptualHashQuality ?? 0) >= RELIABLE_QUALITY;
      const vector = withEmbedding ? index.vector(label) : undefined;
      const neighbour = {
        ...{ id, similarity, metadata, sequence, sha256: record.sha256, perceptualHash, perceptualHashQuality },
        ...{ fileName, hasOriginal, ...(vector !== undefined && { embedding: vector }) },
      };
      return [{ rank: sameBytes.has(label) ? 0 : isSamePicture ? 1 : 2, neighbour }];
    });
  return found
    .sort(
      (a, b) =>
        a.rank - b.rank ||
        b.neighbour.similarity - a.neighbour.similarity ||
        a.neighbour.sequence - b.neighbour.sequence,
    )
    .map(({ neighbour }) => neighbour);
}
