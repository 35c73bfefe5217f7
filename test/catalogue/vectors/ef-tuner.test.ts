import assert from 'node:assert/strict';
import { it } from 'node:test';
import { CollectionIndex } from '../../../src/catalogue/vectors/collection-index.js';
import { ExactIndex } from '../../../src/catalogue/vectors/exact-index.js';
import { randomNormal, seededRandom } from '../../../src/seeded-random.js';
import { clusteredVectors } from './synthetic-vectors.js';

const DIMENSIONS = 48;
const VECTORS = 6000;
const SEED = 20261122;
const LEAST = 16;

/** Directions without any structure: the hardest that a graph can be given. */
function uniformVectors(seed: number): () => Float32Array {
  const random = seededRandom(seed);
  const normal = (): number => randomNormal(random);
  return () => Float32Array.from({ length: DIMENSIONS }, normal);
}

function filled(draw: () => Float32Array, recall: number): CollectionIndex {
  const settings = { dimensions: DIMENSIONS, m: 8, efConstruction: 60, ef: LEAST, recall };
  const index = new CollectionIndex(settings, new ExactIndex(DIMENSIONS));
  for (let label = 0; label < VECTORS; label++) index.add(label, draw());
  while (index.hasWork) index.work(50);
  return index;
}

function recallOf(index: CollectionIndex, queries: readonly Float32Array[]): number {
  let found = 0;
  for (const query of queries) {
    const truth = new Set(index.search(query, 10, { ef: undefined, exact: true }).map(({ label }) => label));
    for (const { label } of index.search(query, 10, { ef: undefined, exact: false })) if (truth.has(label)) found++;
  }
  return found / (queries.length * 10);
}

it('searches as broadly as the wanted recall needs, by what building the graph has shown', () => {
  const draw = uniformVectors(SEED);
  const index = filled(draw, 0.9);
  const queries = Array.from({ length: 100 }, draw);
  const { efSearch: ef = 0, recall } = index.statistics;
  const reached = recallOf(index, queries);
  console.log(`seed ${SEED}: efSearch ${ef}, recall measured ${recall}, recall of fresh queries ${reached}`);
  assert.ok(ef > LEAST, 'the least efSearch cannot be enough for such vectors');
  // 100 queries of 10 neighbours: one standard error is 0.01.
  assert.ok(reached >= 0.87, `recall ${reached}`);
  assert.ok(Math.abs(reached - recall!) < 0.06, `measured ${recall}, reached ${reached}`);
  assert.ok(
    recallOf(filled(uniformVectors(SEED), 0), queries) < reached - 0.1,
    'without a target the least efSearch is kept',
  );
});

it('stays narrow where the least efSearch finds enough', () => {
  const index = filled(clusteredVectors({ dimensions: DIMENSIONS, clusters: 60, seed: SEED }), 0.5);
  assert.equal(index.statistics.efSearch, LEAST);
});

it('learns from searches where nothing is inserted any more, and scans where that is cheaper than the efSearch it needs', () => {
  const draw = uniformVectors(SEED);
  const index = filled(draw, 0.9999);
  for (let count = 0; count < 2000; count++) {
    index.search(draw(), 10, { ef: undefined, exact: false });
    while (index.hasWork) index.work(0);
  }
  assert.equal(index.statistics.efSearch, Number.POSITIVE_INFINITY);
  assert.equal(recallOf(index, Array.from({ length: 50 }, draw)), 1);
});

it('an efSearch that the caller sets is used', () => {
  const draw = uniformVectors(SEED);
  const index = filled(draw, 0.98);
  const query = draw();
  const narrow = index.search(query, 10, { ef: 10, exact: false });
  const again = index.search(query, 10, { ef: 10, exact: false });
  assert.deepEqual(narrow, again);
});
