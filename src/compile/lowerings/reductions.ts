import type {
  _FusedMatMulAttrs,
  ArgMaxAttrs,
  BatchMatMulAttrs,
  MaxAttrs,
  MeanAttrs,
  SoftmaxAttrs,
  SumAttrs,
} from '@tensorflow/tfjs-core';
import type { Graph, Value } from '../graph.js';
import { axesOf, type Lowering, type LoweringTable, lowering } from '../lowering.js';
import { cast, elementwise } from '../operators/arithmetic.js';
import { argExtreme, gemm, matMul, type Reduction, reduce } from '../operators/reducing.js';
import { reshape, transpose } from '../operators/shaping.js';
import { finish } from './element-wise.js';

// Sum and Mean name it axis, Max reductionIndices.
type ReductionAttributes = Partial<SumAttrs & MeanAttrs & MaxAttrs>;

const reduction = (op: Reduction): Lowering =>
  lowering<'x', ReductionAttributes>((graph, { x }, { axis, reductionIndices, keepDims = false }) => {
    const axes = axesOf(axis ?? reductionIndices, x.dims.length);
    return reduce(graph, op, x.type === 'bool' ? cast(graph, x, 'int32') : x, axes, keepDims);
  });

const extreme = (op: 'ArgMax' | 'ArgMin'): Lowering =>
  lowering<'x', ArgMaxAttrs>((graph, { x }, { axis }) => {
    const [only = 0] = axesOf(axis ?? 0, x.dims.length);
    return cast(graph, argExtreme(graph, op, x, only), 'int32');
  });

const truth = (op: 'ReduceMin' | 'ReduceMax'): Lowering =>
  lowering<'x', ReductionAttributes>((graph, { x }, { axis, keepDims = false }) =>
    cast(graph, reduce(graph, op, cast(graph, x, 'int32'), axesOf(axis, x.dims.length), keepDims), 'bool'),
  );

/** Kernels that combine the elements along axes. */
export const REDUCTIONS: LoweringTable = {
  Sum: reduction('ReduceSum'),
  Mean: lowering<'x', ReductionAttributes>((graph, { x }, { axis, keepDims = false }) =>
    reduce(graph, 'ReduceMean', cast(graph, x, 'float32'), axesOf(axis, x.dims.length), keepDims),
  ),
  Max: reduction('ReduceMax'),
  Min: reduction('ReduceMin'),
  Prod: reduction('ReduceProd'),
  All: truth('ReduceMin'),
  Any: truth('ReduceMax'),
  ArgMax: extreme('ArgMax'),
  ArgMin: extreme('ArgMin'),
  Softmax: lowering<'logits', SoftmaxAttrs>((graph, { logits }, { dim }) => {
    const axes = axesOf(dim, logits.dims.length);
    const shifted = elementwise(graph, 'Sub', [logits, reduce(graph, 'ReduceMax', logits, axes, true)]);
    const powers = elementwise(graph, 'Exp', [shifted]);
    return elementwise(graph, 'Div', [powers, reduce(graph, 'ReduceSum', powers, axes, true)]);
  }),
  LogSoftmax: lowering<'logits', { readonly axis: number }>((graph, { logits }, { axis }) => {
    const axes = axesOf(axis, logits.dims.length);
    const shifted = elementwise(graph, 'Sub', [logits, reduce(graph, 'ReduceMax', logits, axes, true)]);
    const sum = reduce(graph, 'ReduceSum', elementwise(graph, 'Exp', [shifted]), axes, true);
    return elementwise(graph, 'Sub', [shifted, elementwise(graph, 'Log', [sum])]);
  }),
};

/**
 * tfjs has one kernel for products of matrices: rank 3 or more, even for a plain product, which it wraps in reshapes.
 */
export const MATRICES: LoweringTable = {
  BatchMatMul: lowering<'a' | 'b', BatchMatMulAttrs>((graph, { a, b }, attributes) => product(graph, a, b, attributes)),
  _FusedMatMul: lowering<'a' | 'b' | 'bias' | 'preluActivationWeights', _FusedMatMulAttrs>(
    (graph, { a, b, ...rest }, attributes) => finish(graph, product(graph, a, b, attributes), rest, attributes),
  ),
};

function product(
  graph: Graph,
  a: Value,
  b: Value,
  { transposeA, transposeB }: Pick<BatchMatMulAttrs, 'transposeA' | 'transposeB'>,
): Value {
  const plain = [a, b].every((value) => value.dims.slice(0, -2).every((dim) => dim === 1));
  if (plain) {
    const result = gemm(graph, matrix(graph, a), matrix(graph, b), { transposeA, transposeB });
    const lead = a.dims.length >= b.dims.length ? a.dims.slice(0, -2) : b.dims.slice(0, -2);
    return reshape(graph, result, [...lead, ...result.dims]);
  }
  return matMul(graph, transposeA ? swapped(graph, a) : a, transposeB ? swapped(graph, b) : b);
}

function matrix(graph: Graph, x: Value): Value {
  return reshape(graph, x, x.dims.slice(-2));
}

function swapped(graph: Graph, x: Value): Value {
  const axes = x.dims.map((_, axis) => axis);
  const rank = axes.length;
  return transpose(graph, x, [...axes.slice(0, -2), rank - 1, rank - 2]);
}
