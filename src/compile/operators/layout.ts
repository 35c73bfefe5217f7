/**
 * One layout through chains (graphs laid out channels-first). tfjs convolves channels-last (NHWC), ONNX channels-first
 * (NCHW); lowered one by one, every convolution stands between two transposes. Here a transpose to channels-last is
 * moved behind whatever follows it, until it meets the next convolution's transpose back and both vanish. Batch norm,
 * activations, pooling and their gradients so run channels-first throughout.
 */
import { type Graph, sameDims, type Value } from '../graph.js';
import { permutationOf, reshape, transpose } from './shaping.js';

/** NCHW to NHWC. */
export const TO_CHANNELS_LAST: readonly number[] = [0, 2, 3, 1];
/** NHWC to NCHW. */
const TO_CHANNELS_FIRST: readonly number[] = [0, 3, 1, 2];

/** The NCHW value that a NHWC value was transposed from; undefined where it was not made so. */
export function channelsFirstSource(x: Value): Value | undefined {
  if (x.producer?.op !== 'Transpose' || x.dims.length !== 4) return undefined;
  return sameDims(permutationOf(x), TO_CHANNELS_LAST) ? x.producer.inputs[0] : undefined;
}

/**
 * Operands of an element-wise operation with result shape `dims`, each as NCHW, where at least one of them was NCHW
 * before; otherwise undefined. Scalars stay; vectors over channels become [C, 1, 1] by a mere reshape.
 */
export function alignChannelsFirst(
  graph: Graph,
  operands: readonly Value[],
  dims: readonly number[],
): readonly Value[] | undefined {
  if (
    graph.layout === 'channels-last' ||
    dims.length !== 4 ||
    !operands.some((value) => channelsFirstSource(value) !== undefined && sameDims(value.dims, dims))
  )
    return undefined;
  return operands.map((value) => {
    if (value.dims.length === 0) return value;
    const padded = [...Array<number>(4 - value.dims.length).fill(1), ...value.dims];
    return transpose(graph, reshape(graph, value, padded), TO_CHANNELS_FIRST);
  });
}

/** Axes of a channels-last value as axes of the channels-first value it came from. */
export function axesInSource(x: Value, axes: readonly number[]): number[] {
  const perm = permutationOf(x);
  return axes.map((axis) => perm[axis]!).sort((a, b) => a - b);
}

/**
 * [N, H, W, C] to [N, C, H, W]. Channels-last graphs write it as an Einsum: ONNX Runtime's optimiser would move a
 * Transpose past the next operations and turn slices over contiguous channels into slices over single numbers.
 */
export function toChannelsFirst(graph: Graph, x: Value): Value {
  if (graph.layout === 'channels-first') return transpose(graph, x, TO_CHANNELS_FIRST);
  return permuted(graph, x, 'nhwc->nchw', TO_CHANNELS_FIRST);
}

/** The inverse of {@link toChannelsFirst}. */
export function toChannelsLast(graph: Graph, x: Value): Value {
  if (graph.layout === 'channels-first') return transpose(graph, x, TO_CHANNELS_LAST);
  return permuted(graph, x, 'nchw->nhwc', TO_CHANNELS_LAST);
}

function permuted(graph: Graph, x: Value, equation: string, perm: readonly number[]): Value {
  return graph.emitOne({
    op: 'Einsum',
    inputs: [x],
    type: x.type,
    dims: perm.map((axis) => x.dims[axis]!),
    attributes: { equation },
  });
}
