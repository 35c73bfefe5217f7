/** Reductions and matrix products. */
import { type Graph, sizeOf, type Value, type ValueType } from '../graph.js';
import { axesInSource, channelsFirstSource } from './layout.js';
import { reshape, transpose } from './shaping.js';

/** ONNX's reductions by name. ReduceSumSquare adds squares without storing them. */
export type Reduction = 'ReduceSum' | 'ReduceMean' | 'ReduceMax' | 'ReduceMin' | 'ReduceProd' | 'ReduceSumSquare';

/**
 * Reduces x over `axes` (not negative); keepDims leaves them as length 1. A sum of squares is recognised and runs in
 * one pass.
 */
export function reduce(graph: Graph, op: Reduction, x: Value, axes: readonly number[], keepDims: boolean): Value {
  const kept = x.dims.map((dim, axis) => (axes.includes(axis) ? 1 : dim));
  const dims = keepDims ? kept : x.dims.filter((_, axis) => !axes.includes(axis));
  // No element is combined with another: only the shape changes.
  if (axes.every((axis) => x.dims[axis] === 1) && op !== 'ReduceSumSquare') return reshape(graph, x, dims);
  const source = graph.layout === 'channels-first' ? channelsFirstSource(x) : undefined;
  if (source !== undefined) {
    const reduced = reduce(graph, op, source, axesInSource(x, axes), true);
    return reshape(graph, transpose(graph, reduced, [0, 2, 3, 1]), dims);
  }
  // Over channels-last rows ONNX Runtime's plain sum is the faster one, even with the squares stored.
  const square = graph.layout === 'channels-first' ? x.producer : undefined;
  if (op === 'ReduceSum' && x.type === 'float32' && square?.op === 'Mul' && square.inputs[0] === square.inputs[1]) {
    return reduce(graph, 'ReduceSumSquare', square.inputs[0]!, axes, keepDims);
  }
  if (op === 'ReduceMean' && x.type === 'float32' && square?.op === 'Mul' && square.inputs[0] === square.inputs[1]) {
    const sum = reduce(graph, 'ReduceSumSquare', square.inputs[0]!, axes, keepDims);
    const share = graph.scalar('float32', 1 / sizeOf(axes.map((axis) => x.dims[axis]!)));
    return graph.emitOne({ op: 'Mul', inputs: [sum, share], type: 'float32', dims });
  }
  return graph.emitOne({
    op,
    inputs: [x],
    type: x.type,
    dims,
    attributes: { keepdims: keepDims ? 1 : 0 },
    lists: [[...axes].sort((a, b) => a - b)],
  });
}

/** Product of two matrices (rank 2), each optionally transposed. */
export function gemm(
  graph: Graph,
  a: Value,
  b: Value,
  options: { readonly transposeA?: boolean; readonly transposeB?: boolean } = {},
): Value {
  const { transposeA = false, transposeB = false } = options;
  const dims = [a.dims[transposeA ? 1 : 0]!, b.dims[transposeB ? 0 : 1]!];
  const attributes = { transA: transposeA ? 1 : 0, transB: transposeB ? 1 : 0 };
  return graph.emitOne({ op: 'Gemm', inputs: [a, b], type: a.type, dims, attributes });
}

/** Products of the matrices in the last two axes, leading axes broadcast. */
export function matMul(graph: Graph, a: Value, b: Value): Value {
  const rank = Math.max(a.dims.length, b.dims.length);
  const lead = (value: Value): number[] => [
    ...Array<number>(rank - value.dims.length).fill(1),
    ...value.dims.slice(0, -2),
  ];
  const [left, right] = [lead(a), lead(b)];
  const dims = [...left.map((dim, axis) => Math.max(dim, right[axis]!)), a.dims.at(-2)!, b.dims.at(-1)!];
  return graph.emitOne({ op: 'MatMul', inputs: [a, b], type: a.type, dims });
}

/**
 * Place of the largest (ArgMax) or smallest (ArgMin) element along `axis`, the first of equals, which is dropped from
 * the shape; int64.
 */
export function argExtreme(graph: Graph, op: 'ArgMax' | 'ArgMin', x: Value, axis: number): Value {
  const dims = x.dims.filter((_, other) => other !== axis);
  const type: ValueType = 'int64';
  return graph.emitOne({ op, inputs: [x], type, dims, attributes: { axis, keepdims: 0 } });
}
