import assert from 'node:assert/strict';
import { it } from 'node:test';
import { ExactIndex } from '../../../src/catalogue/vectors/exact-index.js';
import { seededRandom } from '../../../src/seeded-random.js';
import { clusteredVectors } from './synthetic-vectors.js';
import { vectorIndexContract } from './vector-index-contract.js';

vectorIndexContract('exact', 1, (dimensions) => new ExactIndex(dimensions));

it('scanning given labels answers as searching with a filter does', () => {
  const index = new ExactIndex(9); // no multiple of four: the loop's rest counts too
  const draw = clusteredVectors({ dimensions: 9, clusters: 5, seed: 3 });
  for (let label = 0; label < 500; label++) index.add(label, draw());
  const labels = Array.from({ length: 60 }, (_, place) => place * 7);
  const query = draw();
  const accepted = new Set(labels);
  assert.deepEqual(
    index.searchAmong(query, 10, [...labels, 9999]),
    index.search(query, 10, { accepts: (label) => accepted.has(label) }),
  );
});

it('keeps every vector under its label through thousands of random adds and removals', () => {
  const seed = 11;
  const random = seededRandom(seed);
  const draw = clusteredVectors({ dimensions: 5, clusters: 3, seed });
  const index = new ExactIndex(5);
  const truth = new Map<number, Float32Array>();
  for (let label = 0; label < 8000; label++) {
    const vector = draw();
    index.add(label, vector);
    truth.set(label, vector);
    const victim = Math.floor(random() * (label + 1));
    if (random() < 0.45) assert.equal(index.remove(victim), truth.delete(victim), `seed ${seed}`);
  }
  assert.equal(index.size, truth.size);
  assert.deepEqual([...index.labels()], [...truth.keys()]);
  for (const [label, vector] of truth) assert.deepEqual(index.vector(label), vector);
});
