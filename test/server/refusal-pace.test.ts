import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRefusalPace } from '../../src/server/refusal-pace.js';

test('refusals that come one by one are not held back', () => {
  let now = 1000;
  const wait = createRefusalPace(() => now);
  const waits = Array.from({ length: 100 }, () => {
    now += 2;
    return wait();
  });
  assert.deepEqual(
    waits,
    waits.map(() => 0),
  );
});

test('a burst is spread out, one every two milliseconds', () => {
  const wait = createRefusalPace(() => 1000);
  assert.deepEqual(
    Array.from({ length: 5 }, () => wait()),
    [0, 2, 4, 6, 8],
  );
});

test('a flood is held back 30 ms each and no longer, and nothing of it is left when it has ended', () => {
  let now = 1000;
  const wait = createRefusalPace(() => now);
  const waits = Array.from({ length: 10_000 }, () => {
    now += 0.1;
    return wait();
  });
  assert.equal(Math.max(...waits), 30);
  assert.ok(waits.slice(100).every((ms) => ms === 30));
  now += 33;
  assert.equal(wait(), 0);
});
