/**
 * The proof that the measures are right: known figures of CIFAR-10's raw pixels. Needs ../shared/data/cifar10 (sprites
 * of 100 x 100 images).
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { embeddingMatrix } from '../../src/evaluation/embedding-matrix.js';
import { openExactSearch } from '../../src/evaluation/exact-search.js';
import { voteOfNeighbours } from '../../src/evaluation/measures/class-measures.js';

const folder = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..', '..', 'shared', 'data', 'cifar10');
const skip = existsSync(join(folder, 'test_batch.webp')) ? false : 'needs ../shared/data/cifar10, which is not here';
const VALUES = 3072;
const QUERIES = 2000;

type Batch = { values: Float32Array; labels: Uint8Array };

/** The first images of a sprite, each less its own mean; 0..1. */
async function readSprite(name: string, count: number): Promise<Batch> {
  const { data, info } = await sharp(join(folder, `${name}.webp`), { limitInputPixels: false })
    .removeAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true });
  const values = new Float32Array(count * VALUES);
  for (let image = 0; image < count; image++) {
    const [left, top] = [(image % 100) * 32, Math.floor(image / 100) * 32];
    for (let y = 0; y < 32; y++) {
      const from = ((top + y) * info.width + left) * 3;
      for (let i = 0; i < 96; i++) values[image * VALUES + y * 96 + i] = data[from + i]! / 255;
    }
    const own = values.subarray(image * VALUES, (image + 1) * VALUES);
    const mean = own.reduce((sum, value) => sum + value, 0) / VALUES;
    for (let i = 0; i < VALUES; i++) own[i] = own[i]! - mean;
  }
  return { values, labels: (await readFile(join(folder, `${name}.labels`))).subarray(0, count) };
}

test('kNN of centred raw pixels is that of an independent computation in numpy', { skip }, async () => {
  const batches = [];
  for (const number of [1, 2, 3, 4, 5]) batches.push(await readSprite(`data_batch_${number}`, 10_000));
  const values = new Float32Array(50_000 * VALUES);
  const labels = new Uint8Array(50_000);
  for (const [place, batch] of batches.entries()) {
    values.set(batch.values, place * 10_000 * VALUES);
    labels.set(batch.labels, place * 10_000);
  }
  const queries = await readSprite('test_batch', QUERIES);
  const database = embeddingMatrix(values, VALUES);
  const search = await openExactSearch({ database, metric: 'cosine' });
  const ranked = await search
    .nearest({ queries: embeddingMatrix(queries.values, VALUES), k: 200 })
    .finally(() => search.close());
  let right = 0;
  for (let query = 0; query < QUERIES; query++) {
    const [from, to] = [query * 200, query * 200 + 200];
    const voters = Array.from(ranked.indices.subarray(from, to), (index) => labels[index]!);
    const vote = { k: 200, temperature: 0.1 };
    if (
      voteOfNeighbours({ labels: voters, similarities: ranked.scores.subarray(from, to), vote }) ===
      queries.labels[query]
    )
      right++;
  }
  // numpy, the first 2,000 test images against all of train: 0.4515. Over all 10,000: 0.4424.
  assert.ok(Math.abs(right / QUERIES - 0.4515) <= 0.001, `${right} of ${QUERIES} right`);
});
