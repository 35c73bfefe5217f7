/**
 * The last projection, from the cells of a picture to its embedding: InfoMax in closed form once more, now between two views of one picture
 * (random crop and colour). What both views share correlates; directions that a crop or a change of light turns over are dropped or shrunk.
 * F: values of the cells, D: dimensions.
 */
import type { CellProjection } from './closed-form-graph.js';
import { generalisedEigen } from './generalised-eigen.js';
import { type Moments, SecondMoments } from './second-moments.js';

/** `correlations`: of two views of one picture, per dimension, largest first; below 1 also by the regularisation. */
export type SolvedCells = CellProjection & { readonly correlations: Float64Array };

/** Second moments of pairs of views: of their half sums and half differences, which hold everything that symmetric pairs have. */
export class ViewMoments {
  private readonly sums: SecondMoments;
  private readonly differences: SecondMoments;

  private constructor(sums: SecondMoments, differences: SecondMoments) {
    this.sums = sums;
    this.differences = differences;
  }

  static async open(length: number): Promise<ViewMoments> {
    return new ViewMoments(await SecondMoments.open(length), await SecondMoments.open(length));
  }

  /** Adds pairs: row i of `first` are the cells of a picture as it is, row i of `second` those of a view of it. */
  async add(first: Float32Array, second: Float32Array): Promise<void> {
    await this.sums.add(first.map((value, at) => (value + second[at]!) / 2));
    await this.differences.add(first.map((value, at) => (value - second[at]!) / 2));
  }

  async moments(): Promise<{ readonly sums: Moments; readonly differences: Moments }> {
    return { sums: await this.sums.moments(), differences: await this.differences.moments() };
  }

  async close(): Promise<void> {
    await this.sums.close();
    await this.differences.close();
  }
}

/**
 * Solves S w = rho (T + regularisation I) w for the `dimensions` largest rho: T the covariance of views, S that between two views of one
 * picture. Column j of the projection is w_j rho_j^emphasis; emphasis 0 whitens, 1 weighs a direction by how well views agree on it.
 */
export async function solveCellProjection(options: {
  readonly sums: Moments;
  readonly differences: Moments;
  readonly dimensions: number;
  readonly regularisation: number;
  readonly emphasis: number;
  readonly seed: number;
}): Promise<SolvedCells> {
  const { sums, differences, dimensions, regularisation, emphasis, seed } = options;
  const size = sums.mean.length;
  // With s = (a + b) / 2 and d = (a - b) / 2: cov(a, b) + cov(b, a) = 2 (cov s - cov d), cov a + cov b = 2 (cov s + cov d).
  const shared = sums.covariance.map((value, at) => value - differences.covariance[at]!);
  const total = sums.covariance.map((value, at) => value + differences.covariance[at]!);
  let variance = 0;
  for (let at = 0; at < size; at++) variance += total[at * size + at]!;
  for (let at = 0; at < size; at++) total[at * size + at] = total[at * size + at]! + (regularisation * variance) / size;
  const { eigenvalues, vectors } = await generalisedEigen({ m: shared, v: total, dimensions: size, count: dimensions, seed });
  // A direction without agreement says nothing; among few images there may be some.
  const gains = eigenvalues.map((rho) => Math.max(rho, 0) ** emphasis);
  const weights = Float32Array.from(vectors, (value, at) => value * gains[at % dimensions]!);
  // Centred on pictures as they are, a = s + d: what the encoder will see. Views are darker and greyer on average.
  const offsets = new Float32Array(dimensions);
  for (let column = 0; column < dimensions; column++) {
    let sum = 0;
    for (let row = 0; row < size; row++) sum += weights[row * dimensions + column]! * (sums.mean[row]! + differences.mean[row]!);
    offsets[column] = -sum;
  }
  return { weights, offsets, correlations: eigenvalues };
}
