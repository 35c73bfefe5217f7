import { type Graph, liveNodes, type Node, type Value } from './graph.js';
import type { OnnxModel, OnnxNode, OnnxTensor, OnnxValue } from './onnx-model.js';
import { channelsFirstSource } from './operators/layout.js';

/** Version of ONNX's operators that graphs are written in: reductions take their axes as an input from 18 on. */
const OPSET = 18;

/**
 * A dimension that stays free in the model: every occurrence of `size` (a number that occurs nowhere else, such as a
 * large prime) is it.
 */
export type FreeDimension = { readonly name: string; readonly size: number };

/**
 * A graph as an ONNX model with the given outputs; what they do not depend on is left out. Names are numbered in order
 * of use, so that equal traces give equal models. Throws where a free dimension enters a shape in a way that a fixed
 * program cannot follow.
 */
export function toModel(
  graph: Graph,
  outputs: ReadonlyMap<string, Value>,
  options: {
    readonly name: string;
    readonly free?: FreeDimension;
    readonly metadata?: Readonly<Record<string, string>>;
    /** Names of values inside the graph. A map that is computed channels-first gets its name there. */
    readonly names?: ReadonlyMap<string, Value>;
  },
): OnnxModel {
  const { name, free, metadata = {}, names = new Map<string, Value>() } = options;
  const writer = new ModelWriter(free);
  for (const input of graph.inputs) writer.name(input);
  for (const [outputName, value] of outputs) writer.claim(outputName, value);
  for (const [valueName, value] of names)
    if (!outputs.has(valueName)) writer.claim(valueName, channelsFirstSource(value) ?? value);
  const live = liveNodes(graph, [...outputs.values()]);
  const read = new Set([...live.flatMap((node) => node.inputs), ...outputs.values()]);
  for (const node of live) writer.node(node, read);
  const declared = [...outputs].map(([outputName, value]) => writer.output(outputName, value));
  return {
    graph: {
      name,
      inputs: graph.inputs.map((value) => ({
        name: writer.name(value),
        type: value.type,
        dims: writer.dims(value.dims),
      })),
      outputs: declared,
      initializers: writer.initializers,
      nodes: writer.nodes,
    },
    opset: OPSET,
    metadata,
  };
}

class ModelWriter {
  readonly nodes: OnnxNode[] = [];
  readonly initializers: OnnxTensor[] = [];
  readonly #names = new Map<Value, string>();
  readonly #lists = new Map<string, string>();
  readonly #free: FreeDimension | undefined;

  constructor(free: FreeDimension | undefined) {
    this.#free = free;
  }

  name(value: Value): string {
    const known = this.#names.get(value);
    if (known !== undefined) return known;
    const name = value.inputName ?? `${value.constant === undefined ? 'v' : 'c'}${this.#names.size}`;
    this.#names.set(value, name);
    if (value.constant !== undefined) {
      if (value.dims.some((dim) => this.#isFree(dim)))
        throw new Error(`A constant of shape [${this.dims(value.dims)}] depends on a free size.`);
      this.initializers.push({ name, dims: value.dims, data: value.constant, type: value.type });
    }
    return name;
  }

  node(node: Node, read: ReadonlySet<Value>): void {
    const [first, ...rest] = node.inputs.map((input) => this.name(input));
    const lists = this.#resolveLists(node).map((list) => this.#list(list));
    const outputs = node.outputs.map((output) => (read.has(output) ? this.name(output) : ''));
    while (outputs.at(-1) === '') outputs.pop();
    const inputs = first === undefined ? lists : [first, ...lists, ...rest];
    this.nodes.push({ op: node.op, inputs, outputs, attributes: node.attributes });
  }

  /** Gives a computed value the name of the output that it is, where it has none yet. */
  claim(name: string, value: Value): void {
    if (value.producer !== undefined && !this.#names.has(value)) this.#names.set(value, name);
  }

  /** Declares an output. A value that is an input, a constant or two outputs at once is copied to it. */
  output(name: string, value: Value): OnnxValue {
    if (this.name(value) !== name) this.nodes.push({ op: 'Identity', inputs: [this.name(value)], outputs: [name] });
    return { name, type: value.type, dims: this.dims(value.dims) };
  }

  dims(dims: readonly number[]): readonly (number | string)[] {
    return dims.map((dim) => (dim === this.#free?.size ? this.#free.name : dim));
  }

  #isFree(dim: number): boolean {
    return this.#free !== undefined && dim !== 0 && dim % this.#free.size === 0;
  }

  #resolveLists(node: Node): readonly (readonly number[])[] {
    if (this.#free === undefined) return node.lists;
    const before = node.inputs[0]?.dims ?? [];
    return node.lists.map((list) => {
      if (!list.some((dim) => this.#isFree(dim))) return list;
      // Reshape: -1 is "whatever is left", and may stand once. Expand: 1 is "as it is".
      if (node.op === 'Reshape' && list.filter((dim) => this.#isFree(dim)).length === 1)
        return list.map((dim) => (this.#isFree(dim) ? -1 : dim));
      const shift = list.length - before.length;
      if (node.op === 'Expand' && list.every((dim, axis) => !this.#isFree(dim) || dim === before[axis - shift])) {
        return list.map((dim) => (this.#isFree(dim) ? 1 : dim));
      }
      throw new Error(`${node.op} to [${this.dims(list)}] cannot be written with ${this.#free?.name} left free.`);
    });
  }

  #list(list: readonly number[]): string {
    const key = list.join(',');
    const known = this.#lists.get(key);
    if (known !== undefined) return known;
    const name = `i${this.#lists.size}`;
    this.#lists.set(key, name);
    this.initializers.push({ name, dims: [list.length], data: BigInt64Array.from(list, BigInt) });
    return name;
  }
}
