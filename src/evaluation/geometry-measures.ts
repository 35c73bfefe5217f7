import { sampledIndices, seededRandom } from '../seeded-random.js';
import { dimensionUse, hubness, uniformity } from './embedding-geometry.js';
import { type EmbeddingMatrix, pickRows, unitRows } from './embedding-matrix.js';
import type { EvaluationReport } from './evaluation-report.js';
import { openExactSearch } from './exact-search.js';
import { rankMe } from './rank-me.js';

/** RankMe needs a decomposition that is cubic in the dimensions; above this it is left out. */
const RANK_ME_DIMENSIONS_MAX = 1024;
/** Uniformity is quadratic in its rows, the correlations in the dimensions: smaller samples do. */
const PAIRWISE_SAMPLE = 1000;
const CORRELATION_SAMPLE = 2000;
const HUBNESS_K = 10;

/** All measures of the cloud's shape on a seeded sample of at most `sample` rows (at least 2 rows). */
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
