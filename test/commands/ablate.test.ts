/** `likeness ablate` on a folder of pictures: its table, its finished rows, its seeds. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { runAblate } from '../../src/commands/ablate.js';
import { temporaryFolder } from '../training/temporary-folder.js';
import { tinySeed } from '../training/tiny-recipes.js';
import { inProcess, pictures, SHORT_RUN } from './command-line.js';

test('ablate writes a table, skips finished rows and goes on', async (t) => {
  const folder = await temporaryFolder(t);
  const data = await pictures(t, folder);
  const out = join(folder, 'ablation');
  const recipe = join(folder, 'tiny.json');
  // Few dimensions, since PCA needs more pictures than it gives.
  await writeFile(recipe, JSON.stringify(tinySeed({ network: { codeSize: 8 }, optimiser: { batchSize: 8 } })));
  const cache = join(folder, 'cache');
  const flags = { ...SHORT_RUN, data, out, recipe, cache, epochs: 1, heldOut: 0, epochSample: 0, limit: 12 };
  const ablate = (rows: string) => inProcess(t, () => runAblate({ ...flags, rows }));
  assert.equal((await ablate('raw-pixels,local-only')).code, 0);
  const second = await ablate('raw-pixels,pca,local-only,local-only@7,derangement');
  assert.equal(second.code, 0, second.output);
  assert.doesNotMatch(second.output, /local-only \(Without the global term\)\n[^r]*step 1\//);
  const table = await readFile(join(out, 'ablation.md'), 'utf8');
  assert.match(table, /raw-pixels[\s\S]*pca[\s\S]*local-only[\s\S]*derangement/);
  assert.match(table, /over seeds[^\n]*\n[^\n]*\n\| local-only \| 2 \|/);
  const { rows } = JSON.parse(await readFile(join(out, 'ablation.json'), 'utf8')) as {
    rows: {
      name: string;
      recipe: { global: { weight: number }; seed: number };
      figures: { seed: number; encoder: { dimensions: number } };
    }[];
  };
  assert.ok(existsSync(join(out, 'sheets', 'pca.webp')));
  const again = rows.find(({ name }) => name === 'local-only.seed-7')!;
  assert.deepEqual(
    [again.recipe.seed, again.figures.seed],
    [7, rows[0]!.recipe.seed],
    'another seed learns, the same queries ask',
  );
  assert.equal(
    rows.find(({ name }) => name === 'pca')!.figures.encoder.dimensions,
    8,
    'as many dimensions as the code',
  );
  assert.deepEqual(
    rows.map(({ name, recipe: own }) => [name, own.global.weight]),
    [
      ['raw-pixels', 0.5],
      ['pca', 0.5],
      ['local-only', 0],
      ['local-only.seed-7', 0],
      ['derangement', 0.5],
    ],
  );
  await assert.rejects(runAblate({ ...flags, rows: 'local-only', seed: 5 }), /made by another recipe/);
});
