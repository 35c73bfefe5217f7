/**
 * The projection of sparse codes: the closed form of InfoMax between a patch and its picture. For Gaussian codes, the
 * linear map that keeps the most mutual information between local codes a and the mean code m of their picture solves M
 * w = lambda V w, V the covariance of codes, M that of means (canonical correlation; rho^2 is proportional to lambda).
 * Source: Chen et al. 2022, the sparse manifold transform. K: atoms, E: eigenvectors. Atom K/2 + i is the mirror image
 * of atom i.
 */
import type { CodeProjection } from './closed-form-graph.js';
import { generalisedEigen } from './generalised-eigen.js';
import type { Moments } from './second-moments.js';

/** `eigenvalues`: lambda of each row of the projection. */
export type SolvedCodes = CodeProjection & { readonly eigenvalues: Float64Array };

/**
 * Solves for the E largest lambda. Both moments are first averaged with those of the mirrored pictures, which only
 * exchanges the halves of the dictionary; so the problem falls apart into one of half the size for sums of an atom and
 * its mirror image (even), and one for their differences (odd). The rows come even ones first, each part by
 * falling lambda.
 */
export async function solveCodeProjection(options: {
  readonly codes: Moments;
  readonly means: Moments;
  readonly eigenvectors: number;
  readonly ridge: number;
  readonly seed: number;
}): Promise<SolvedCodes> {
  const { codes, means, eigenvectors, ridge, seed } = options;
  const atoms = codes.mean.length;
  const half = atoms / 2;
  const meanVariance = trace(codes.covariance, atoms) / atoms;
  const solve = async (sign: 1 | -1): Promise<Solution[]> => {
    const v = parityBlock(codes, sign);
    for (let at = 0; at < half; at++) v[at * half + at] = v[at * half + at]! + ridge * meanVariance;
    const m = parityBlock(means, sign);
    const count = Math.min(eigenvectors, half);
    const { eigenvalues, vectors } = await generalisedEigen({ m, v, dimensions: half, count, seed });
    return Array.from(eigenvalues, (eigenvalue, column) => ({
      sign,
      eigenvalue,
      row: unfolded({ vectors, column, count, sign }),
    }));
  };
  const all = [...(await solve(1)), ...(await solve(-1))]
    .sort((a, b) => b.eigenvalue - a.eigenvalue)
    .slice(0, eigenvectors);
  const ordered = [...all.filter(({ sign }) => sign === 1), ...all.filter(({ sign }) => sign === -1)];

  const weights = new Float32Array(eigenvectors * atoms);
  const offsets = new Float32Array(eigenvectors);
  for (const [at, { row }] of ordered.entries()) {
    weights.set(row, at * atoms);
    offsets[at] = -row.reduce(
      (sum, weight, atom) => sum + (weight * (codes.mean[atom]! + codes.mean[(atom + half) % atoms]!)) / 2,
      0,
    );
  }
  const even = ordered.filter(({ sign }) => sign === 1).length;
  return { weights, offsets, even, eigenvalues: Float64Array.from(ordered, ({ eigenvalue }) => eigenvalue) };
}

type Solution = { readonly sign: 1 | -1; readonly eigenvalue: number; readonly row: Float64Array };

/**
 * Covariance of (a_i + sign a_i') / sqrt(2), [K/2, K/2], under a law that mirroring does not change. The mean of the
 * differences is then zero, so what the sample's means differ by belongs to the odd part's covariance.
 */
function parityBlock({ covariance, mean }: Moments, sign: 1 | -1): Float64Array {
  const atoms = mean.length;
  const half = atoms / 2;
  const block = new Float64Array(half * half);
  for (let i = 0; i < half; i++) {
    for (let j = 0; j < half; j++) {
      const straight = covariance[i * atoms + j]! + covariance[(i + half) * atoms + j + half]!;
      const crossed = covariance[i * atoms + j + half]! + covariance[(i + half) * atoms + j]!;
      const drift = sign === 1 ? 0 : ((mean[i]! - mean[i + half]!) * (mean[j]! - mean[j + half]!)) / 2;
      block[i * half + j] = (straight + sign * crossed) / 2 + drift;
    }
  }
  return block;
}

/** A solution for sums or differences, extended to a row over all atoms. */
function unfolded(options: {
  readonly vectors: Float64Array;
  readonly column: number;
  readonly count: number;
  readonly sign: 1 | -1;
}): Float64Array {
  const { vectors, column, count, sign } = options;
  const half = vectors.length / count;
  const row = new Float64Array(2 * half);
  for (let atom = 0; atom < half; atom++) {
    const weight = vectors[atom * count + column]! / Math.SQRT2;
    row[atom] = weight;
    row[atom + half] = sign * weight;
  }
  return row;
}

function trace(matrix: Float64Array, size: number): number {
  let sum = 0;
  for (let at = 0; at < size; at++) sum += matrix[at * size + at]!;
  return sum;
}
