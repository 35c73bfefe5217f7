import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EigenvalueDecomposition, Matrix } from 'ml-matrix';
import { seededRandom } from '../../../src/seeded-random.js';
import { solveCellProjection, ViewMoments } from '../../../src/training/closed-form/cell-projection.js';
import { solveCodeProjection } from '../../../src/training/closed-form/code-projection.js';
import { generalisedEigen } from '../../../src/training/closed-form/generalised-eigen.js';
import { type Moments, SecondMoments } from '../../../src/training/closed-form/second-moments.js';

const SEED = 41;

/** Rows whose values are correlated: noise of falling size, mixed. */
function correlatedRows(count: number, length: number, purpose: string): Float32Array {
  const random = seededRandom(SEED, purpose);
  const mix = Array.from({ length: length * length }, () => random() - 0.5);
  const rows = new Float32Array(count * length);
  for (let row = 0; row < count; row++) {
    const source = Array.from({ length }, (_, k) => (random() - 0.4) / (k + 1));
    for (let at = 0; at < length; at++)
      rows[row * length + at] = source.reduce((sum, value, k) => sum + value * mix[at * length + k]!, 0);
  }
  return rows;
}

async function momentsOf(rows: Float32Array, length: number): Promise<Moments> {
  const moments = await SecondMoments.open(length);
  // In uneven pieces, so that blocks fill up in the middle of one.
  for (let at = 0; at < rows.length; at += 777 * length) await moments.add(rows.subarray(at, at + 777 * length));
  const result = await moments.moments();
  await moments.close();
  return result;
}

/** Covariance of two sets of rows, in loops; [length, length]. */
function referenceCovariance(left: Float32Array, right: Float32Array, length: number): Matrix {
  const count = left.length / length;
  const mean = (rows: Float32Array, at: number) =>
    Array.from({ length: count }, (_, row) => rows[row * length + at]!).reduce((a, b) => a + b) / count;
  const means = [left, right].map((rows) => Array.from({ length }, (_, at) => mean(rows, at)));
  const result = new Matrix(length, length);
  for (let i = 0; i < length; i++) {
    for (let j = 0; j < length; j++) {
      let sum = 0;
      for (let row = 0; row < count; row++)
        sum += (left[row * length + i]! - means[0]![i]!) * (right[row * length + j]! - means[1]![j]!);
      result.set(i, j, sum / count);
    }
  }
  return result;
}

function near(found: number, expected: number, tolerance: number, what: string): void {
  assert.ok(Math.abs(found - expected) <= tolerance, `${what}: ${found}, expected ${expected}`);
}

/** max |M w - lambda V w| over all columns, relative to |V w|. */
function residual(m: Matrix, v: Matrix, vectors: Matrix, eigenvalues: ArrayLike<number>): number {
  const image = v.mmul(vectors);
  const difference = m.mmul(vectors);
  for (let column = 0; column < vectors.columns; column++) {
    for (let row = 0; row < vectors.rows; row++) {
      difference.set(row, column, difference.get(row, column) - eigenvalues[column]! * image.get(row, column));
    }
  }
  return difference.abs().max() / image.abs().max();
}

/** The eigenvalues of M w = lambda V w by a dense solver, falling: those of V^-1/2 M V^-1/2. */
function denseEigenvalues(m: Matrix, v: Matrix): readonly number[] {
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(v, { assumeSymmetric: true });
  const scaled = Matrix.diag(realEigenvalues.map((value) => value ** -0.5));
  const root = eigenvectorMatrix.mmul(scaled).mmul(eigenvectorMatrix.transpose());
  const { realEigenvalues: found } = new EigenvalueDecomposition(root.mmul(m).mmul(root), { assumeSymmetric: true });
  return found.sort((a, b) => b - a);
}

