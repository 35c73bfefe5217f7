import type { Graph, Value } from './graph.js';

/**
 * Appends to the graph what one tfjs kernel computes and returns its outputs. Inputs go by tfjs's names; lists of
 * tensors by '0', '1', ...
 */
export type Lowering = (
  graph: Graph,
  inputs: Readonly<Record<string, Value>>,
  attributes: unknown,
) => Value | readonly Value[];

/** Lowerings by the name of the tfjs kernel. */
export type LoweringTable = Readonly<Record<string, Lowering>>;

/**
 * A lowering with the names of its inputs and the type of its attributes as tfjs-core's kernel_names declares them;
 * tfjs passes both untyped, and this is the one place that casts them.
 */
export function lowering<Names extends string, Attributes = unknown>(
  lower: (graph: Graph, inputs: Readonly<Record<Names, Value>>, attributes: Attributes) => Value | readonly Value[],
): Lowering {
  return (graph, inputs, attributes) =>
    lower(graph, inputs as Readonly<Record<Names, Value>>, attributes as Attributes);
}

/** `axis` as tfjs writes it (one or many, negative from the end, undefined for all) as ascending non-negative axes. */
export function axesOf(axis: number | readonly number[] | undefined, rank: number): number[] {
  const all = Array.from({ length: rank }, (_, index) => index);
  const list = axis === undefined || axis === null ? all : typeof axis === 'number' ? [axis] : [...axis];
  return list.map((one) => (one < 0 ? one + rank : one)).sort((a, b) => a - b);
}
