/**
 * The decoder of the reconstruction baselines: shapes, transposed convolution against loops, gradients
 * against differences.
 */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import * as tf from '@tensorflow/tfjs-core';
import { decode, decoderParameters, isReversible, squaredError } from '../../src/infomax/decoder.js';
import { initialStatistics, type NetworkSpec } from '../../src/infomax/network.js';
import { infoMaxObjective, type ObjectiveSpec, objectiveParameters } from '../../src/infomax/objective.js';
import { SEED_CIFAR10, seedObjective } from '../../src/infomax/seed-recipe.js';
import { normalNoise, seededRandom } from '../../src/seeded-random.js';
import { assertMatchesCpu } from '../compile/against-cpu.js';
import { tensors, useCpu } from './cpu-tensors.js';
import { assertGradientsMatchDifferences } from './gradients-by-differences.js';

const SEED = 13;
const SMALL = seedObjective({ side: 8, channels: [4, 6], codeSize: 5 });
const NETWORK: NetworkSpec = SMALL.network;

before(useCpu);

const normal = (shape: readonly number[], random: () => number): tf.Tensor =>
  tf.tensor(
    normalNoise(
      shape.reduce((size, dim) => size * dim, 1),
      random,
    ),
    [...shape],
  );

test('the decoder of the seed goes the encoder stages backwards to the size of the image', () => {
  const values = decoderParameters(SEED_CIFAR10.objective.network, seededRandom(SEED));
  assert.deepEqual(values['decoder.dense.weight']!.shape, [256, 4 * 4 * 256]);
  const filters = [0, 1, 2].map((stage) => values[`decoder.stage${stage}.filter`]!.shape);
  assert.deepEqual(filters, [
    [4, 4, 128, 256],
    [4, 4, 64, 128],
    [4, 4, 3, 64],
  ]);
  const parameters = tensors(decoderParameters(NETWORK, seededRandom(SEED)));
  assert.deepEqual(decode(NETWORK, parameters, normal([3, 5], seededRandom(1)) as tf.Tensor2D).shape, [3, 8, 8, 3]);
  assert.ok(isReversible(NETWORK));
  assert.ok(!isReversible({ ...NETWORK, image: { ...NETWORK.image, height: 10 } }));
});

/**
 * y[n, r, c, o] = sum of x[n, i, j, k] filter[r + before - stride i, c + before - stride j, o, k]: what a transposed
 * convolution is.
 */
function transposedByLoops(x: tf.Tensor4D, filter: tf.Tensor4D, stride: number): number[] {
  const [batch, rows, columns, inputs] = x.shape;
  const [kernel, , outputs] = filter.shape;
  const before = Math.floor((kernel - stride) / 2); // SAME, for kernels at least as wide as the stride
  const [from, taps] = [x.arraySync(), filter.arraySync()];
  const y: number[] = [];
  for (let n = 0; n < batch; n++)
    for (let r = 0; r < rows * stride; r++)
      for (let c = 0; c < columns * stride; c++)
        for (let o = 0; o < outputs; o++) {
          let sum = 0;
          for (let i = 0; i < rows; i++)
            for (let j = 0; j < columns; j++) {
              const [tapRow, tapColumn] = [r + before - stride * i, c + before - stride * j];
              if (tapRow < 0 || tapRow >= kernel || tapColumn < 0 || tapColumn >= kernel) continue;
              for (let k = 0; k < inputs; k++) sum += from[n]![i]![j]![k]! * taps[tapRow]![tapColumn]![o]![k]!;
            }
          y.push(sum);
        }
  return y;
}

