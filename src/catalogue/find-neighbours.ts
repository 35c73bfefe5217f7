import type { Neighbour, NeighbourQuery, Sequence } from './catalogue.js';
import type { CollectionIndex } from './collection-index.js';
import type { HashIndex } from './hash-index.js';
import { placeIn } from './pass-sets.js';
import type { RecordStore } from './record-store.js';
import type { VectorMatch } from './vector-index.js';

/**
 * The neighbours of a query in one collection, best first: the nearest by embedding; where the query names its bytes, the image of the same; where it names
 * hashes, those with a near hash however low the embedding ranks them. A graph is searched by approximation and may miss even the very vector that it is asked
 * for (of 18,000 pictures of noise, one was found only with a breadth of 160), but a stored file sent again is to be compared always. `passes`: the
 * labels that a filter lets through, ascending.
 */
export function findNeighbours(
  query: NeighbourQuery,
  collection: {
    readonly index: CollectionIndex;
    readonly hashes: HashIndex;
    readonly store: RecordStore;
    readonly passes: readonly number[] | undefined;
  },
): Neighbour[] {
  const { index, hashes, store, passes } = collection;
  const { embedding, k, ef, exact = false, sha256, nearHash, minSimilarity = Number.NEGATIVE_INFINITY, withEmbedding = false } = query;
  const nearest = passes === undefined ? index.search(embedding, k, { ef, exact }) : index.searchAmong(embedding, k, { ef, exact, passes });
  const isAllowed = (label: number): boolean => passes === undefined || passes[placeIn(passes, label)] === label;
  const sameBytes = sha256 === undefined ? undefined : store.sequenceOfBytes(query.collection, sha256);
  const byHash = nearHash === undefined ? [] : hashes.near(nearHash.hashes, nearHash).map(({ label }) => label);
  const known = new Set(nearest.map(({ label }) => label));
  const missed = new Set(sameBytes === undefined ? byHash : [sameBytes, ...byHash]);
  const further = index.scored(
    embedding,
    [...missed].filter((label) => isAllowed(label) && !known.has(label)),
  );
  const toNeighbour = ({ label, similarity }: VectorMatch): Neighbour => {
    const image = store.matched(label);
    if (image === undefined) throw new Error(`The index holds ${label}, which the record store does not. This is a bug.`);
    const vector = withEmbedding ? index.vector(label) : undefined;
    // Labels are the sequences they were added under.
    return { ...image, similarity, sequence: label as Sequence, ...(vector !== undefined && { embedding: vector }) };
  };
  return [...nearest, ...further]
    .filter(({ similarity }) => similarity >= minSimilarity)
    .sort((a, b) => b.similarity - a.similarity || a.label - b.label)
    .map(toNeighbour);
}
