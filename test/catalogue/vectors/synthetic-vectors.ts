import { randomNormal, seededRandom } from '../../../src/seeded-random.js';
/** The vector at length 1. */
export function unit(vector: Float32Array): Float32Array {
  const length = Math.hypot(...vector);
  return vector.map((element) => element / length);
}

/**
 * Draws unit vectors shaped like embeddings of images: unequal clusters, each with a flat of few directions of its own.
 * Uniform noise would be harder than any real catalogue and show nothing.
 */
export function clusteredVectors(options: {
  readonly dimensions: number;
  readonly clusters: number;
  readonly seed: number;
}): () => Float32Array {
  const { dimensions, clusters, seed } = options;
  const random = seededRandom(seed);
  const gaussian = (): Float32Array => Float32Array.from({ length: dimensions }, () => randomNormal(random));
  const flats = Array.from({ length: clusters }, () => ({
    centre: gaussian(),
    directions: Array.from({ length: 6 }, gaussian),
  }));
  return () => {
    // The square makes some clusters larger than others.
    const { centre, directions } = flats[Math.floor(random() ** 2 * clusters)]!;
    const vector = Float32Array.from(centre);
    for (const direction of directions) {
      const amount = randomNormal(random) * 0.3;
      for (let at = 0; at < dimensions; at++) vector[at]! += amount * direction[at]!;
    }
    return unit(vector);
  };
}
