/** The distribution of embeddings, measured without labels: spread, use of dimensions, hubs. */

import { sampledIndices, seededRandom } from '../../seeded-random.js';
import { type EmbeddingMatrix, meanRow, pickRows, unitRows } from '../embedding-matrix.js';
import type { EvaluationReport } from '../evaluation-report.js';
import { openExactSearch, type RankedNeighbours } from '../exact-search.js';
import { rankMe } from './rank-me.js';

/**
 * Mean squared distance of the two views of each image, 0..4 on unit rows; smaller is better. first, second: same rows,
 * same order. Source: Wang and Isola 2020 (Alignment and Uniformity on the Hypersphere), alpha = 2.
 */
export function alignment(first: EmbeddingMatrix, second: EmbeddingMatrix): number {
  let sum = 0;
  for (let i = 0; i < first.values.length; i++) sum += (first.values[i]! - second.values[i]!) ** 2;
  return sum / first.rows;
}

/**
 * log of the mean of exp(-2 |x - y|^2) over all pairs of different rows, natural log, at most 0; smaller is better
 * spread. Quadratic in the rows: give a sample of a thousand or so unit rows. Source: as {@link alignment}, t = 2.
 */
export function uniformity(unit: EmbeddingMatrix): number {
  const { rows, dimensions, values } = unit;
  let sum = 0;
  for (let a = 0; a < rows; a++) {
    for (let b = a + 1; b < rows; b++) {
      let squares = 0;
      for (let i = 0; i < dimensions; i++) {
        const difference = values[a * dimensions + i]! - values[b * dimensions + i]!;
        squares += difference * difference;
      }
      sum += Math.exp(-2 * squares);
    }
  }
  return Math.log(sum / ((rows * (rows - 1)) / 2));
}

/** How the dimensions are used. Isotropic unit rows have a spread near 1 everywhere and no correlation. */
export type DimensionUse = {
  /**
   * Standard deviation of each dimension times sqrt(dimensions), ascending: 0 is a dead dimension, 1 its fair share.
   */
  readonly spread: readonly number[];
  /** Share of dimensions whose spread is below {@link DEAD_SPREAD}. */
  readonly deadShare: number;
  /**
   * Mean of |correlation| over pairs of living dimensions (at most {@link CORRELATED_DIMENSIONS_MAX} of them, evenly
   * spaced), 0..1; 0 where fewer than two live.
   */
  readonly meanAbsoluteCorrelation: number;
};

/** Dimensions below a hundredth of their fair share of the variation carry no information. */
const DEAD_SPREAD = 0.01;

/** Bounds the cost of {@link dimensionUse}, which is quadratic in the dimensions it correlates. */
const CORRELATED_DIMENSIONS_MAX = 512;

/** Measures collapse: the spread of each dimension of unit rows and the correlation between dimensions. */
export function dimensionUse(unit: EmbeddingMatrix): DimensionUse {
  const { rows, dimensions, values } = unit;
  const mean = meanRow(unit);
  const deviation = new Float64Array(dimensions);
  for (let start = 0; start < values.length; start += dimensions) {
    for (let i = 0; i < dimensions; i++) deviation[i] = deviation[i]! + (values[start + i]! - mean[i]!) ** 2;
  }
  for (let i = 0; i < dimensions; i++) deviation[i] = Math.sqrt(deviation[i]! / rows);
  const spread = deviation.map((sd) => sd * Math.sqrt(dimensions));
  const living = [...spread.keys()].filter((i) => spread[i]! >= DEAD_SPREAD);
  // Standardised columns, contiguous for the inner loop.
  const step = Math.max(1, living.length / CORRELATED_DIMENSIONS_MAX);
  const chosen = Array.from(
    { length: Math.ceil(living.length / step) },
    (_, place) => living[Math.floor(place * step)]!,
  );
  const columns = chosen.map((i) =>
    Float64Array.from({ length: rows }, (_, r) => (values[r * dimensions + i]! - mean[i]!) / deviation[i]!),
  );
  let sum = 0;
  for (let a = 0; a < columns.length; a++)
    for (let b = a + 1; b < columns.length; b++) sum += Math.abs(dot(columns[a]!, columns[b]!)) / rows;
  const pairs = (columns.length * (columns.length - 1)) / 2;
  return {
    spread: [...spread].sort((a, b) => a - b),
    deadShare: 1 - living.length / dimensions,
    meanAbsoluteCorrelation: pairs > 0 ? sum / pairs : 0,
  };
}

