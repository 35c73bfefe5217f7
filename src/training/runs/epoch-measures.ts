/**
 * Figures of an encoder during training, on the same sample of images after every epoch. Labels are used for scoring
 * only.
 */

import type { PackedDataset } from '../../datasets/packed-dataset.js';
import { type EmbeddingMatrix, embeddingMatrix, pickRows } from '../../evaluation/embedding-matrix.js';
import { openExactSearch } from '../../evaluation/exact-search.js';
import { measureClasses } from '../../evaluation/measures/class-measures.js';
import { rankMe } from '../../evaluation/measures/rank-me.js';
import { linearProbe } from '../../evaluation/probes/linear-probe.js';
import { writeInputTensor } from '../../images/preprocessing.js';
import { sampledIndices, seededRandom, shuffledIndices } from '../../seeded-random.js';
import { EMBEDDING_LAYERS, layerSizes, openLayerEncoder, type TrainedState } from '../encoder-layers.js';
import { preprocessingOf, type Recipe } from '../recipe.js';

/** Share of the sample that is searched for; the rest is searched in. */
const QUERY_SHARE = 1 / 6;
const BATCH_SIZE = 100;

/**
 * Computes for each layer that could be the embedding RankMe and, with labels, the accuracies of kNN (k = 200, T = 0.1;
 * k = 20, T = 0.07) and of a linear probe, all on training images.
 */
export function epochMeasures(options: {
  readonly recipe: Recipe;
  readonly dataset: PackedDataset;
  readonly sample: number;
  readonly threads?: number | undefined;
}): (trained: TrainedState) => Promise<Readonly<Record<string, number>>> {
  const { recipe, dataset, threads } = options;
  const size = Math.min(options.sample, dataset.count);
  const images = sampledIndices({ count: dataset.count, size, random: seededRandom(recipe.seed, 'epoch measures') });
  return async (trained) => {
    const layers = await encodeLayers({ recipe, dataset, images, trained, threads });
    const figures: Record<string, number> = {};
    for (const layer of EMBEDDING_LAYERS) {
      figures[`rankMe ${layer}`] = rankMe(layers[layer]);
      for (const [name, accuracy] of await accuracies(layers[layer], labelsOf(dataset, images), recipe.seed))
        figures[`${name} ${layer}`] = accuracy;
    }
    return figures;
  };
}

async function encodeLayers(options: {
  readonly recipe: Recipe;
  readonly dataset: PackedDataset;
  readonly images: Uint32Array;
  readonly trained: TrainedState;
  readonly threads: number | undefined;
}): Promise<Readonly<Record<(typeof EMBEDDING_LAYERS)[number], EmbeddingMatrix>>> {
  const { recipe, dataset, images, trained, threads } = options;
  const preprocessing = preprocessingOf(recipe);
  const { width, height } = preprocessing;
  const sizes = layerSizes(recipe);
  const encoder = await openLayerEncoder(recipe, trained, threads === undefined ? {} : { threads });
  try {
    const values = {
      mean: new Float32Array(images.length * sizes.mean),
      pooled: new Float32Array(images.length * sizes.pooled),
      map: new Float32Array(images.length * sizes.map),
    };
    const rgb = new Uint8Array(width * height * 3);
    for (let first = 0; first < images.length; first += BATCH_SIZE) {
      const count = Math.min(BATCH_SIZE, images.length - first);
      const batch = new Float32Array(count * rgb.length);
      for (let index = 0; index < count; index++) {
        dataset.copyImage(images[first + index]!, rgb, 0);
        writeInputTensor({ pixels: { width, height, rgb }, preprocessing, target: batch, index });
      }
      const encoded = await encoder.encode(batch, count);
      for (const layer of EMBEDDING_LAYERS) values[layer].set(encoded[layer], first * sizes[layer]);
    }
    return {
      mean: embeddingMatrix(values.mean, sizes.mean),
      pooled: embeddingMatrix(values.pooled, sizes.pooled),
      map: embeddingMatrix(values.map, sizes.map),
    };
  } finally {
    await encoder.close();
  }
}

function labelsOf(dataset: PackedDataset, images: Uint32Array): Int32Array | undefined {
  const { labels } = dataset;
  return labels && Int32Array.from(images, (image) => labels[image]!);
}

async function accuracies(
  matrix: EmbeddingMatrix,
  labels: Int32Array | undefined,
  seed: number,
): Promise<readonly (readonly [string, number])[]> {
  if (labels === undefined || matrix.rows < 12) return [];
  const order = shuffledIndices(matrix.rows, seededRandom(seed, 'epoch queries'));
  const queryRows = order.slice(0, Math.floor(matrix.rows * QUERY_SHARE));
  const databaseRows = order.slice(queryRows.length);
  const [database, queries] = [pickRows(matrix, databaseRows), pickRows(matrix, queryRows)];
  const databaseLabels = Int32Array.from(databaseRows, (row) => labels[row]!);
  const queryLabels = Int32Array.from(queryRows, (row) => labels[row]!);
  const search = await openExactSearch({ database, metric: 'cosine' });
  try {
    const { votes } = await measureClasses({ search, request: { queries }, databaseLabels, queryLabels });
    const { accuracy: linear } = await linearProbe({
      train: database,
      trainLabels: databaseLabels,
      test: queries,
      testLabels: queryLabels,
      seed,
    });
    return [
      ...votes.filter(({ k }) => k > 1).map(({ k, accuracy }) => [`kNN${k}`, accuracy] as const),
      ['linear', linear],
    ];
  } finally {
    await search.close();
  }
}
