/** Rows of an ablation that learn nothing, or in closed form: what every trained row has to beat. */
import { join } from 'node:path';
import type { EvaluationReport } from '../evaluation/evaluation-report.js';
import { rawPixelEncoder } from '../evaluation/raw-pixels.js';
import type { AblationRow } from '../training/ablation.js';
import { packedImages } from '../training/packed-images.js';
import type { Recipe } from '../training/recipe.js';
import { fitWhiteningEncoder, WHITENING_PREPROCESSING } from '../training/whitening.js';
import type { DataSource } from './data-sources.js';
import { type Decoding, type MeasureOptions, measureEncoder, measureSavedEncoder, openDecoding } from './measured-encoder.js';
import { openPackedSource } from './packed-source.js';
import type { TrainingDisplay } from './training-display.js';

const RAW_PIXELS = 'raw-pixels';
const PCA = 'pca';

/** As many dimensions as the recipe's code has; the recipe's training images, unlabelled. */
export const BASELINE_ROWS: readonly AblationRow[] = [
  { name: RAW_PIXELS, question: 'The pixels themselves', changes: {} },
  { name: PCA, question: 'Principal components of the pixels', changes: {} },
  { name: 'whitening', question: 'Principal components, each scaled to about the same spread', changes: {} },
];

/** Whether a row is one of them. */
export function isBaseline(row: AblationRow): boolean {
  return BASELINE_ROWS.some(({ name }) => name === row.name);
}

/** Fits what there is to fit, into `folder`, and measures it. flags: `--data` and the like, for a baseline that reads pictures at its own size. */
export async function measureBaseline(options: {
  readonly row: AblationRow;
  readonly recipe: Recipe;
  readonly folder: string;
  readonly flags: Parameters<typeof openPackedSource>[0] & { readonly licence: string };
  readonly source: DataSource;
  readonly decode: Decoding['decode'];
  readonly display: TrainingDisplay;
  readonly measures: Omit<MeasureOptions, 'model' | 'source' | 'decode' | 'onProgress'>;
}): Promise<EvaluationReport> {
  const { row, recipe, folder, flags, source, decode, display, measures } = options;
  const { side, fit } = recipe.input;
  const onProgress = display.stage;
  if (row.name === RAW_PIXELS) {
    const encoder = { ...rawPixelEncoder({ side, fit }), name: RAW_PIXELS };
    return measureEncoder(encoder, { ...measures, probes: false, source, decode, onProgress });
  }
  const decoding = openDecoding(WHITENING_PREPROCESSING);
  try {
    const own = await openPackedSource(flags, { preprocessing: WHITENING_PREPROCESSING, decode: decoding.decode, display });
    const model = join(folder, 'encoder');
    await fitWhiteningEncoder({
      images: packedImages(own.dataset),
      out: model,
      name: row.name,
      ...(row.name === PCA && { regularisation: 'none' }),
      dimensions: recipe.network.codeSize,
      dataFacts: { data: own.source.description, licence: flags.licence, command: `likeness ablate --rows ${row.name}` },
      replace: true,
      onProgress: (images) => display.stage('moments', images, own.dataset.count),
    });
    own.dataset.close();
    return await measureSavedEncoder({ ...measures, model, source: own.source, decode: decoding.decode, onProgress });
  } finally {
    await decoding.close();
  }
}
