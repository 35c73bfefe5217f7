import assert from 'node:assert/strict';
import { test } from 'node:test';
import { memory } from '@tensorflow/tfjs-core';
import type { OnnxNode, OnnxTensor } from '../../src/compile/onnx-model.js';
import { openOnnxRuntime } from '../../src/encoder/onnx-runtime.js';
import { plainAbsence } from '../../src/encoder/open-runtime.js';
import { inputShape } from '../../src/encoder/runtime.js';
import { PIXELS_INPUT, readSavedEncoder, type SavedEncoder } from '../../src/encoder/saved-encoder.js';
import { openTensorFlowRuntime } from '../../src/encoder/tensorflow-runtime.js';
import { seededRandom } from '../../src/seeded-random.js';
import { encoderOf, leastCosine, normalised, randomTensor } from './programs.js';

const random = seededRandom(2026, 'runtimes-agree');

/** Runs both on the same random batch; also checks that a run leaves no tensor behind. */
async function agreement(encoder: SavedEncoder, count: number): Promise<number> {
  const size = inputShape(encoder, count).reduce((product, dim) => product * dim, 1);
  const batch = Float32Array.from({ length: size }, () => random() * 2 - 1);
  const onnx = await openOnnxRuntime(encoder, { device: 'cpu', threads: 1 });
  const tensorflow = await openTensorFlowRuntime(encoder, { device: 'tensorflow' });
  const expected = await onnx.run(batch, count);
  const before = memory().numTensors;
  const found = await tensorflow.run(batch, count);
  assert.equal(memory().numTensors, before, 'tensors left behind');
  await Promise.all([onnx.close(), tensorflow.close()]);
  assert.ok(found.some((value) => value !== 0));
  // Values, not only directions: a test of norm-free agreement would miss a wrong scale before a nonlinearity.
  const worst = found.reduce((most, value, index) => Math.max(most, Math.abs(value - expected[index]!)), 0);
  assert.ok(worst < 1e-3, `values differ by ${worst}`);
  return leastCosine(found, expected, encoder.manifest.dimensions);
}

const i64 = (name: string, ...values: number[]): OnnxTensor => ({
  name,
  dims: [values.length],
  data: BigInt64Array.from(values, BigInt),
});
const scalar = (name: string, value: number): OnnxTensor => ({ name, dims: [], data: Float32Array.of(value) });
const t = (name: string, ...dims: number[]) => randomTensor(name, dims, random);
const same = { attributes: { pads: [1, 1, 1, 1] } };

type Case = {
  readonly dimensions: number;
  readonly initializers: readonly OnnxTensor[];
  readonly nodes: readonly OnnxNode[];
  readonly layout?: 'NHWC';
};

