/** Every lowering against tfjs's cpu kernel on random shapes. The seed is printed with each failure's name. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as tf from '@tensorflow/tfjs-core';
import { trace } from '../../src/compile/trace.js';
import { LOWERINGS } from '../../src/compile/tracing-backend.js';
import { seededRandom } from '../../src/seeded-random.js';
import { assertMatchesCpu, type Input } from './against-cpu.js';

type Tensors = Readonly<Record<string, tf.Tensor>>;
type Case = {
  readonly inputs: Readonly<Record<string, Input>>;
  readonly run: (tensors: Tensors) => tf.Tensor | Readonly<Record<string, tf.Tensor>>;
  readonly tolerance?: number;
};
type Random = { readonly below: (limit: number) => number; readonly shape: (rank: number) => number[] };
type CaseMaker = (random: Random) => Case;

const SEED = 20240601;
const float = (shape: readonly number[], low = -2, high = 2): Input => ({ shape, dtype: 'float32', low, high });
const int = (shape: readonly number[], low = -5, high = 5): Input => ({ shape, dtype: 'int32', low, high });
const bool = (shape: readonly number[]): Input => ({ shape, dtype: 'bool' });
const kernel = (
  name: string,
  inputs: Tensors | readonly tf.Tensor[],
  attributes: Record<string, unknown> = {},
): tf.Tensor =>
  tf
    .engine()
    .runKernel(
      name,
      inputs as unknown as Parameters<ReturnType<typeof tf.engine>['runKernel']>[1],
      attributes as Parameters<ReturnType<typeof tf.engine>['runKernel']>[2],
    );

const unary = (low = -2, high = 2): readonly CaseMaker[] => [
  (random) => ({
    inputs: { x: float(random.shape(1 + random.below(4)), low, high) },
    run: ({ x }) => kernel(nameOf.current, { x: x! }),
  }),
];
/** Same shape, a vector against a tensor, and both sides broadcast. */
const binary = (low = -2, high = 2, make: typeof float = float): readonly CaseMaker[] => {
  const run = ({ a, b }: Tensors): tf.Tensor => kernel(nameOf.current, { a: a!, b: b! });
  return [
    (random) =>
      ((shape) => ({ inputs: { a: make(shape, low, high), b: make(shape, low, high) }, run }))(random.shape(3)),
    (random) =>
      ((shape) => ({ inputs: { a: make(shape, low, high), b: make(shape.slice(-1), low, high) }, run }))(
        random.shape(4),
      ),
    (random) =>
      (([p = 1, q = 1, r = 1]) => ({ inputs: { a: make([p, 1, r], low, high), b: make([q, 1], low, high) }, run }))(
        random.shape(3),
      ),
    (random) => ((shape) => ({ inputs: { a: make([], low, high), b: make(shape, low, high) }, run }))(random.shape(2)),
  ];
};
const logical: readonly CaseMaker[] = [
  (random) =>
    ((shape) => ({
      inputs: { a: bool(shape), b: bool(shape.slice(1)) },
      run: ({ a, b }: Tensors) => kernel(nameOf.current, { a: a!, b: b! }),
    }))(random.shape(3)),
];
const reduction = (make: (shape: readonly number[]) => Input = float): readonly CaseMaker[] =>
  [[0], [-1], [0, 2], [1], [0, 1, 2]].flatMap((axes) =>
    [true, false].map(
      (keepDims): CaseMaker =>
        (random) => ({
          inputs: { x: make(random.shape(3)) },
          run: ({ x }) => {
            // The cpu kernels of these take what tf.sum and its like hand them.
            const reduce = {
              Sum: tf.sum,
              Mean: tf.mean,
              Max: tf.max,
              Min: tf.min,
              Prod: tf.prod,
              All: tf.all,
              Any: tf.any,
            }[nameOf.current];
            return reduce!(x!, axes, keepDims);
          },
        }),
    ),
  );
