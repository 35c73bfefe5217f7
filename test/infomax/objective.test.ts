/** The method's parts against loops, and the properties that the article and the paper promise. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import * as tf from '@tensorflow/tfjs-core';
import * as ort from 'onnxruntime-node';
import { exportInference } from '../../src/compile/export-inference.js';
import { openSession } from '../../src/compile/session.js';
import { type DiscriminatorSpec, discriminate, discriminatorParameters } from '../../src/infomax/discriminators.js';
import {
  encode,
  encodeForTraining,
  encoderParameters,
  initialStatistics,
  mapShape,
} from '../../src/infomax/network.js';
import {
  infoMaxObjective,
  type ObjectiveSpec,
  objectiveParameters,
  standardNormalDivergence,
} from '../../src/infomax/objective.js';
import { derangement, drawNegatives, negativeCount, offDiagonal } from '../../src/infomax/pairs.js';
import { SEED_CIFAR10, SEED_TINY_IMAGENET, seedObjective } from '../../src/infomax/seed-recipe.js';
import { normalNoise, seededRandom, shuffledIndices } from '../../src/seeded-random.js';
import { tensors, useCpu } from './cpu-tensors.js';
import { assertGradientsMatchDifferences } from './gradients-by-differences.js';

const SEED = 5;
const SMALL = seedObjective({ side: 8, channels: [4, 6], codeSize: 5 });
const BATCH = 6;

before(useCpu);

const uniform = (shape: number[], random: () => number): tf.Tensor =>
  tf.tensor(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => 2 * random() - 1),
    shape,
  );

function evaluate(
  spec: ObjectiveSpec,
  options: { order?: Int32Array; zeroLogits?: boolean } = {},
): { loss: number; global: number; local: number; prior: number } {
  return tf.tidy(() => {
    const random = seededRandom(SEED);
    const parameters: Record<string, tf.Tensor> = { ...tensors(objectiveParameters(spec, random)) };
    if (options.zeroLogits)
      for (const name of Object.keys(parameters))
        if (/layer3\.weight$/.test(name)) parameters[name] = tf.zerosLike(parameters[name]!);
    const images = uniform([BATCH, spec.network.image.height, spec.network.image.width, 3], random) as tf.Tensor4D;
    const noise = tf.tensor2d(normalNoise(BATCH * spec.network.codeSize, random), [BATCH, spec.network.codeSize]);
    const order = options.order ?? Int32Array.from({ length: BATCH }, (_, index) => index);
    const inverse = Int32Array.from(order, (_, index) => order.indexOf(index));
    // The same false pairs after the images changed places: row k is the image that was order[k].
    const negatives = (name: 'global' | 'local') => {
      if (spec[name].negatives.draw === 'all') return 'all' as const;
      const drawn = drawNegatives(spec[name].negatives, BATCH, random);
      return tf.tensor2d(
        Int32Array.from(order, (from) => inverse[drawn[from]!]!),
        [BATCH, 1],
        'int32',
      );
    };
    const rows = tf.tensor1d(order, 'int32');
    const { loss, global, local, prior } = infoMaxObjective({
      spec,
      parameters,
      statistics: tensors(initialStatistics(spec.network)),
      images: tf.gather(images, rows),
      noise: tf.gather(noise, rows),
      negatives: { global: negatives('global'), local: negatives('local') },
    });
    const number = (tensor: tf.Tensor): number => tensor.dataSync()[0]!;
    return { loss: number(loss), global: number(global), local: number(local), prior: number(prior) };
  });
}

test('both pair terms start at 2 ln 2 with zero logits', () => {
  const { global, local } = evaluate(SMALL, { zeroLogits: true });
  for (const term of [global, local]) assert.ok(Math.abs(term - 2 * Math.LN2) < 1e-6, String(term));
});

test('the loss is alpha global + beta local + gamma prior, and a term without weight is not computed', () => {
  const { loss, global, local, prior } = evaluate(SMALL);
  assert.ok(Math.abs(loss - (0.5 * global + 1.5 * local + 0.01 * prior)) < 1e-5);
  const localOnly = evaluate({ ...SMALL, global: { ...SMALL.global, weight: 0 } });
  assert.equal(localOnly.global, 0);
  assert.ok(
    Object.keys(objectiveParameters({ ...SMALL, global: { ...SMALL.global, weight: 0 } }, seededRandom(1))).every(
      (name) => !name.startsWith('global'),
    ),
  );
});

for (const draw of [{ draw: 'derangement', count: 1 }, { draw: 'all' }] as const) {
  for (const discriminator of [
    SMALL.local.discriminator,
    { kind: 'dot', hidden: 8, size: 6 },
  ] as const satisfies readonly DiscriminatorSpec[]) {
    test(`changing the order of the batch changes nothing (${draw.draw}, ${discriminator.kind}, seed ${SEED})`, () => {
      const estimator = draw.draw === 'all' ? 'info-nce' : 'jensen-shannon';
      const spec: ObjectiveSpec = {
        ...SMALL,
        global: { ...SMALL.global, image: 'pooled', negatives: draw, discriminator, estimator },
        local: { ...SMALL.local, negatives: draw, discriminator, estimator },
      };
      const [first, second] = [
        evaluate(spec),
        evaluate(spec, { order: Int32Array.from(shuffledIndices(BATCH, seededRandom(99))) }),
      ];
      for (const key of ['loss', 'global', 'local', 'prior'] as const)
        assert.ok(Math.abs(first[key] - second[key]) < 2e-5, `${key}: ${first[key]} ${second[key]}`);
      assert.notEqual(first.local, 0);
    });
  }
}

test('no image is its own false pair under derangement, and shuffles are permutations', () => {
  const random = seededRandom(SEED);
  for (let round = 0; round < 200; round++) {
    const size = 2 + (round % 9);
    const order = derangement(size, random);
    assert.ok(order.every((element, index) => element !== index));
    assert.deepEqual(
      [...order].sort((a, b) => a - b),
      Array.from({ length: size }, (_, index) => index),
    );
    const drawn = drawNegatives({ draw: 'derangement', count: 3 }, size, random);
    assert.ok(drawn.every((image, index) => image !== Math.floor(index / 3)));
  }
  assert.equal(negativeCount({ draw: 'all' }, 64), 63);
  assert.throws(() => derangement(1, random), /no derangement/);
});

test('the off-diagonal holds every other element once', () => {
  const matrix = tf.tensor3d(
    Array.from({ length: 32 }, (_, index) => index),
    [4, 4, 2],
  );
  const rows = offDiagonal(matrix).arraySync() as number[][][];
  for (const [k, row] of rows.entries()) {
    const firsts = row.map(([value]) => value! / 2 - 4 * k).sort();
    assert.deepEqual(
      firsts,
      [0, 1, 2, 3].filter((j) => j !== k),
    );
  }
});

for (const kind of ['concatenate', 'dot'] as const) {
  for (const all of [false, true]) {
    test(`${kind} scores ${all ? 'all' : 'drawn'} pairs as loops do (seed ${SEED})`, () => {
      const random = seededRandom(SEED);
      const [B, P, L, D] = [3, 4, 5, 2];
      const spec: DiscriminatorSpec = kind === 'dot' ? { kind, hidden: 6, size: 3 } : { kind, hidden: [6, 4] };
      const values = discriminatorParameters(spec, { name: 't', placeSize: L, codeSize: D, random });
      for (const name of Object.keys(values))
        if (name.endsWith('bias'))
          values[name]!.values.forEach((_, i, bias) => {
            bias[i] = random() - 0.5;
          });
      const places = uniform([B, P, L], random) as tf.Tensor3D;
      const codes = uniform([B, D], random) as tf.Tensor2D;
      const drawn = drawNegatives({ draw: 'shuffle', count: 2 }, B, random);
      const against = all
        ? [
            [1, 2],
            [2, 0],
            [0, 1],
          ]
        : [0, 1, 2].map((k) => [drawn[2 * k]!, drawn[2 * k + 1]!]);
      const result = discriminate(spec, {
        name: 't',
        parameters: tensors(values),
        places,
        codes,
        negatives: all ? 'all' : tf.tensor2d(drawn, [B, 2], 'int32'),
      });
      const [place, code] = [places.arraySync(), codes.arraySync()];
      const layer = (name: string, x: readonly number[], relu: boolean): number[] => {
        const [weight, bias] = [values[`${name}.weight`]!, values[`${name}.bias`]!.values];
        assert.equal(weight.shape[0], x.length);
        return Array.from(bias, (shift, o) => {
          const sum = x.reduce((total, value, i) => total + value * weight.values[i * bias.length + o]!, shift);
          return relu ? Math.max(sum, 0) : sum;
        });
      };
      const score = (k: number, j: number, p: number): number => {
        if (kind === 'concatenate')
          return layer(
            't.layer2',
            layer('t.layer1', layer('t.layer0', [...code[k]!, ...place[j]![p]!], true), true),
            false,
          )[0]!;
        const left = layer('t.place1', layer('t.place0', place[j]![p]!, true), false);
        const right = layer('t.code1', layer('t.code0', code[k]!, true), false);
        return left.reduce((sum, value, i) => sum + value * right[i]!, 0);
      };
      const [positive, negative] = [result.positive.arraySync(), result.negative.arraySync()];
      for (let k = 0; k < B; k++) {
        for (let p = 0; p < P; p++) {
          assert.ok(Math.abs(positive[k * P + p]! - score(k, k, p)) < 1e-5);
          const expected = against[k]!.map((j) => score(k, j, p)).sort((a, b) => a - b);
          const actual = [...negative[k * P + p]!].sort((a, b) => a - b);
          for (const [n, value] of expected.entries()) assert.ok(Math.abs(actual[n]! - value) < 1e-5);
        }
      }
    });
  }
}

test('the prior is the mean KL to a standard normal, with its gradient', () => {
  const random = seededRandom(SEED);
  const [mean, logVariance] = [uniform([3, 4], random) as tf.Tensor2D, uniform([3, 4], random) as tf.Tensor2D];
  const [m, v] = [mean.dataSync(), logVariance.dataSync()];
  const expected =
    Array.from(m, (value, i) => 0.5 * (value ** 2 + Math.exp(v[i]!) - 1 - v[i]!)).reduce((a, b) => a + b) / 12;
  assert.ok(Math.abs(standardNormalDivergence({ mean, logVariance }).dataSync()[0]! - expected) < 1e-6);
  assertGradientsMatchDifferences(
    (a, b) => standardNormalDivergence({ mean: a as tf.Tensor2D, logVariance: b as tf.Tensor2D }),
    [mean, logVariance],
  );
});

test('batch norm as folded for inference equals batch norm of the training pass where statistics are the same', () => {
  tf.tidy(() => {
    const random = seededRandom(SEED);
    // Scales of both signs: training pools before it scales, inference after.
    const initial = encoderParameters(SMALL.network, random);
    for (const [name, { values }] of Object.entries(initial))
      if (/gamma$|beta$/.test(name)) for (const i of values.keys()) values[i] = 2 * random() - 1;
    const parameters = tensors(initial);
    let statistics = tensors(initialStatistics(SMALL.network));
    const images = uniform([8, 8, 8, 3], random) as tf.Tensor4D;
    const first = encodeForTraining({ spec: SMALL.network, parameters, statistics, images });
    // Moving averages of the same batch again and again approach its statistics: m <- 0.99 m + 0.01 x, solved for x.
    statistics = Object.fromEntries(
      Object.entries(first.nextStatistics).map(([name, next]) => [
        name,
        tf.div(tf.sub(next, tf.mul(statistics[name]!, 0.99)), 0.01),
      ]),
    );
    const folded = encode({ spec: SMALL.network, parameters, statistics, images });
    for (const key of ['mean', 'logVariance', 'map', 'pooled'] as const) {
      const difference = tf.max(tf.abs(tf.sub(folded[key], first.encoding[key]))).dataSync()[0]!;
      assert.ok(difference < 1e-3, `${key}: ${difference}`);
    }
    assert.deepEqual(first.encoding.map.shape, [8, 2, 2, 6]);
  });
});

test('the seed networks have the shapes of the article', () => {
  assert.deepEqual(mapShape(SEED_CIFAR10.objective.network), { height: 4, width: 4, channels: 256 });
  assert.deepEqual(mapShape(SEED_TINY_IMAGENET.objective.network), { height: 4, width: 4, channels: 256 });
  const values = objectiveParameters(SEED_CIFAR10.objective, seededRandom(1));
  assert.deepEqual(values['local.layer0.weight']!.shape, [512, 256]);
  assert.deepEqual(values['encoder.stage2.filter']!.shape, [3, 3, 128, 256]);
});

test('the exported encoder takes batches of any size and gives what tfjs gives', async () => {
  const random = seededRandom(SEED);
  const spec = SMALL.network;
  const parameters = tensors(encoderParameters(spec, random));
  const statistics = tensors(initialStatistics(spec));
  const run = (images: tf.Tensor): { embedding: tf.Tensor; features: tf.Tensor } => {
    const { mean, map } = encode({ spec, parameters, statistics, images: images as tf.Tensor4D });
    return { embedding: mean, features: map };
  };
  const bytes = exportInference({ input: { name: 'images', shape: [8, 8, 3] }, run, metadata: { recipe: 'test' } });
  const session = await openSession(bytes, { threads: 1 });
  for (const batch of [1, 3]) {
    const images = uniform([batch, 8, 8, 3], random);
    const expected = run(images);
    const outputs = await session.run({
      images: new ort.Tensor('float32', images.dataSync() as Float32Array, images.shape),
    });
    for (const key of ['embedding', 'features'] as const) {
      assert.deepEqual([...outputs[key]!.dims], expected[key].shape);
      const actual = outputs[key]!.data as Float32Array;
      for (const [index, value] of expected[key].dataSync().entries())
        assert.ok(Math.abs(value - actual[index]!) < 1e-5);
    }
  }
  await session.release();
  assert.throws(
    () =>
      exportInference({
        input: { name: 'x', shape: [4] },
        run: (x) => ({ embedding: tf.sub(x, tf.div(tf.sum(x, 0), x.shape[0]!)) }),
      }),
    /depends on the size of the batch/,
  );
});
