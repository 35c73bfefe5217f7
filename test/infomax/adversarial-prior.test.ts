/** The adversarial prior: both players' losses against loops, and whose gradient goes where. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import * as tf from '@tensorflow/tfjs-core';
import {
  type AdversarialPriorSpec,
  adversarialPrior,
  adversarialPriorParameters,
  priorSamples,
} from '../../src/infomax/adversarial-prior.js';
import { initialStatistics } from '../../src/infomax/network.js';
import { infoMaxObjective, type ObjectiveSpec, objectiveParameters } from '../../src/infomax/objective.js';
import { seedObjective } from '../../src/infomax/seed-recipe.js';
import { normalNoise, seededRandom } from '../../src/seeded-random.js';
import { tensors, useCpu } from './cpu-tensors.js';
import { assertGradientsMatchDifferences } from './gradients-by-differences.js';

const SEED = 11;
const [ROWS, SIZE] = [5, 3];
/** ReLU has corners; a shorter difference straddles fewer of them, and is less exact. */
const SMALL_STEPS = { step: 2e-3, tolerance: 2e-2 };

before(useCpu);

function fixture(distribution: AdversarialPriorSpec['distribution']) {
  const random = seededRandom(SEED);
  const spec: AdversarialPriorSpec = { distribution, hidden: [7, 4] };
  const values = adversarialPriorParameters(spec, { codeSize: SIZE, random });
  for (const [name, { values: data }] of Object.entries(values))
    if (name.endsWith('bias')) for (const i of data.keys()) data[i] = random() - 0.5;
  const codes = tf.tensor2d(normalNoise(ROWS * SIZE, random), [ROWS, SIZE]);
  const samples = tf.tensor2d(priorSamples(spec, ROWS * SIZE, random), [ROWS, SIZE]);
  return { spec, values, codes, samples };
}

for (const distribution of ['normal', 'uniform'] as const) {
  test(`both losses are what loops compute (${distribution}, seed ${SEED})`, () => {
    const { spec, values, codes, samples } = fixture(distribution);
    const { encoder, discriminator } = adversarialPrior({ spec, parameters: tensors(values), codes, samples });
    const layer = (index: number, x: readonly number[]): number[] => {
      const [weight, bias] = [values[`prior.layer${index}.weight`]!, values[`prior.layer${index}.bias`]!.values];
      return Array.from(bias, (shift, o) =>
        x.reduce((sum, value, i) => sum + value * weight.values[i * bias.length + o]!, shift),
      );
    };
    const rectified = (x: readonly number[]): number[] => x.map((value) => Math.max(value, 0));
    const logit = (x: readonly number[]): number => layer(2, rectified(layer(1, rectified(layer(0, x)))))[0]!;
    const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
    const shown = codes.arraySync().map((row) => (distribution === 'uniform' ? row.map(sigmoid) : row));
    const mean = (list: readonly number[]): number => list.reduce((sum, value) => sum + value, 0) / list.length;
    const fooled = mean(shown.map((row) => -Math.log(sigmoid(logit(row)))));
    const told =
      mean(samples.arraySync().map((row) => -Math.log(sigmoid(logit(row))))) +
      mean(shown.map((row) => -Math.log(1 - sigmoid(logit(row)))));
    assert.ok(Math.abs(encoder.dataSync()[0]! - fooled) < 1e-5);
    assert.ok(Math.abs(discriminator.dataSync()[0]! - told) < 1e-5);
  });

  test(`each player descends on its own loss alone (${distribution}, seed ${SEED})`, () => {
    const { spec, values, codes, samples } = fixture(distribution);
    const names = Object.keys(values);
    const parameters = tensors(values);
    const losses = (code: tf.Tensor, ...own: tf.Tensor[]) =>
      adversarialPrior({
        spec,
        parameters: own.length === 0 ? parameters : Object.fromEntries(names.map((name, index) => [name, own[index]!])),
        codes: code as tf.Tensor2D,
        samples,
      });
    assertGradientsMatchDifferences((code) => losses(code).encoder, [codes], SMALL_STEPS);
    assertGradientsMatchDifferences(
      (...own) => losses(codes, ...own).discriminator,
      names.map((name) => parameters[name]!),
      SMALL_STEPS,
    );
    const all = [codes, ...names.map((name) => parameters[name]!)];
    const ofEncoder = tf.grads((...xs) => losses(xs[0]!, ...xs.slice(1)).encoder)(all);
    for (const gradient of ofEncoder.slice(1))
      assert.ok(
        gradient.dataSync().every((value) => value === 0),
        'the encoder moves the discriminator',
      );
    const ofDiscriminator = tf.grads((...xs) => losses(xs[0]!, ...xs.slice(1)).discriminator)(all);
    assert.ok(
      ofDiscriminator[0]!.dataSync().every((value) => value === 0),
      'the discriminator moves the codes',
    );
    // Of the sum, as the program takes it: the very gradients of both.
    const ofBoth = tf.grads((...xs) => {
      const { encoder, discriminator } = losses(xs[0]!, ...xs.slice(1));
      return tf.add(encoder, discriminator);
    })(all);
    assert.deepEqual([...ofBoth[0]!.dataSync()], [...ofEncoder[0]!.dataSync()]);
    for (const index of names.keys())
      assert.deepEqual([...ofBoth[index + 1]!.dataSync()], [...ofDiscriminator[index + 1]!.dataSync()]);
  });
}

