import { SearchError } from '../../errors.js';

/** Squared lengths this near to 1 are a unit vector's float32 rounding. */
const ROUNDING = 1e-5;

/**
 * The vector scaled to length 1; itself where it has that already. Throws INVALID_EMBEDDING for a wrong number of
 * elements, an element that is not finite, or a zero vector: HNSW would store it silently and lose others because
 * of it.
 */
export function unitVector(vector: Float32Array, dimensions: number): Float32Array {
  if (!(vector instanceof Float32Array))
    throw new SearchError('INVALID_EMBEDDING', 'An embedding must be a Float32Array.');
  if (vector.length !== dimensions) {
    throw new SearchError(
      'INVALID_EMBEDDING',
      `Embedding has ${vector.length} elements; the catalogue holds vectors of ${dimensions}.`,
    );
  }
  let squared = 0;
  for (let index = 0; index < dimensions; index++) squared += vector[index]! * vector[index]!;
  if (!Number.isFinite(squared))
    throw new SearchError('INVALID_EMBEDDING', 'Embedding holds an element that is not a finite number.');
  if (squared === 0) throw new SearchError('INVALID_EMBEDDING', 'Embedding is all zero and has no direction.');
  if (Math.abs(squared - 1) < ROUNDING) return vector;
  const scale = 1 / Math.sqrt(squared);
  return vector.map((element) => element * scale);
}
