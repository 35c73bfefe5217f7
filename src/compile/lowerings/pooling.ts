import * as tf from '@tensorflow/tfjs-core';
import { type Graph, sizeOf, type Value } from '../graph.js';
import { type LoweringTable, lowering } from '../lowering.js';
import { cast, elementwise } from '../operators/arithmetic.js';
import { averagePool, convolveTransposed, maxPool, type Window } from '../operators/convolving.js';
import { toChannelsFirst, toChannelsLast } from '../operators/layout.js';
import { concat, expand, reshape, slice } from '../operators/shaping.js';

/** Pooling over windows, and its gradients. */
export const POOLING: LoweringTable = {
  MaxPool: lowering<'x', tf.MaxPoolAttrs>((graph, { x }, attributes) => {
    const window = windowOf(x.dims, attributes);
    if (graph.layout === 'channels-last' && isTiling(window, x.dims[1]!, x.dims[2]!))
      return largestOfTiles(graph, x, window);
    return toChannelsLast(graph, maxPool(graph, toChannelsFirst(graph, x), window).largest);
  }),
  // Emitting the same MaxPool again gives the same node; its second output holds the positions of the maxima.
  MaxPoolGrad: lowering<'dy' | 'input', tf.MaxPoolGradAttrs>((graph, { dy, input }, attributes) => {
    const window = windowOf(input.dims, attributes);
    if (graph.layout === 'channels-last' && isTiling(window, input.dims[1]!, input.dims[2]!))
      return toTiles(graph, dy, input, window);
    const x = toChannelsFirst(graph, input);
    const { places } = maxPool(graph, x, window);
    const gradient = scatter(graph, toChannelsFirst(graph, dy), places, { dims: x.dims, window });
    return toChannelsLast(graph, gradient);
  }),
  AvgPool: lowering<'x', tf.AvgPoolAttrs>((graph, { x }, attributes) =>
    toChannelsLast(graph, averagePool(graph, toChannelsFirst(graph, x), windowOf(x.dims, attributes))),
  ),
  // The true gradient. tfjs's cpu kernel divides by the whole window even where the forward pass left padding out of
  // the count.
  AvgPoolGrad: lowering<'dy' | 'input', tf.AvgPoolGradAttrs>((graph, { dy, input }, attributes) => {
    const window = windowOf(input.dims, attributes);
    const [, height = 1, width = 1, channels = 1] = input.dims;
    const shares = graph.constant('float32', [1, 1, ...window.output], sharesOf(window, [height, width]));
    const shared = elementwise(graph, 'Mul', [toChannelsFirst(graph, dy), shares]);
    const ones = expand(graph, graph.scalar('float32', 1), [channels, 1, ...window.size]);
    const spread = convolveTransposed(graph, shared, ones, {
      window: { ...window, output: [height, width] },
      group: channels,
    });
    return toChannelsLast(graph, spread);
  }),
};

/** Scatters dy into zeros of shape `dims`; overlapping windows are summed. */
function scatter(
  graph: Graph,
  dy: Value,
  places: Value,
  options: { readonly dims: readonly number[]; readonly window: Window },
): Value {
  const { dims, window } = options;
  const { size, strides } = window;
  if (isTiling(window, dims[2]!, dims[3]!)) {
    const attributes = { kernel_shape: [...size], strides: [...strides] };
    return graph.emitOne({ op: 'MaxUnpool', inputs: [dy, places], type: dy.type, dims, attributes });
  }
  const count = sizeOf(dy.dims);
  const zeros = expand(graph, graph.constant('float32', [1], Float32Array.of(0)), [sizeOf(dims)]);
  const inputs = [zeros, reshape(graph, places, [count]), reshape(graph, dy, [count])];
  const attributes = { axis: 0, reduction: 'add' };
  return reshape(
    graph,
    graph.emitOne({ op: 'ScatterElements', inputs, type: dy.type, dims: [sizeOf(dims)], attributes }),
    dims,
  );
}

