/** A seeded stream of numbers in [0, 1): mulberry32. The same seed gives the same stream on every machine. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A standard normal number from two uniform ones (Box and Muller). */
function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/** The vector at length 1. */
export function unit(vector: Float32Array): Float32Array {
  const length = Math.hypot(...vector);
  return vector.map((element) => element / length);
}

/**
 * Draws unit vectors shaped like embeddings of images: unequal clusters, each with a flat of few directions of its own. Uniform noise would be
 * harder than any real catalogue and show nothing.
 */
export function clusteredVectors(options: {
  readonly dimensions: number;
  readonly clusters: number;
  readonly seed: number;
}): () => Float32Array {
  const { dimensions, clusters, seed } = options;
  const random = seededRandom(seed);
  const gaussian = (): Float32Array => Float32Array.from({ length: dimensions }, () => normal(random));
  const flats = Array.from({ length: clusters }, () => ({ centre: gaussian(), directions: Array.from({ length: 6 }, gaussian) }));
  return () => {
    // The square makes some clusters larger than others.
    const { centre, directions } = flats[Math.floor(random() ** 2 * clusters)]!;
    const vector = Float32Array.from(centre);
    for (const direction of directions) {
      const amount = normal(random) * 0.3;
      for (let at = 0; at < dimensions; at++) vector[at]! += amount * direction[at]!;
    }
    return unit(vector);
  };
}
