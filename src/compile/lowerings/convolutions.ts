import * as tf from '@tensorflow/tfjs-core';
import type { Graph, Value } from '../graph.js';
import { type LoweringTable, lowering } from '../lowering.js';
import { convolve, convolveTransposed, type Window } from '../operators/convolving.js';
import { toChannelsFirst, toChannelsLast } from '../operators/layout.js';
import { gemm } from '../operators/reducing.js';
import { concat, pad, reshape, stridedSlice, transpose } from '../operators/shaping.js';
import { finish } from './element-wise.js';

type Info = tf.backend_util.Conv2DInfo;
type ConvolutionAttributes = Pick<tf.Conv2DAttrs, 'strides' | 'pad' | 'dataFormat' | 'dimRoundingMode'> & {
  readonly dilations?: tf.Conv2DAttrs['dilations'];
};

/** Convolutions and their two gradients. tfjs: x [N, H, W, C], filter [h, w, C, O]. */
export const CONVOLUTIONS: LoweringTable = {
  Conv2D: lowering<'x' | 'filter', tf.Conv2DAttrs>((graph, { x, filter }, attributes) =>
    convolution(graph, x, filter, attributes),
  ),
  FusedConv2D: lowering<FusedInput, tf.FusedConv2DAttrs>((graph, { x, filter, ...rest }, attributes) =>
    finish(graph, convolution(graph, x, filter, attributes), rest, attributes),
  ),
  DepthwiseConv2dNative: lowering<'x' | 'filter', tf.DepthwiseConv2dNativeAttrs>((graph, { x, filter }, attributes) =>
    depthwiseConvolution(graph, x, filter, attributes),
  ),
  FusedDepthwiseConv2D: lowering<FusedInput, tf.FusedDepthwiseConv2DAttrs>(
    (graph, { x, filter, ...rest }, attributes) =>
      finish(graph, depthwiseConvolution(graph, x, filter, attributes), rest, attributes),
  ),
  Conv2DBackpropInput: lowering<'dy' | 'filter', tf.Conv2DBackpropInputAttrs>((graph, { dy, filter }, attributes) => {
    const info = describe(attributes.inputShape, filter.dims, attributes);
    if (info.strideHeight === 1 && info.strideWidth === 1 && prefersPatches(graph, info, info.outChannels)) {
      const back = tf.backend_util.computeConv2DInfo(
        info.outShape as [number, number, number, number],
        [info.filterHeight, info.filterWidth, info.outChannels, info.inChannels],
        1,
        1,
        around(info),
      );
      return convolveByPatches(graph, dy, transpose(graph, turned(graph, filter), [0, 1, 3, 2]), back);
    }
    return toChannelsLast(graph, inputGradient(graph, toChannelsFirst(graph, dy), filter, info));
  }),
  Conv2DBackpropFilter: lowering<'x' | 'dy', tf.Conv2DBackpropFilterAttrs>((graph, { x, dy }, attributes) =>
    filterGradient(graph, x, dy, describe(x.dims, attributes.filterShape, attributes)),
  ),
};

type FusedInput = 'x' | 'filter' | 'bias' | 'preluActivationWeights';

function convolution(graph: Graph, x: Value, filter: Value, attributes: ConvolutionAttributes): Value {
  const info = describe(x.dims, filter.dims, attributes);
  if (prefersPatches(graph, info, info.inChannels)) return convolveByPatches(graph, x, filter, info);
  const filters = outputsFirst(graph, filter);
  const y = convolve(graph, toChannelsFirst(graph, x), filters, { window: windowOf(info) });
  return toChannelsLast(graph, y);
}

function depthwiseConvolution(
  graph: Graph,
  x: Value,
  filter: Value,
  attributes: Omit<ConvolutionAttributes, 'dataFormat'>,
): Value {
  const info = describe(x.dims, filter.dims, { ...attributes, dataFormat: 'NHWC' }, true);
  const [height = 1, width = 1, channels = 1, multiplier = 1] = filter.dims;
  const filters = reshape(graph, transpose(graph, filter, [2, 3, 0, 1]), [channels * multiplier, 1, height, width]);
  const y = convolve(graph, toChannelsFirst(graph, x), filters, { window: windowOf(info), group: channels });
  return toChannelsLast(graph, y);
}

/**
 * Largest matrix of patches (in numbers) for which a convolution is one matrix product; beyond it, writing the matrix
 * costs more than it saves (measured on the seed network).
 */
const PATCHES_SIZE_MAX = 5_000_000;

/** Channels-last, where the gradient of the filter needs the patches of x anyway. */
function prefersPatches(graph: Graph, info: Info, channels: number): boolean {
  const { batchSize, outHeight, outWidth, filterHeight, filterWidth, dilationHeight, dilationWidth } = info;
  const undilated = dilationHeight === 1 && dilationWidth === 1;
  const size = batchSize * outHeight * outWidth * filterHeight * filterWidth * channels;
  return graph.layout === 'channels-last' && undilated && size <= PATCHES_SIZE_MAX;
}

/**
 * dy [N, O, ...] and filter [h, w, C, O] to dx [N, C, H, W]. At stride 1 it is the convolution of dy with the filter
 * turned by 180 degrees.
 */
