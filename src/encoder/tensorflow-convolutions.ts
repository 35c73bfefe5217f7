/**
 * ONNX's convolutions and pools as TensorFlow.js operations. ONNX has channels first (N, C, H, W); tfjs supports
 * channels last on all backends, so each is wrapped in two transposes. N: batch, C: channels in, M: channels out, H,
 * W: grid.
 */
import type { Tensor, Tensor4D } from '@tensorflow/tfjs-core';
import type { NodeArguments, Operator, Tf } from './tensorflow-node.js';

type Pair = readonly [number, number];
type Padding = { readonly top: number; readonly bottom: number; readonly left: number; readonly right: number };

/** Convolutions and pools of two spatial dimensions. */
export const CONVOLUTIONS: Readonly<Record<string, Operator>> = {
  Conv: (tf, node) => {
    const x = channelsLast(tf, node.input(0)); // [N, H, W, C]
    const weights = node.input(1) as Tensor4D; // [M, C / group, h, w]: rank 4 by the operator's definition
    const [outputs, inputsOfGroup, height, width] = weights.shape;
    const group = node.int('group', 1);
    const strides = pair(node.ints('strides'));
    const dilations = pair(node.ints('dilations'));
    const kernel: Pair = [height, width];
    const padded = pad(tf, x, paddingOf(node, x, { kernel, strides, dilations }), 0);
    let y: Tensor4D;
    if (group === 1) {
      y = tf.conv2d(padded, tf.transpose(weights, [2, 3, 1, 0]), [...strides], 'valid', 'NHWC', [...dilations]);
    } else if (inputsOfGroup === 1) {
      // Depthwise: tfjs wants [h, w, C, M / C].
      const filter = tf.transpose(
        tf.reshape(weights, [group, outputs / group, height, width]),
        [2, 3, 0, 1],
      ) as Tensor4D;
      y = tf.depthwiseConv2d(padded, filter, [...strides], 'valid', 'NHWC', [...dilations]);
    } else {
      const inputs = tf.split<Tensor4D>(padded, group, 3);
      const filters = tf.split<Tensor4D>(weights, group, 0).map((part) => tf.transpose(part, [2, 3, 1, 0]));
      y = tf.concat<Tensor4D>(
        inputs.map((part, index) =>
          tf.conv2d<Tensor4D>(part, filters[index]!, [...strides], 'valid', 'NHWC', [...dilations]),
        ),
        3,
      );
    }
    const bias = node.optionalInput(2);
    return channelsFirst(tf, bias === undefined ? y : tf.add(y, bias));
  },
  MaxPool: (tf, node) => {
    const { x, window, padding } = pool(tf, node);
    const padded = pad(tf, x, padding, Number.NEGATIVE_INFINITY);
    return channelsFirst(tf, tf.maxPool(padded, [...window.kernel], [...window.strides], 'valid'));
  },
  AveragePool: (tf, node) => {
    const { x, window, padding } = pool(tf, node);
    const average = (values: Tensor4D) =>
      tf.avgPool(pad(tf, values, padding, 0), [...window.kernel], [...window.strides], 'valid');
    const sums = average(x);
    const isPadded = Object.values(padding).some((size) => size > 0);
    if (!isPadded || node.int('count_include_pad', 0) === 1) return channelsFirst(tf, sums);
    // Padding does not count: divide by the share of each window inside the grid.
    return channelsFirst(tf, tf.div(sums, average(tf.ones([1, x.shape[1], x.shape[2], 1]))));
  },
  GlobalAveragePool: (tf, node) => tf.mean(node.input(0), grid(node.input(0)), true),
  GlobalMaxPool: (tf, node) => tf.max(node.input(0), grid(node.input(0)), true),
};

type Window = { readonly kernel: Pair; readonly strides: Pair; readonly dilations: Pair };

function pool(
  tf: Tf,
  node: NodeArguments,
): { readonly x: Tensor4D; readonly window: Window; readonly padding: Padding } {
  if (node.int('ceil_mode', 0) !== 0) throw new Error('a pool with ceil_mode');
  if (node.outputCount > 1) throw new Error('a pool with indices as output');
  const window = {
    kernel: pair(node.ints('kernel_shape')),
    strides: pair(node.ints('strides')),
    dilations: pair(node.ints('dilations')),
  };
  if (window.dilations.some((step) => step !== 1)) throw new Error('a pool with dilations');
  const x = channelsLast(tf, node.input(0));
  return { x, window, padding: paddingOf(node, x, window) };
}

function paddingOf(node: NodeArguments, x: Tensor4D, { kernel, strides, dilations }: Window): Padding {
  const mode = node.text('auto_pad', 'NOTSET');
  if (mode === 'NOTSET') {
    const [top = 0, left = 0, bottom = 0, right = 0] = node.ints('pads') ?? [];
    return { top, bottom, left, right };
  }
  if (mode === 'VALID') return { top: 0, bottom: 0, left: 0, right: 0 };
  // SAME: only the stride shrinks the grid; the odd padding goes to the named end.
  const total = (size: number, axis: 0 | 1): number => {
    const reach = (kernel[axis] - 1) * dilations[axis] + 1;
    return Math.max(0, (Math.ceil(size / strides[axis]) - 1) * strides[axis] + reach - size);
  };
  const [down, across] = [total(x.shape[1], 0), total(x.shape[2], 1)];
  const before = mode === 'SAME_LOWER' ? Math.ceil : Math.floor;
  const [top, left] = [before(down / 2), before(across / 2)];
  return { top, bottom: down - top, left, right: across - left };
}

function pad(tf: Tf, x: Tensor4D, { top, bottom, left, right }: Padding, value: number): Tensor4D {
  if (top + bottom + left + right === 0) return x;
  return tf.pad(
    x,
    [
      [0, 0],
      [top, bottom],
      [left, right],
      [0, 0],
    ],
    value,
  );
}

function channelsLast(tf: Tf, x: Tensor): Tensor4D {
  if (x.rank !== 4) throw new Error(`a grid of rank ${x.rank}, not 4`);
  return tf.transpose(x, [0, 2, 3, 1]) as Tensor4D; // by the check above
}

function channelsFirst(tf: Tf, x: Tensor): Tensor {
  return tf.transpose(x, [0, 3, 1, 2]);
}

function pair(values: readonly number[] | undefined): Pair {
  return [values?.[0] ?? 1, values?.[1] ?? 1];
}

/** All axes after batch and channels. */
function grid(x: Tensor): number[] {
  return x.shape.map((_, axis) => axis).slice(2);
}
