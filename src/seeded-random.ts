/**
 * Random numbers that are a function of a seed: every sample, attack and layout is drawn from one, so that a report or a fit can be made
 * again bit for bit. Source: mulberry32 (Tommy Ettinger, public domain).
 */

/** A generator of numbers in [0, 1) for one purpose. The purpose is part of the seed, so that two uses never share a sequence. */
export function seededRandom(seed: number, purpose: string): () => number {
  let state = seed >>> 0;
  for (let i = 0; i < purpose.length; i++) state = Math.imul(state ^ purpose.charCodeAt(i), 0x01000193) >>> 0; // FNV-1a
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** The numbers 0..count-1 in a random order (Fisher and Yates). */
export function shuffledIndices(count: number, random: () => number): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, index) => index);
  for (let i = count - 1; i > 0; i--) {
    const other = Math.floor(random() * (i + 1));
    const moved = order[i]!;
    order[i] = order[other]!;
    order[other] = moved;
  }
  return order;
}

/** At most `size` of the numbers 0..count-1, without repetition, ascending. */
export function sampledIndices(options: { readonly count: number; readonly size: number; readonly random: () => number }): Uint32Array {
  return shuffledIndices(options.count, options.random).slice(0, options.size).sort();
}