const CASES: Readonly<Record<string, Case>> = {
  'a convolutional encoder as trained here: Conv, LeakyRelu, MaxPool, GlobalMaxPool, Gemm': {
    dimensions: 6,
    initializers: [t('w1', 8, 3, 3, 3), t('b1', 8), t('w2', 12, 8, 3, 3), t('b2', 12), t('w3', 6, 12), t('b3', 6)],
    nodes: [
      { op: 'Conv', inputs: [PIXELS_INPUT, 'w1', 'b1'], outputs: ['c1'], ...same },
      { op: 'LeakyRelu', inputs: ['c1'], outputs: ['a1'], attributes: { alpha: { float: 0.2 } } },
      { op: 'MaxPool', inputs: ['a1'], outputs: ['p1'], attributes: { kernel_shape: [2, 2], strides: [2, 2] } },
      { op: 'Conv', inputs: ['p1', 'w2', 'b2'], outputs: ['c2'], attributes: { auto_pad: 'SAME_UPPER' } },
      { op: 'Relu', inputs: ['c2'], outputs: ['a2'] },
      { op: 'GlobalMaxPool', inputs: ['a2'], outputs: ['g'] },
      { op: 'Flatten', inputs: ['g'], outputs: ['f'] },
      {
        op: 'Gemm',
        inputs: ['f', 'w3', 'b3'],
        outputs: ['d'],
        attributes: { transB: 1, alpha: { float: 0.5 }, beta: { float: 2 } },
      },
      ...normalised('d'),
    ],
  },
  'strides, dilations, uneven padding, groups and depthwise filters': {
    dimensions: 8,
    initializers: [t('w1', 8, 3, 3, 2), t('w2', 16, 1, 3, 3), t('w3', 8, 4, 1, 1), t('b3', 8)],
    nodes: [
      {
        op: 'Conv',
        inputs: [PIXELS_INPUT, 'w1'],
        outputs: ['c1'],
        attributes: { pads: [0, 1, 2, 0], dilations: [2, 1], strides: [1, 1] },
      },
      {
        op: 'Conv',
        inputs: ['c1', 'w2'],
        outputs: ['c2'],
        attributes: { group: 8, strides: [2, 2], auto_pad: 'SAME_LOWER' },
      },
      { op: 'Conv', inputs: ['c2', 'w3', 'b3'], outputs: ['c3'], attributes: { group: 4 } },
      { op: 'GlobalAveragePool', inputs: ['c3'], outputs: ['g'] },
      { op: 'Squeeze', inputs: ['g', 'grid'], outputs: ['f'] },
      ...normalised('f'),
    ],
  },
  'padded pools that count their padding, and that do not; BatchNormalization': {
    dimensions: 6,
    initializers: [
      t('scale', 3),
      t('shift', 3),
      t('mean', 3),
      { name: 'variance', dims: [3], data: Float32Array.of(0.5, 1, 2) },
      scalar('two', 2),
    ],
    nodes: [
      {
        op: 'BatchNormalization',
        inputs: [PIXELS_INPUT, 'scale', 'shift', 'mean', 'variance'],
        outputs: ['n'],
        attributes: { epsilon: { float: 0.01 } },
      },
      {
        op: 'AveragePool',
        inputs: ['n'],
        outputs: ['p1'],
        attributes: { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] },
      },
      {
        op: 'AveragePool',
        inputs: ['n'],
        outputs: ['p2'],
        attributes: { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1], count_include_pad: 1 },
      },
      {
        op: 'MaxPool',
        inputs: ['n'],
        outputs: ['p3'],
        attributes: { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] },
      },
      { op: 'Mul', inputs: ['p3', 'p1'], outputs: ['m'] },
      { op: 'Concat', inputs: ['m', 'p2'], outputs: ['c'], attributes: { axis: -3 } },
      { op: 'ReduceMax', inputs: ['c'], outputs: ['r'], attributes: { axes: [2, -1], keepdims: 0 } },
      { op: 'Pow', inputs: ['r', 'two'], outputs: ['s'] },
      ...normalised('s'),
    ],
  },
  'shapes: channels last, Transpose, Slice, Split, Unsqueeze, Gather, Expand, Pad, Shape': {
    dimensions: 8,
    layout: 'NHWC',
    initializers: [
      i64('from', 1, -7),
      i64('to', 2 ** 40, -1),
      i64('axes', 1, 2),
      i64('steps', 2, 1),
      i64('axis3', 3),
      i64('rows', -1, 8),
      i64('zero', 0),
      i64('one', 1),
      i64('pads', 0, 1, 0, 1),
      i64('kept', 0, -1, 8),
      { name: 'chosen', dims: [8], data: BigInt64Array.of(0n, 2n, 4n, 6n, 8n, 9n, 1n, 3n) },
    ],
    nodes: [
      { op: 'Slice', inputs: [PIXELS_INPUT, 'from', 'to', 'axes', 'steps'], outputs: ['s'] }, // [N, 4, 6, 3]
      { op: 'Transpose', inputs: ['s'], outputs: ['tr'], attributes: { perm: [0, 3, 2, 1] } }, // [N, 3, 6, 4]
      { op: 'Split', inputs: ['tr'], outputs: ['left', 'right'], attributes: { axis: 3 } }, // 2 x [N, 3, 6, 2]
      { op: 'Sub', inputs: ['left', 'right'], outputs: ['difference'] },
      // [N, 6, 2]
      { op: 'ReduceMean', inputs: ['difference'], outputs: ['rm'], attributes: { axes: [1], keepdims: 0 } },
      { op: 'Shape', inputs: ['rm'], outputs: ['shape'] },
      { op: 'Gather', inputs: ['shape', 'zero'], outputs: ['batch'] },
      { op: 'Concat', inputs: ['batch', 'rest'], outputs: ['flatShape'], attributes: { axis: 0 } },
      { op: 'Reshape', inputs: ['rm', 'flatShape'], outputs: ['flat'] }, // [N, 12]
      { op: 'Gather', inputs: ['flat', 'chosen'], outputs: ['some'], attributes: { axis: 1 } }, // [N, 8]
      { op: 'Unsqueeze', inputs: ['some', 'one'], outputs: ['wide'] }, // [N, 1, 8]
      { op: 'Expand', inputs: ['wide', 'twice'], outputs: ['double'] }, // [N, 2, 8]
      { op: 'ReduceSum', inputs: ['double', 'one'], outputs: ['e'], attributes: { keepdims: 0 } },
      { op: 'Identity', inputs: ['e'], outputs: ['end'] },
      ...normalised('end'),
    ],
  },
  'element-wise: Sigmoid, Tanh, Softplus, Elu, Erf, Exp, Clip, Where, Greater, Cast, Sqrt, Abs, Max, Min, Softmax, MatMul, Constant, LpNormalization':
    {
      dimensions: 10,
      initializers: [
        t('w', 192, 10),
        scalar('low', -3),
        scalar('high', 3),
        scalar('half', 0.5),
        scalar('tenth', 0.1),
        t('square', 10, 10),
      ],
      nodes: [
        { op: 'Flatten', inputs: [PIXELS_INPUT], outputs: ['flat'] },
        { op: 'MatMul', inputs: ['flat', 'w'], outputs: ['x0'] },
        { op: 'Mul', inputs: ['x0', 'tenth'], outputs: ['x'] },
        { op: 'Sigmoid', inputs: ['x'], outputs: ['s'] },
        { op: 'Tanh', inputs: ['x'], outputs: ['h'] },
        { op: 'Softplus', inputs: ['x'], outputs: ['sp'] },
        { op: 'Elu', inputs: ['x'], outputs: ['el'], attributes: { alpha: { float: 0.7 } } },
        { op: 'Erf', inputs: ['x'], outputs: ['er'] },
        { op: 'Exp', inputs: ['h'], outputs: ['ex'] },
        { op: 'Clip', inputs: ['x', 'low', 'high'], outputs: ['cl'] },
        { op: 'Greater', inputs: ['x', 'half'], outputs: ['isLarge'] },
        { op: 'Cast', inputs: ['isLarge'], outputs: ['step'], attributes: { to: 1 } },
        { op: 'Where', inputs: ['isLarge', 's', 'el'], outputs: ['wh'] },
        { op: 'Abs', inputs: ['er'], outputs: ['ab'] },
        { op: 'Sqrt', inputs: ['ab'], outputs: ['sq'] },
        { op: 'Max', inputs: ['h', 'sp', 'cl'], outputs: ['mx'] },
        { op: 'Min', inputs: ['ex', 'wh'], outputs: ['mn'] },
        { op: 'Softmax', inputs: ['mx'], outputs: ['so'] },
        { op: 'Constant', inputs: [], outputs: ['k'], attributes: { value: { tensor: scalar('k', 3) } } },
        { op: 'Div', inputs: ['so', 'k'], outputs: ['dv'] },
        { op: 'Sum', inputs: ['dv', 'mn', 'sq', 'step'], outputs: ['su'] },
        { op: 'MatMul', inputs: ['su', 'square'], outputs: ['mm'] },
        { op: 'LpNormalization', inputs: ['mm'], outputs: ['embedding'], attributes: { axis: -1, p: 2 } },
      ],
    },
};

