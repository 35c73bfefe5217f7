/**
 * Operations that move or repeat elements. Each returns the simplest value that says the same: identities vanish,
 * reshapes of reshapes and transposes of transposes become one, constants are computed while tracing.
 */

import { type Graph, sameDims, sizeOf, type Value } from '../graph.js';
import { broadcastTo, permute } from './constants.js';

/**
 * Constants up to this size are expanded while tracing; larger ones stay an Expand, so that a model file does not
 * carry them.
 */
const EXPANDED_CONSTANT_SIZE_MAX = 4096;

/** The same elements in the same order under other dims. */
export function reshape(graph: Graph, x: Value, dims: readonly number[]): Value {
  if (sizeOf(x.dims) !== sizeOf(dims)) throw new Error(`Cannot reshape [${x.dims}] to [${dims}]. This is a bug.`);
  if (sameDims(x.dims, dims)) return x;
  if (x.constant !== undefined) return graph.constant(x.type, dims, x.constant);
  const before = x.producer;
  if (before?.op === 'Reshape') return reshape(graph, before.inputs[0]!, dims);
  return graph.emitOne({ op: 'Reshape', inputs: [x], type: x.type, dims, lists: [dims] });
}

/** Axis i of the result is axis perm[i] of x. */
export function transpose(graph: Graph, x: Value, perm: readonly number[]): Value {
  const dims = perm.map((axis) => x.dims[axis]!);
  if (x.constant !== undefined) return graph.constant(x.type, dims, permute(x.constant, x.dims, perm));
  const before = x.producer;
  if (before?.op === 'Transpose') {
    const first = permutationOf(x);
    return transpose(
      graph,
      before.inputs[0]!,
      perm.map((axis) => first[axis]!),
    );
  }
  // Where only axes of length 1 change places, no element moves.
  const kept = perm.filter((axis) => x.dims[axis] !== 1);
  if (kept.every((axis, index) => index === 0 || axis > kept[index - 1]!)) return reshape(graph, x, dims);
  return graph.emitOne({ op: 'Transpose', inputs: [x], type: x.type, dims, attributes: { perm: [...perm] } });
}

/** The perm of a value made by Transpose; throws for any other. */
export function permutationOf(x: Value): readonly number[] {
  const perm = x.producer?.op === 'Transpose' ? x.producer.attributes.perm : undefined;
  if (!Array.isArray(perm)) throw new Error('Not the result of a Transpose. This is a bug.');
  return perm;
}

/** Repeats x along its axes of length 1 (and new leading axes) until it has `dims`. */
export function expand(graph: Graph, x: Value, dims: readonly number[]): Value {
  if (sameDims(x.dims, dims)) return x;
  if (x.constant !== undefined && sizeOf(dims) <= EXPANDED_CONSTANT_SIZE_MAX) {
    return graph.constant(x.type, dims, broadcastTo(x.constant, x.dims, dims));
  }
  return graph.emitOne({ op: 'Expand', inputs: [x], type: x.type, dims, lists: [dims] });
}

/** Repeats x as a whole, reps[i] times along axis i. */
export function tile(graph: Graph, x: Value, reps: readonly number[]): Value {
  const dims = x.dims.map((dim, axis) => dim * reps[axis]!);
  if (x.dims.every((dim, axis) => dim === 1 || reps[axis] === 1)) return expand(graph, x, dims);
  return graph.emitOne({ op: 'Tile', inputs: [x], type: x.type, dims, lists: [reps] });
}

/** size[i] elements of axis i from begin[i] on. */
export function slice(graph: Graph, x: Value, begin: readonly number[], size: readonly number[]): Value {
  return stridedSlice(graph, x, { begin, size, strides: begin.map(() => 1) });
}

/**
 * As {@link slice}, taking every strides[i]-th element; a negative stride walks backwards from begin. size
 * counts results.
 */
export function stridedSlice(
  graph: Graph,
  x: Value,
  options: { readonly begin: readonly number[]; readonly size: readonly number[]; readonly strides: readonly number[] },
): Value {
  const { begin, size, strides } = options;
  const axes = x.dims.map((_, axis) => axis).filter((axis) => size[axis] !== x.dims[axis] || strides[axis] !== 1);
  if (axes.length === 0) return x;
  // Walking backwards past element 0, "before the start" is written as a number below -dim: -1 would mean the
  // last element.
  const end = (axis: number): number => {
    const stop = begin[axis]! + size[axis]! * strides[axis]!;
    return strides[axis]! > 0 ? Math.min(stop, x.dims[axis]!) : stop < 0 ? -x.dims[axis]! - 1 : stop;
  };
  const lists = [axes.map((axis) => begin[axis]!), axes.map(end), axes, axes.map((axis) => strides[axis]!)];
  return graph.emitOne({ op: 'Slice', inputs: [x], type: x.type, dims: size, lists });
}

/** Values one after another along `axis`. */
export function concat(graph: Graph, values: readonly Value[], axis: number): Value {
  const [first] = values;
  if (first === undefined) throw new Error('Concat of nothing. This is a bug.');
  if (values.length === 1) return first;
  const dims = first.dims.map((dim, index) =>
    index === axis ? values.reduce((sum, value) => sum + value.dims[axis]!, 0) : dim,
  );
  return graph.emitOne({ op: 'Concat', inputs: values, type: first.type, dims, attributes: { axis } });
}

/** Surrounds x with `fill`: before[i] and after[i] elements along axis i. */
export function pad(
  graph: Graph,
  x: Value,
  options: { readonly before: readonly number[]; readonly after: readonly number[]; readonly fill?: number },
): Value {
  const { before, after, fill = 0 } = options;
  if ([...before, ...after].every((count) => count === 0)) return x;
  const dims = x.dims.map((dim, axis) => dim + before[axis]! + after[axis]!);
  const inputs = [x, graph.scalar(x.type, fill)];
  return graph.emitOne({
    op: 'Pad',
    inputs,
    type: x.type,
    dims,
    attributes: { mode: 'constant' },
    lists: [[...before, ...after]],
  });
}

/** Rows of x along `axis` by number; the indices' dims take the axis' place. */
export function gather(graph: Graph, x: Value, indices: Value, axis: number): Value {
  const dims = [...x.dims.slice(0, axis), ...indices.dims, ...x.dims.slice(axis + 1)];
  return graph.emitOne({ op: 'Gather', inputs: [x, indices], type: x.type, dims, attributes: { axis } });
}
