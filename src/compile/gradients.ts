/**
 * The gradients of tfjs's kernels, as tf.grads and its like look them up. tfjs-core by itself registers none when it is
 * loaded in Node (only the whole @tensorflow/tfjs package does, with three more libraries); these are the ones that
 * trained networks use. The formulas are tfjs's own but for two: tensors of ones are not multiplied by, and
 * SquaredDifference sums over broadcast axes, which tfjs forgets.
 */
import * as tf from '@tensorflow/tfjs-core';

type Rule = Omit<tf.GradConfig, 'kernelName'>;

/** Registers the gradients below that tfjs lacks. May be called repeatedly. */
export function registerGradients(): void {
  for (const [kernelName, rule] of Object.entries(GRADIENTS)) {
    if (tf.getGradient(kernelName) === undefined) tf.registerGradient({ kernelName, ...rule });
  }
}

const unary = (derivative: (x: tf.Tensor, dy: tf.Tensor) => tf.Tensor): Rule => ({
  inputsToSave: ['x'],
  gradFunc: (dy, [x]) => ({ x: () => derivative(x!, one(dy)) }),
});
const fromOutput = (derivative: (y: tf.Tensor, dy: tf.Tensor) => tf.Tensor): Rule => ({
  outputsToSave: [true],
  gradFunc: (dy, [y]) => ({ x: () => derivative(y!, one(dy)) }),
});
const binary = (left: Partial, right: Partial): Rule => ({
  inputsToSave: ['a', 'b'],
  gradFunc: (dy, [a, b]) => ({
    a: () => unbroadcast(left(one(dy), a!, b!), a!.shape),
    b: () => unbroadcast(right(one(dy), a!, b!), b!.shape),
  }),
});
type Partial = (dy: tf.Tensor, a: tf.Tensor, b: tf.Tensor) => tf.Tensor;
const mask = (truth: tf.Tensor): tf.Tensor => tf.cast(truth, 'float32');
/** A kernel without gradient. */
const flat: Rule = { inputsToSave: ['x'], gradFunc: (_dy, [x]) => ({ x: () => tf.zerosLike(x!) }) };

const extreme: Rule = {
  inputsToSave: ['x'],
  outputsToSave: [true],
  gradFunc: (dy, [x, y], attributes) => ({
    x: () => {
      const kept = keptShape(x!, attributes);
      return tf.mul(tf.reshape(one(dy), kept), mask(tf.equal(x!, tf.reshape(y!, kept))));
    },
  }),
};