const convolution = (
  run: (x: tf.Tensor4D, filter: tf.Tensor4D, stride: [number, number], pad: 'same' | 'valid') => tf.Tensor,
  depthwise = false,
): readonly CaseMaker[] =>
  (['same', 'valid'] as const).flatMap((pad) =>
    (
      [
        [1, 1],
        [2, 2],
        [2, 1],
      ] as [number, number][]
    ).map(
      (stride): CaseMaker =>
        (random) => {
          const [n, c, o] = [1 + random.below(3), 1 + random.below(5), 1 + random.below(4)];
          const filter = [1 + random.below(4), 1 + random.below(4), c, o];
          const x = [n, 6 + random.below(4), 5 + random.below(5), c];
          return {
            inputs: { x: float(x), filter: float(filter) },
            run: (tensors) => run(tensors.x as tf.Tensor4D, tensors.filter as tf.Tensor4D, stride, pad),
            tolerance: depthwise ? 2e-6 : 4e-6,
          };
        },
    ),
  );
const pooling = (
  run: (x: tf.Tensor4D, window: readonly [number, number, 'same' | 'valid']) => tf.Tensor,
): readonly CaseMaker[] =>
  (
    [
      [2, 2, 'valid'],
      [3, 2, 'same'],
      [3, 1, 'same'],
      [2, 3, 'valid'],
      [2, 2, 'same'],
    ] as const
  ).map(
    (window): CaseMaker =>
      (random) => ({
        inputs: { x: float([2, 4 + 2 * random.below(3), 4 + 2 * random.below(3), 3]) },
        run: ({ x }) => run(x as tf.Tensor4D, window),
      }),
  );
const FUSED_ACTIVATIONS = [undefined, 'relu', 'relu6', 'elu', 'prelu', 'leakyrelu', 'sigmoid'] as const;
type FusedActivation = (typeof FUSED_ACTIVATIONS)[number];
type Fusion = {
  readonly bias?: tf.Tensor;
  readonly activation?: Exclude<FusedActivation, undefined>;
  readonly preluActivationWeights?: tf.Tensor;
  readonly leakyreluAlpha?: number;
};
/** Options of a fused kernel; without an activation there is a bias only. */
const fusion = ({ bias, alpha }: Tensors, activation: FusedActivation): Fusion => ({
  bias: bias!,
  ...(activation !== undefined && { activation }),
  ...(activation === 'prelu' && { preluActivationWeights: alpha! }),
  ...(activation === 'leakyrelu' && { leakyreluAlpha: 0.3 }),
});
const fused = (
  run: (x: tf.Tensor4D, filter: tf.Tensor4D, options: Fusion) => tf.Tensor,
  depthwise = false,
): readonly CaseMaker[] =>
  FUSED_ACTIVATIONS.map((activation) => (random) => {
    const [c, o] = [1 + random.below(5), 1 + random.below(4)];
    const outputs = depthwise ? c * o : o;
    return {
      inputs: { x: float([2, 6, 5, c]), filter: float([3, 2, c, o]), bias: float([outputs]), alpha: float([outputs]) },
      run: ({ x, filter, ...rest }) => run(x as tf.Tensor4D, filter as tf.Tensor4D, fusion(rest, activation)),
      tolerance: 4e-6,
    };
  });
const one = (make: CaseMaker): readonly CaseMaker[] => [make];

/** The kernel whose cases run. Cases are built and run one after another. */
const nameOf = { current: '' };