test('streamed moments are those of the definition, over more than one block', async () => {
  const rows = correlatedRows(5000, 7, 'moments');
  const { count, mean, covariance } = await momentsOf(rows, 7);
  assert.equal(count, 5000);
  const expected = referenceCovariance(rows, rows, 7);
  for (let i = 0; i < 7; i++) {
    near(mean[i]!, rows.filter((_, at) => at % 7 === i).reduce((a, b) => a + b) / 5000, 1e-6, `mean ${i}`);
    for (let j = 0; j < 7; j++) near(covariance[i * 7 + j]!, expected.get(i, j), 1e-6, `covariance ${i}, ${j}`);
  }
});

test('generalised eigenvectors solve their equation and are orthonormal under V; a V that is not positive definite is refused', async () => {
  const size = 60;
  const random = seededRandom(SEED, 'pencil');
  const gram = (rows: number) => {
    const factor = Matrix.from1DArray(
      rows,
      size,
      Array.from({ length: rows * size }, () => random() - 0.5),
    );
    return factor.transpose().mmul(factor);
  };
  const [m, v] = [gram(40), Matrix.add(gram(80), Matrix.eye(size).mul(0.1))];
  const flat = (matrix: Matrix) => Float64Array.from(matrix.to1DArray());
  const { eigenvalues, vectors } = await generalisedEigen({
    m: flat(m),
    v: flat(v),
    dimensions: size,
    count: 12,
    seed: 1,
  });
  const w = Matrix.from1DArray(size, 12, [...vectors]);
  assert.ok(residual(m, v, w, eigenvalues) < 1e-4, `residual ${residual(m, v, w, eigenvalues)}`);
  assert.ok(Matrix.sub(w.transpose().mmul(v).mmul(w), Matrix.eye(12)).abs().max() < 1e-8);
  const dense = denseEigenvalues(m, v);
  for (let k = 0; k < 12; k++) near(eigenvalues[k]! / dense[k]!, 1, 1e-6, `eigenvalue ${k}`);
  await assert.rejects(
    generalisedEigen({
      m: flat(m),
      v: flat(gram(20)).map((x, at) => (at % 61 === 0 ? x - 1 : x)),
      dimensions: size,
      count: 2,
      seed: 1,
    }),
    /positive definite/,
  );
});

test('the halved problems of the codes solve the whole one of codes and mirrored codes', async () => {
  const [atoms, half, count] = [16, 8, 1500];
  const swapped = (rows: Float32Array) =>
    rows.map((_, at) => rows[Math.floor(at / atoms) * atoms + ((at + half) % atoms)]!);
  const both = (rows: Float32Array) => Float32Array.from([...rows, ...swapped(rows)]);
  const [codes, means] = [correlatedRows(count, atoms, 'codes'), correlatedRows(count, atoms, 'means')];
  const ridge = 1e-3;
  const solved = await solveCodeProjection({
    codes: await momentsOf(codes, atoms),
    means: await momentsOf(means, atoms),
    eigenvectors: 7,
    ridge,
    seed: 1,
  });
  const v = referenceCovariance(both(codes), both(codes), atoms);
  // The ridge is in units of the mean variance of the codes as they came.
  const variance = referenceCovariance(codes, codes, atoms).trace() / atoms;
  v.add(Matrix.eye(atoms).mul(ridge * variance));
  const m = referenceCovariance(both(means), both(means), atoms);
  const w = Matrix.from1DArray(7, atoms, [...solved.weights]).transpose();
  assert.ok(residual(m, v, w, solved.eigenvalues) < 1e-3, `residual ${residual(m, v, w, solved.eigenvalues)}`);
  assert.ok(Matrix.sub(w.transpose().mmul(v).mmul(w), Matrix.eye(7)).abs().max() < 1e-4);
  const dense = denseEigenvalues(m, v);
  [...solved.eigenvalues]
    .sort((a, b) => b - a)
    .forEach((value, k) => {
      near(value / dense[k]!, 1, 1e-3, `eigenvalue ${k}`);
    });
  // Even rows first; the offset takes the mean of codes and mirrored codes to zero.
  const mean = Array.from(
    { length: atoms },
    (_, k) =>
      both(codes)
        .filter((_value, at) => at % atoms === k)
        .reduce((a, b) => a + b) /
      (2 * count),
  );
  for (let e = 0; e < 7; e++) {
    const sign = e < solved.even ? 1 : -1;
    const row = solved.weights.subarray(e * atoms, (e + 1) * atoms);
    for (let k = 0; k < half; k++) assert.equal(row[k + half], sign * row[k]!);
    near(
      row.reduce((sum, weight, k) => sum + weight * mean[k]!, solved.offsets[e]!),
      0,
      1e-4,
      `offset ${e}`,
    );
  }
});