for (const [name, { dimensions, initializers, nodes, layout }] of Object.entries(CASES)) {
  test(`both runtimes agree on ${name}`, async () => {
    const extra = [i64('grid', 2, 3), i64('rest', 12), i64('twice', 1, 2, 1)];
    const encoder = encoderOf({
      dimensions,
      initializers: [...initializers, ...extra],
      nodes,
      ...(layout && { layout }),
    });
    for (const count of [1, 5]) {
      const cosine = await agreement(encoder, count);
      assert.ok(cosine > 0.9999, `batch of ${count}: cosine ${cosine}`);
    }
  });
}

test('both runtimes agree on the shipped encoder', async () => {
  const cosine = await agreement(await readSavedEncoder('models/whitening-cifar10'), 8);
  assert.ok(cosine > 0.9999, `cosine ${cosine}`);
});

test('an operator that is not in the table is named, with the way out', async () => {
  const encoder = encoderOf({
    dimensions: 192,
    nodes: [
      { op: 'Flatten', inputs: [PIXELS_INPUT], outputs: ['f'] },
      { op: 'Det', inputs: ['f'], outputs: ['embedding'] },
    ],
  });
  await assert.rejects(openTensorFlowRuntime(encoder, { device: 'tensorflow' }), {
    code: 'INVALID_ENCODER',
    message: /uses Det, which TensorFlow.js does not run here. Choose --device cpu/,
  });
});

const skip = plainAbsence('tensorflow-gpu') === undefined ? 'tfjs-node-gpu is installed here' : false;
test('tensorflow-gpu without its package names the one command that installs it', { skip }, async () => {
  const encoder = await readSavedEncoder('models/whitening-cifar10');
  await assert.rejects(openTensorFlowRuntime(encoder, { device: 'tensorflow-gpu' }), {
    code: 'DEVICE_UNAVAILABLE',
    message: /npm install @tensorflow\/tfjs-node-gpu/,
  });
});

test('a program whose input or output is not what its manifest says is refused by both', async () => {
  const shipped = await readSavedEncoder('models/whitening-cifar10');
  const wrong = { ...shipped, manifest: { ...shipped.manifest, dimensions: 128 } };
  const message = /embedding must be \[batch, 128\].*says \[batch, 256\]/;
  await assert.rejects(openOnnxRuntime(wrong, { device: 'cpu', threads: 1 }), { code: 'INVALID_ENCODER', message });
  await assert.rejects(openTensorFlowRuntime(wrong, { device: 'tensorflow' }), { code: 'INVALID_ENCODER', message });
});
