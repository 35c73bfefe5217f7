import * as tf from '@tensorflow/tfjs-core';
import { type Graph, sizeOf, typedArray, type Value } from '../graph.js';
import { axesOf, type LoweringTable, lowering } from '../lowering.js';
import { cast, elementwise } from '../operators/arithmetic.js';
import { matMul } from '../operators/reducing.js';
import { concat, expand, gather, pad, reshape, slice, stridedSlice, tile, transpose } from '../operators/shaping.js';
import { valueType } from './element-wise.js';

/** Kernels that make, move, repeat or choose elements. */
export const SHAPING: LoweringTable = {
  Reshape: lowering<'x', tf.ReshapeAttrs>((graph, { x }, { shape }) =>
    reshape(graph, x, tf.util.inferFromImplicitShape(shape, sizeOf(x.dims))),
  ),
  ExpandDims: lowering<'input', tf.ExpandDimsAttrs>((graph, { input }, { dim }) => {
    const dims = [...input.dims];
    dims.splice(dim < 0 ? dims.length + dim + 1 : dim, 0, 1);
    return reshape(graph, input, dims);
  }),
  Transpose: lowering<'x', tf.TransposeAttrs>((graph, { x }, { perm }) => transpose(graph, x, perm)),
  Tile: lowering<'x', tf.TileAttrs>((graph, { x }, { reps }) => tile(graph, x, reps)),
  BroadcastTo: lowering<'x', tf.BroadCastToAttrs>((graph, { x }, { shape }) => expand(graph, x, shape)),
  Fill: lowering<never, tf.FillAttrs>((graph, _inputs, { shape, value, dtype }) =>
    expand(graph, graph.scalar(valueType(dtype ?? 'float32'), Number(value)), shape),
  ),
  ZerosLike: lowering<'x'>((graph, { x }) => expand(graph, graph.scalar(x.type, 0), x.dims)),
  OnesLike: lowering<'x'>((graph, { x }) => expand(graph, graph.scalar(x.type, 1), x.dims)),
  Range: lowering<never, tf.RangeAttrs>((graph, _inputs, { start, stop, step, dtype }) => {
    const length = Math.max(0, Math.ceil((stop - start) / step));
    const type = valueType(dtype);
    return graph.constant(
      type,
      [length],
      typedArray(
        type,
        Array.from({ length }, (_, index) => start + index * step),
      ),
    );
  }),
  Concat: lowering<string, tf.ConcatAttrs>((graph, inputs, { axis }) => {
    const values = Object.values(inputs).filter((value) => sizeOf(value.dims) > 0);
    return concat(graph, values, axesOf(axis, values[0]!.dims.length)[0]!);
  }),
  Pack: lowering<string, tf.PackAttrs>((graph, inputs, { axis }) => {
    const values = Object.values(inputs);
    const [place = 0] = axesOf(axis, values[0]!.dims.length + 1);
    return concat(
      graph,
      values.map((value) => reshape(graph, value, value.dims.toSpliced(place, 0, 1))),
      place,
    );
  }),
  Unpack: lowering<'value', tf.UnpackAttrs>((graph, { value }, { axis }) => {
    const [place = 0] = axesOf(axis, value.dims.length);
    return Array.from({ length: value.dims[place]! }, (_, index) =>
      reshape(graph, part(graph, value, { axis: place, begin: index, size: 1 }), value.dims.toSpliced(place, 1)),
    );
  }),
  SplitV: lowering<'x', tf.SplitVAttrs>((graph, { x }, { numOrSizeSplits, axis }) => {
    const [place = 0] = axesOf(axis, x.dims.length);
    const count = typeof numOrSizeSplits === 'number' ? numOrSizeSplits : 0;
    const given =
      typeof numOrSizeSplits === 'number' ? Array<number>(count).fill(x.dims[place]! / count) : numOrSizeSplits;
    const known = given.reduce((sum, size) => sum + Math.max(size, 0), 0);
    let begin = 0;
    return given.map((one) => {
      const size = one === -1 ? x.dims[place]! - known : one;
      begin += size;
      return part(graph, x, { axis: place, begin: begin - size, size });
    });
  }),
  Slice: lowering<'x', tf.SliceAttrs>((graph, { x }, { begin, size }) => {
    // parseSliceParams reads nothing of a tensor but its shape and rank; begin may be shorter than the rank.
    const shape = { shape: [...x.dims], rank: x.dims.length } as unknown as tf.Tensor;
    const [first, sizes] = tf.slice_util.parseSliceParams(shape, begin, size);
    return slice(graph, x, first!, sizes!);
  }),
  Reverse: lowering<'x', tf.ReverseAttrs>((graph, { x }, attributes) => {
    const axes = axesOf(attributes.dims, x.dims.length);
    const begin = x.dims.map((dim, axis) => (axes.includes(axis) ? dim - 1 : 0));
    return stridedSlice(graph, x, {
      begin,
      size: x.dims,
      strides: x.dims.map((_, axis) => (axes.includes(axis) ? -1 : 1)),
    });
  }),
  PadV2: lowering<'x', tf.PadV2Attrs>((graph, { x }, { paddings, constantValue }) =>
    pad(graph, x, {
      before: paddings.map(([before]) => before),
      after: paddings.map(([, after]) => after),
      fill: constantValue,
    }),
  ),
  GatherV2: lowering<'x' | 'indices', tf.GatherV2Attrs>((graph, { x, indices }, { axis, batchDims }) => {
    if (batchDims !== 0)
      throw new Error(
        `Gather with batchDims = ${batchDims} has no lowering; gather without, or use oneHot and matMul.`,
      );
    return gather(graph, x, cast(graph, indices, 'int32'), axesOf(axis, x.dims.length)[0]!);
  }),
  // Sums rows by a product with zeros and ones: unlike a scatter it adds in a fixed order, so that runs repeat bit
  // for bit.
  UnsortedSegmentSum: lowering<'x' | 'segmentIds', tf.UnsortedSegmentSumAttrs>(
    (graph, { x, segmentIds }, { numSegments }) => {
      const [rows = 1, ...rest] = x.dims;
      const numbers = graph.constant(
        'int32',
        [numSegments, 1],
        Int32Array.from({ length: numSegments }, (_, index) => index),
      );
      const hits = elementwise(graph, 'Equal', [numbers, reshape(graph, cast(graph, segmentIds, 'int32'), [1, rows])]);
      const sums = matMul(
        graph,
        cast(graph, hits, 'float32'),
        reshape(graph, cast(graph, x, 'float32'), [rows, sizeOf(rest)]),
      );
      return cast(graph, reshape(graph, sums, [numSegments, ...rest]), x.type);
    },
  ),
  OneHot: lowering<'indices', tf.OneHotAttrs>((graph, { indices }, { dtype, depth, onValue, offValue }) => {
    const numbers = graph.constant(
      'int32',
      [depth],
      Int32Array.from({ length: depth }, (_, index) => index),
    );
    const hits = elementwise(graph, 'Equal', [
      reshape(graph, cast(graph, indices, 'int32'), [...indices.dims, 1]),
      numbers,
    ]);
    const type = valueType(dtype ?? 'float32');
    const difference = elementwise(graph, 'Mul', [
      cast(graph, hits, 'float32'),
      graph.scalar('float32', onValue - offValue),
    ]);
    return cast(graph, elementwise(graph, 'Add', [difference, graph.scalar('float32', offValue)]), type);
  }),
};

function part(
  graph: Graph,
  x: Value,
  options: { readonly axis: number; readonly begin: number; readonly size: number },
): Value {
  const { axis, begin, size } = options;
  const at = (index: number, inside: number, outside: number): number => (index === axis ? inside : outside);
  return slice(
    graph,
    x,
    x.dims.map((_, index) => at(index, begin, 0)),
    x.dims.map((dim, index) => at(index, size, dim)),
  );
}
