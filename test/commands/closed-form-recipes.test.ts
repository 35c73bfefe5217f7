/**
 * Closed forms from the command line: the recipe that is meant, and one fitted on the stem that comes with Likeness.
 */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { runTrain } from '../../src/commands/train.js';
import { readSavedEncoder } from '../../src/encoder/saved-encoder.js';
import { SearchError } from '../../src/errors.js';
import { closedFormGeometry, closedFormOptions } from '../../src/training/closed-form/closed-form-options.js';
import { CLOSED_FORM_RECIPES, type ClosedFormRecipe } from '../../src/training/closed-form/closed-form-recipes.js';
import { readRecipe } from '../../src/training/read-recipe.js';
import { REPOSITORY } from '../service-process.js';
import { temporaryFolder } from '../training/temporary-folder.js';
import { inProcess, SHORT_RUN, writePictures } from './command-line.js';

const photos = CLOSED_FORM_RECIPES.photos!;

test('a recipe file changes the closed form that it names; former option names still hold', async (t) => {
  const folder = await temporaryFolder(t);
  const read = async (value: unknown): Promise<ClosedFormRecipe> => {
    const file = join(folder, 'recipe.json');
    await writeFile(file, JSON.stringify(value));
    const { method, recipe } = await readRecipe(file);
    assert.ok(method === 'closed form');
    return recipe;
  };
  assert.equal(photos.stem, 'models/closed-form-cifar10');
  assert.deepEqual(await readRecipe('photos'), { method: 'closed form', recipe: photos });
  assert.deepEqual(await read({ base: 'photos', stem: 'models/mine', grid: 2 }), {
    options: { ...photos.options, grid: 2 },
    stem: 'models/mine',
  });
  assert.deepEqual(await read({ base: 'closed-form', hop: 1, emphasis: 2, detail: 2, framed: 0.5 }), {
    options: { stride: 1, correlationPower: 2, oversampling: 2, frameProbability: 0.5 },
  });
  const refused = (error: unknown) =>
    error instanceof SearchError && error.code === 'INVALID_SETTINGS' && /stem is 7/.test(error.message);
  await assert.rejects(read({ base: 'closed-form', stem: 7 }), refused);
});

test('infomax looks at a patch around every pixel and at several views; its settings fit together', () => {
  const options = closedFormOptions(CLOSED_FORM_RECIPES.infomax!.options);
  assert.deepEqual([options.stride, closedFormGeometry(options).mapSide, options.dimensions], [1, 9, 384]);
  assert.ok(options.views > closedFormOptions({}).views);
});

test('train fits a few pictures on the stem of a saved encoder, and the card says so', async (t) => {
  const folder = await temporaryFolder(t);
  const data = join(folder, 'pictures');
  await writePictures(data, 14);
  const stem = join(REPOSITORY, photos.stem!);
  const recipe = join(folder, 'few.json');
  await writeFile(recipe, JSON.stringify({ base: 'photos', stem, grid: 2, dimensions: 6, views: 2 }));
  const out = join(folder, 'few');
  const files = { data, out, recipe, cache: join(folder, 'cache') };
  const lengths = { heldOut: 0.1, epochSample: 24, limit: 1000 };
  const { code, output } = await inProcess(t, () =>
    runTrain({ ...SHORT_RUN, ...files, ...lengths, resume: 'automatic', evaluation: false }),
  );
  assert.equal(code, 0, output);
  const saved = await readSavedEncoder(stem);
  const { manifest } = await readSavedEncoder(out);
  assert.deepEqual(
    [manifest.preprocessing.width, manifest.dimensions, manifest.training.stemId],
    [64, 6, saved.manifest.id],
  );
  assert.equal(manifest.training.atoms, saved.manifest.training.atoms);
  const card = await readFile(join(out, 'README.md'), 'utf8');
  assert.match(card, /`likeness train --data pictures --out few --recipe few.json --held-out 0.1`/);
  assert.match(card, /Stem.*closed-form-cifar10/);
});
