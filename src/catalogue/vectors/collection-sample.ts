import type { Changes, ChangesQuery, ImageId, Sample, SampleQuery, Sequence } from '../catalogue.js';
import type { CollectionIndex } from './collection-index.js';

const BUCKETS = 1 << 16;

/** See `Catalogue.sample`. `index`: undefined for an unknown collection. */
export function takeSample(query: SampleQuery, index: CollectionIndex | undefined, lastSequence: number): Sample {
  const sequences = chosen(index?.labels ?? [], query);
  const vectors = sequences.map((sequence) => index!.vector(sequence)!); // chosen among its labels
  const dimensions = vectors[0]?.length ?? 0;
  const embeddings = new Float32Array(vectors.length * dimensions);
  vectors.forEach((vector, row) => {
    embeddings.set(vector, row * dimensions);
  });
  return { images: index?.size ?? 0, lastSequence, sequences, embeddings };
}

/** See `Catalogue.changesSince`. `store.idOf`: an image's id, in any collection. */
export function changesOf(
  query: ChangesQuery,
  index: CollectionIndex | undefined,
  store: { readonly lastSequence: number; idOf(sequence: number): ImageId | undefined },
): Changes {
  let added = 0;
  for (const label of index?.labels ?? []) if (label > query.since) added++;
  const ids = query.sequences.map((sequence) => (index?.has(sequence) ? (store.idOf(sequence) ?? null) : null));
  return { images: index?.size ?? 0, lastSequence: store.lastSequence, added, ids };
}

/**
 * The labels with the smallest hashes, ascending: a sample that changes only by what was added and removed. A histogram
 * of the hashes' upper halves finds the bound, so that only some thousands of a million are sorted.
 */
function chosen(labels: readonly number[], { size, seed }: SampleQuery): Sequence[] {
  const counts = new Uint32Array(BUCKETS);
  for (const label of labels) counts[hash(label, seed) >>> 16]!++;
  let bound = 0;
  for (let before = 0; bound < BUCKETS - 1 && before + counts[bound]! < size; bound++) before += counts[bound]!;
  return labels
    .filter((label) => hash(label, seed) >>> 16 <= bound)
    .sort((a, b) => hash(a, seed) - hash(b, seed))
    .slice(0, size)
    .sort((a, b) => a - b) as Sequence[]; // labels are sequence numbers
}

/**
 * A permutation of the 32-bit numbers for each seed, so without collisions. Source: murmur3's finaliser (Austin
 * Appleby, public domain).
 */
function hash(label: number, seed: number): number {
  let mixed = (label ^ seed) >>> 0;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
