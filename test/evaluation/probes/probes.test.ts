import assert from 'node:assert/strict';
import { test } from 'node:test';
import { embeddingMatrix } from '../../../src/evaluation/embedding-matrix.js';
import { minimise } from '../../../src/evaluation/probes/lbfgs.js';
import { linearProbe } from '../../../src/evaluation/probes/linear-probe.js';
import { mlpProbe } from '../../../src/evaluation/probes/mlp-probe.js';
import type { ProbeData } from '../../../src/evaluation/probes/probe-data.js';
import { normalValues, testRandom } from '../seed.js';

type Labelled = { values: Float32Array; labels: Int32Array };

function probeData(make: () => Labelled, dimensions: number): ProbeData {
  const [train, test] = [make(), make()];
  return {
    train: embeddingMatrix(train.values, dimensions),
    trainLabels: train.labels,
    test: embeddingMatrix(test.values, dimensions),
    testLabels: test.labels,
    seed: 5,
  };
}

test('L-BFGS finds the minimum of an ill-conditioned quadratic', async () => {
  const scales = Float64Array.from({ length: 12 }, (_, i) => 10 ** (i / 3));
  const found = await minimise({
    start: new Float64Array(12),
    iterationsMax: 300,
    tolerance: 1e-16,
    evaluate: async (point) => ({
      value: point.reduce((sum, x, i) => sum + 0.5 * scales[i]! * (x - i) ** 2, 0),
      gradient: point.map((x, i) => scales[i]! * (x - i)),
    }),
  });
  found.point.forEach((x, i) => {
    assert.ok(Math.abs(x - i) < 1e-3, `coordinate ${i}: ${x}`);
  });
});

test('the linear probe reaches the Bayes accuracy of two shifted Gaussians', async (context) => {
  const random = testRandom(context, 51);
  const make = (): Labelled => {
    const values = normalValues(4000 * 6, random);
    const labels = Int32Array.from({ length: 4000 }, () => Math.floor(random() * 2));
    // Classes 2 apart along one dimension that is far from the origin and small: only standardising makes it visible.
    labels.forEach((label, i) => {
      values[i * 6] = 0.01 * (values[i * 6]! + 2 * label) + 50;
    });
    return { values, labels };
  };
  const { accuracy } = await linearProbe(probeData(make, 6));
  assert.ok(Math.abs(accuracy - 0.8413) < 0.02, `normal law at 1: 0.8413, not ${accuracy}`);
});

test('the MLP probe learns what no line separates; the linear probe does not; both repeat exactly', async (context) => {
  const random = testRandom(context, 52);
  const make = (): Labelled => {
    const values = normalValues(1500 * 2, random);
    const labels = Int32Array.from({ length: 1500 }, (_, i) => (values[i * 2]! * values[i * 2 + 1]! > 0 ? 1 : 0));
    return { values, labels };
  };
  const data = probeData(make, 2);
  const [linear, mlp] = [await linearProbe(data), await mlpProbe(data)];
  assert.ok(linear.accuracy < 0.62, `linear ${linear.accuracy}`);
  assert.ok(mlp.accuracy > 0.93, `MLP ${mlp.accuracy}`);
  assert.deepEqual(await linearProbe(data), linear);
  assert.deepEqual(await mlpProbe(data), mlp);
});

test('probes of noise score chance on what they have not seen', async (context) => {
  const random = testRandom(context, 53);
  const make = (): Labelled => ({
    values: normalValues(1000 * 10, random),
    labels: Int32Array.from({ length: 1000 }, () => Math.floor(random() * 4)),
  });
  const data = probeData(make, 10);
  for (const probe of [await linearProbe(data), await mlpProbe(data)]) {
    assert.ok(Math.abs(probe.accuracy - 0.25) < 0.06, `${probe.name}: ${probe.accuracy}`);
  }
});
