import type { ElementType, OnnxAttribute, TensorData } from './onnx-model.js';

/**
 * Element types that occur in traced programs. tfjs knows the first three; int64 is what ONNX asks for in shapes
 * and indices.
 */
export type ValueType = Extract<ElementType, 'float32' | 'int32' | 'bool' | 'int64'>;

/**
 * One tensor of a graph, written once. dims: the shape the trace saw. `constant` holds its values (row-major) where
 * they are known while tracing; `producer` is the node that computes it; a graph input has neither.
 */
export type Value = {
  readonly id: number;
  readonly type: ValueType;
  readonly dims: readonly number[];
  readonly constant?: TensorData;
  readonly inputName?: string;
  producer?: Node;
};

/**
 * One ONNX operation. `lists` are the int64 inputs of operators that take shapes, axes or pads as tensors (Reshape's
 * shape, Slice's starts, ends, axes, steps): known while tracing, written as constants right after the first input,
 * where ONNX has them.
 */
export type Node = {
  readonly op: string;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly attributes: Readonly<Record<string, OnnxAttribute>>;
  readonly lists: readonly (readonly number[])[];
};

/** What {@link Graph.emit} needs to append an operation. Output dims and types are the caller's to infer. */
export type Emission = {
  readonly op: string;
  readonly inputs: readonly Value[];
  readonly outputs: readonly { readonly type: ValueType; readonly dims: readonly number[] }[];
  readonly attributes?: Readonly<Record<string, OnnxAttribute>>;
  readonly lists?: readonly (readonly number[])[];
};

/**
 * Order of image axes in a graph. channels-first is ONNX's own, for inference and GPUs. channels-last is tfjs's: on a
 * CPU, training is faster in it (filter gradients are plain matrix products, pooling and sums over cells run over
 * contiguous channels).
 */
export type Layout = 'channels-first' | 'channels-last';

/**
 * Constants up to this many values are kept once however often they are written; comparing larger ones costs more than
 * it saves.
 */
const SHARED_CONSTANT_SIZE_MAX = 1024;

/**
 * A growing graph in static single assignment form. Equal operations on equal inputs are emitted once (every operator
 * used here is a pure function), which is what makes common subexpressions free: tfjs's gradients recompute a
 * good deal.
 */
export class Graph {
  readonly layout: Layout;
  readonly inputs: Value[] = [];
  readonly nodes: Node[] = [];
  #count = 0;
  readonly #emitted = new Map<string, Node>();
  readonly #constants = new Map<string, Value>();

  constructor(layout: Layout = 'channels-first') {
    this.layout = layout;
  }

  /** Declares a graph input. Names must differ. */
  input(name: string, type: ValueType, dims: readonly number[]): Value {
    if (this.inputs.some((value) => value.inputName === name)) throw new Error(`Two graph inputs are named ${name}.`);
    const value: Value = { id: this.#count++, type, dims: [...dims], inputName: name };
    this.inputs.push(value);
    return value;
  }

  /** A constant tensor. The data is kept, not copied: do not write to it afterwards. */
  constant(type: ValueType, dims: readonly number[], data: TensorData): Value {
    if (sizeOf(dims) !== data.length)
      throw new Error(`Constant of shape [${dims}] got ${data.length} values. This is a bug.`);
    if (data.length > SHARED_CONSTANT_SIZE_MAX) return { id: this.#count++, type, dims: [...dims], constant: data };
    // compared as bytes: 0 and -0 differ, NaN equals itself
    const key = `${type}[${dims}]${Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('latin1')}`;
    const known = this.#constants.get(key);
    if (known !== undefined) return known;
    const value: Value = { id: this.#count++, type, dims: [...dims], constant: data };
    this.#constants.set(key, value);
    return value;
  }

  /** A constant scalar. */
  scalar(type: ValueType, value: number): Value {
    return this.constant(type, [], typedArray(type, [value]));
  }

  /** Appends an operation, or returns the outputs of the equal one emitted before. */
  emit(emission: Emission): readonly Value[] {
    const { op, inputs, attributes = {}, lists = [] } = emission;
    const key = `${op}(${inputs.map((value) => value.id)})${JSON.stringify(attributes)}${JSON.stringify(lists)}${emission.outputs.length}`;
    const known = this.#emitted.get(key);
    if (known !== undefined) return known.outputs;
    const outputs: Value[] = emission.outputs.map(({ type, dims }) => ({ id: this.#count++, type, dims: [...dims] }));
    const node: Node = { op, inputs, outputs, attributes, lists };
    for (const output of outputs) output.producer = node;
    this.nodes.push(node);
    this.#emitted.set(key, node);
    return outputs;
  }

  /** {@link emit} for the usual operation with one output. */
  emitOne(emission: Omit<Emission, 'outputs'> & { readonly type: ValueType; readonly dims: readonly number[] }): Value {
    const { type, dims, ...rest } = emission;
    const [output] = this.emit({ ...rest, outputs: [{ type, dims }] });
    if (output === undefined) throw new Error(`${emission.op} has no output. This is a bug.`);
    return output;
  }
}

/** The nodes that `outputs` depend on, in an order in which every value is written before it is read. */
export function liveNodes(graph: Graph, outputs: readonly Value[]): readonly Node[] {
  const live = new Set<Node>();
  const pending = outputs.flatMap((value) => value.producer ?? []);
  for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
    if (live.has(node)) continue;
    live.add(node);
    for (const input of node.inputs) if (input.producer !== undefined) pending.push(input.producer);
  }
  return graph.nodes.filter((node) => live.has(node));
}

/** Number of elements of a shape; 1 for a scalar's []. */
export function sizeOf(dims: readonly number[]): number {
  return dims.reduce((product, dim) => product * dim, 1);
}

/** Numbers as the array that holds the type's elements. */
export function typedArray(type: ValueType, values: ArrayLike<number>): TensorData {
  switch (type) {
    case 'float32':
      return Float32Array.from(values);
    case 'int32':
      return Int32Array.from(values);
    case 'bool':
      return Uint8Array.from(values);
    case 'int64':
      return BigInt64Array.from(Array.from(values, (value) => BigInt(value)));
  }
}

/** Whether two shapes are the same. */
export function sameDims(left: readonly number[], right: readonly number[]): boolean {
  return left.length === right.length && left.every((dim, index) => dim === right[index]);
}

/** The shape that operands of these two shapes broadcast to; throws where they do not fit. */
export function broadcastDims(left: readonly number[], right: readonly number[]): readonly number[] {
  const rank = Math.max(left.length, right.length);
  return Array.from({ length: rank }, (_, index) => {
    const a = left[index - rank + left.length] ?? 1;
    const b = right[index - rank + right.length] ?? 1;
    if (a !== b && a !== 1 && b !== 1) throw new Error(`Shapes [${left}] and [${right}] do not broadcast.`);
    return a === 1 ? b : a;
  });
}
