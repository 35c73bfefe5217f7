import type { TestContext } from 'node:test';
import { randomNormal, seededRandom } from '../../src/seeded-random.js';

/** A generator for one test; the seed is printed, so that a failure can be repeated. */
export function testRandom(context: TestContext, seed: number): () => number {
  context.diagnostic(`seed ${seed}`);
  return seededRandom(seed, context.name);
}

/** rows x dimensions numbers of a standard normal law. */
export function normalValues(count: number, random: () => number): Float32Array {
  return Float32Array.from({ length: count }, () => randomNormal(random));
}