const GRADIENTS: Readonly<Record<string, Rule>> = {
  Add: binary(
    (dy) => dy,
    (dy) => dy,
  ),
  // Summed before it is negated, since the sum is a thousand times shorter.
  Sub: {
    inputsToSave: ['a', 'b'],
    gradFunc: (dy, [a, b]) => ({
      a: () => unbroadcast(one(dy), a!.shape),
      b: () => tf.neg(unbroadcast(one(dy), b!.shape)),
    }),
  },
  Multiply: binary(
    (dy, _a, b) => tf.mul(dy, tf.cast(b, 'float32')),
    (dy, a) => tf.mul(dy, tf.cast(a, 'float32')),
  ),
  RealDiv: binary(
    (dy, _a, b) => tf.div(dy, b),
    (dy, a, b) => tf.neg(tf.div(tf.mul(dy, a), tf.square(b))),
  ),
  SquaredDifference: binary(
    (dy, a, b) => tf.mul(dy, tf.mul(tf.sub(a, b), 2)),
    (dy, a, b) => tf.mul(dy, tf.mul(tf.sub(b, a), 2)),
  ),
  Maximum: binary(
    (dy, a, b) => tf.mul(dy, mask(tf.greaterEqual(a, b))),
    (dy, a, b) => tf.mul(dy, mask(tf.less(a, b))),
  ),
  Minimum: binary(
    (dy, a, b) => tf.mul(dy, mask(tf.lessEqual(a, b))),
    (dy, a, b) => tf.mul(dy, mask(tf.greater(a, b))),
  ),
  Pow: binary(
    (dy, a, b) => tf.mul(dy, tf.mul(b, tf.pow(a, tf.sub(b, 1)))),
    (dy, a, b) => tf.mul(dy, tf.mul(tf.pow(a, b), tf.where(tf.greater(a, 0), tf.log(a), tf.zerosLike(a)))),
  ),
  AddN: {
    saveAllInputs: true,
    gradFunc: (dy, inputs) => Object.fromEntries(inputs.map((_, index) => [String(index), () => tf.clone(one(dy))])),
  },

  Abs: unary((x, dy) => tf.mul(dy, tf.sign(x))),
  Neg: unary((_x, dy) => tf.neg(dy)),
  Square: unary((x, dy) => tf.mul(tf.mul(dy, 2), x)),
  Log: unary((x, dy) => tf.div(dy, x)),
  Log1p: unary((x, dy) => tf.div(dy, tf.add(x, 1))),
  Relu: unary((x, dy) => tf.mul(dy, tf.step(x))),
  Softplus: unary((x, dy) => tf.mul(dy, tf.sigmoid(x))),
  Sin: unary((x, dy) => tf.mul(dy, tf.cos(x))),
  Cos: unary((x, dy) => tf.neg(tf.mul(dy, tf.sin(x)))),
  LeakyRelu: {
    inputsToSave: ['x'],
    gradFunc: (dy, [x], { alpha }) => ({ x: () => tf.mul(one(dy), tf.step(x!, Number(alpha))) }),
  },
  ClipByValue: {
    inputsToSave: ['x'],
    gradFunc: (dy, [x], { clipValueMin, clipValueMax }) => ({
      x: () =>
        tf.mul(
          one(dy),
          mask(tf.logicalAnd(tf.greaterEqual(x!, Number(clipValueMin)), tf.lessEqual(x!, Number(clipValueMax)))),
        ),
    }),
  },
  Exp: fromOutput((y, dy) => tf.mul(dy, y)),
  Sqrt: fromOutput((y, dy) => tf.div(dy, tf.mul(y, 2))),
  Rsqrt: fromOutput((y, dy) => tf.mul(dy, tf.mul(tf.mul(tf.square(y), y), -0.5))),
  Reciprocal: fromOutput((y, dy) => tf.neg(tf.mul(dy, tf.square(y)))),
  Sigmoid: fromOutput((y, dy) => tf.mul(dy, tf.mul(y, tf.sub(1, y)))),
  Tanh: fromOutput((y, dy) => tf.mul(dy, tf.sub(1, tf.square(y)))),
  Elu: fromOutput((y, dy) => tf.mul(dy, tf.add(tf.minimum(y, 0), 1))),
  Sign: flat,
  Floor: flat,
  Ceil: flat,
  Round: flat,
  Step: flat,
  ZerosLike: flat,
  OnesLike: flat,

  Identity: unary((_x, dy) => tf.clone(dy)),
  Cast: unary((_x, dy) => tf.clone(dy)),
  Reshape: unary((x, dy) => tf.reshape(dy, x.shape)),
  ExpandDims: {
    inputsToSave: ['input'],
    gradFunc: (dy, [input]) => ({ input: () => tf.reshape(one(dy), input!.shape) }),
  },
  Transpose: {
    gradFunc: (dy, _saved, { perm }) => ({
      x: () => tf.transpose(one(dy), tf.backend_util.getUndoAxesPermutation(perm as number[])),
    }),
  },
  // Seen as [copies, extent] axis by axis, a tiled tensor is summed over its copies.
  Tile: {
    inputsToSave: ['x'],
    gradFunc: (dy, [x], { reps }) => ({
      x: () => {
        const apart = x!.shape.flatMap((dim, axis) => [(reps as number[])[axis]!, dim]);
        return tf.sum(
          tf.reshape(one(dy), apart),
          x!.shape.map((_, axis) => 2 * axis),
        );
      },
    }),
  },
  Concat: {
    saveAllInputs: true,
    gradFunc: (dy, inputs, { axis }) => {
      const place = tf.util.parseAxisParam(axis as number, inputs[0]!.shape)[0]!;
      const parts = tf.split(
        one(dy),
        inputs.map((input) => input.shape[place]!),
        place,
      );
      return Object.fromEntries(parts.map((part, index) => [String(index), () => part]));
    },
  },
  Pack: {
    saveAllInputs: true,
    gradFunc: (dy, _inputs, { axis }) =>
      Object.fromEntries(tf.unstack(one(dy), axis as number).map((part, index) => [String(index), () => part])),
  },
  Unpack: { gradFunc: (dy, _saved, { axis }) => ({ value: () => tf.stack(dy as tf.Tensor[], axis as number) }) },
  SplitV: { gradFunc: (dy, _saved, { axis }) => ({ x: () => tf.concat(dy as tf.Tensor[], axis as number) }) },
  Slice: {
    inputsToSave: ['x'],
    gradFunc: (dy, [x], { begin, size }) => {
      const [first, sizes] = tf.slice_util.parseSliceParams(x!, begin as number[], size as number[]);
      const around = x!.shape.map((dim, axis): [number, number] => [
        first![axis]!,
        dim - first![axis]! - sizes![axis]!,
      ]);
      return { x: () => tf.pad(one(dy), around) };
    },
  },
  PadV2: {
    inputsToSave: ['x'],
    gradFunc: (dy, [x], { paddings }) => ({
      x: () =>
        tf.slice(
          one(dy),
          (paddings as number[][]).map(([before]) => before!),
          x!.shape,
        ),
    }),
  },
  GatherV2: {
    inputsToSave: ['x', 'indices'],
    gradFunc: (dy, [x, indices], { axis, batchDims }) => ({
      x: () => {
        const [place = 0] = tf.util.parseAxisParam(axis as number, x!.shape);
        if (place !== 0 || batchDims !== 0)
          throw new Error('The gradient of tf.gather is there for axis 0 only; transpose first.');
        const rows = tf.reshape(one(dy), [indices!.size, ...x!.shape.slice(1)]);
        return tf.unsortedSegmentSum(rows, tf.reshape(indices!, [indices!.size]), x!.shape[0]!);
      },
      indices: () => tf.zerosLike(indices!),
    }),
  },
  Select: {
    inputsToSave: ['condition'],
    gradFunc: (dy, [condition]) => ({
      condition: () => tf.zerosLike(tf.cast(condition!, 'float32')),
      t: () => tf.mul(one(dy), mask(condition!)),
      e: () => tf.mul(one(dy), mask(tf.logicalNot(condition!))),
    }),
  },

  Sum: {
    inputsToSave: ['x'],
    gradFunc: (dy, [x], attributes) => ({
      x: () => tf.broadcastTo(tf.reshape(one(dy), keptShape(x!, attributes)), x!.shape),
    }),
  },
  Mean: {
    inputsToSave: ['x'],
    gradFunc: (dy, [x], attributes) => ({
      x: () => {
        const kept = keptShape(x!, attributes);
        const share = tf.util.sizeFromShape(kept) / x!.size;
        return tf.broadcastTo(tf.reshape(tf.mul(one(dy), share), kept), x!.shape);
      },
    }),
  },
  Max: extreme,
  Min: extreme,
  Softmax: {
    outputsToSave: [true],
    gradFunc: (dy, [y], { dim }) => ({
      logits: () => {
        const weighted = tf.mul(one(dy), y!);
        return tf.sub(weighted, tf.mul(tf.sum(weighted, [dim as number], true), y!));
      },
    }),
  },
  LogSoftmax: {
    outputsToSave: [true],
    gradFunc: (dy, [y], { axis }) => ({
      logits: () => tf.sub(one(dy), tf.mul(tf.sum(one(dy), axis as number, true), tf.exp(y!))),
    }),
  },

  BatchMatMul: {
    inputsToSave: ['a', 'b'],
    gradFunc: (dy, [a, b], { transposeA, transposeB }) => ({
      a: () =>
        unbroadcast(
          transposeA ? tf.matMul(b!, one(dy), Boolean(transposeB), true) : tf.matMul(one(dy), b!, false, !transposeB),
          a!.shape,
        ),
      b: () =>
        unbroadcast(
          transposeB ? tf.matMul(one(dy), a!, true, Boolean(transposeA)) : tf.matMul(a!, one(dy), !transposeA, false),
          b!.shape,
        ),
    }),
  },
  Conv2D: {
    inputsToSave: ['x', 'filter'],
    gradFunc: (dy, [x, filter], attributes) => ({
      x: () => run('Conv2DBackpropInput', { dy: one(dy), filter: filter! }, { ...attributes, inputShape: x!.shape }),
      filter: () => run('Conv2DBackpropFilter', { x: x!, dy: one(dy) }, { ...attributes, filterShape: filter!.shape }),
    }),
  },
  // Transposed convolution (tf.conv2dTranspose) is this kernel: linear in both, so its gradients are the convolution
  // and its filter's gradient.
  Conv2DBackpropInput: {
    inputsToSave: ['dy', 'filter'],
    gradFunc: (dx, [dy, filter], { inputShape: _, ...attributes }) => ({
      dy: () => run('Conv2D', { x: one(dx), filter: filter! }, { ...attributes, dilations: 1 }),
      filter: () => run('Conv2DBackpropFilter', { x: one(dx), dy: dy! }, { ...attributes, filterShape: filter!.shape }),
    }),
  },
  MaxPool: {
    inputsToSave: ['x'],
    outputsToSave: [true],
    gradFunc: (dy, [x, y], attributes) => ({
      x: () => run('MaxPoolGrad', { dy: one(dy), input: x!, output: y! }, attributes),
    }),
  },
  AvgPool: {
    inputsToSave: ['x'],
    gradFunc: (dy, [x], attributes) => ({ x: () => run('AvgPoolGrad', { dy: one(dy), input: x! }, attributes) }),
  },
};

/** The gradient of a kernel with one output. */
function one(dy: tf.Tensor | tf.Tensor[]): tf.Tensor {
  return Array.isArray(dy) ? dy[0]! : dy;
}

/** Sums a gradient over the axes along which the operand was repeated. */
function unbroadcast(gradient: tf.Tensor, shape: number[]): tf.Tensor {
  const axes = tf.broadcast_util.getReductionAxes(shape, gradient.shape);
  return tf.reshape(axes.length > 0 ? tf.sum(gradient, axes) : gradient, shape);
}

/** The shape of x with the reduced axes left as 1. Sum, Mean and Min say `axis`, Max says `reductionIndices`. */
function keptShape(x: tf.Tensor, attributes: tf.NamedAttrMap): number[] {
  const axis = (attributes.axis ?? attributes.reductionIndices) as number | number[];
  const axes = tf.util.parseAxisParam(axis, x.shape);
  return x.shape.map((dim, index) => (axes.includes(index) ? 1 : dim));
}

function run(kernelName: string, inputs: tf.NamedTensorMap, attributes: tf.NamedAttrMap): tf.Tensor {
  return tf.engine().runKernel(kernelName, inputs, attributes) as tf.Tensor; // these kernels have one output
}
