import type { BatchMatMulAttrs } from '@tensorflow/tfjs-core';
import type { Graph, Value } from '../graph.js';
import { type LoweringTable, lowering } from '../lowering.js';
import { gemm, matMul } from '../operators/reducing.js';
import { reshape, transpose } from '../operators/shaping.js';

/** tfjs has one kernel for products of matrices: rank 3 or more, even for a plain product, which it wraps in reshapes. */
export const MATRICES: LoweringTable = {
  BatchMatMul: lowering<'a' | 'b', BatchMatMulAttrs>((graph, { a, b }, { transposeA, transposeB }) => {
    const plain = [a, b].every((value) => value.dims.slice(0, -2).every((dim) => dim === 1));
    if (plain) {
      const product = gemm(graph, matrix(graph, a), matrix(graph, b), { transposeA, transposeB });
      const lead = a.dims.length >= b.dims.length ? a.dims.slice(0, -2) : b.dims.slice(0, -2);
      return reshape(graph, product, [...lead, ...product.dims]);
    }
    return matMul(graph, transposeA ? swapped(graph, a) : a, transposeB ? swapped(graph, b) : b);
  }),
};

function matrix(graph: Graph, x: Value): Value {
  return reshape(graph, x, x.dims.slice(-2));
}

function swapped(graph: Graph, x: Value): Value {
  const axes = x.dims.map((_, axis) => axis);
  const rank = axes.length;
  return transpose(graph, x, [...axes.slice(0, -2), rank - 1, rank - 2]);
}
