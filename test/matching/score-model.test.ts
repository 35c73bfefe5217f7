import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fitScoreModel, measureScores, type ScoredPair } from '../../src/matching/fit-score-model.js';
import { fitLogistic, logistic } from '../../src/matching/logistic-regression.js';
import { copyProbability, NEAR_PRECISION, UNFITTED_SCORES } from '../../src/matching/score-model.js';
import { seededRandom } from '../../src/seeded-random.js';

const SEED = 20261122;

test('logistic regression finds the weights that made its observations', (context) => {
  context.diagnostic(`seed ${SEED}`);
  const random = seededRandom(SEED);
  const observations = Array.from({ length: 20_000 }, () => {
    const features = [1, random() * 4 - 2, random() * 4 - 2];
    return { features, isPositive: random() < logistic(-1 + 2 * features[1]! - 0.5 * features[2]!), weight: 1 };
  });
  const weights = fitLogistic(observations);
  for (const [at, expected] of [-1, 2, -0.5].entries())
    assert.ok(Math.abs(weights[at]! - expected) < 0.1, String(weights));
});

test('classes that do not overlap get steep but finite weights', () => {
  const observations = [-2, -1, 1, 2].map((x) => ({ features: [1, x], isPositive: x > 0, weight: 1 }));
  const [constant, slope] = fitLogistic(observations);
  assert.ok(Math.abs(constant!) < 1e-6 && slope! > 0.3 && slope! < 100);
});

/**
 * Pairs as a search gives them: copies with high cosines and near hashes, others with lower ones, and some of each
 * that overlap.
 */
function pairs(count: number, seed: number): ScoredPair[] {
  const random = seededRandom(seed);
  const between = (low: number, high: number): number => low + (high - low) * random();
  return Array.from({ length: count }, (_, picture) => [
    ...Array.from({ length: 8 }, (): ScoredPair => {
      const [similarity, distance] = [between(0.55, 1), Math.round(random() < 0.5 ? between(0, 40) : between(90, 140))];
      return { picture, similarity, distance, isCopy: true, weight: 1 };
    }),
    ...Array.from({ length: 20 }, (): ScoredPair => {
      return {
        picture,
        similarity: between(-0.1, 0.7),
        distance: Math.round(between(90, 150)),
        isCopy: false,
        weight: 2,
      };
    }),
  ]).flat();
}

const randomSimilarities = Array.from({ length: 500 }, (_, at) => at / 1000 - 0.2);

test('what a fitted model calls near are copies, on pictures it never saw', () => {
  const fit = fitScoreModel({ fitted: pairs(60, 1), heldOut: pairs(60, 4), randomSimilarities });
  assert.ok(fit);
  assert.ok(fit.precision >= NEAR_PRECISION && fit.recall > 0.7, JSON.stringify(fit));
  assert.equal(fit.images, 60);
  const unseen = pairs(200, 2).map((pair) => ({
    ...pair,
    isNear: copyProbability(pair, fit.model) >= fit.model.nearProbability,
  }));
  const near = unseen.filter(({ isNear }) => isNear);
  const weight = (list: readonly ScoredPair[]): number => list.reduce((sum, pair) => sum + pair.weight, 0);
  const precision = weight(near.filter(({ isCopy }) => isCopy)) / weight(near);
  assert.ok(precision >= NEAR_PRECISION, String(precision));
  for (const { probability, copies, pairs: count } of fit.reliability) {
    if (count >= 100) assert.ok(Math.abs(copies / count - probability) < 0.15, JSON.stringify(fit.reliability));
  }
  assert.ok(Math.abs(fit.model.relatedSimilarity - 0.294) < 0.01, 'the 99th percentile of the random pairs');
});

test('the held-out pictures say what a model is worth and have no part in it', () => {
  const fitted = pairs(60, 1);
  const heldOut = pairs(60, 4);
  const fit = fitScoreModel({ fitted, heldOut, randomSimilarities });
  // Every second copy of them turned into something else: a worse measure of the same model.
  const spoilt = heldOut.map((pair, at) => ({ ...pair, isCopy: pair.isCopy && at % 2 === 0 }));
  const worse = fitScoreModel({ fitted, heldOut: spoilt, randomSimilarities });
  assert.ok(fit && worse);
  assert.deepEqual(worse.model, fit.model);
  assert.ok(worse.precision < 0.6 && fit.precision >= NEAR_PRECISION, `${worse.precision}, ${fit.precision}`);
  assert.deepEqual(measureScores(fit.model, spoilt), {
    precision: worse.precision,
    recall: worse.recall,
    reliability: worse.reliability,
  });
});

test('no model comes of too few pairs, or where copies cannot be told from others', () => {
  const enough = { fitted: pairs(60, 1), heldOut: pairs(60, 4), randomSimilarities };
  assert.equal(fitScoreModel({ ...enough, fitted: pairs(2, 1) }), undefined);
  assert.equal(fitScoreModel({ ...enough, heldOut: pairs(2, 4) }), undefined);
  assert.equal(fitScoreModel({ ...enough, randomSimilarities: [] }), undefined);
  const random = seededRandom(3);
  const alike = pairs(60, 1).map((pair) => ({ ...pair, similarity: random(), distance: 120 }));
  assert.equal(fitScoreModel({ ...enough, fitted: alike }), undefined);
});

test('a probability is one, whatever the cosine', () => {
  for (const similarity of [-1, 0, 0.999_999, 1, 1.000_001]) {
    const probability = copyProbability({ similarity, distance: undefined }, UNFITTED_SCORES);
    assert.ok(probability >= 0 && probability <= 1, `${similarity}: ${probability}`);
  }
});
