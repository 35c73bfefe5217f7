/** Baselines of an ablation: rows without training, or in closed form. */
import { join } from 'node:path';
import { type DataSource, openPackedSource } from '../../datasets/data-sources.js';
import { packedImages } from '../../datasets/packed-dataset.js';
import { rawPixelEncoder } from '../../evaluation/encode-dataset.js';
import type { EvaluationReport } from '../../evaluation/evaluation-report.js';
import { type MeasureOptions, measureEncoder, measureSavedEncoder } from '../../evaluation/measured-encoder.js';
import { fitWhiteningEncoder, WHITENING_PREPROCESSING } from '../closed-form/whitening.js';
import type { Recipe } from '../recipe.js';
import type { AblationRow } from './ablation.js';
import type { TrainingProgress } from './training-run.js';

const RAW_PIXELS = 'raw-pixels';
const PCA = 'pca';

/** Baselines, with as many dimensions as the recipe's code, on the same unlabelled training images. */
export const BASELINE_ROWS: readonly AblationRow[] = [
  { name: RAW_PIXELS, question: 'The pixels themselves', changes: {} },
  { name: PCA, question: 'Principal components of the pixels', changes: {} },
  { name: 'whitening', question: 'Principal components, each scaled to about the same spread', changes: {} },
];

export function isBaseline(row: AblationRow): boolean {
  return BASELINE_ROWS.some(({ name }) => name === row.name);
}

/**
 * Fits a baseline into `folder`, where there is anything to fit, and measures it. pictures: for baselines that pack
 * them at their own size.
 */
export async function measureBaseline(options: {
  readonly row: AblationRow;
  readonly recipe: Recipe;
  readonly folder: string;
  readonly pictures: Parameters<typeof openPackedSource>[0];
  readonly licence: string;
  readonly source: DataSource;
  readonly progress: TrainingProgress;
  readonly measures: Omit<MeasureOptions, 'model' | 'source' | 'progress'>;
}): Promise<EvaluationReport> {
  const { row, recipe, folder, pictures, licence, source, progress, measures } = options;
  const { side, fit } = recipe.input;
  if (row.name === RAW_PIXELS) {
    const encoder = { ...rawPixelEncoder({ side, fit }), name: RAW_PIXELS };
    return measureEncoder(encoder, { ...measures, probes: false, source, progress });
  }
  const preprocessing = WHITENING_PREPROCESSING;
  const own = await openPackedSource(pictures, { preprocessing, progress });
  try {
    const model = join(folder, 'encoder');
    await fitWhiteningEncoder({
      images: packedImages(own.dataset),
      out: model,
      name: row.name,
      ...(row.name === PCA && { regularisation: 'none' }),
      dimensions: recipe.network.codeSize,
      dataFacts: { data: own.source.description, licence, command: `likeness ablate --rows ${row.name}` },
      replace: true,
      onProgress: (images) => progress.stage('moments', images, own.dataset.count),
    });
    return await measureSavedEncoder({ ...measures, model, source: own.source, progress });
  } finally {
    own.dataset.close();
  }
}
