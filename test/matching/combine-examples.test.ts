import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SearchError } from '../../src/errors.js';
import { combineExamples, expandedEmbedding, NEGATIVE_WEIGHT } from '../../src/matching/combine-examples.js';

const vector = (...values: number[]): Float32Array => Float32Array.from(values);

test('one positive example is the query, bit for bit', () => {
  const only = vector(0.6, 0.8);
  assert.equal(combineExamples({ positives: [only], negatives: [] }), only);
});

test('several become mean of positives less half the mean of negatives, at length 1', () => {
  const positives = [vector(1, 0, 0), vector(0, 1, 0)];
  const negatives = [vector(0, 0, 1), vector(0, 1, 0)];
  const sums = [0, 1, 2].map(
    (at) =>
      (positives[0]![at]! + positives[1]![at]!) / 2 - (NEGATIVE_WEIGHT * (negatives[0]![at]! + negatives[1]![at]!)) / 2,
  );
  const length = Math.sqrt(sums.reduce((sum, value) => sum + value * value, 0));
  const combined = combineExamples({ positives, negatives });
  for (const [at, value] of combined.entries()) assert.ok(Math.abs(value - sums[at]! / length) < 1e-6);
  assert.ok(Math.abs(Math.hypot(...combined) - 1) < 1e-6);
});

test('nothing positive, or examples that cancel out, are refused', () => {
  const refused = (error: unknown): boolean => error instanceof SearchError && error.code === 'INVALID_REQUEST';
  assert.throws(() => combineExamples({ positives: [], negatives: [vector(1, 0)] }), refused);
  assert.throws(() => combineExamples({ positives: [vector(1, 0), vector(-1, 0)], negatives: [] }), refused);
});

test('an expanded query is the weighted sum of itself and its neighbours, at length 1', () => {
  const query = Float32Array.of(1, 0, 0);
  const neighbours = [
    { similarity: 0.6, embedding: Float32Array.of(0.6, 0.8, 0) },
    { similarity: -0.8, embedding: Float32Array.of(-0.8, 0, 0.6) }, // points away: does not count
  ];
  const length = Math.hypot(1.36, 0.48);
  const expected = [1.36 / length, 0.48 / length, 0];
  const expanded = expandedEmbedding(query, neighbours);
  for (const [at, value] of expanded.entries()) assert.ok(Math.abs(value - expected[at]!) < 1e-6, `${expanded}`);
  assert.deepEqual(expandedEmbedding(query, []), query);
});
