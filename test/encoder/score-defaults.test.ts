import assert from 'node:assert/strict';
import { access, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { readSavedEncoder } from '../../src/encoder/saved-encoder.js';
import { readShippedScores, SCORES_FILE } from '../../src/encoder/score-defaults.js';
import { NEAR_PRECISION } from '../../src/matching/score-model.js';

const scores = {
  ...{
    formatVersion: 1,
    encoderId: 'one',
    fittedAt: '2026-01-01T00:00:00Z',
    data: 'some',
    images: 3,
    pairs: 9,
    precision: 0.97,
    recall: 0.8,
  },
  model: { byCosine: [-9, 9], byCosineAndHash: [-8, 8, 11], nearProbability: 0.6, relatedSimilarity: 0.27 },
  reliability: [{ probability: 0.5, copies: 1, pairs: 2 }],
};

test('scores are read beside their own encoder, absent beside another, and refused where they are no scores', async (context) => {
  const folder = await mkdtemp(join(tmpdir(), 'likeness-scores-'));
  context.after(() => rm(folder, { recursive: true, force: true }));
  assert.equal(await readShippedScores(folder, 'one'), undefined);
  await writeFile(join(folder, SCORES_FILE), JSON.stringify(scores));
  assert.deepEqual(await readShippedScores(folder, 'one'), scores);
  assert.equal(await readShippedScores(folder, 'another'), undefined);
  for (const text of ['no JSON', JSON.stringify({ ...scores, model: {} })]) {
    await writeFile(join(folder, SCORES_FILE), text);
    await assert.rejects(readShippedScores(folder, 'one'), { code: 'INVALID_ENCODER', message: /scores\.json/ });
  }
});

test('every scores file that is shipped is of the encoder beside it, and its near is precise on held-out pictures', async () => {
  const models = fileURLToPath(new URL('../../../models', import.meta.url));
  let read = 0;
  for (const name of await readdir(models)) {
    const folder = join(models, name);
    const isThere = await access(join(folder, SCORES_FILE)).then(
      () => true,
      () => false,
    );
    if (!isThere) continue;
    const shipped = await readShippedScores(folder, (await readSavedEncoder(folder)).manifest.id);
    assert.ok(shipped, `${name}: fitted for another encoder`);
    assert.ok(shipped.precision >= NEAR_PRECISION, `${name}: ${shipped.precision}`);
    assert.match(shipped.data, /held out/, `${name}: not made by bench/fit-scores.ts`);
    read++;
  }
  assert.ok(read >= 2);
});
