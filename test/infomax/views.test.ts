import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as tf from '@tensorflow/tfjs-core';
import { discriminate, discriminatorParameters } from '../../src/infomax/discriminators.js';
import { decoupledInfoNce } from '../../src/infomax/estimators.js';
import { encodeForTraining, initialStatistics } from '../../src/infomax/network.js';
import { infoMaxObjective, type ObjectiveSpec, objectiveParameters } from '../../src/infomax/objective.js';
import { seedObjective } from '../../src/infomax/seed-recipe.js';
import { normalNoise, seededRandom } from '../../src/seeded-random.js';
import { tensors, useCpu } from './cpu-tensors.js';

const BATCH = 3;
const VIEWS = 2;
const D = 6;

test('with two views the code of each meets the map of the other: equal to pairs formed one by one', async () => {
  await useCpu();
  const base = seedObjective({ side: 8, channels: [4], codeSize: D });
  const discriminator = { kind: 'dot', hidden: 5, size: 4, temperature: 0.2 } as const;
  const local = {
    weight: 1,
    image: 'map',
    negatives: { draw: 'all' },
    discriminator,
    estimator: 'decoupled-info-nce',
  } as const;
  const spec: ObjectiveSpec = { ...base, global: { ...base.global, weight: 0 }, local, priorWeight: 0, views: VIEWS };
  const random = seededRandom(17);
  const parameters = tensors(objectiveParameters(spec, random));
  const statistics = tensors(initialStatistics(spec.network));
  const images = tf.tensor4d(normalNoise(BATCH * VIEWS * 8 * 8 * 3, random), [BATCH * VIEWS, 8, 8, 3]);
  const noise = tf.zeros([BATCH * VIEWS, D]) as tf.Tensor2D;
  const { loss } = infoMaxObjective({
    spec,
    parameters,
    statistics,
    images,
    noise,
    negatives: { global: 'all', local: 'all' },
  });

  const { encoding } = encodeForTraining({ spec: spec.network, parameters, statistics, images });
  const side = (rows: number[][], name: string): number[][] => {
    const layer = (x: number[], which: string): number[] => {
      const weight = parameters[`local.${name}${which}.weight`]!.arraySync() as number[][];
      const bias = parameters[`local.${name}${which}.bias`]!.arraySync() as number[];
      return bias.map((b, out) => x.reduce((sum, value, input) => sum + value * weight[input]![out]!, b));
    };
    return rows.map((row) => {
      const output = layer(
        layer(row, '0').map((value) => Math.max(0, value)),
        '1',
      );
      const norm = Math.hypot(...output);
      return output.map((value) => value / norm);
    });
  };
  const map = encoding.map.arraySync() as number[][][][];
  const codes = side(encoding.mean.arraySync() as number[][], 'code');
  const places = map.map((rows) => side(rows.flat(), 'place'));
  const logit = (code: number, image: number, place: number): number =>
    codes[code]!.reduce((sum, value, index) => sum + value * places[image]![place]![index]!, 0) / 0.2;
  let sum = 0;
  let count = 0;
  for (let view = 0; view < VIEWS; view++) {
    for (let image = 0; image < BATCH; image++) {
      for (let place = 0; place < places[0]!.length; place++) {
        const other = ((view + 1) % VIEWS) * BATCH;
        const own = view * BATCH + image;
        let others = 0;
        for (let k = 0; k < BATCH; k++) if (k !== image) others += Math.exp(logit(own, other + k, place));
        sum += logit(own, other + image, place) - Math.log(others / (BATCH - 1));
        count++;
      }
    }
  }
  const found = (await loss.data())[0]!;
  assert.ok(Math.abs(found + sum / count) < 1e-4, `${found} and ${-sum / count}`);
});

test('cosine logits are bounded by one over the temperature, whatever the size of codes and places', () => {
  const spec = { kind: 'dot', hidden: 5, size: 4, temperature: 0.1 } as const;
  const random = seededRandom(3);
  const values = discriminatorParameters(spec, { name: 'd', placeSize: 3, codeSize: D, random });
  const parameters = Object.fromEntries(
    Object.entries(values).map(([name, { shape, values: numbers }]) => [name, tf.tensor(numbers, [...shape])]),
  );
  const places = tf.mul(tf.tensor3d(normalNoise(4 * 2 * 3, random), [4, 2, 3]), 1e4) as tf.Tensor3D;
  const codes = tf.mul(tf.tensor2d(normalNoise(4 * D, random), [4, D]), 1e4) as tf.Tensor2D;
  const logits = discriminate(spec, { name: 'd', parameters, places, codes, negatives: 'all' });
  const all = [...logits.positive.dataSync(), ...logits.negative.dataSync()];
  assert.equal(all.length, 8 + 8 * 3);
  assert.ok(all.every((value) => Math.abs(value) <= 10.001) && Math.max(...all.map(Math.abs)) > 1, String(all));
  assert.ok(Number.isFinite(decoupledInfoNce(logits).dataSync()[0]));
});
