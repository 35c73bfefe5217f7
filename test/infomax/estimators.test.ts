/** Every estimator against the sum it stands for, written out in loops, and its gradient against differences. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import { DIVERGENCES, ESTIMATORS, type EstimatorName, fDivergence } from '../../src/infomax/estimators.js';
import { seededRandom } from '../../src/seeded-random.js';
import { assertGradientsMatchDifferences } from './gradients-by-differences.js';

const SEED = 11;
type Rows = readonly (readonly number[])[];
type Reference = (positive: readonly number[], negative: Rows) => number;

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

const REFERENCES: Readonly<Record<EstimatorName, Reference>> = {
  'jensen-shannon': (positive, negative) =>
    mean(positive.map((t) => Math.log(sigmoid(t)))) + mean(negative.flat().map((t) => Math.log(1 - sigmoid(t)))),
  'info-nce': (positive, negative) =>
    mean(positive.map((t, m) => Math.log(Math.exp(t) / mean([Math.exp(t), ...negative[m]!.map(Math.exp)])))),
  'decoupled-info-nce': (positive, negative) =>
    mean(positive.map((t, m) => Math.log(Math.exp(t) / mean(negative[m]!.map(Math.exp))))),
  'donsker-varadhan': (positive, negative) => mean([...positive]) - Math.log(mean(negative.flat().map(Math.exp))),
  'kullback-leibler': (positive, negative) => mean([...positive]) - mean(negative.flat().map((t) => Math.exp(t - 1))),
  'squared-hellinger': (positive, negative) => {
    const g = (t: number): number => 1 - Math.exp(-t);
    return mean(positive.map(g)) - mean(negative.flat().map((t) => g(t) / (1 - g(t))));
  },
};

before(() => tf.setBackend('cpu'));

function logits(m: number, n: number): { positive: tf.Tensor1D; negative: tf.Tensor2D; p: number[]; q: number[][] } {
  const random = seededRandom(SEED + m * 10 + n);
  const p = Array.from({ length: m }, () => Math.fround(4 * random() - 2));
  const q = Array.from({ length: m }, () => Array.from({ length: n }, () => Math.fround(4 * random() - 2)));
  return { positive: tf.tensor1d(p), negative: tf.tensor2d(q), p, q };
}

for (const name of Object.keys(ESTIMATORS) as EstimatorName[]) {
  for (const [m, n] of [
    [1, 1],
    [5, 1],
    [6, 7],
  ] as const) {
    test(`${name} of ${m} true pairs with ${n} false ones each is the written-out sum, with its gradient (seed ${SEED})`, () => {
      const { positive, negative, p, q } = logits(m, n);
      const value = ESTIMATORS[name]({ positive, negative }).dataSync()[0]!;
      assert.ok(Math.abs(value - REFERENCES[name](p, q)) < 1e-5, `${value}, by loops ${REFERENCES[name](p, q)}`);
      assertGradientsMatchDifferences(
        (a, b) => ESTIMATORS[name]({ positive: a as tf.Tensor1D, negative: b as tf.Tensor2D }),
        [positive, negative],
      );
    });
  }
}

test('with zero logits the Jensen-Shannon term is 2 ln 2 and the bounds in nats are 0', () => {
  const zero = { positive: tf.zeros([8]) as tf.Tensor1D, negative: tf.zeros([8, 3]) as tf.Tensor2D };
  assert.ok(Math.abs(ESTIMATORS['jensen-shannon'](zero).dataSync()[0]! + 2 * Math.LN2) < 1e-6);
  for (const name of ['info-nce', 'decoupled-info-nce', 'donsker-varadhan', 'squared-hellinger'] as const) {
    assert.ok(Math.abs(ESTIMATORS[name](zero).dataSync()[0]!) < 1e-6, name);
  }
});

test('the f-GAN bound of Jensen-Shannon is the estimator plus 2 ln 2', () => {
  const pair = logits(6, 7);
  const bound = fDivergence(DIVERGENCES['jensen-shannon'], pair).dataSync()[0]!;
  assert.ok(Math.abs(bound - ESTIMATORS['jensen-shannon'](pair).dataSync()[0]! - 2 * Math.LN2) < 1e-5);
});

test('the bound of KL is tight for the optimal discriminator of two Gaussians, and that of Hellinger too', () => {
  // P = N(1, 1), Q = N(0, 1): ln p/q = x - 1/2, KL = 1/2, squared Hellinger (without the half) = 2 - 2 exp(-1/8).
  const points = 4000;
  const grid = Array.from({ length: points }, (_, index) => normalQuantile((index + 0.5) / points));
  const ratio = (x: number): number => x - 0.5;
  const evaluate = (name: 'kullback-leibler' | 'squared-hellinger', optimal: (r: number) => number): number =>
    fDivergence(DIVERGENCES[name], {
      positive: tf.tensor1d(grid.map((x) => optimal(ratio(x + 1)))),
      negative: tf.tensor2d(
        grid.map((x) => optimal(ratio(x))),
        [points, 1],
      ),
    }).dataSync()[0]!;
  assert.ok(Math.abs(evaluate('kullback-leibler', (r) => 1 + r) - 0.5) < 5e-3);
  assert.ok(Math.abs(evaluate('squared-hellinger', (r) => r / 2) - (2 - 2 * Math.exp(-1 / 8))) < 5e-3);
});

test('logits in the hundreds neither overflow nor vanish', () => {
  const pair = {
    positive: tf.tensor1d([300, -300]),
    negative: tf.tensor2d([
      [300, 299],
      [-299, 100],
    ]),
  };
  for (const name of ['jensen-shannon', 'info-nce', 'decoupled-info-nce', 'donsker-varadhan'] as const) {
    assert.ok(Number.isFinite(ESTIMATORS[name](pair).dataSync()[0]!), name);
  }
});

/** Inverse of the standard normal distribution function, by bisection on Simpson's rule. */
function normalQuantile(probability: number): number {
  let [low, high] = [-8, 8];
  for (let round = 0; round < 40; round++) {
    const middle = (low + high) / 2;
    if (0.5 * (1 + erf(middle / Math.SQRT2)) < probability) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** Abramowitz and Stegun 7.1.26, within 1.5e-7. */
function erf(x: number): number {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const tail =
    ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t * Math.exp(-x * x);
  return x < 0 ? tail - 1 : 1 - tail;
}
