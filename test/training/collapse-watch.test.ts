import assert from 'node:assert/strict';
import { test } from 'node:test';
import { normalNoise, seededRandom } from '../../src/seeded-random.js';
import { COLLAPSED, codeHealth, LOOK_EVERY_STEPS, RunWatch } from '../../src/training/run-watch.js';

const ROWS = 128;
const D = 16;
const noise = normalNoise(ROWS * D, seededRandom(3));

test('codes all over the sphere have spread and rank near their dimensions', () => {
  const { spread, effectiveRank } = codeHealth(noise, D);
  assert.ok(spread > 0.9 && spread < 1.1, `${spread}`);
  assert.ok(effectiveRank > 0.8 * D && effectiveRank <= D, `${effectiveRank}`);
});

test('codes at one point have neither spread nor rank, however they are scaled', () => {
  const one = Float32Array.from(
    noise,
    (value, index) => (1 + (index % D)) * (1 + Math.floor(index / D)) + 1e-6 * value,
  );
  const { spread } = codeHealth(one, D);
  assert.ok(spread < COLLAPSED.spread, `${spread}`);
  assert.deepEqual(codeHealth(new Float32Array(ROWS * D).fill(2), D), { spread: 0, effectiveRank: 0 });
});

test('codes on one line have rank 1', () => {
  const line = Float32Array.from(noise, (_, index) => (index % D === 0 ? noise[Math.floor(index / D)]! : 0));
  assert.ok(codeHealth(line, D).effectiveRank < COLLAPSED.effectiveRank);
});

test('a run is stopped at the third look in a row at collapsed codes, and at once for a loss that is no number', () => {
  const losses = { loss: 1, global: 1, local: 1, prior: 1 };
  const one = new Float32Array(ROWS * D).fill(2);
  const watch = new RunWatch(D);
  const looks = (codes: Float32Array, count: number): (string | undefined)[] =>
    Array.from({ length: count * LOOK_EVERY_STEPS }, () => watch.look(losses, codes)).filter(
      (fault) => fault !== undefined,
    );
  assert.deepEqual(looks(one, 2), []);
  assert.deepEqual(looks(noise, 1), []);
  assert.deepEqual(looks(one, 2), []);
  assert.match(looks(one, 1).join(), /^the codes have collapsed \(spread 0\.0/);
  assert.match(watch.look({ ...losses, prior: Number.NaN }, noise) ?? '', /^the prior is NaN/);
});

test('metrics are means since they were last asked for', () => {
  const watch = new RunWatch(D);
  for (const loss of [1, 2, 6]) watch.look({ loss, global: 0, local: -loss, prior: 0 }, noise);
  assert.deepEqual(watch.means(), { loss: 3, global: 0, local: -3, prior: 0 });
  watch.look({ loss: 5, global: 0, local: 1, prior: 0 }, noise);
  assert.equal(watch.means().loss, 5);
});
