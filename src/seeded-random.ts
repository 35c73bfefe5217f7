/**
 * Seeded random numbers: equal seeds give equal samples, fits and reports on every machine. Nothing here
 * is cryptographic.
 */

/** A source of uniform numbers in [0, 1). */
export type Random = () => number;

/**
 * A source seeded with `seed` (modulo 2 ** 32). `purpose` is part of the seed (FNV-1a), so that two uses of one
 * seed never share a sequence. Source: mulberry32 (Tommy Ettinger, public domain).
 */
export function seededRandom(seed: number, purpose = ''): Random {
  let state = seed >>> 0;
  for (let i = 0; i < purpose.length; i++) state = Math.imul(state ^ purpose.charCodeAt(i), 0x01000193) >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * A source for one purpose and place, such as `(seed, 'order', epoch)`: the same whenever and in whatever order
 * streams are opened. So nothing random is carried from step to step, and a checkpoint needs no more than the seed.
 * Source of the mixing: FNV-1a and the finaliser of MurmurHash3.
 */
export function randomStream(seed: number, ...key: readonly (string | number)[]): Random {
  let state = 0x811c9dc5 ^ seed;
  for (const part of key) {
    if (typeof part === 'number') state = finalised(state ^ Math.imul(part + 1, 0x9e3779b1));
    else for (let i = 0; i < part.length; i++) state = Math.imul(state ^ part.charCodeAt(i), 0x01000193);
  }
  return seededRandom(finalised(state));
}

/** A draw from the standard normal distribution (Box and Muller). */
export function randomNormal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/** `length` draws from the standard normal distribution. */
export function normalNoise(length: number, random: Random): Float32Array {
  return Float32Array.from({ length }, () => randomNormal(random));
}

/** The numbers 0..count-1 in a random order, all orders equally likely (Fisher and Yates). */
export function shuffledIndices(count: number, random: Random): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, index) => index);
  for (let i = count - 1; i > 0; i--) {
    const other = Math.floor(random() * (i + 1));
    [order[i], order[other]] = [order[other]!, order[i]!];
  }
  return order;
}

/** At most `size` of the numbers 0..count-1, without repetition, ascending. */
export function sampledIndices(options: {
  readonly count: number;
  readonly size: number;
  readonly random: Random;
}): Uint32Array {
  return shuffledIndices(options.count, options.random).slice(0, options.size).sort();
}

function finalised(value: number): number {
  let hash = value ^ (value >>> 16);
  hash = Math.imul(hash, 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
