import assert from 'node:assert/strict';
import { test } from 'node:test';
import { embeddingMatrix } from '../../src/evaluation/embedding-matrix.js';
import { embeddingMap } from '../../src/evaluation/evaluate.js';
import { normalValues, testRandom } from './seed.js';

test('clusters stay together on the map, and the same seed draws the same map', async (context) => {
  const random = testRandom(context, 61);
  const values = normalValues(120 * 20, random);
  for (let point = 0; point < 120; point++) values[point * 20 + (point % 3)]! += 15;
  const matrix = embeddingMatrix(values, 20);
  const map = await embeddingMap({ matrix, seed: 9 });
  assert.equal(map.length, 120);
  assert.ok(map.flat().every((value) => value >= 0 && value <= 1));
  const pure = map.filter(([x, y], point) => {
    const others = map.map(([ox, oy], other) => ({
      other,
      distance: other === point ? Number.POSITIVE_INFINITY : Math.hypot(ox - x, oy - y),
    }));
    return others.reduce((a, b) => (a.distance < b.distance ? a : b)).other % 3 === point % 3;
  });
  assert.ok(pure.length >= 118, `${pure.length} of 120 have a neighbour of their own cluster`);
  assert.deepEqual(await embeddingMap({ matrix, seed: 9 }), map);
  assert.notDeepEqual(await embeddingMap({ matrix, seed: 10 }), map);
});

test('identical and very few rows have a map too', async () => {
  const map = await embeddingMap({ matrix: embeddingMatrix(new Float32Array(30).fill(1), 3), seed: 1 });
  assert.ok(map.flat().every(Number.isFinite));
  await assert.rejects(embeddingMap({ matrix: embeddingMatrix(new Float32Array(9), 3), seed: 1 }), /at least 10 rows/);
});
