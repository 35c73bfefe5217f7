/**
 * The article's figure of a training: neighbours of the mean head as the network gives it, by cosine and by Euclidean
 * distance (a saved encoder is normalised, and both rank alike there). Prints the kNN accuracy of either, and how many
 * of ten neighbours they share.
 *
 *   node dist/bench/article-sheets.js models/mine.training CIFAR10_FOLDER OUT_FOLDER [DATABASE_IMAGES] [QUERIES]
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { atMost, openDataSource } from '../src/datasets/data-sources.js';
import type { ImageDataset } from '../src/datasets/image-dataset.js';
import { type EmbeddingMatrix, embeddingMatrix } from '../src/evaluation/embedding-matrix.js';
import { openExactSearch } from '../src/evaluation/exact-search.js';
import { measureSplit } from '../src/evaluation/measures/split-measures.js';
import { smallSheet } from '../src/evaluation/reports/drawn-sheets.js';
import { writeInputTensor } from '../src/images/preprocessing.js';
import { readLatestCheckpoint } from '../src/training/checkpoint.js';
import { layerSizes, openLayerEncoder } from '../src/training/encoder-layers.js';
import { preprocessingOf } from '../src/training/recipe.js';

const BATCH = 100;
const SEED = 2018;
const SHARED_AMONG = 10;

const [folder, data, out, databaseImages = '10000', queryImages = '5000'] = process.argv.slice(2);
if (folder === undefined || data === undefined || out === undefined)
  throw new Error('Usage: article-sheets CHECKPOINTS CIFAR10_FOLDER OUT_FOLDER');
const checkpoint = await readLatestCheckpoint(folder, (name, reason) => console.error(`${name}: ${reason}`));
if (checkpoint === undefined) throw new Error(`There is no checkpoint in ${folder}.`);
const { recipe } = checkpoint;
const preprocessing = preprocessingOf(recipe);
const encoder = await openLayerEncoder(recipe, checkpoint, { threads: 2, isNormalised: false });
const source = await openDataSource({ data, cache: '', heldOut: 0 });
if (source.queries === undefined) throw new Error(`${data} holds nothing out to ask with.`);
const database = await encoded(atMost(source.database, Number(databaseImages)));
const queries = await encoded(atMost(source.queries, Number(queryImages)));
await encoder.close();

await mkdir(out, { recursive: true });
const split = { database, queries, isLeaveOneOut: false };
for (const metric of ['cosine', 'euclidean'] as const) {
  const { classes, sheet } = await measureSplit({ split, metric, sheetRows: 10, seed: SEED });
  await writeFile(join(out, `${metric}.webp`), Buffer.from((await smallSheet(sheet)).base64, 'base64'));
  const votes = classes?.votes.map(({ k, accuracy }) => `k=${k} ${(100 * accuracy).toFixed(1)} %`) ?? [];
  console.log(`${metric}: ${votes.join(', ')}, P@10 ${(100 * (classes?.precisionAt10 ?? 0)).toFixed(1)} %`);
}
console.log(`shared among the first ${SHARED_AMONG}: ${(await shared()).toFixed(2)}`);

async function encoded(
  dataset: ImageDataset,
): Promise<{ readonly dataset: ImageDataset; readonly embeddings: EmbeddingMatrix }> {
  const { mean: dimensions } = layerSizes(recipe);
  const values = new Float32Array(dataset.count * dimensions);
  for (let first = 0; first < dataset.count; first += BATCH) {
    const count = Math.min(BATCH, dataset.count - first);
    const batch = new Float32Array(count * 3 * preprocessing.width * preprocessing.height);
    for (let index = 0; index < count; index++)
      writeInputTensor({ pixels: dataset.heldPixels(first + index)!, preprocessing, target: batch, index });
    values.set((await encoder.encode(batch, count)).mean, first * dimensions);
  }
  return { dataset, embeddings: embeddingMatrix(values, dimensions) };
}

/** Mean number of images that both metrics put among a query's first. */
async function shared(): Promise<number> {
  const [cosine, euclidean] = await Promise.all(
    (['cosine', 'euclidean'] as const).map(async (metric) => {
      const search = await openExactSearch({ database: database.embeddings, metric });
      return search.nearest({ queries: queries.embeddings, k: SHARED_AMONG }).finally(() => search.close());
    }),
  );
  let both = 0;
  for (let query = 0; query < queries.dataset.count; query++) {
    const row = (list: Int32Array | Uint32Array) => list.subarray(query * SHARED_AMONG, (query + 1) * SHARED_AMONG);
    const found = new Set<number>(row(cosine!.indices));
    both += row(euclidean!.indices).filter((index) => found.has(index)).length;
  }
  return both / queries.dataset.count;
}
