/**
 * ONNX operators as TensorFlow.js operations: element-wise, products, reductions and shapes (convolutions and pools:
 * tensorflow-convolutions.ts). To add an operator, add a line. Semantics of opset 13 to 17; axes may be an attribute or
 * an input.
 */
import type { Tensor } from '@tensorflow/tfjs-core';
import type { Operator, Tf } from './tensorflow-node.js';

const binary =
  (compute: (tf: Tf, a: Tensor, b: Tensor) => Tensor): Operator =>
  (tf, node) =>
    compute(tf, node.input(0), node.input(1));

/** For operators of any number of inputs. */
const folded =
  (compute: (tf: Tf, a: Tensor, b: Tensor) => Tensor): Operator =>
  (tf, node) =>
    node.allInputs().reduce((left, right) => compute(tf, left, right));

/**
 * Reduces `axes` (attribute, or second input since opset 13 or 18), or all where none are given; keeps dimensions
 * unless keepdims is 0.
 */
const reduction =
  (compute: (tf: Tf, x: Tensor, axes: number[], keepDims: boolean) => Tensor): Operator =>
  (tf, node) => {
    const x = node.input(0);
    const axes = node.ints('axes') ?? node.numbers(1) ?? [];
    if (axes.length === 0 && node.int('noop_with_empty_axes', 0) === 1) return x;
    const all = axes.length === 0 ? x.shape.map((_, axis) => axis) : [...axes];
    return compute(tf, x, all, node.int('keepdims', 1) === 1);
  };

const norm = (tf: Tf, x: Tensor, axes: number[], keepDims: boolean): Tensor =>
  tf.sqrt(tf.sum(tf.square(x), axes, keepDims));

/** Operators that are one tfjs operation of the same inputs. */
const SAME = {
  Not: 'logicalNot',
  Relu: 'relu',
  Sigmoid: 'sigmoid',
  Tanh: 'tanh',
  Softplus: 'softplus',
  Exp: 'exp',
  Log: 'log',
  Sqrt: 'sqrt',
  Reciprocal: 'reciprocal',
  Abs: 'abs',
  Neg: 'neg',
  Sign: 'sign',
  Floor: 'floor',
  Erf: 'erf',
  Identity: 'clone',
  Dropout: 'clone',
  Add: 'add',
  Sub: 'sub',
  Mul: 'mul',
  Greater: 'greater',
  GreaterOrEqual: 'greaterEqual',
  Less: 'less',
  LessOrEqual: 'lessEqual',
  Equal: 'equal',
  And: 'logicalAnd',
  Or: 'logicalOr',
  Where: 'where',
} as const satisfies Readonly<Record<string, keyof Tf>>;

