import type { ArgMaxAttrs, MaxAttrs, MeanAttrs, SoftmaxAttrs, SumAttrs } from '@tensorflow/tfjs-core';
import { axesOf, type Lowering, type LoweringTable, lowering } from '../lowering.js';
import { cast, elementwise } from '../operators/arithmetic.js';
import { argExtreme, type Reduction, reduce } from '../operators/reducing.js';

// tfjs is not of one mind about the name: Sum and Mean say axis, Max says reductionIndices.
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
