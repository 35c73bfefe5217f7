/**
 * A map of the embeddings in the plane, for people: neighbours stay neighbours. UMAP rather than two principal components, because two
 * of 256 components show next to nothing of whitened or contrastive embeddings, whose variance is spread evenly by design.
 */
import { UMAP } from 'umap-js';
import type { EmbeddingMatrix } from './embedding-matrix.js';
import { openExactSearch } from './exact-search.js';
import { seededRandom } from './seeded-random.js';

/** A place on the map, each coordinate 0..1. Distances between far points mean nothing. */
export type MapPoint = readonly [x: number, y: number];

/** Below this many rows a layout by neighbours has nothing to say. */
export const MAP_ROWS_MIN = 10;
const NEIGHBOURS = 15;

/**
 * Lays the rows out by their exact nearest neighbours by cosine; one point per row, in order; the same seed gives the same map. Takes
 * some seconds for 2,000 rows: give a sample. Throws below {@link MAP_ROWS_MIN} rows. Source: McInnes et al. 2018 (UMAP).
 */
export async function embeddingMap(options: { readonly matrix: EmbeddingMatrix; readonly seed: number }): Promise<readonly MapPoint[]> {
  const { matrix, seed } = options;
  if (matrix.rows < MAP_ROWS_MIN) throw new Error(`A map needs at least ${MAP_ROWS_MIN} rows, not ${matrix.rows}. This is a bug.`);
  const nNeighbors = Math.min(NEIGHBOURS, matrix.rows - 1);
  const search = await openExactSearch({ database: matrix, metric: 'cosine' });
  const itself = Int32Array.from({ length: matrix.rows }, (_, index) => index);
  const ranked = await search.nearest({ queries: matrix, k: nNeighbors - 1, exclude: itself }).finally(() => search.close());
  const indices: number[][] = [];
  const distances: number[][] = [];
  for (let point = 0; point < matrix.rows; point++) {
    const place = point * ranked.k;
    // UMAP counts a point as its own first neighbour, at distance 0.
    indices.push([point, ...ranked.indices.subarray(place, place + ranked.k)]);
    distances.push([0, ...Array.from(ranked.scores.subarray(place, place + ranked.k), (score) => Math.max(0, 1 - score))]);
  }
  const umap = new UMAP({ nNeighbors, nComponents: 2, minDist: 0.1, random: seededRandom(seed, 'embedding map') });
  umap.setPrecomputedKNN(indices, distances);
  // With neighbours given, UMAP reads only how many rows there are.
  return withinUnitSquare(await umap.fitAsync(indices.map(() => [0])));
}

function withinUnitSquare(layout: readonly (readonly number[])[]): MapPoint[] {
  const xs = layout.map((point) => point[0]!);
  const ys = layout.map((point) => point[1]!);
  const scaled = (values: readonly number[]): ((value: number) => number) => {
    const low = values.reduce((least, value) => Math.min(least, value), Number.POSITIVE_INFINITY);
    const high = values.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY);
    return (value) => (high > low ? (value - low) / (high - low) : 0.5);
  };
  const [x, y] = [scaled(xs), scaled(ys)];
  return xs.map((value, index) => [x(value), y(ys[index]!)]);
}