for (const [kernel, stride] of [
  [4, 2],
  [3, 1],
  [6, 3],
] as const) {
  const transposed = (x: tf.Tensor, filter: tf.Tensor): tf.Tensor => {
    const [batch = 1, rows = 1, columns = 1] = x.shape;
    const size: [number, number, number, number] = [batch, rows * stride, columns * stride, filter.shape[2]!];
    return tf.conv2dTranspose(x as tf.Tensor4D, filter as tf.Tensor4D, size, stride, 'same');
  };

  test(`a transposed convolution of ${kernel} taps and stride ${stride} is what loops compute, with its gradients (seed ${SEED})`, () => {
    const random = seededRandom(SEED);
    const [x, filter] = [normal([2, 3, 2, 3], random), normal([kernel, kernel, 2, 3], random)];
    const expected = transposedByLoops(x as tf.Tensor4D, filter as tf.Tensor4D, stride);
    const actual = transposed(x, filter).dataSync();
    assert.equal(actual.length, expected.length);
    for (const [index, value] of expected.entries())
      assert.ok(Math.abs(value - actual[index]!) < 1e-4, `${index}: ${actual[index]} ${value}`);
    const weights = normal([expected.length], random);
    assertGradientsMatchDifferences((a, b) => tf.sum(tf.mul(tf.reshape(transposed(a, b), [-1]), weights)), [x, filter]);
  });

  test(`compiled it gives the same, and the same gradients (${kernel} taps, stride ${stride}, seed ${SEED})`, async () => {
    await assertMatchesCpu({
      name: 'transposed convolution',
      inputs: {
        x: { shape: [2, 4, 3, 5], dtype: 'float32' },
        filter: { shape: [kernel, kernel, 2, 5], dtype: 'float32' },
      },
      run: ({ x, filter }) => {
        const { value, grads } = tf.valueAndGrads(
          (a: tf.Tensor, b: tf.Tensor) => tf.sum(tf.sin(transposed(a, b))) as tf.Scalar,
        )([x!, filter!]);
        return { y: transposed(x!, filter!), value, dx: grads[0]!, dfilter: grads[1]! };
      },
      random: seededRandom(SEED),
      tolerance: 1e-5,
    });
  });
}

test('the decoder learns from the squared error: its gradients match differences', () => {
  const random = seededRandom(SEED);
  const values = decoderParameters(NETWORK, random);
  const names = Object.keys(values);
  const images = normal([2, 8, 8, 3], random) as tf.Tensor4D;
  const codes = normal([2, 5], random);
  const parameters = tensors(values);
  const smooth: NetworkSpec = { ...NETWORK, leak: 1 }; // no corners for a difference to straddle
  assertGradientsMatchDifferences(
    (code, ...own) =>
      squaredError(
        images,
        decode(smooth, Object.fromEntries(names.map((name, index) => [name, own[index]!])), code as tf.Tensor2D),
      ),
    [codes, ...names.map((name) => parameters[name]!)],
    { tolerance: 2e-2 },
  );
});

test('an autoencoder decodes the mean, a VAE the sample; the error is the mean over all values', () => {
  const random = seededRandom(SEED);
  const pairless = { ...SMALL, global: { ...SMALL.global, weight: 0 }, local: { ...SMALL.local, weight: 0 } };
  const images = normal([3, 8, 8, 3], random) as tf.Tensor4D;
  const lossOf = (code: 'mean' | 'sample', noise: tf.Tensor2D) => {
    const spec: ObjectiveSpec = { ...pairless, priorWeight: 0.25, reconstruction: { weight: 2, code } };
    const { loss, prior, reconstruction } = infoMaxObjective({
      spec,
      parameters: tensors(objectiveParameters(spec, seededRandom(SEED))),
      statistics: tensors(initialStatistics(spec.network)),
      images,
      noise,
      negatives: { global: 'all', local: 'all' },
    });
    const [whole, divergence, error] = [loss, prior, reconstruction!].map((tensor) => tensor.dataSync()[0]!);
    assert.ok(Math.abs(whole! - (2 * error! + 0.25 * divergence!)) < 1e-5);
    return error!;
  };
  const [still, noisy] = [tf.zeros([3, 5]) as tf.Tensor2D, normal([3, 5], random) as tf.Tensor2D];
  assert.equal(lossOf('mean', still), lossOf('mean', noisy));
  assert.notEqual(lossOf('sample', still), lossOf('sample', noisy));
  assert.equal(lossOf('sample', still), lossOf('mean', still));
  const other = tf.add(images, 0.5) as tf.Tensor4D;
  assert.ok(Math.abs(squaredError(images, other).dataSync()[0]! - 0.25) < 1e-5);
});