const CASES: Readonly<Record<string, readonly CaseMaker[]>> = {
  Abs: unary(),
  Ceil: unary(),
  Cos: unary(),
  Elu: unary(),
  Erf: unary(),
  Exp: unary(),
  Floor: unary(),
  IsInf: unary(),
  IsNan: unary(),
  IsFinite: unary(),
  Log: unary(0.1, 4),
  Log1p: unary(0, 4),
  Neg: unary(),
  Reciprocal: unary(0.3, 3),
  Relu: unary(),
  Relu6: unary(-8, 12),
  Round: unary(-6, 6),
  Rsqrt: unary(0.1, 4),
  Sigmoid: unary(-8, 8),
  Sign: unary(),
  Sin: unary(),
  Softplus: unary(-20, 20),
  Sqrt: unary(0, 9),
  Square: unary(),
  Tanh: unary(),
  LogicalNot: one((random) => ({ inputs: { x: bool(random.shape(2)) }, run: ({ x }) => tf.logicalNot(x!) })),
  LeakyRelu: one((random) => ({ inputs: { x: float(random.shape(3)) }, run: ({ x }) => tf.leakyRelu(x!, 0.2) })),
  Prelu: one((random) =>
    ((shape) => ({
      inputs: { x: float(shape), alpha: float(shape.slice(-1)) },
      run: ({ x, alpha }: Tensors) => tf.prelu(x!, alpha!),
    }))(random.shape(3)),
  ),
  ClipByValue: one((random) => ({
    inputs: { x: float(random.shape(2)) },
    run: ({ x }) => tf.clipByValue(x!, -0.5, 1),
  })),
  Step: one((random) => ({
    inputs: { x: float(random.shape(2)) },
    run: ({ x }) => ({ plain: tf.step(x!), slope: tf.step(x!, 0.25) }),
  })),
  Cast: one((random) => ({
    inputs: { x: float(random.shape(2)), y: int(random.shape(1)), z: bool(random.shape(2)) },
    run: ({ x, y, z }) => ({
      a: tf.cast(x!, 'int32'),
      b: tf.cast(y!, 'float32'),
      c: tf.cast(z!, 'float32'),
      d: tf.cast(y!, 'bool'),
    }),
  })),
  Identity: one((random) => ({ inputs: { x: float(random.shape(2)) }, run: ({ x }) => tf.clone(x!) })),
  Add: [...binary(), ...binary(-9, 9, int)],
  Sub: binary(),
  Multiply: binary(),
  RealDiv: binary(0.5, 3),
  Maximum: binary(),
  Minimum: binary(),
  Pow: binary(0.2, 2),
  SquaredDifference: binary(),
  Greater: binary(-3, 3, int),
  GreaterEqual: binary(-3, 3, int),
  Less: binary(),
  LessEqual: binary(-3, 3, int),
  Equal: binary(-2, 2, int),
  NotEqual: binary(-2, 2, int),
  AddN: one((random) =>
    ((shape) => ({
      inputs: { a: float(shape), b: float(shape), c: float(shape) },
      run: ({ a, b, c }: Tensors) => tf.addN([a!, b!, c!]),
    }))(random.shape(2)),
  ),
  LogicalAnd: logical,
  LogicalOr: logical,
  Select: one((random) =>
    ((shape) => ({
      inputs: { c: bool(shape), t: float(shape), e: float(shape) },
      run: ({ c, t, e }: Tensors) => tf.where(c!, t!, e!),
    }))(random.shape(3)),
  ),
  Sum: [
    ...reduction(),
    ...reduction(int),
    one((random) => ({ inputs: { x: float(random.shape(3)) }, run: ({ x }) => tf.sum(tf.square(x!), [0, 1]) }))[0]!,
  ],
  Mean: [
    ...reduction(),
    one((random) => ({ inputs: { x: float(random.shape(4)) }, run: ({ x }) => tf.mean(tf.square(x!), [0, 1, 2]) }))[0]!,
  ],
  Max: reduction(),
  Min: reduction(),
  Prod: reduction(),
  All: reduction(bool),
  Any: reduction(bool),
  ArgMax: one((random) => ({
    inputs: { x: int(random.shape(3), -2, 2) },
    run: ({ x }) => ({ a: tf.argMax(x!, 1), b: tf.argMax(x!, -1) }),
  })),
  ArgMin: one((random) => ({
    inputs: { x: float(random.shape(3)) },
    run: ({ x }) => ({ a: tf.argMin(x!, 0), b: tf.argMin(x!, 2) }),
  })),
  Softmax: one((random) => ({ inputs: { x: float(random.shape(3), -30, 30) }, run: ({ x }) => tf.softmax(x!) })),
  LogSoftmax: one((random) => ({ inputs: { x: float(random.shape(3), -30, 30) }, run: ({ x }) => tf.logSoftmax(x!) })),
  Reshape: one((random) =>
    (([p = 1, q = 1, r = 1]) => ({
      inputs: { x: float([p, q, r]) },
      run: ({ x }: Tensors) => tf.reshape(tf.reshape(x!, [p * q, r]), [q, -1]),
    }))(random.shape(3)),
  ),
  ExpandDims: one((random) => ({
    inputs: { x: float(random.shape(2)) },
    run: ({ x }) => ({ a: tf.expandDims(x!, 1), b: tf.expandDims(x!, -1) }),
  })),
  Transpose: one((random) => ({
    inputs: { x: float(random.shape(4)) },
    run: ({ x }) => ({
      a: tf.transpose(x!, [2, 0, 3, 1]),
      b: tf.transpose(tf.transpose(x!, [0, 2, 3, 1]), [1, 0, 2, 3]),
      c: tf.transpose(tf.transpose(x!, [0, 2, 3, 1]), [0, 3, 1, 2]),
    }),
  })),
  Tile: one((random) => ({
    inputs: { x: float([2, 1, 3]) },
    run: ({ x }) => ({ a: tf.tile(x!, [1, 2 + random.below(1), 1]), b: tf.tile(x!, [2, 3, 2]) }),
  })),
  BroadcastTo: one((random) =>
    (([p = 1, q = 1]) => ({ inputs: { x: float([p, 1]) }, run: ({ x }: Tensors) => tf.broadcastTo(x!, [2, p, q]) }))(
      random.shape(2),
    ),
  ),
  Fill: one((random) => ({
    inputs: { x: float([70, 80]) },
    run: ({ x }) => ({
      a: tf.fill([70, 80], 0.5),
      b: tf.mul(x!, tf.fill([70, 80], 1)),
      c: tf.add(tf.fill([3], 2), random.below(1)),
    }),
  })),
  ZerosLike: one((random) => ({ inputs: { x: float(random.shape(2)) }, run: ({ x }) => tf.zerosLike(x!) })),
  OnesLike: one((random) => ({ inputs: { x: float(random.shape(2)) }, run: ({ x }) => tf.onesLike(x!) })),
  Range: one(() => ({ inputs: { x: float([7]) }, run: ({ x }) => tf.add(x!, tf.range(3, 10, 1)) })),
  Concat: one((random) =>
    (([p = 1, q = 1]) => ({
      inputs: { x: float([p, q, 2]), y: float([p, q, 3]) },
      run: ({ x, y }: Tensors) => tf.concat([x!, y!, x!], -1),
    }))(random.shape(2)),
  ),
  Pack: one((random) =>
    ((shape) => ({
      inputs: { x: float(shape), y: float(shape) },
      run: ({ x, y }: Tensors) => ({ a: tf.stack([x!, y!], 1), b: tf.stack([x!, y!], -1) }),
    }))(random.shape(2)),
  ),
  Unpack: one((random) =>
    (([q = 1]) => ({
      inputs: { x: float([3, q, 2]) },
      run: ({ x }: Tensors) => {
        const [a, b, c] = tf.unstack(x!, 0);
        return { a: a!, b: b!, c: c! };
      },
    }))(random.shape(1)),
  ),
  SplitV: one((random) =>
    (([q = 1]) => ({
      inputs: { x: float([6, q]) },
      run: ({ x }: Tensors) => {
        const [a, b] = tf.split(x!, [2, 4], 0);
        const [c, d, e] = tf.split(x!, 3, 0);
        return { a: a!, b: b!, c: c!, d: d!, e: e! };
      },
    }))(random.shape(1)),
  ),
  Slice: one((random) =>
    (([p = 1, q = 1]) => ({
      inputs: { x: float([p + 2, q + 1, 4]) },
      run: ({ x }: Tensors) => ({ a: tf.slice(x!, [1], [p]), b: tf.slice(x!, [0, 1, 2], [-1, q, 1]) }),
    }))(random.shape(2)),
  ),
  Reverse: one((random) => ({
    inputs: { x: float(random.shape(3)) },
    run: ({ x }) => ({ a: tf.reverse(x!, 1), b: tf.reverse(x!, [0, -1]) }),
  })),
  PadV2: one((random) => ({
    inputs: { x: float(random.shape(3)) },
    run: ({ x }) => ({
      a: tf.pad(x!, [
        [1, 2],
        [0, 0],
        [0, 3],
      ]),
      b: tf.pad(
        x!,
        [
          [0, 0],
          [2, 1],
          [1, 0],
        ],
        -1.5,
      ),
    }),
  })),
  GatherV2: one((random) =>
    (([p = 1, q = 1]) => ({
      inputs: { x: float([p, q + 3, 2]), i: int([5], 0, q + 3), j: int([2, 2], 0, p) },
      run: ({ x, i, j }: Tensors) => ({ a: tf.gather(x!, i as tf.Tensor1D, 1), b: tf.gather(x!, j!) }),
    }))(random.shape(2)),
  ),
  UnsortedSegmentSum: one((random) =>
    (([p = 1, q = 1]) => ({
      inputs: { x: float([p + 4, q, 2]), i: int([p + 4], 0, 3) },
      run: ({ x, i }: Tensors) => tf.unsortedSegmentSum(x!, i as tf.Tensor1D, 3),
    }))(random.shape(2)),
  ),
  OneHot: one((random) => ({
    inputs: { i: int(random.shape(2), 0, 4) },
    run: ({ i }) => ({ a: tf.oneHot(i!, 4), b: tf.oneHot(i!, 5, 2, -1, 'float32') }),
  })),
  BatchMatMul: [false, true].flatMap((ta) =>
    [false, true].flatMap((tb) =>
      [1, 3].map(
        (batch): CaseMaker =>
          (random) => {
            const [m = 1, k = 1, n = 1] = random.shape(3);
            return {
              inputs: { a: float(ta ? [batch, k, m] : [batch, m, k]), b: float(tb ? [batch, n, k] : [batch, k, n]) },
              run: ({ a, b }) => tf.matMul(a!, b!, ta, tb),
            };
          },
      ),
    ),
  ),
  Conv2D: convolution((x, filter, stride, pad) => tf.conv2d(x, filter, stride, pad)),
  DepthwiseConv2dNative: convolution((x, filter, stride, pad) => tf.depthwiseConv2d(x, filter, stride[0], pad), true),
  FusedConv2D: fused((x, filter, options) => tf.fused.conv2d({ x, filter, strides: 2, pad: 'same', ...options })),
  FusedDepthwiseConv2D: fused(
    (x, filter, options) => tf.fused.depthwiseConv2d({ x, filter, strides: 1, pad: 'same', ...options }),
    true,
  ),
  _FusedMatMul: FUSED_ACTIVATIONS.map(
    (activation): CaseMaker =>
      (random) => {
        const [m = 1, k = 1, n = 1] = random.shape(3);
        return {
          inputs: { a: float([m, k]), b: float([k, n]), bias: float([n]), alpha: float([n]) },
          run: ({ a, b, bias, alpha }) =>
            tf.fused.matMul({ a: a!, b: b!, ...fusion({ bias: bias!, alpha: alpha! }, activation) }),
        };
      },
  ),
  Conv2DBackpropInput: convolution((x, filter, stride, pad) => {
    const y = tf.conv2d(x, filter, stride, pad);
    return kernel(
      'Conv2DBackpropInput',
      { dy: tf.sin(y), filter },
      { strides: stride, pad, dataFormat: 'NHWC', inputShape: x.shape },
    );
  }),
  Conv2DBackpropFilter: convolution((x, filter, stride, pad) => {
    const y = tf.conv2d(x, filter, stride, pad);
    return kernel(
      'Conv2DBackpropFilter',
      { x, dy: tf.sin(y) },
      { strides: stride, pad, dataFormat: 'NHWC', filterShape: filter.shape },
    );
  }),
  MaxPool: pooling((x, [size, stride, pad]) => tf.maxPool(x, size, stride, pad)),
  MaxPoolGrad: pooling((x, [size, stride, pad]) => {
    const output = tf.maxPool(x, size, stride, pad);
    return kernel('MaxPoolGrad', { dy: tf.cos(output), input: x, output }, { filterSize: size, strides: stride, pad });
  }),
  AvgPool: pooling((x, [size, stride, pad]) => tf.avgPool(x, size, stride, pad)),
  // Without padding: with it tfjs's cpu kernel is not the gradient of its own forward pass.
  AvgPoolGrad: pooling((x, [size, stride]) =>
    kernel(
      'AvgPoolGrad',
      { dy: tf.cos(tf.avgPool(x, size, stride, 'valid')), input: x },
      { filterSize: size, strides: stride, pad: 'valid' },
    ),
  ),
};

