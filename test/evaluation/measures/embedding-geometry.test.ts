import assert from 'node:assert/strict';
import { test } from 'node:test';
import { embeddingMatrix, row, unitRows } from '../../../src/evaluation/embedding-matrix.js';
import { alignment, dimensionUse, hubness, uniformity } from '../../../src/evaluation/measures/embedding-geometry.js';
import { rankMe, symmetricEigenvalues } from '../../../src/evaluation/measures/rank-me.js';
import { normalValues, testRandom } from '../seed.js';

test('alignment and uniformity are those of their formulas', (context) => {
  const random = testRandom(context, 41);
  const first = unitRows(embeddingMatrix(normalValues(40 * 6, random), 6));
  const second = unitRows(embeddingMatrix(normalValues(40 * 6, random), 6));
  const squared = (a: Float32Array, b: Float32Array) => a.reduce((sum, value, i) => sum + (value - b[i]!) ** 2, 0);
  let [aligned, potential, pairs] = [0, 0, 0];
  for (let a = 0; a < 40; a++) {
    aligned += squared(row(first, a), row(second, a)) / 40;
    for (let b = 0; b < 40; b++) {
      if (a === b) continue;
      potential += Math.exp(-2 * squared(row(first, a), row(first, b)));
      pairs++;
    }
  }
  assert.ok(Math.abs(alignment(first, second) - aligned) < 1e-6);
  assert.ok(Math.abs(uniformity(first) - Math.log(potential / pairs)) < 1e-6);
  assert.equal(alignment(first, first), 0);
  assert.equal(uniformity(embeddingMatrix(new Float32Array(20).fill(1), 2)), 0, 'a single point is the worst spread');
});

test('dead and doubled dimensions show', (context) => {
  const random = testRandom(context, 42);
  const values = normalValues(3000 * 4, random);
  const isotropic = dimensionUse(unitRows(embeddingMatrix(Float32Array.from(values), 4)));
  assert.equal(isotropic.deadShare, 0);
  assert.ok(isotropic.meanAbsoluteCorrelation < 0.05);
  assert.ok(isotropic.spread.every((spread) => Math.abs(spread - 1) < 0.05));
  for (let i = 0; i < values.length; i += 4)
    [values[i + 1], values[i + 2], values[i + 3]] = [values[i]!, 0, values[i + 3]!];
  const collapsed = dimensionUse(unitRows(embeddingMatrix(values, 4)));
  assert.equal(collapsed.deadShare, 0.25);
  assert.ok(collapsed.meanAbsoluteCorrelation > 0.3, 'one pair of three is the same');
});

test('hubness counts who is found: none when everyone is found alike, much when one is found by all', () => {
  const ring = {
    firstQuery: 0,
    queries: 10,
    k: 1,
    indices: Uint32Array.from({ length: 10 }, (_, i) => (i + 1) % 10),
    scores: new Float32Array(10),
  };
  assert.deepEqual(hubness({ ranked: ring, rows: 10, k: 1 }), {
    skewness: 0,
    neverFoundShare: 0,
    largestOccurrence: 1,
  });
  const star = { ...ring, indices: Uint32Array.from({ length: 10 }, (_, i) => (i === 0 ? 1 : 0)) };
  const found = hubness({ ranked: star, rows: 10, k: 1 });
  assert.equal(found.largestOccurrence, 9);
  assert.equal(found.neverFoundShare, 0.8);
  // Occurrences 9, 1 and eight times 0; mean 1: moments (64 + 8) / 10 and (512 - 8) / 10.
  assert.ok(Math.abs(found.skewness - 50.4 / 7.2 ** 1.5) < 1e-12);
});

/** Jacobi's rotations: slow, simple, sure. */
function referenceEigenvalues(size: number, values: Float64Array): number[] {
  const a = Float64Array.from(values);
  for (let sweep = 0; sweep < 50; sweep++) {
    for (let p = 0; p < size; p++) {
      for (let q = p + 1; q < size; q++) {
        const angle = 0.5 * Math.atan2(2 * a[p * size + q]!, a[q * size + q]! - a[p * size + p]!);
        const [c, s] = [Math.cos(angle), Math.sin(angle)];
        for (let i = 0; i < size; i++) {
          const [x, y] = [a[i * size + p]!, a[i * size + q]!];
          [a[i * size + p], a[i * size + q]] = [c * x - s * y, s * x + c * y];
        }
        for (let i = 0; i < size; i++) {
          const [x, y] = [a[p * size + i]!, a[q * size + i]!];
          [a[p * size + i], a[q * size + i]] = [c * x - s * y, s * x + c * y];
        }
      }
    }
  }
  return Array.from({ length: size }, (_, i) => a[i * size + i]!);
}

test('eigenvalues are those of Jacobi, for sizes from 1 and for repeated and zero eigenvalues', (context) => {
  const random = testRandom(context, 43);
  for (const size of [1, 2, 3, 7, 24]) {
    for (const rank of [size, Math.ceil(size / 2), 0]) {
      const factors = Float64Array.from(normalValues(size * rank, random));
      const values = new Float64Array(size * size);
      for (let i = 0; i < size; i++) {
        for (let j = 0; j < size; j++)
          for (let r = 0; r < rank; r++) values[i * size + j]! += factors[i * rank + r]! * factors[j * rank + r]!;
      }
      const expected = referenceEigenvalues(size, values).sort((x, y) => x - y);
      const actual = [...symmetricEigenvalues({ size, values: Float64Array.from(values) })].sort((x, y) => x - y);
      expected.forEach((value, i) => {
        assert.ok(
          Math.abs(actual[i]! - value) < 1e-9 * Math.max(1, expected.at(-1)!),
          `size ${size}, rank ${rank}: ${actual[i]} for ${value}`,
        );
      });
    }
  }
  const identity = Float64Array.from({ length: 25 }, (_, i) => (i % 6 === 0 ? 2 : 0));
  assert.deepEqual([...symmetricEigenvalues({ size: 5, values: identity })], [2, 2, 2, 2, 2]);
});

test('RankMe counts the dimensions in use, whichever side of the matrix is longer', (context) => {
  const random = testRandom(context, 44);
  const identity = embeddingMatrix(
    Float32Array.from({ length: 64 }, (_, i) => (i % 9 === 0 ? 1 : 0)),
    8,
  );
  assert.ok(Math.abs(rankMe(identity) - 8) < 1e-4);
  assert.ok(Math.abs(rankMe(embeddingMatrix(new Float32Array(60).fill(0.3), 6)) - 1) < 1e-3);
  const tall = normalValues(50 * 5, random);
  const wide = Float32Array.from({ length: 250 }, (_, i) => tall[(i % 50) * 5 + Math.floor(i / 50)]!); // the transpose
  assert.ok(Math.abs(rankMe(embeddingMatrix(tall, 5)) - rankMe(embeddingMatrix(wide, 50))) < 1e-3);
  assert.ok(rankMe(embeddingMatrix(tall, 5)) > 4.8);
});