test('the last projection solves for what pictures share with their views, and is centred on pictures as they are', async () => {
  const [length, count] = [10, 3000];
  const plain = correlatedRows(count, length, 'plain');
  const noise = correlatedRows(count, length, 'view');
  const seen = plain.map((value, at) => 0.7 * value + 0.4 * noise[at]! + 0.3);
  const moments = await ViewMoments.open(length);
  await moments.add(plain, seen);
  const regularisation = 0.05;
  const solved = await solveCellProjection({
    ...(await moments.moments()),
    dimensions: 4,
    regularisation,
    correlationPower: 0,
    seed: 1,
  });
  await moments.close();
  const crossed = referenceCovariance(plain, seen, length);
  const shared = Matrix.add(crossed, crossed.transpose()).div(2);
  const total = Matrix.add(referenceCovariance(plain, plain, length), referenceCovariance(seen, seen, length)).div(2);
  total.add(Matrix.eye(length).mul((regularisation * total.trace()) / length));
  const w = Matrix.from1DArray(length, 4, [...solved.weights]);
  assert.ok(residual(shared, total, w, solved.correlations) < 1e-3);
  for (let k = 0; k < 4; k++) {
    assert.ok(solved.correlations[k]! > 0 && solved.correlations[k]! < 1, `correlation ${solved.correlations[k]}`);
    const sum = plain.reduce((total, value, at) => total + value * w.get(at % length, k), 0);
    near(sum / count + solved.offsets[k]!, 0, 1e-4, `mean of dimension ${k}`);
  }
  const emphasised = await solveEmphasised(2);
  for (let at = 0; at < emphasised.weights.length; at++)
    near(emphasised.weights[at]!, solved.weights[at]! * solved.correlations[at % 4]! ** 2, 1e-5, `weight ${at}`);

  async function solveEmphasised(correlationPower: number) {
    const again = await ViewMoments.open(length);
    await again.add(plain, seen);
    const result = await solveCellProjection({
      ...(await again.moments()),
      dimensions: 4,
      regularisation,
      correlationPower,
      seed: 1,
    });
    await again.close();
    return result;
  }
});

test('fewer pictures than values of their cells still settle, on directions that views agree on', async () => {
  const [length, count, dimensions] = [400, 60, 40];
  const plain = correlatedRows(count, length, 'few');
  const random = seededRandom(SEED, 'few views');
  const seen = plain.map((value) => value + 0.05 * (random() - 0.5));
  const moments = await ViewMoments.open(length);
  await moments.add(plain, seen);
  const solved = await solveCellProjection({
    ...(await moments.moments()),
    dimensions,
    regularisation: 0.03,
    correlationPower: 1,
    seed: 1,
  });
  await moments.close();
  assert.ok(solved.weights.every(Number.isFinite));
  for (let k = 0; k < dimensions; k++)
    assert.ok(solved.correlations[k]! > -1e-6 && solved.correlations[k]! < 1, `${solved.correlations[k]}`);
  assert.ok(solved.correlations[0]! > 0.9, `first correlation ${solved.correlations[0]}`);
});
