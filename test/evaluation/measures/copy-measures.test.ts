import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RankedNeighbours } from '../../../src/evaluation/exact-search.js';
import { microAveragePrecision, normaliseScores, recallAt1 } from '../../../src/evaluation/measures/copy-measures.js';
import { testRandom } from '../seed.js';

function randomRanking(random: () => number, options: { queries: number; k: number }): RankedNeighbours {
  const { queries, k } = options;
  const indices = new Uint32Array(queries * k);
  const scores = new Float32Array(queries * k);
  for (let query = 0; query < queries; query++) {
    const offset = Math.floor(random() * 50);
    const row = Array.from({ length: k }, () => random()).sort((a, b) => b - a);
    row.forEach((score, place) => {
      indices[query * k + place] = offset + place;
      scores[query * k + place] = score;
    });
  }
  return { firstQuery: 0, queries, k, indices, scores };
}

/** By thresholds: after each right answer, the precision of everything scored at least as high. */
function referenceMicroAp(ranked: RankedNeighbours, matches: Int32Array): number {
  const answers = [...ranked.scores].map((score, at) => ({
    score,
    isRight: ranked.indices[at] === matches[Math.floor(at / ranked.k)],
  }));
  let sum = 0;
  for (const answer of answers) {
    if (!answer.isRight) continue;
    const above = answers.filter((other) => other.score >= answer.score);
    sum += above.filter((other) => other.isRight).length / above.length;
  }
  return sum / matches.filter((match) => match >= 0).length;
}

test('micro-AP is the area by thresholds over all queries at once', (context) => {
  const random = testRandom(context, 31);
  for (let round = 0; round < 30; round++) {
    const ranked = randomRanking(random, { queries: 40, k: 6 });
    const matches = Int32Array.from({ length: 40 }, (_, query) =>
      random() < 0.4 ? -1 : ranked.indices[query * 6 + Math.floor(random() * 6)]! + (random() < 0.2 ? 1000 : 0),
    );
    assert.ok(Math.abs(microAveragePrecision(ranked, matches) - referenceMicroAp(ranked, matches)) < 1e-9);
  }
});

test('a distractor with a high score costs micro-AP but not R@1', () => {
  const indices = Uint32Array.of(4, 7);
  const matches = Int32Array.of(4, -1);
  const ranked = (distractor: number): RankedNeighbours => ({
    firstQuery: 0,
    queries: 2,
    k: 1,
    indices,
    scores: Float32Array.of(0.8, distractor),
  });
  assert.equal(microAveragePrecision(ranked(0.1), matches), 1);
  assert.equal(microAveragePrecision(ranked(0.9), matches), 0.5);
  assert.equal(microAveragePrecision(ranked(0.8), matches), 0.5, 'a tie never flatters');
  assert.deepEqual([recallAt1(ranked(0.1), matches), recallAt1(ranked(0.9), matches)], [1, 1]);
});

test('normalised scores keep the order within a query and forgive queries that resemble everything', (context) => {
  const random = testRandom(context, 32);
  const ranked = randomRanking(random, { queries: 10, k: 5 });
  const background = randomRanking(random, { queries: 10, k: 20 });
  const normalised = normaliseScores(ranked, background, { neighbours: 3, weight: 0.5 });
  for (let query = 0; query < 10; query++) {
    const mean = [0, 1, 2].reduce((sum, i) => sum + background.scores[query * 20 + i]!, 0) / 3;
    for (let i = query * 5; i < query * 5 + 5; i++)
      assert.ok(Math.abs(normalised.scores[i]! - (ranked.scores[i]! - 0.5 * mean)) < 1e-6);
  }
  assert.deepEqual(normalised.indices, ranked.indices);
});
