import { MAP_ROWS_MIN, type MapPoint, neighboursWanted, planeLayout } from '../layout/plane-layout.js';
import { seededRandom } from '../seeded-random.js';
import type { EmbeddingMatrix } from './embedding-matrix.js';
import { openExactSearch } from './exact-search.js';

/**
 * Lays the rows out by their exact nearest neighbours by cosine, as {@link planeLayout} does; one point per row, in order; the same seed gives the same
 * map. Takes some seconds for 2,000 rows: give a sample. Throws below {@link MAP_ROWS_MIN} rows.
 */
export async function embeddingMap(options: { readonly matrix: EmbeddingMatrix; readonly seed: number }): Promise<readonly MapPoint[]> {
  const { matrix, seed } = options;
  const { rows } = matrix;
  if (rows < MAP_ROWS_MIN) throw new Error(`A map needs at least ${MAP_ROWS_MIN} rows, not ${rows}. This is a bug.`);
  const search = await openExactSearch({ database: matrix, metric: 'cosine' });
  const itself = Int32Array.from({ length: rows }, (_, index) => index);
  const k = neighboursWanted(rows);
  const { indices, scores } = await search.nearest({ queries: matrix, k, exclude: itself }).finally(() => search.close());
  return planeLayout({ nearest: { rows, k, indices, similarities: scores }, random: seededRandom(seed, 'embedding map') });
}
