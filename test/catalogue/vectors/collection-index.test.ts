import assert from 'node:assert/strict';
import { it } from 'node:test';
import { CollectionIndex } from '../../../src/catalogue/vectors/collection-index.js';
import { ExactIndex } from '../../../src/catalogue/vectors/exact-index.js';
import { seededRandom } from '../../../src/seeded-random.js';
import { clusteredVectors } from './synthetic-vectors.js';

const SETTINGS = { dimensions: 16, m: 12, efConstruction: 80, ef: 64 };
const OPTIONS = { ef: 64, exact: false };

it('finds every vector at every moment of random adds, removals, index work and rebuilds', () => {
  const seed = 5;
  const random = seededRandom(seed);
  const draw = clusteredVectors({ dimensions: 16, clusters: 15, seed });
  const index = new CollectionIndex(SETTINGS, new ExactIndex(16));
  const live = new Map<number, Float32Array>();
  let rebuilds = 0;
  let next = 0;
  const add = (): void => {
    const vector = draw();
    index.add(next, vector);
    live.set(next++, vector);
  };
  for (let count = 0; count < 2500; count++) add();
  for (let step = 0; step < 3000; step++) {
    if (random() < 0.4) add();
    const [oldest] = live.keys();
    if (random() < 0.8) {
      index.remove(oldest!);
      live.delete(oldest!);
    }
    const { droppedGraph } = index.work(random() < 0.5 ? 0 : 3);
    if (droppedGraph) rebuilds++;
    const labels = [...live.keys()];
    const label = labels[Math.floor(random() * labels.length)]!;
    const found = index.search(live.get(label)!, 10, OPTIONS);
    assert.equal(found[0]?.label, label, `seed ${seed}, step ${step}`);
    assert.ok(found.every((match) => live.has(match.label)));
  }
  assert.equal(index.size, live.size);
  while (index.hasWork) rebuilds += index.work(50).droppedGraph ? 1 : 0;
  assert.ok(rebuilds >= 1, 'no rebuild took place');
  assert.ok(index.indexed - index.removed === live.size && index.removed < 1000);
  assert.equal(index.isRebuilding, false);
  for (const [label, vector] of live) assert.equal(index.search(vector, 1, OPTIONS)[0]?.label, label);
});

it('answers filtered searches as an exact scan does, for pass sets small and large, with and without a tail', () => {
  const draw = clusteredVectors({ dimensions: 16, clusters: 15, seed: 6 });
  const index = new CollectionIndex(SETTINGS, new ExactIndex(16));
  for (let label = 0; label < 4000; label++) index.add(label, draw());
  while (index.hasWork) index.work(1000);
  for (let label = 4000; label < 4500; label++) index.add(label, draw());
  for (const share of [2, 3, 50, 900]) {
    const passes = Array.from({ length: Math.floor(4500 / share) }, (_, place) => place * share);
    let found = 0;
    for (let query = 0; query < 40; query++) {
      const vector = draw();
      const truth = new Set(index.searchAmong(vector, 10, { ef: 64, exact: true, passes }).map(({ label }) => label));
      const matches = index.searchAmong(vector, 10, { ef: 64, exact: false, passes });
      assert.equal(matches.length, Math.min(10, passes.length));
      assert.ok(matches.every(({ label }) => label % share === 0));
      found += matches.filter(({ label }) => truth.has(label)).length / truth.size;
    }
    assert.ok(found >= 0.97 * 40, `recall ${found / 40} where one of ${share} passes`);
  }
});

it('completes an answer by scanning where the graph cannot', () => {
  const draw = clusteredVectors({ dimensions: 16, clusters: 15, seed: 7 });
  const index = new CollectionIndex(SETTINGS, new ExactIndex(16));
  for (let label = 0; label < 3000; label++) index.add(label, draw());
  while (index.hasWork) index.work(1000);
  for (let label = 0; label < 1500; label++) index.remove(label);
  const matches = index.search(draw(), 1000, OPTIONS);
  assert.equal(matches.length, 1000);
  assert.equal(new Set(matches.map(({ label }) => label)).size, 1000);
});
