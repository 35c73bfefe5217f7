/** Closed forms from the command line: which recipe is meant, and one fitted on the stem that comes with Likeness. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { closedFormRecipe } from '../../src/commands/train-closed-form.js';
import { readSavedEncoder } from '../../src/encoder/saved-encoder.js';
import { SearchError } from '../../src/errors.js';
import { closedFormGeometry, closedFormOptions } from '../../src/training/closed-form-options.js';
import { syntheticPicture, toSharp } from '../images/pictures.js';
import { REPOSITORY } from '../service-process.js';
import { temporaryFolder } from '../training/temporary-folder.js';

test('a recipe file changes a closed form that it names; all other recipes are none', async (t) => {
  const folder = await temporaryFolder(t);
  const written = async (value: unknown): Promise<string> => {
    const file = join(folder, 'recipe.json');
    await writeFile(file, JSON.stringify(value));
    return file;
  };
  const photos = await closedFormRecipe('photos');
  assert.equal(photos?.stem, 'models/closed-form-cifar10');
  assert.deepEqual(await closedFormRecipe('closed-form'), { options: {} });
  assert.equal(await closedFormRecipe('seed'), undefined);
  assert.equal(await closedFormRecipe(await written({ base: 'views', epochs: 3 })), undefined);
  const changed = await closedFormRecipe(await written({ base: 'photos', stem: 'models/mine', grid: 2 }));
  assert.deepEqual(changed, { options: { ...photos?.options, grid: 2 }, stem: 'models/mine' });
  const refused = (error: unknown) => error instanceof SearchError && error.code === 'INVALID_SETTINGS' && /stem is 7/.test(error.message);
  await assert.rejects(closedFormRecipe(await written({ base: 'closed-form', stem: 7 })), refused);
});

test('infomax looks at a patch around every pixel and at several views; its settings fit together', async () => {
  const recipe = await closedFormRecipe('infomax');
  assert.equal(recipe?.stem, undefined);
  const options = closedFormOptions(recipe?.options ?? {});
  assert.deepEqual([options.hop, closedFormGeometry(options).mapSide, options.dimensions], [1, 9, 384]);
  assert.ok(options.views > closedFormOptions({}).views);
});

test('train fits a few pictures on the stem of a saved encoder, and the card says so', async (t) => {
  const folder = await temporaryFolder(t);
  const data = join(folder, 'pictures');
  await mkdir(data);
  for (let index = 0; index < 14; index++) {
    const picture = syntheticPicture({ width: 80, height: 60, seed: index });
    await toSharp(picture)
      .png()
      .toFile(join(data, `${index}.png`));
  }
  const recipe = join(folder, 'few.json');
  await writeFile(recipe, JSON.stringify({ base: 'photos', grid: 2, dimensions: 6, views: 2 }));
  const out = join(folder, 'few');
  const given = ['train', '--data', data, '--recipe', recipe, '--out', out, '--cache', folder, '--held-out', '0.1', '--no-evaluation'];
  const child = spawn(process.execPath, [join(REPOSITORY, 'dist', 'src', 'cli.js'), ...given], {
    cwd: REPOSITORY,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  const [code] = await once(child, 'close');
  assert.equal(code, 0, output);

  const stem = await readSavedEncoder(join(REPOSITORY, 'models', 'closed-form-cifar10'));
  const { manifest } = await readSavedEncoder(out);
  assert.deepEqual([manifest.preprocessing.width, manifest.dimensions, manifest.training.stemId], [64, 6, stem.manifest.id]);
  assert.equal(manifest.training.atoms, stem.manifest.training.atoms);
  const card = await readFile(join(out, 'README.md'), 'utf8');
  assert.match(card, /`likeness train --data pictures --held-out 0.1 --out few --recipe few.json`/);
  assert.match(card, /Stem.*closed-form-cifar10/);
});
