/**
 * Points laid out in the plane so that neighbours stay neighbours, for people to look at. UMAP rather than two
 * principal components, because two of 256 components show next to nothing of whitened or contrastive embeddings, whose
 * variance is spread evenly by design.
 */
import { UMAP } from 'umap-js';
import type { NearestRows } from './nearest-rows.js';

/** A place on the map, each coordinate 0..1. Distances between far points mean nothing. */
export type MapPoint = readonly [x: number, y: number];

/** Below this many rows a layout by neighbours has nothing to say. */
export const MAP_ROWS_MIN = 10;

const NEIGHBOURS_MAX = 15;

/** How many neighbours besides itself {@link planeLayout} wants of each of so many rows. */
export function neighboursWanted(rows: number): number {
  return Math.min(NEIGHBOURS_MAX, rows - 1) - 1;
}

/**
 * Lays rows out by their nearest neighbours by cosine, themselves not among them; one point per row, in order; the same
 * random numbers (0..1) give the same layout. Takes some seconds for 2,000 rows and blocks its thread for steps of
 * them. Throws below {@link MAP_ROWS_MIN} rows. Source: McInnes et al. 2018 (UMAP).
 */
export async function planeLayout(options: {
  readonly nearest: NearestRows;
  readonly random: () => number;
}): Promise<readonly MapPoint[]> {
  const { nearest, random } = options;
  const { rows, k, indices, similarities } = nearest;
  if (rows < MAP_ROWS_MIN) throw new Error(`A map needs at least ${MAP_ROWS_MIN} rows, not ${rows}. This is a bug.`);
  const neighbours: number[][] = [];
  const distances: number[][] = [];
  for (let row = 0; row < rows; row++) {
    const place = row * k;
    // UMAP counts a point as its own first neighbour, at distance 0.
    neighbours.push([row, ...indices.subarray(place, place + k)]);
    distances.push([
      0,
      ...Array.from(similarities.subarray(place, place + k), (similarity) => Math.max(0, 1 - similarity)),
    ]);
  }
  const umap = new UMAP({ nNeighbors: k + 1, nComponents: 2, minDist: 0.1, random });
  umap.setPrecomputedKNN(neighbours, distances);
  // With neighbours given, UMAP reads only how many rows there are.
  return withinUnitSquare(await umap.fitAsync(neighbours.map(() => [0])));
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
