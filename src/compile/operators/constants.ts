/**
 * Arithmetic on constants, done while tracing: what an operation on known values gives need not be computed at
 * every step.
 */

import { sizeOf } from '../graph.js';
import type { TensorData } from '../onnx-model.js';

const UNARY: { readonly [op: string]: (x: number) => number } = {
  Neg: (x) => -x,
  Abs: Math.abs,
  Exp: Math.exp,
  Log: Math.log,
  Sqrt: Math.sqrt,
  Reciprocal: (x) => 1 / x,
  Not: (x) => (x === 0 ? 1 : 0),
};

const BINARY: { readonly [op: string]: (a: number, b: number) => number } = {
  Add: (a, b) => a + b,
  Sub: (a, b) => a - b,
  Mul: (a, b) => a * b,
  Div: (a, b) => a / b,
  Pow: (a, b) => a ** b,
  Max: Math.max,
  Min: Math.min,
  Greater: (a, b) => (a > b ? 1 : 0),
  Less: (a, b) => (a < b ? 1 : 0),
  Equal: (a, b) => (a === b ? 1 : 0),
};

/** A constant operand: its values and dims. */
export type Operand = { readonly data: TensorData; readonly dims: readonly number[] };

/**
 * The result of an element-wise operation on constants, broadcast to `dims`, as plain numbers; undefined where the
 * operation is not one that is folded (int32 and int64 division truncates, so it is left to the runtime by the caller).
 */
export function foldElementwise(
  op: string,
  operands: readonly Operand[],
  dims: readonly number[],
): Float64Array | undefined {
  const [a, b] = operands;
  const unary = UNARY[op];
  const binary = BINARY[op];
  if (operands.length === 1 && a !== undefined && unary !== undefined) {
    return Float64Array.from({ length: a.data.length }, (_, index) => unary(Number(a.data[index])));
  }
  if (operands.length !== 2 || a === undefined || b === undefined || binary === undefined) return undefined;
  const [from, to] = [positions(a.dims, dims), positions(b.dims, dims)];
  return Float64Array.from({ length: sizeOf(dims) }, (_, index) =>
    binary(Number(a.data[from[index]!]), Number(b.data[to[index]!])),
  );
}

/** `data` of shape `from` repeated to `dims`. */
export function broadcastTo(data: TensorData, from: readonly number[], dims: readonly number[]): TensorData {
  return pick(data, positions(from, dims));
}

/** `data` of shape `dims` with its axes in the order of `perm`. */
export function permute(data: TensorData, dims: readonly number[], perm: readonly number[]): TensorData {
  const strides = stridesOf(dims);
  return pick(
    data,
    walk(
      perm.map((axis) => dims[axis]!),
      perm.map((axis) => strides[axis]!),
    ),
  );
}

/**
 * For each element of a tensor of shape `dims`, where the element that broadcasting reads stands in one of
 * shape `from`.
 */
function positions(from: readonly number[], dims: readonly number[]): Int32Array {
  const padded = [...Array<number>(dims.length - from.length).fill(1), ...from];
  const strides = stridesOf(padded).map((stride, axis) => (padded[axis] === 1 ? 0 : stride));
  return walk(dims, strides);
}

function walk(dims: readonly number[], strides: readonly number[]): Int32Array {
  let offsets = Int32Array.of(0);
  for (const [axis, dim] of dims.entries()) {
    const longer = new Int32Array(offsets.length * dim);
    for (let i = 0, to = 0; i < offsets.length; i++)
      for (let k = 0; k < dim; k++) longer[to++] = offsets[i]! + k * strides[axis]!;
    offsets = longer;
  }
  return offsets;
}

function stridesOf(dims: readonly number[]): number[] {
  const strides = dims.map(() => 1);
  for (let axis = dims.length - 2; axis >= 0; axis--) strides[axis] = strides[axis + 1]! * dims[axis + 1]!;
  return strides;
}

function pick(data: TensorData, offsets: Int32Array): TensorData {
  const picked = data.slice(0, 0).constructor as new (length: number) => TensorData; // the same kind of array as `data`
  const result = new picked(offsets.length);
  for (let i = 0; i < offsets.length; i++) result[i] = data[offsets[i]!]!;
  return result;
}
