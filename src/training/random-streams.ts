import { type Random, seededRandom } from '../infomax/random.js';

/**
 * A source of numbers in [0, 1) for one purpose and place: equal seeds and keys give equal numbers on every machine, however often and in
 * whatever order streams are opened. So nothing random is ever carried from step to step, and a checkpoint needs no more than the seed.
 * Source of the mixing: FNV-1a and the finaliser of MurmurHash3.
 */
export function randomStream(seed: number, ...key: readonly (string | number)[]): Random {
  let state = 0x811c9dc5 ^ seed;
  for (const part of key) {
    if (typeof part === 'number') state = mixed(state ^ Math.imul(part + 1, 0x9e3779b1));
    else for (let i = 0; i < part.length; i++) state = Math.imul(state ^ part.charCodeAt(i), 0x01000193);
  }
  return seededRandom(mixed(state));
}

function mixed(value: number): number {
  let hash = value ^ (value >>> 16);
  hash = Math.imul(hash, 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
