import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { SearchError } from '../../src/errors.js';
import { SEED_CIFAR10, SEED_TINY_IMAGENET } from '../../src/infomax/seed-recipe.js';
import { changed, readGradientRecipe, readRecipe } from '../../src/training/read-recipe.js';
import { checkedRecipe, learningRateAt, objectiveOf, preprocessingOf } from '../../src/training/recipe.js';
import { RECIPES } from '../../src/training/recipes.js';
import { temporaryFolder } from './temporary-folder.js';

test('every recipe that comes with Likeness is valid and bears its own name', async () => {
  for (const name of Object.keys(RECIPES)) assert.equal((await readGradientRecipe(name)).name, name);
});

test('the recipes of the seed are the article objective and its settings', async () => {
  for (const [name, article] of [
    ['seed', SEED_CIFAR10],
    ['seed-tiny-imagenet', SEED_TINY_IMAGENET],
  ] as const) {
    const recipe = await readGradientRecipe(name);
    assert.deepEqual(objectiveOf(recipe), { ...article.objective, views: 1 });
    const { learningRate, batchSize, epochs, pixelMean, pixelScale } = article.settings;
    assert.deepEqual(
      { ...recipe.optimiser },
      { learningRate, batchSize, epochs, weightDecay: 0, schedule: { kind: 'constant' } },
    );
    assert.deepEqual(preprocessingOf(recipe).mean, [pixelMean, pixelMean, pixelMean]);
    assert.deepEqual(preprocessingOf(recipe).scale, [pixelScale, pixelScale, pixelScale]);
    assert.equal(recipe.augmentation, null);
    assert.equal(recipe.embedding, 'mean');
  }
});

test('a fault names its key', () => {
  const faults: readonly (readonly [Record<string, unknown>, RegExp])[] = [
    [{ optimiser: { batchSize: 1 } }, /optimiser\.batchSize must be >= 2/],
    [{ optimiser: { learnignRate: 1 } }, /optimiser .*learnignRate/],
    [{ embedding: 'centre' }, /embedding .*mean, pooled, map/],
    [{ global: { negatives: { draw: 'none' } } }, /global\.negatives\.draw/],
    [{ local: { estimator: 'decoupled-info-nce' } }, /local\.estimator .*temperature/],
    [{ views: 2 }, /views .*augmentation/],
    [{ network: { mapStages: 6 } }, /network\.mapStages is 6, but there are 5/],
    [{ input: { side: 4 } }, /network\.stages pool 4 pixels to nothing/],
    [{ global: { weight: 0 }, local: { weight: 0 } }, /nothing to learn/],
    [
      { reconstruction: { weight: 1, code: 'mean' }, input: { side: 36 } },
      /reconstruction: input\.side 36 is no multiple/,
    ],
    [{ prior: { kind: 'adversarial', distribution: 'laplace', hidden: [8] } }, /prior\.distribution .*normal, uniform/],
  ];
  for (const [changes, expected] of faults) {
    assert.throws(
      () => checkedRecipe(changed(RECIPES.seed, changes), 'mine.json'),
      (error: unknown) =>
        error instanceof SearchError &&
        error.code === 'INVALID_SETTINGS' &&
        /Recipe mine\.json/.test(error.message) &&
        expected.test(error.message),
      JSON.stringify(changes),
    );
  }
});

test('a file changes what it names of its base, and must be whole without one', async (t) => {
  const file = join(await temporaryFolder(t), 'mine.json');
  await writeFile(
    file,
    JSON.stringify({
      base: 'seed',
      name: 'mine',
      optimiser: { epochs: 3 },
      network: { stages: [{ channels: 8, kernel: 3, pool: 2 }], mapStages: 1 },
    }),
  );
  const recipe = await readGradientRecipe(file);
  assert.equal(recipe.optimiser.epochs, 3);
  assert.equal(recipe.optimiser.batchSize, 64);
  assert.equal(recipe.network.stages.length, 1);
  await writeFile(file, '{"name": "mine"}');
  await assert.rejects(readRecipe(file), /input.*network/);
  await writeFile(file, '{"name": ');
  await assert.rejects(readRecipe(file), /is not JSON/);
  await writeFile(file, '{"base": "toString"}');
  await assert.rejects(readRecipe(file), /base is not a recipe/);
  await assert.rejects(readRecipe('absent'), /closed-form, infomax, photos, seed, seed-tiny-imagenet, views/);
});

test('a warm-up rises in a line and a cosine falls to its end', () => {
  const at = (step: number) =>
    learningRateAt({ schedule: { kind: 'warm-up-cosine', warmUp: 0.1, end: 0.01 }, learningRate: 2, step, steps: 100 });
  assert.equal(at(0), 0.2);
  assert.equal(at(9), 2);
  assert.equal(at(10), 2);
  assert.ok(Math.abs(at(55) - (0.02 + 1.98 / 2)) < 1e-12);
  assert.ok(at(99) > 0.02 && at(99) < 0.03);
  for (let step = 11; step < 100; step++) assert.ok(at(step) < at(step - 1));
  assert.equal(learningRateAt({ schedule: { kind: 'constant' }, learningRate: 2, step: 50, steps: 100 }), 2);
});
