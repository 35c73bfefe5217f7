/** `likeness train --backbone` from the command line: the tables, the card, and flags that do not go together. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { runTrain, type TrainFlags } from '../../src/commands/train.js';
import { readSavedEncoder } from '../../src/encoder/saved-encoder.js';
import { SearchError } from '../../src/errors.js';
import { convolutions, savedBackbone } from '../training/adapt/tiny-backbones.js';
import { temporaryFolder } from '../training/temporary-folder.js';
import { inProcess, SHORT_RUN, writePictures } from './command-line.js';

const refused = (message: RegExp) => (error: unknown) =>
  error instanceof SearchError && error.code === 'INVALID_SETTINGS' && message.test(error.message);

test('train learns on top of a backbone, measures both and says whether it was worth it', async (t) => {
  const folder = await temporaryFolder(t);
  const data = join(folder, 'pictures');
  await writePictures(data, 24);
  const flags: TrainFlags = {
    ...SHORT_RUN,
    resume: 'automatic',
    data,
    out: join(folder, 'mine'),
    recipe: 'adapt',
    backbone: await savedBackbone(folder, convolutions()),
    cache: join(folder, 'cache'),
    heldOut: 0,
    epochSample: 0,
    limit: 1000,
    copies: 0,
    evaluation: true,
  };
  const { backbone, ...without } = flags;
  await assert.rejects(runTrain(without), refused(/adapt needs --backbone/));
  await assert.rejects(runTrain({ ...flags, recipe: 'photos' }), refused(/belong to --recipe adapt/));
  await assert.rejects(runTrain({ ...flags, taps: ['nowhere'] }), refused(/nowhere is not a value.*second/));

  const { code, output } = await inProcess(t, () => runTrain({ ...flags, taps: ['second', 'first'] }));
  assert.equal(code, 0, output);
  assert.match(output, /\| tiny \|.*\n\| mine \|/);
  assert.match(output, /\| tiny, as it comes \|.*\n\| learnt on top of it \|/);
  assert.match(output, /orth it: learnt from 24 pictures/);
  const { manifest } = await readSavedEncoder(flags.out);
  assert.equal(manifest.training.taps, 'second: mean, gem; first: mean, gem');
  assert.equal(manifest.training.backboneId, (await readSavedEncoder(backbone!)).manifest.id);
  const card = await readFile(join(flags.out, 'README.md'), 'utf8');
  assert.match(card, /--recipe adapt --backbone backbone --taps second,first --held-out 0`/);
  for (const part of [/## Without labels/, /## Measured/, /## Beside what it was made from/]) assert.match(card, part);
});