function inputGradient(graph: Graph, dy: Value, filter: Value, info: Info): Value {
  const window = windowOf(info);
  const { size, strides } = window;
  const output = [info.inHeight, info.inWidth] as const;
  if (strides[0] !== 1 || strides[1] !== 1)
    return convolveTransposed(graph, dy, outputsFirst(graph, filter), { window: { ...window, output } });
  const [, [top, bottom], [left, right]] = around(info);
  const pads = { top, bottom, left, right };
  return convolve(graph, dy, transpose(graph, turned(graph, filter), [2, 3, 0, 1]), {
    window: { size, strides: [1, 1], pads, output },
  });
}

/** A filter turned by 180 degrees in its plane. */
function turned(graph: Graph, filter: Value): Value {
  const [height = 1, width = 1] = filter.dims;
  return stridedSlice(graph, filter, {
    begin: [height - 1, width - 1, 0, 0],
    size: filter.dims,
    strides: [-1, -1, 1, 1],
  });
}

/** Padding that leads from the output's size back to the input's with the rotated filter. */
function around({ filterHeight, filterWidth, padInfo }: Info): [[0, 0], [number, number], [number, number], [0, 0]] {
  const rows: [number, number] = [filterHeight - 1 - padInfo.top, filterHeight - 1 - padInfo.bottom];
  return [[0, 0], rows, [filterWidth - 1 - padInfo.left, filterWidth - 1 - padInfo.right], [0, 0]];
}

/** [h, w, C, O] to [O, C, h, w], moving one axis at a time: ONNX Runtime transposes so several times as fast. */
function outputsFirst(graph: Graph, filter: Value): Value {
  const [height = 1, width = 1, inputs = 1, outputs = 1] = filter.dims;
  const rows = transpose(graph, reshape(graph, filter, [height * width * inputs, outputs]), [1, 0]);
  const moved = transpose(graph, reshape(graph, rows, [outputs, height * width, inputs]), [0, 2, 1]);
  return reshape(graph, moved, [outputs, inputs, height, width]);
}

/**
 * x [N, H, W, C] as one row for each place of the output, [N * h' * w', h * w * C]: what the filter sees there, in the
 * filter's own order. Equal patches are emitted once: a convolution and the gradient of its filter share them.
 */
function patchesOf(graph: Graph, x: Value, info: Info): Value {
  const { filterHeight, filterWidth, outHeight, outWidth, strideHeight, strideWidth, padInfo, inChannels, batchSize } =
    info;
  const padded = pad(graph, x, {
    before: [0, padInfo.top, padInfo.left, 0],
    after: [0, padInfo.bottom, padInfo.right, 0],
  });
  const shifted: Value[] = [];
  for (let row = 0; row < filterHeight; row++) {
    for (let column = 0; column < filterWidth; column++) {
      const size = [batchSize, outHeight, outWidth, inChannels];
      shifted.push(
        stridedSlice(graph, padded, { begin: [0, row, column, 0], size, strides: [1, strideHeight, strideWidth, 1] }),
      );
    }
  }
  return reshape(graph, concat(graph, shifted, 3), [
    batchSize * outHeight * outWidth,
    filterHeight * filterWidth * inChannels,
  ]);
}

function convolveByPatches(graph: Graph, x: Value, filter: Value, info: Info): Value {
  const { filterHeight, filterWidth, inChannels, outChannels, batchSize, outHeight, outWidth } = info;
  const weights = reshape(graph, filter, [filterHeight * filterWidth * inChannels, outChannels]);
  return reshape(graph, gemm(graph, patchesOf(graph, x, info), weights), [batchSize, outHeight, outWidth, outChannels]);
}

/**
 * x [N, H, W, C] and dy [N, h', w', O] to the filter's gradient [h, w, C, O]: one product of patches and dy, in tfjs's
 * own order.
 */
function filterGradient(graph: Graph, x: Value, dy: Value, info: Info): Value {
  const { filterHeight, filterWidth, outHeight, outWidth, inChannels, outChannels, batchSize } = info;
  const rows = reshape(graph, dy, [batchSize * outHeight * outWidth, outChannels]);
  const gradient = gemm(graph, patchesOf(graph, x, info), rows, { transposeA: true });
  return reshape(graph, gradient, [filterHeight, filterWidth, inChannels, outChannels]);
}

function describe(
  inputShape: readonly number[],
  filterShape: readonly number[],
  attributes: ConvolutionAttributes,
  depthwise = false,
): Info {
  const { strides, pad: padding, dataFormat, dimRoundingMode, dilations = 1 } = attributes;
  if (dataFormat !== 'NHWC')
    throw new Error(`Convolutions in ${dataFormat} have no lowering; use NHWC, tfjs's default.`);
  const [n = 1, h = 1, w = 1, c = 1] = inputShape;
  const [fh = 1, fw = 1, fi = 1, fo = 1] = filterShape;
  return tf.backend_util.computeConv2DInfo(
    [n, h, w, c],
    [fh, fw, fi, fo],
    strides,
    dilations,
    padding,
    dimRoundingMode,
    depthwise,
  );
}

function windowOf(info: Info): Window {
  return {
    size: [info.filterHeight, info.filterWidth],
    strides: [info.strideHeight, info.strideWidth],
    dilations: [info.dilationHeight, info.dilationWidth],
    pads: info.padInfo,
    output: [info.outHeight, info.outWidth],
  };
}
