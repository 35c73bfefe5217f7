import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NamedValues } from '../../src/compile/program.js';
import { BatchMaker, epochOrder, openBatches, stepsPerEpoch } from '../../src/training/batches.js';
import { packedTextures, temporaryFolder } from './temporary-folder.js';
import { tinySeed, tinyViews } from './tiny-recipes.js';

test('the order of an epoch is a permutation fixed by seed and epoch', () => {
  const order = epochOrder(2018, 4, 500);
  assert.deepEqual(
    [...order].sort((a, b) => a - b),
    Array.from({ length: 500 }, (_, index) => index),
  );
  assert.deepEqual(epochOrder(2018, 4, 500), order);
  assert.notDeepEqual(epochOrder(2018, 5, 500), order);
  assert.notDeepEqual(epochOrder(2019, 4, 500), order);
});

test('an epoch shows each image at most once and leaves out less than a batch', async (t) => {
  const recipe = tinySeed();
  const count = 100;
  const dataset = await packedTextures(t, { folder: await temporaryFolder(t), count });
  const maker = new BatchMaker(recipe, { reader: dataset, count });
  const size = 16 * 16 * 3;
  const seen = new Set<string>();
  const steps = stepsPerEpoch(recipe, count);
  assert.equal(steps, 3);
  for (let step = 0; step < steps; step++) {
    const { images } = maker.make(step);
    for (let place = 0; place < 32; place++) seen.add(String(images!.slice(place * size, place * size + 20)));
  }
  assert.equal(seen.size, 96);
});

test('the feeds of a step do not depend on the steps made before', async (t) => {
  const dataset = await packedTextures(t, { folder: await temporaryFolder(t), count: 100 });
  for (const recipe of [tinySeed(), tinyViews({ optimiser: { batchSize: 32 } })]) {
    const images = { reader: dataset, count: dataset.count };
    const travelled = new BatchMaker(recipe, images);
    for (const step of [0, 7, 2]) travelled.make(step);
    assert.deepEqual(travelled.make(5), new BatchMaker(recipe, images).make(5), recipe.name);
  }
});

test('the worker thread makes the same batches, in order, from any step on', async (t) => {
  const dataset = await packedTextures(t, { folder: await temporaryFolder(t), count: 100 });
  const recipe = tinyViews({ optimiser: { batchSize: 32 } });
  const batches = openBatches(recipe, dataset, 4);
  const made: NamedValues[] = [];
  for (let i = 0; i < 4; i++) made.push(await batches.next());
  await batches.close();
  const maker = new BatchMaker(recipe, { reader: dataset, count: dataset.count });
  assert.deepEqual(
    made,
    [4, 5, 6, 7].map((step) => maker.make(step)),
  );
});

test('views of an image stand at the same place of each half of the batch', async (t) => {
  const dataset = await packedTextures(t, { folder: await temporaryFolder(t), count: 64 });
  const still = { crop: { areaMin: 1, areaMax: 1, aspectMax: 1 }, jitter: { probability: 0 }, grey: 0 };
  const recipe = tinyViews({ augmentation: still, optimiser: { batchSize: 32 } });
  const { images } = new BatchMaker(recipe, { reader: dataset, count: 64 }).make(0);
  assert.deepEqual(images!.slice(0, images!.length / 2), images!.slice(images!.length / 2));
});
