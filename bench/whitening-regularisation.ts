/**
 * Chooses the regularisation of the whitening encoder: fitted on the first 45,000 training images of CIFAR-10, scored
 * by a weighted kNN vote of the other 5,000 against them (k = 200, T = 0.1, cosine). The test images are scored once,
 * against all 50,000, with the saved encoder that the last argument names.
 *
 *   node dist/bench/whitening-regularisation.js CIFAR10_FOLDER models/whitening-cifar10
 */

import { type LabelledPixels, readCifar10 } from '../src/datasets/cifar.js';
import { openOnnxRuntime } from '../src/encoder/onnx-runtime.js';
import { readSavedEncoder, type SavedEncoder } from '../src/encoder/saved-encoder.js';
import { embeddingMatrix } from '../src/evaluation/embedding-matrix.js';
import { openExactSearch } from '../src/evaluation/exact-search.js';
import { REPORTED_VOTES, type VoteSettings, voteOfNeighbours } from '../src/evaluation/measures/class-measures.js';
import { writeInputTensor } from '../src/images/preprocessing.js';
import {
  fitWhitening,
  WHITENING_DIMENSIONS,
  WHITENING_PREPROCESSING,
  whiteningProgram,
} from '../src/training/closed-form/whitening.js';

const CANDIDATES = [0.1, 0.2, 0.5, 0.7, 1, 1.5, 2, 4, 8];
const VALIDATION_IMAGES = 5000;
const BATCH = 500;

type Labelled = readonly LabelledPixels[];

const [folder, savedFolder] = process.argv.slice(2);
if (folder === undefined || savedFolder === undefined)
  throw new Error('Usage: whitening-regularisation CIFAR10_FOLDER SAVED_ENCODER');
const train = await readAll(folder, 'train');
const saved = await readSavedEncoder(savedFolder);

const fitted = train.slice(0, -VALIDATION_IMAGES);
const whitening = await fitWhitening({
  images: fitted.map(({ pixels }) => pixels),
  preprocessing: WHITENING_PREPROCESSING,
  dimensions: WHITENING_DIMENSIONS,
});
for (const regularisation of CANDIDATES) {
  const onnx = whiteningProgram(whitening, WHITENING_PREPROCESSING, regularisation);
  const scores = await score({ ...saved, onnx }, fitted, train.slice(-VALIDATION_IMAGES), REPORTED_VOTES.slice(0, 1));
  console.log(`regularisation ${regularisation} x mean eigenvalue: validation kNN ${scores}`);
}
const test = await readAll(folder, 'test');
console.log(
  `${saved.manifest.name} ${saved.manifest.id.slice(0, 12)}: test kNN ${await score(saved, train, test, REPORTED_VOTES)}`,
);

async function readAll(from: string, split: 'train' | 'test'): Promise<Labelled> {
  const images: LabelledPixels[] = [];
  for await (const image of readCifar10({ folder: from, split })) images.push(image);
  return images;
}

/** Share of queries, in %, that each vote puts into their own class. */
async function score(
  encoder: SavedEncoder,
  database: Labelled,
  queries: Labelled,
  votes: readonly VoteSettings[],
): Promise<string> {
  const search = await openExactSearch({ database: await encodeAll(encoder, database), metric: 'cosine' });
  const { k, indices, scores } = await search.nearest({ queries: await encodeAll(encoder, queries), k: 200 });
  await search.close();
  const correct = votes.map(() => 0);
  for (const [query, { label }] of queries.entries()) {
    const row = { from: query * k, to: (query + 1) * k };
    const labels = Array.from(indices.subarray(row.from, row.to), (index) => database[index]!.label);
    const similarities = scores.subarray(row.from, row.to);
    for (const [index, vote] of votes.entries())
      if (voteOfNeighbours({ labels, similarities, vote }) === label) correct[index]!++;
  }
  const figures = votes.map(
    (vote, i) => `${((100 * correct[i]!) / queries.length).toFixed(2)} % (k=${vote.k}, T=${vote.temperature})`,
  );
  return figures.join(', ');
}

async function encodeAll(encoder: SavedEncoder, images: Labelled) {
  const { preprocessing, dimensions } = encoder.manifest;
  const runtime = await openOnnxRuntime(encoder, { device: 'cpu', threads: 0 });
  const embeddings = new Float32Array(images.length * dimensions);
  const batch = new Float32Array(BATCH * 3 * preprocessing.width * preprocessing.height);
  for (let from = 0; from < images.length; from += BATCH) {
    const part = images.slice(from, from + BATCH);
    for (const [index, { pixels }] of part.entries()) writeInputTensor({ pixels, preprocessing, target: batch, index });
    embeddings.set(
      await runtime.run(batch.subarray(0, (batch.length / BATCH) * part.length), part.length),
      from * dimensions,
    );
  }
  await runtime.close();
  return embeddingMatrix(embeddings, dimensions);
}