/** Operators by their ONNX name. */
export const OPERATORS: Readonly<Record<string, Operator>> = {
  ...Object.fromEntries(
    Object.entries(SAME).map(([name, operation]): [string, Operator] => [
      name,
      // Each takes tensors and returns one: the compiler cannot call the union of their signatures.
      (tf, node) => (tf[operation] as (...inputs: Tensor[]) => Tensor)(...node.allInputs()),
    ]),
  ),
  Div: binary((tf, a, b) =>
    a.dtype === 'int32'
      ? tf.cast(trunc(tf, tf.div(tf.cast(a, 'float32'), tf.cast(b, 'float32'))), 'int32')
      : tf.div(a, b),
  ),
  Pow: binary((tf, a, b) => tf.pow(a, b.dtype === a.dtype ? b : tf.cast(b, a.dtype))),
  Max: folded((tf, a, b) => tf.maximum(a, b)),
  Min: folded((tf, a, b) => tf.minimum(a, b)),
  Sum: folded((tf, a, b) => tf.add(a, b)),

  LeakyRelu: (tf, node) => tf.leakyRelu(node.input(0), node.float('alpha', 0.01)),
  PRelu: binary((tf, x, slope) => tf.add(tf.relu(x), tf.mul(slope, tf.minimum(x, 0)))),
  Elu: (tf, node) => {
    const x = node.input(0);
    return tf.add(tf.relu(x), tf.mul(node.float('alpha', 1), tf.expm1(tf.minimum(x, 0))));
  },
  Softmax: (tf, node) => {
    const x = node.input(0);
    const axis = axisOf(node.int('axis', -1), x.rank);
    const exponentials = tf.exp(tf.sub(x, tf.max(x, axis, true)));
    return tf.div(exponentials, tf.sum(exponentials, axis, true));
  },
  Clip: (tf, node) => {
    let x = node.input(0);
    const [low, high] = [node.optionalInput(1), node.optionalInput(2)];
    if (low !== undefined) x = tf.maximum(x, low);
    return high === undefined ? tf.clone(x) : tf.minimum(x, high);
  },
  Cast: (tf, node) => castTo(tf, node.input(0), node.int('to', 0)),
  Constant: (_tf, node) => {
    const value = node.tensor('value');
    if (value === undefined) throw new Error('only a constant given as tensor is run');
    return value;
  },

  MatMul: (tf, node) => {
    const [a, b] = [node.input(0), node.input(1)];
    if (a.rank < 2 || b.rank < 2) throw new Error(`matrices of rank ${a.rank} and ${b.rank}`);
    // tfjs multiplies a batch of matrices by one matrix only where the ranks agree.
    const rank = Math.max(a.rank, b.rank);
    const raise = (x: Tensor) => tf.reshape(x, [...Array.from({ length: rank - x.rank }, () => 1), ...x.shape]);
    return tf.matMul(raise(a), raise(b));
  },
  Gemm: (tf, node) => {
    const product = tf.matMul(node.input(0), node.input(1), node.int('transA', 0) === 1, node.int('transB', 0) === 1);
    const scaled = tf.mul(product, node.float('alpha', 1));
    const bias = node.optionalInput(2);
    return bias === undefined ? scaled : tf.add(scaled, tf.mul(bias, node.float('beta', 1)));
  },

  ReduceMean: reduction((tf, x, axes, keep) => tf.mean(x, axes, keep)),
  ReduceSum: reduction((tf, x, axes, keep) => tf.sum(x, axes, keep)),
  ReduceMax: reduction((tf, x, axes, keep) => tf.max(x, axes, keep)),
  ReduceMin: reduction((tf, x, axes, keep) => tf.min(x, axes, keep)),
  ReduceProd: reduction((tf, x, axes, keep) => tf.prod(x, axes, keep)),
  ReduceSumSquare: reduction((tf, x, axes, keep) => tf.sum(tf.square(x), axes, keep)),
  ReduceL1: reduction((tf, x, axes, keep) => tf.sum(tf.abs(x), axes, keep)),
  ReduceL2: reduction(norm),
  LpNormalization: (tf, node) => {
    const x = node.input(0);
    const axis = axisOf(node.int('axis', -1), x.rank);
    const size = node.int('p', 2) === 1 ? tf.sum(tf.abs(x), axis, true) : norm(tf, x, [axis], true);
    return tf.divNoNan(x, size); // zero vectors stay zero, as in ONNX Runtime
  },
  BatchNormalization: (tf, node) => {
    const x = node.input(0);
    const perChannel = (index: number) => tf.reshape(node.input(index), [1, -1, ...x.shape.slice(2).map(() => 1)]);
    const spread = tf.sqrt(tf.add(perChannel(4), node.float('epsilon', 1e-5)));
    return tf.add(tf.mul(tf.div(tf.sub(x, perChannel(3)), spread), perChannel(1)), perChannel(2));
  },

  Reshape: (tf, node) => {
    const x = node.input(0);
    // 0 keeps the input's dimension.
    const shape = (node.numbers(1) ?? []).map((size, axis) =>
      size === 0 && node.int('allowzero', 0) === 0 ? x.shape[axis]! : size,
    );
    return tf.reshape(x, shape);
  },
  Flatten: (tf, node) => {
    const x = node.input(0);
    const axis = node.int('axis', 1);
    const product = (sizes: readonly number[]) => sizes.reduce((total, size) => total * size, 1);
    const split = axis < 0 ? axis + x.rank : axis;
    return tf.reshape(x, [product(x.shape.slice(0, split)), product(x.shape.slice(split))]);
  },
  Transpose: (tf, node) => {
    const x = node.input(0);
    return tf.transpose(x, [...(node.ints('perm') ?? x.shape.map((_, axis) => x.rank - 1 - axis))]);
  },
  Unsqueeze: (tf, node) => {
    const x = node.input(0);
    const axes = node.ints('axes') ?? node.numbers(1) ?? [];
    const rank = x.rank + axes.length;
    const sorted = axes.map((axis) => axisOf(axis, rank)).sort((a, b) => a - b);
    const shape = [...x.shape];
    for (const axis of sorted) shape.splice(axis, 0, 1);
    return tf.reshape(x, shape);
  },
  Squeeze: (tf, node) => {
    const x = node.input(0);
    const axes = node.ints('axes') ?? node.numbers(1);
    return tf.squeeze(
      x,
      axes?.map((axis) => axisOf(axis, x.rank)),
    );
  },
  Concat: (tf, node) => tf.concat([...node.allInputs()], axisOf(node.int('axis', 0), node.input(0).rank)),
  Split: (tf, node) => {
    const x = node.input(0);
    return tf.split(
      x,
      node.ints('split')?.slice() ?? node.numbers(1) ?? node.outputCount,
      axisOf(node.int('axis', 0), x.rank),
    );
  },
  Slice: (tf, node) => {
    const x = node.input(0);
    const starts = node.numbers(1) ?? [];
    const ends = node.numbers(2) ?? [];
    const axes = node.numbers(3) ?? starts.map((_, axis) => axis);
    const steps = node.numbers(4) ?? starts.map(() => 1);
    const begin = x.shape.map(() => 0);
    const end = [...x.shape];
    const stride = x.shape.map(() => 1);
    for (const [index, given] of axes.entries()) {
      const axis = axisOf(given, x.rank);
      const size = x.shape[axis]!;
      const clamp = (place: number) => Math.max(0, Math.min(size, place < 0 ? place + size : place));
      if (steps[index]! < 1) throw new Error(`a step of ${steps[index]}`);
      begin[axis] = clamp(starts[index]!);
      end[axis] = clamp(ends[index]!);
      stride[axis] = steps[index]!;
    }
    return tf.stridedSlice(x, begin, end, stride);
  },
  Gather: (tf, node) =>
    tf.gather(node.input(0), tf.cast(node.input(1), 'int32'), axisOf(node.int('axis', 0), node.input(0).rank)),
  Shape: (tf, node) => tf.tensor1d(node.input(0).shape, 'int32'),
  Expand: (tf, node) => {
    const x = node.input(0);
    return tf.broadcastTo(x, tf.broadcast_util.assertAndGetBroadcastShape(x.shape, node.numbers(1) ?? []));
  },
  Tile: (tf, node) => tf.tile(node.input(0), node.numbers(1) ?? []),
  Pad: (tf, node) => {
    const x = node.input(0);
    const pads = node.numbers(1) ?? [];
    if (node.text('mode', 'constant') !== 'constant' || node.optionalInput(3) !== undefined)
      throw new Error('only constant padding of all axes is run');
    return tf.pad(
      x,
      x.shape.map((_, axis) => [pads[axis]!, pads[axis + x.rank]!] as [number, number]),
      node.numbers(2)?.[0] ?? 0,
    );
  },
};

/** A negative axis counts from the end. */
function axisOf(axis: number, rank: number): number {
  return axis < 0 ? axis + rank : axis;
}

/** Towards zero, as ONNX divides integers. */
function trunc(tf: Tf, x: Tensor): Tensor {
  return tf.mul(tf.sign(x), tf.floor(tf.abs(x)));
}

/** Codes of TensorProto.DataType; all integers become int32. */
function castTo(tf: Tf, x: Tensor, code: number): Tensor {
  if (code === 1 || code === 10 || code === 11) return tf.cast(x, 'float32');
  if (code === 6 || code === 7 || code === 2) return tf.cast(x, 'int32');
  if (code === 9) return tf.cast(x, 'bool');
  throw new Error(`a cast to element type ${code}`);
}
