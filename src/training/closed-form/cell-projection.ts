/**
 * The last projection, from the cells of a picture to its embedding: InfoMax in closed form between two views of one
 * picture (random crop and colour). Directions in which both views agree are kept; those that a crop or a change of
 * light alters are dropped or shrunk. F: values of the cells, D: dimensions.
 */
import type { CellProjection } from './closed-form-graph.js';
import { generalisedEigen } from './generalised-eigen.js';
import { type Moments, SecondMoments } from './second-moments.js';

/** `correlations`: of two views of one picture, per dimension, largest first; below 1 also by the regularisation. */
export type SolvedCells = CellProjection & { readonly correlations: Float64Array };

/**
 * Second moments of pairs of views: of their half sums and half differences, which hold everything that symmetric
 * pairs have.
 */
export class ViewMoments {
  readonly #sums: SecondMoments;
  readonly #differences: SecondMoments;

  private constructor(sums: SecondMoments, differences: SecondMoments) {
    this.#sums = sums;
    this.#differences = differences;
  }

  static async open(length: number): Promise<ViewMoments> {
    return new ViewMoments(await SecondMoments.open(length), await SecondMoments.open(length));
  }

  /** Adds pairs: row i of `first` are the cells of a picture, row i of `second` those of a view of it. */
  async add(first: Float32Array, second: Float32Array): Promise<void> {
    await this.#sums.add(first.map((value, at) => (value + second[at]!) / 2));
    await this.#differences.add(first.map((value, at) => (value - second[at]!) / 2));
  }

  async moments(): Promise<{ readonly sums: Moments; readonly differences: Moments }> {
    return { sums: await this.#sums.moments(), differences: await this.#differences.moments() };
  }

  async close(): Promise<void> {
    await this.#sums.close();
    await this.#differences.close();
  }
}

/**
 * Solves S w = rho (T + regularisation I) w for the `dimensions` largest rho: T the covariance of views, S that between
 * two views of one picture. Column j of the projection is w_j rho_j^correlationPower; correlationPower 0 whitens, 1
 * weighs a direction by how well views agree on it.
 *
 * With s = (a + b) / 2 and d = (a - b) / 2 of a pair, S = cov s - cov d and T = cov s + cov d. Half of the ridge added
 * to each gives the same w as (cov s) w = nu (cov d) w, nu = (1 + rho) / (1 - rho): positive throughout, and spread
 * wide where rho crowds towards 1. That is what subspace iteration needs; among few pictures S itself has negative
 * eigenvalues as large as the positive ones.
 */
export async function solveCellProjection(options: {
  readonly sums: Moments;
  readonly differences: Moments;
  readonly dimensions: number;
  readonly regularisation: number;
  readonly correlationPower: number;
  readonly seed: number;
}): Promise<SolvedCells> {
  const { sums, differences, dimensions, regularisation, correlationPower, seed } = options;
  const size = sums.mean.length;
  let variance = 0;
  for (let at = 0; at < size; at++)
    variance += sums.covariance[at * size + at]! + differences.covariance[at * size + at]!;
  const ridge = (regularisation * variance) / size / 2;
  const [m, v] = [withRidge(sums.covariance, ridge, size), withRidge(differences.covariance, ridge, size)];
  const { eigenvalues, vectors } = await generalisedEigen({ m, v, dimensions: size, count: dimensions, seed });
  const correlations = eigenvalues.map((nu) => (nu - 1) / (nu + 1));
  // From w' (cov d) w = 1 to w' T w = 1. Directions without agreement get weight 0; few pictures may have some.
  const gains = eigenvalues.map((nu, at) => Math.max(correlations[at]!, 0) ** correlationPower / Math.sqrt(nu + 1));
  const weights = Float32Array.from(vectors, (value, at) => value * gains[at % dimensions]!);
  // Centred on unchanged pictures, a = s + d, as the encoder receives them: views are darker and greyer on average.
  const offsets = new Float32Array(dimensions);
  for (let column = 0; column < dimensions; column++) {
    let sum = 0;
    for (let row = 0; row < size; row++)
      sum += weights[row * dimensions + column]! * (sums.mean[row]! + differences.mean[row]!);
    offsets[column] = -sum;
  }
  return { weights, offsets, correlations };
}

function withRidge(matrix: Float64Array, ridge: number, size: number): Float64Array {
  return matrix.map((value, at) => (at % (size + 1) === 0 ? value + ridge : value));
}
