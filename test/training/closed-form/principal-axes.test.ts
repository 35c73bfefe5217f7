import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../../../src/seeded-random.js';
import { principalAxes } from '../../../src/training/closed-form/principal-axes.js';

/**
 * A symmetric matrix with the given eigenvalues and known eigenvectors: the basis turned by a Householder reflection I
 * - 2vv'.
 */
function matrixWith(eigenvalues: readonly number[], seed: number) {
  const size = eigenvalues.length;
  const random = seededRandom(seed, 'test');
  const raw = Array.from({ length: size }, () => random() - 0.5);
  const norm = Math.hypot(...raw);
  const v = raw.map((value) => value / norm);
  const basis = (row: number, column: number) => (row === column ? 1 : 0) - 2 * v[row]! * v[column]!;
  const matrix = new Float64Array(size * size);
  for (let i = 0; i < size; i++) {
    for (let j = 0; j < size; j++) {
      matrix[i * size + j] = eigenvalues.reduce((sum, value, k) => sum + value * basis(i, k) * basis(j, k), 0);
    }
  }
  return { matrix, basis };
}

test('finds the leading eigenvalues and eigenvectors of a matrix built from known ones', async () => {
  const size = 200;
  const eigenvalues = Array.from({ length: size }, (_, k) => 50 / (k + 1) ** 1.5);
  const { matrix, basis } = matrixWith(eigenvalues, 7);
  const found = await principalAxes({ matrix, dimensions: size, count: 40, seed: 1 });
  for (let k = 0; k < 40; k++) {
    assert.ok(Math.abs(found.eigenvalues[k]! / eigenvalues[k]! - 1) < 1e-6, `eigenvalue ${k}: ${found.eigenvalues[k]}`);
    let cosine = 0;
    for (let row = 0; row < size; row++) cosine += found.axes[row * 40 + k]! * basis(row, k);
    assert.ok(Math.abs(Math.abs(cosine) - 1) < 1e-4, `axis ${k}: |cosine| ${Math.abs(cosine)}`);
  }
});

test('a matrix of low rank has its axes, and the rest of the eigenvalues are zero', async () => {
  const eigenvalues = [9, 4, 1, ...Array.from({ length: 57 }, () => 0)];
  const { matrix } = matrixWith(eigenvalues, 3);
  const found = await principalAxes({ matrix, dimensions: 60, count: 10, seed: 1 });
  for (let k = 0; k < 10; k++)
    assert.ok(Math.abs(found.eigenvalues[k]! - eigenvalues[k]!) < 1e-6, `eigenvalue ${k}: ${found.eigenvalues[k]}`);
  assert.ok(found.axes.every(Number.isFinite));
});

test('the same matrix gives the same axes', async () => {
  const { matrix } = matrixWith(
    Array.from({ length: 50 }, (_, k) => 1 / (k + 1)),
    5,
  );
  const options = { matrix, dimensions: 50, count: 5, seed: 1 };
  assert.deepEqual(await principalAxes(options), await principalAxes(options));
});
