import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { readShippedScores, SCORES_FILE } from '../../src/encoder/score-defaults.js';

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
