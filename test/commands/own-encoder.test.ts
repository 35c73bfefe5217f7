/** What `likeness train` makes of a folder for `serve`: score curves, a comparison with the default encoder, a list. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { runTrain } from '../../src/commands/train.js';
import { openPackedSource } from '../../src/datasets/data-sources.js';
import { readSavedEncoder } from '../../src/encoder/saved-encoder.js';
import { readShippedScores } from '../../src/encoder/score-defaults.js';
import { UNFITTED_SCORES } from '../../src/matching/score-model.js';
import { CLOSED_FORM_RECIPES } from '../../src/training/closed-form/closed-form-recipes.js';
import { REPOSITORY } from '../service-process.js';
import { temporaryFolder } from '../training/temporary-folder.js';
import { CLI, inProcess, SHORT_RUN, writePictures } from './command-line.js';

test('an encoder gets score curves, a comparison on held-out pictures, and a list of what could not be read', async (t) => {
  const folder = await temporaryFolder(t);
  const data = join(folder, 'pictures');
  await writePictures(data, 30);
  await writeFile(join(data, 'broken.jpg'), Buffer.from([0xff, 0xd8, 0xff, 0xe0, 0, 0]));
  await writeFile(Buffer.concat([Buffer.from(`${data}/caf`), Buffer.from([0xe9]), Buffer.from('.jpg')]), '');
  // Decoders accept pictures that lack only the end marker: edits and sheets must too.
  for (const name of ['0.jpg', '1.jpg', '2.jpg'].map((each) => join(data, each)))
    await writeFile(name, (await readFile(name)).subarray(0, -2));
  const recipe = join(folder, 'few.json');
  const stem = join(REPOSITORY, CLOSED_FORM_RECIPES.photos!.stem!);
  await writeFile(recipe, JSON.stringify({ base: 'photos', stem, grid: 2, dimensions: 4, views: 2 }));
  const out = join(folder, 'few');
  const files = { data, out, recipe, cache: join(folder, 'cache') };
  const lengths = { heldOut: 0.5, epochSample: 0, limit: 1000, copies: 3 };
  const { code, output } = await inProcess(t, () =>
    runTrain({ ...SHORT_RUN, ...files, ...lengths, resume: 'automatic', evaluation: true }),
  );
  assert.equal(code, 2, output);
  assert.equal(output.match(/skipped broken\.jpg: /g)?.length, 1, output);
  assert.match(output, /skipped caf.+\.jpg: The name is not valid UTF-8/);

  const { manifest } = await readSavedEncoder(out);
  const scores = await readShippedScores(out, manifest.id);
  assert.ok(scores && scores.model.relatedSimilarity < 1, JSON.stringify(scores));
  assert.notEqual(scores.model.relatedSimilarity, UNFITTED_SCORES.relatedSimilarity);

  const table =
    /held-out pictures, each searched among the others:\n\n\| encoder \| copies R@1 .*\n.*\n\| few .*\n\| photos .*\n\nThe default encoder, photos, is better by copies R@1: /;
  assert.match(output, table);
  const card = await readFile(join(out, 'README.md'), 'utf8');
  assert.match(card, table);
  assert.match(card, /## What scores mean\n\n`scores\.json`: /);
});

test('no decoder is alive once the pictures are packed, nor where none had to be decoded', async (t) => {
  const folder = await temporaryFolder(t);
  const data = join(folder, 'pictures');
  await writePictures(data, 3);
  const preprocessing = {
    width: 8,
    height: 8,
    fit: 'cover',
    mean: [0, 0, 0],
    scale: [1, 1, 1],
    layout: 'NHWC',
  } as const;
  const silent = (): void => undefined;
  for (let run = 0; run < 2; run++) {
    const options = { preprocessing, progress: { stage: silent, note: silent, skip: silent } };
    const { dataset } = await openPackedSource({ data, cache: join(folder, 'cache'), heldOut: 0 }, options);
    dataset.close();
    // A process that has ended is listed until the next turns of the loop.
    while (process.getActiveResourcesInfo().includes('ProcessWrap')) await new Promise(setImmediate);
  }
});

test('train takes the recipe that serves people and holds a tenth out, if not told', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [CLI, 'train', '--help'], { encoding: 'utf8' });
  assert.match(stdout, /\(default: "photos"\)/);
  assert.match(stdout, /with \(default: 0\.1\)/);
});