for (const [name, makers] of Object.entries(CASES)) {
  test(`${name} computes what tfjs cpu computes (seed ${SEED})`, async () => {
    const next = seededRandom(SEED);
    const below = (limit: number): number => Math.floor(next() * limit);
    nameOf.current = name;
    for (const [index, make] of makers.entries()) {
      for (let round = 0; round < 2; round++) {
        const { inputs, run, tolerance } = make({
          below,
          shape: (rank) => Array.from({ length: rank }, () => 1 + below(6)),
        });
        const shapes = Object.values(inputs).map(({ shape }) => `[${shape}]`);
        const wanted = `${name} case ${index} on ${shapes.join(' ')}`;
        await assertMatchesCpu({
          name: wanted,
          inputs,
          run,
          random: next,
          ...(tolerance === undefined ? {} : { tolerance }),
        });
      }
    }
  });
}

test('every lowering has a case here', () => {
  assert.deepEqual(
    Object.keys(LOWERINGS).filter((name) => CASES[name] === undefined),
    [],
  );
});

test('a chain of convolutions, batch norm and activations holds no transposes between', async () => {
  const run = ({ x, f, g, s }: Tensors): tf.Tensor => {
    const first = tf.leakyRelu(tf.mul(tf.conv2d(x as tf.Tensor4D, f as tf.Tensor4D, 1, 'same'), s!), 0.2);
    const pooled = tf.maxPool(tf.sub(first, tf.mean(first, [0, 1, 2])) as tf.Tensor4D, 2, 2, 'valid');
    return tf.max(tf.conv2d(pooled, g as tf.Tensor4D, 1, 'same'), [1, 2]);
  };
  const inputs = { x: float([2, 4, 6, 3]), f: float([3, 3, 3, 5]), g: float([3, 3, 5, 4]), s: float([5]) };
  await assertMatchesCpu({ name: 'chain', inputs, run, random: seededRandom(SEED), tolerance: 4e-6 });
  const { graph } = trace(inputs, (tensors) => ({ y: run(tensors) }));
  const moved = graph.nodes.filter((node) => node.op === 'Transpose' && node.inputs[0]?.dims[0] === 2);
  // Into the first convolution; transposes out of the chain are dead once the maximum is taken over the
  // channels-first value.
  const perms = moved.map((node) => String(node.attributes.perm));
  assert.equal(perms.filter((perm) => perm === '0,3,1,2').length, 1);
});

test('a kernel without a lowering is an error that names it', () => {
  assert.throws(() => trace({ x: float([4]) }, ({ x }) => ({ y: tf.atan(x!) })), /kernel Atan has no lowering/);
});

test('reading a traced tensor is an error that says why', () => {
  assert.throws(
    () => trace({ x: float([4]) }, ({ x }) => ({ y: tf.scalar(tf.sum(x!).dataSync()[0]!) })),
    /no numbers|There are none while it is traced/,
  );
});

test('eager tensors that a traced function uses become constants and stay usable', async () => {
  await tf.setBackend('cpu');
  const kept = tf.tensor1d([1, 2, 3]);
  await assertMatchesCpu({
    name: 'capture',
    inputs: { x: float([2, 3]) },
    run: ({ x }) => tf.mul(x!, kept),
    random: seededRandom(SEED),
  });
  assert.deepEqual([...kept.dataSync()], [1, 2, 3]);
  assert.deepEqual([...tf.add(kept, 1).dataSync()], [2, 3, 4]);
  kept.dispose();
});
