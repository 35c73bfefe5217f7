import * as tf from '@tensorflow/tfjs-core';
import type { Graph, Value } from '../graph.js';
import { type LoweringTable, lowering } from '../lowering.js';
import { convolve, convolveTransposed, type Window } from '../operators/convolving.js';
import { TO_CHANNELS_FIRST, TO_CHANNELS_LAST } from '../operators/layout.js';
import { gemm } from '../operators/reducing.js';
import { concat, pad, reshape, stridedSlice, transpose } from '../operators/shaping.js';

type Info = tf.backend_util.Conv2DInfo;

/** Convolutions and their two gradients. tfjs: x [N, H, W, C], filter [h, w, C, O]. */
export const CONVOLUTIONS: LoweringTable = {
  Conv2D: lowering<'x' | 'filter', tf.Conv2DAttrs>((graph, { x, filter }, attributes) => {
    const info = describe(x.dims, filter.dims, attributes);
    const filters = transpose(graph, filter, [3, 2, 0, 1]);
    const y = convolve(graph, transpose(graph, x, TO_CHANNELS_FIRST), filters, { window: windowOf(info) });
    return transpose(graph, y, TO_CHANNELS_LAST);
  }),
  DepthwiseConv2dNative: lowering<'x' | 'filter', tf.DepthwiseConv2dNativeAttrs>((graph, { x, filter }, attributes) => {
    const info = describe(x.dims, filter.dims, { ...attributes, dataFormat: 'NHWC' }, true);
    const [height = 1, width = 1, channels = 1, multiplier = 1] = filter.dims;
    const filters = reshape(graph, transpose(graph, filter, [2, 3, 0, 1]), [channels * multiplier, 1, height, width]);
    const y = convolve(graph, transpose(graph, x, TO_CHANNELS_FIRST), filters, { window: windowOf(info), group: channels });
    return transpose(graph, y, TO_CHANNELS_LAST);
  }),
  Conv2DBackpropInput: lowering<'dy' | 'filter', tf.Conv2DBackpropInputAttrs>((graph, { dy, filter }, attributes) => {
    const info = describe(attributes.inputShape, filter.dims, attributes);
    return transpose(graph, inputGradient(graph, transpose(graph, dy, TO_CHANNELS_FIRST), filter, info), TO_CHANNELS_LAST);
  }),
  Conv2DBackpropFilter: lowering<'x' | 'dy', tf.Conv2DBackpropFilterAttrs>((graph, { x, dy }, attributes) =>
    filterGradient(graph, x, dy, describe(x.dims, attributes.filterShape, attributes)),
  ),
};

/** dy [N, O, ...] and filter [h, w, C, O] to dx [N, C, H, W]. At stride 1 it is the convolution of dy with the filter turned by 180 degrees. */
function inputGradient(graph: Graph, dy: Value, filter: Value, info: Info): Value {
  const window = windowOf(info);
  const { size, strides, pads } = window;
  if (strides[0] !== 1 || strides[1] !== 1) {
    const filters = transpose(graph, filter, [3, 2, 0, 1]);
    return convolveTransposed(graph, dy, filters, { window: { ...window, output: [info.inHeight, info.inWidth] } });
  }
  const turned = stridedSlice(graph, filter, { begin: [size[0] - 1, size[1] - 1, 0, 0], size: filter.dims, strides: [-1, -1, 1, 1] });
  const around = {
    top: size[0] - 1 - pads.top,
    left: size[1] - 1 - pads.left,
    bottom: size[0] - 1 - pads.bottom,
    right: size[1] - 1 - pads.right,
  };
  return convolve(graph, dy, transpose(graph, turned, [2, 3, 0, 1]), {
    window: { size, strides: [1, 1], pads: around, output: [info.inHeight, info.inWidth] },
  });
}

/**
 * x [N, H, W, C] and dy [N, h', w', O] to the filter's gradient [h, w, C, O]. Every place of the filter sees x shifted; the shifted copies side
 * by side make one matrix, and one product with dy gives the whole gradient in tfjs's own order.
 */
function filterGradient(graph: Graph, x: Value, dy: Value, info: Info): Value {
  const { filterHeight, filterWidth, outHeight, outWidth, strideHeight, strideWidth, padInfo, inChannels, outChannels, batchSize } = info;
  const padded = pad(graph, x, { before: [0, padInfo.top, padInfo.left, 0], after: [0, padInfo.bottom, padInfo.right, 0] });
  const shifted: Value[] = [];
  for (let row = 0; row < filterHeight; row++) {
    for (let column = 0; column < filterWidth; column++) {
      const size = [batchSize, outHeight, outWidth, inChannels];
      shifted.push(stridedSlice(graph, padded, { begin: [0, row, column, 0], size, strides: [1, strideHeight, strideWidth, 1] }));
    }
  }
  const places = batchSize * outHeight * outWidth;
  const patches = reshape(graph, concat(graph, shifted, 3), [places, filterHeight * filterWidth * inChannels]);
  const gradient = gemm(graph, patches, reshape(graph, dy, [places, outChannels]), { transposeA: true });
  return reshape(graph, gradient, [filterHeight, filterWidth, inChannels, outChannels]);
}

function describe(
  inputShape: readonly number[],
  filterShape: readonly number[],
  attributes: Pick<tf.Conv2DAttrs, 'strides' | 'pad' | 'dataFormat' | 'dimRoundingMode'> & {
    readonly dilations?: tf.Conv2DAttrs['dilations'];
  },
  depthwise = false,
): Info {
  const { strides, pad: padding, dataFormat, dimRoundingMode, dilations = 1 } = attributes;
  if (dataFormat !== 'NHWC') throw new Error(`Convolutions in ${dataFormat} have no lowering; use NHWC, tfjs's default.`);
  const [n = 1, h = 1, w = 1, c = 1] = inputShape;
  const [fh = 1, fw = 1, fi = 1, fo = 1] = filterShape;
  return tf.backend_util.computeConv2DInfo([n, h, w, c], [fh, fw, fi, fo], strides, dilations, padding, dimRoundingMode, depthwise);
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
