import assert from 'node:assert/strict';
import { test } from 'node:test';
import { embeddingMatrix } from '../../../src/evaluation/embedding-matrix.js';
import { openExactSearch } from '../../../src/evaluation/exact-search.js';
import { measureClasses, voteOfNeighbours } from '../../../src/evaluation/measures/class-measures.js';
import { rankingMeasures } from '../../../src/evaluation/measures/ranking-measures.js';
import { normalValues, testRandom } from '../seed.js';

/** Every measure by its formula, one loop inside the other. */
function referenceMeasures(relevance: readonly number[], R: number) {
  const precision = (rank: number): number => {
    let hits = 0;
    for (let i = 0; i < rank; i++) hits += relevance[i] ?? 0;
    return hits / rank;
  };
  let mapAtR = 0;
  for (let rank = 1; rank <= R; rank++) mapAtR += (relevance[rank - 1] ?? 0) * precision(rank);
  let [sum, hits] = [0, 0];
  for (let rank = 1; rank <= 1000; rank++) {
    if (!relevance[rank - 1]) continue;
    sum += precision(rank);
    hits++;
  }
  return {
    precisionAt1: precision(1),
    precisionAt10: precision(10),
    precisionAt100: precision(100),
    mapAtR: mapAtR / R,
    rPrecision: precision(R),
    mapAt1000: hits > 0 ? sum / hits : 0,
  };
}

test('ranking measures are those of their formulas, for rankings shorter and longer than the fixed ranks', (context) => {
  const random = testRandom(context, 21);
  for (let round = 0; round < 200; round++) {
    const length = 1 + Math.floor(random() * 1500);
    const relevance = Array.from({ length }, () => (random() < 0.3 ? 1 : 0));
    const R = 1 + Math.floor(random() * Math.min(length, 400));
    const [actual, expected] = [rankingMeasures(relevance, R), referenceMeasures(relevance, R)];
    for (const [name, value] of Object.entries(expected)) {
      assert.ok(Math.abs(actual[name as keyof typeof actual] - value) < 1e-12, `${name} of round ${round}`);
    }
  }
});

test('a perfect ranking scores 1, one without anything relevant 0, and moving a hit forward never lowers a score', (context) => {
  const random = testRandom(context, 22);
  const perfect = rankingMeasures([...Array(100).fill(1), ...Array(900).fill(0)], 100);
  assert.deepEqual(new Set(Object.values(perfect)), new Set([1]));
  assert.deepEqual(new Set(Object.values(rankingMeasures(Array(1000).fill(0), 5))), new Set([0]));
  for (let round = 0; round < 100; round++) {
    const relevance: number[] = Array.from({ length: 300 }, () => (random() < 0.2 ? 1 : 0));
    const hit = relevance.indexOf(1, 1);
    if (hit < 1 || relevance[hit - 1] === 1) continue;
    const better = [...relevance];
    [better[hit - 1], better[hit]] = [1, 0];
    const [before, after] = [rankingMeasures(relevance, 60), rankingMeasures(better, 60)];
    for (const name of Object.keys(before) as (keyof typeof before)[]) assert.ok(after[name] >= before[name], name);
  }
});

test('the vote adds exp(similarity / T) per class', (context) => {
  const random = testRandom(context, 23);
  for (let round = 0; round < 200; round++) {
    const count = 1 + Math.floor(random() * 40);
    const similarities = Array.from({ length: count }, () => random()).sort((a, b) => b - a);
    const labels = Array.from({ length: count }, () => Math.floor(random() * 4));
    const vote = { k: 1 + Math.floor(random() * 50), temperature: 0.07 };
    const sums = [0, 0, 0, 0];
    for (let i = 0; i < Math.min(count, vote.k); i++)
      sums[labels[i]!]! += Math.exp(similarities[i]! / vote.temperature);
    assert.equal(voteOfNeighbours({ labels, similarities, vote }), sums.indexOf(Math.max(...sums)));
  }
});

test('a vote at a low temperature does not overflow, and a tie goes to the nearer class', () => {
  const far = { labels: [3, 5], similarities: [-2000, -2001], vote: { k: 2, temperature: 1e-3 } };
  assert.equal(voteOfNeighbours(far), 3);
  assert.equal(voteOfNeighbours({ labels: [7, 2], similarities: [0.5, 0.5], vote: { k: 2, temperature: 0.1 } }), 7);
});

test('embeddings that are their class score 1 in everything; labels shuffled over noise score chance', async (context) => {
  const random = testRandom(context, 24);
  const labels = Int32Array.from({ length: 600 }, (_, index) => index % 3);
  const perfect = embeddingMatrix(
    Float32Array.from({ length: 1800 }, (_, i) => (i % 3 === labels[Math.floor(i / 3)] ? 1 : 0)),
    3,
  );
  const noise = embeddingMatrix(normalValues(600 * 8, random), 8);
  const exclude = Int32Array.from({ length: 600 }, (_, index) => index);
  const measure = async (matrix: typeof noise) => {
    const search = await openExactSearch({ database: matrix, metric: 'cosine', threads: 1 });
    const request = { queries: matrix, exclude };
    return await measureClasses({ search, request, databaseLabels: labels, queryLabels: labels }).finally(() =>
      search.close(),
    );
  };
  const best = await measure(perfect);
  assert.equal(best.queries, 600);
  assert.deepEqual([best.mapAtR, best.rPrecision, best.precisionAt100], [1, 1, 1], 'R leaves the query itself out');
  assert.ok(best.votes.every((vote) => vote.accuracy === 1 && vote.standardError === 0));
  const chance = await measure(noise);
  assert.ok(Math.abs(chance.precisionAt100 - 199 / 599) < 0.02);
  for (const vote of chance.votes)
    assert.ok(Math.abs(vote.accuracy - 1 / 3) < 4 * 0.0193, `k ${vote.k}: ${vote.accuracy}`);
});

test('queries of a class that the database lacks are left out of the means', async () => {
  const database = embeddingMatrix(Float32Array.of(1, 0, 0, 1), 2);
  const search = await openExactSearch({ database, metric: 'cosine', threads: 1 });
  const measures = await measureClasses({
    search,
    request: { queries: database },
    databaseLabels: [0, 1],
    queryLabels: [0, 9],
  });
  await search.close();
  assert.equal(measures.queries, 1);
  assert.equal(measures.precisionAt1, 1);
});