test('samples are of the distribution that is asked for', () => {
  const moments = (values: Float32Array) => {
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    return { mean, variance: values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length };
  };
  const normal = moments(priorSamples({ distribution: 'normal', hidden: [1] }, 20_000, seededRandom(SEED)));
  const uniform = moments(priorSamples({ distribution: 'uniform', hidden: [1] }, 20_000, seededRandom(SEED)));
  assert.ok(Math.abs(normal.mean) < 0.03 && Math.abs(normal.variance - 1) < 0.05, JSON.stringify(normal));
  assert.ok(
    Math.abs(uniform.mean - 0.5) < 0.01 && Math.abs(uniform.variance - 1 / 12) < 0.005,
    JSON.stringify(uniform),
  );
});

test('the loss of the objective counts the encoder, not the adversary, and a discriminator that knows nothing says ln 2', () => {
  const spec: ObjectiveSpec = {
    ...seedObjective({ side: 8, channels: [4, 6], codeSize: 5 }),
    prior: { distribution: 'normal', hidden: [6] },
  };
  const random = seededRandom(SEED);
  const parameters: Record<string, tf.Tensor> = { ...tensors(objectiveParameters(spec, random)) };
  parameters['prior.layer1.weight'] = tf.zerosLike(parameters['prior.layer1.weight']!);
  const order = tf.tensor2d([1, 2, 3, 0], [4, 1], 'int32');
  const given = {
    spec,
    parameters,
    statistics: tensors(initialStatistics(spec.network)),
    images: tf.tensor4d(normalNoise(4 * 8 * 8 * 3, random), [4, 8, 8, 3]),
    noise: tf.tensor2d(normalNoise(20, random), [4, 5]),
    negatives: { global: order, local: order },
  };
  const { loss, global, local, prior } = infoMaxObjective({
    ...given,
    priorSamples: tf.tensor2d(normalNoise(20, random), [4, 5]),
  });
  const number = (tensor: tf.Tensor): number => tensor.dataSync()[0]!;
  assert.ok(Math.abs(number(prior) - Math.LN2) < 1e-6);
  assert.ok(Math.abs(number(loss) - (0.5 * number(global) + 1.5 * number(local) + 0.01 * Math.LN2)) < 1e-5);
  assert.throws(() => infoMaxObjective(given), /needs samples of the prior/);
});