/** Whether the windows lie side by side and cover the image exactly. */
function isTiling({ size, strides, pads, output }: Window, height: number, width: number): boolean {
  const unpadded = pads.top + pads.left + pads.bottom + pads.right === 0;
  return (
    unpadded &&
    size[0] === strides[0] &&
    size[1] === strides[1] &&
    output[0] * size[0] === height &&
    output[1] * size[1] === width
  );
}

/**
 * The elements of each tile, in reading order, as size[0] * size[1] tensors [N, h, w, C]. Equal slices are
 * emitted once.
 */
function tileElements(graph: Graph, x: Value, { size, output }: Window): Value[] {
  const [batch = 1, , , channels = 1] = x.dims;
  const apart = reshape(graph, x, [batch, output[0], size[0], output[1], size[1], channels]);
  return Array.from({ length: size[0] * size[1] }, (_, index) => {
    const begin = [0, 0, Math.floor(index / size[1]), 0, index % size[1], 0];
    const element = slice(graph, apart, begin, [batch, output[0], 1, output[1], 1, channels]);
    return reshape(graph, element, [batch, output[0], output[1], channels]);
  });
}

/**
 * Channels-last max-pooling over tiles: ONNX Runtime's own takes several times as long where it must remember places.
 */
function largestOfTiles(graph: Graph, x: Value, window: Window): Value {
  return tileElements(graph, x, window).reduce((largest, element) => elementwise(graph, 'Max', [largest, element]));
}

/** Moves dy to the first maximum of each tile, zeros to the others. */
function toTiles(graph: Graph, dy: Value, x: Value, window: Window): Value {
  const { size, output } = window;
  const [batch = 1, , , channels = 1] = x.dims;
  const largest = largestOfTiles(graph, x, window);
  const elements = tileElements(graph, x, window);
  // Only the first of equal elements gets a share; the last gets the rest.
  let rest = dy;
  const shares = elements.map((element, index) => {
    if (index === elements.length - 1) return rest;
    const isLargest = cast(graph, elementwise(graph, 'GreaterOrEqual', [element, largest]), 'float32');
    const share = elementwise(graph, 'Mul', [rest, isLargest]);
    rest = elementwise(graph, 'Sub', [rest, share]);
    return share;
  });
  // [N, h, w, C] each: columns side by side make rows [N, h, w, size[1] * C], rows below each other the image.
  const rows = Array.from({ length: size[0] }, (_, row) => {
    const side = concat(graph, shares.slice(row * size[1], (row + 1) * size[1]), 3);
    return reshape(graph, side, [batch, output[0], 1, output[1] * size[1] * channels]);
  });
  return reshape(graph, concat(graph, rows, 2), x.dims);
}

/** 1 / number of pixels in each window, padding not counted: [output height x output width]. */
function sharesOf(window: Window, [height, width]: readonly [number, number]): Float32Array {
  const { size, strides, pads, output } = window;
  const inside = (index: number, axis: 0 | 1, before: number, length: number): number => {
    const begin = index * strides[axis] - before;
    return Math.min(begin + size[axis], length) - Math.max(begin, 0);
  };
  return Float32Array.from({ length: output[0] * output[1] }, (_, index) => {
    const [row, column] = [Math.floor(index / output[1]), index % output[1]];
    return 1 / (inside(row, 0, pads.top, height) * inside(column, 1, pads.left, width));
  });
}

function windowOf(
  inputShape: readonly number[],
  attributes: Pick<tf.MaxPoolAttrs, 'filterSize' | 'strides' | 'pad' | 'dimRoundingMode'>,
): Window {
  const [n = 1, h = 1, w = 1, c = 1] = inputShape;
  const { filterSize, strides, pad, dimRoundingMode } = attributes;
  const info = tf.backend_util.computePool2DInfo([n, h, w, c], filterSize, strides, 1, pad, dimRoundingMode);
  return {
    size: [info.filterHeight, info.filterWidth],
    strides: [info.strideHeight, info.strideWidth],
    pads: info.padInfo,
    output: [info.outHeight, info.outWidth],
  };
}
