import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nearestRows } from '../../src/matching/nearest-rows.js';
import { clusteredVectors } from '../catalogue/vectors/synthetic-vectors.js';

test('finds the same neighbours as sorting all rows does', () => {
  const [rows, dimensions, k] = [120, 24, 7];
  const draw = clusteredVectors({ dimensions, clusters: 5, seed: 3 });
  const vectors = Array.from({ length: rows }, draw);
  vectors[50] = vectors[10]!; // equal rows: each other's nearest
  const values = Float32Array.from(vectors.flatMap((vector) => [...vector]));
  const { indices, similarities } = nearestRows({ values, dimensions, k });
  for (const [row, vector] of vectors.entries()) {
    const expected = vectors
      .map((other, index) => ({
        index,
        similarity: Math.fround(other.reduce((sum, value, at) => sum + value * vector[at]!, 0)),
      }))
      .filter(({ index }) => index !== row)
      .sort((a, b) => b.similarity - a.similarity || a.index - b.index)
      .slice(0, k);
    assert.deepEqual(
      [...indices.subarray(row * k, (row + 1) * k)],
      expected.map(({ index }) => index),
      `row ${row}`,
    );
    assert.deepEqual(
      [...similarities.subarray(row * k, (row + 1) * k)],
      expected.map(({ similarity }) => similarity),
    );
  }
  assert.equal(indices[50 * k], 10);
});

test('refuses more neighbours than there are others', () => {
  assert.throws(() => nearestRows({ values: new Float32Array(6), dimensions: 2, k: 3 }), /No 3 others among 3 rows/);
});