/** Hubness: how unevenly rows occur among the neighbours of others. */
export type Hubness = {
  /**
   * Skewness of the k-occurrence: 0 is even; above 1 a few hubs occur in many results. Source: Radovanovic et al. 2010.
   */
  readonly skewness: number;
  /** Share of rows that no search finds within k. */
  readonly neverFoundShare: number;
  /** Occurrences of the greatest hub; the mean is k. */
  readonly largestOccurrence: number;
};

/** ranked: every row of the database as a query, itself excluded; the first k of each ranking are counted. */
export function hubness(options: {
  readonly ranked: RankedNeighbours;
  readonly rows: number;
  readonly k: number;
}): Hubness {
  const { ranked, rows } = options;
  const k = Math.min(options.k, ranked.k);
  const occurrence = new Float64Array(rows);
  for (let query = 0; query < ranked.queries; query++) {
    for (let i = 0; i < k; i++) {
      const index = ranked.indices[query * ranked.k + i]!;
      occurrence[index] = occurrence[index]! + 1;
    }
  }
  const mean = (ranked.queries * k) / rows;
  const moment = (power: number): number => occurrence.reduce((sum, count) => sum + (count - mean) ** power, 0) / rows;
  const variance = moment(2);
  return {
    skewness: variance > 0 ? moment(3) / variance ** 1.5 : 0,
    neverFoundShare: occurrence.filter((count) => count === 0).length / rows,
    largestOccurrence: occurrence.reduce((largest, count) => Math.max(largest, count), 0),
  };
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

/** Above this RankMe is skipped: it is cubic in the dimensions. */
const RANK_ME_DIMENSIONS_MAX = 1024;
/** Smaller samples for uniformity, quadratic in the rows, and correlations, quadratic in the dimensions. */
const PAIRWISE_SAMPLE = 1000;
const CORRELATION_SAMPLE = 2000;
const HUBNESS_K = 10;

/** All measures of the distribution on a seeded sample of at most `sample` rows (at least 2 rows). */
export async function measureGeometry(options: {
  readonly embeddings: EmbeddingMatrix;
  readonly sample: number;
  readonly seed: number;
}): Promise<EvaluationReport['geometry']> {
  const { embeddings, seed } = options;
  const sample = (size: number, purpose: string): EmbeddingMatrix =>
    pickRows(embeddings, sampledIndices({ count: embeddings.rows, size, random: seededRandom(seed, purpose) }));
  const main = sample(options.sample, 'geometry');
  const use = dimensionUse(unitRows(sample(CORRELATION_SAMPLE, 'correlation')));
  const search = await openExactSearch({ database: main, metric: 'cosine' });
  const itself = Int32Array.from({ length: main.rows }, (_, index) => index);
  const ranked = await search.nearest({ queries: main, k: HUBNESS_K, exclude: itself }).finally(() => search.close());
  return {
    sampleImages: main.rows,
    rankMe: embeddings.dimensions > RANK_ME_DIMENSIONS_MAX ? null : rankMe(main),
    uniformity: uniformity(unitRows(sample(PAIRWISE_SAMPLE, 'uniformity'))),
    deadDimensionShare: use.deadShare,
    medianSpread: use.spread[Math.floor(use.spread.length / 2)]!,
    meanAbsoluteCorrelation: use.meanAbsoluteCorrelation,
    hubness: { k: ranked.k, ...hubness({ ranked, rows: main.rows, k: ranked.k }), sampleImages: main.rows },
  };
}
