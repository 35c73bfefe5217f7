/**
 * Editing a model that another tool wrote, without understanding all of it: nodes, constants and operators that are not
 * known here are carried over as they are. `decodeModel` reads less and gives more structure.
 */
import { open } from 'node:fs/promises';
import { join, normalize, sep } from 'node:path';
import type { ElementType, OnnxNode, OnnxTensor, OnnxValue } from './onnx-model.js';
import { ELEMENT_TYPES, onnxModelType } from './onnx-proto.js';
import { nodeProto, tensorProto, valueProto } from './onnx-writer.js';

/** An input or output as declared. `dims` is undefined where the model states none; a free size is a name, or 0. */
export type Declared = {
  readonly name: string;
  readonly type: ElementType | undefined;
  readonly dims: readonly (number | string)[] | undefined;
};

type ValueMessage = {
  name: string;
  type?: {
    tensor_type?: { elem_type?: number; shape?: { dim: { dim_value?: unknown; dim_param?: string }[] } };
  } | null;
};
type Entry = { readonly key: string; readonly value: string };
type TensorMessage = {
  name: string;
  raw_data?: Uint8Array;
  data_location?: number;
  external_data?: Entry[];
};
type AttributeMessage = { t?: TensorMessage | null; g?: GraphMessage | null; graphs?: GraphMessage[] };
type NodeMessage = { op_type: string; input: string[]; output: string[]; attribute: AttributeMessage[] };
type GraphMessage = {
  node: NodeMessage[];
  initializer: TensorMessage[];
  input: ValueMessage[];
  output: ValueMessage[];
  value_info: Uint8Array[];
};
type ModelMessage = { graph?: GraphMessage | null; opset_import: { domain: string; version: unknown }[] };

/** A file that holds a whole model ends here (protobuf's limit). */
export const MODEL_BYTES_MAX = 2 ** 31 - 1;

/** A decoded model that can be written again with other inputs, outputs and further nodes. */
export class EditableModel {
  readonly #model: ModelMessage;
  readonly #graph: GraphMessage;

  private constructor(model: ModelMessage, graph: GraphMessage) {
    this.#model = model;
    this.#graph = graph;
  }

  /**
   * Decodes a model and reads weights that it keeps in other files of `folder` into it. Throws an Error where the bytes
   * are no model, or a file of weights is missing, too short, outside of the folder or too large for one model.
   */
  static async read(bytes: Uint8Array, folder: string): Promise<EditableModel> {
    let model: ModelMessage;
    try {
      model = onnxModelType().decode(bytes) as unknown as ModelMessage; // the schema's own names
    } catch (cause) {
      throw new Error('is damaged or incomplete', { cause });
    }
    if (!model.graph || model.graph.node.length === 0) throw new Error('holds no graph');
    await readExternalData(model.graph, folder, bytes.length);
    return new EditableModel(model, model.graph);
  }

  /** Version of ONNX's own operators. */
  get opset(): number {
    return Number(this.#model.opset_import.find(({ domain }) => domain === '' || domain === 'ai.onnx')?.version ?? 0);
  }

  /** Inputs that must be fed. */
  get inputs(): readonly Declared[] {
    const constants = new Set(this.#graph.initializer.map(({ name }) => name));
    return this.#graph.input.filter(({ name }) => !constants.has(name)).map(declared);
  }

  get outputs(): readonly Declared[] {
    return this.#graph.output.map(declared);
  }

  /** The operator that writes a value, and what it reads; undefined for inputs, constants and unknown names. */
  producer(value: string): { readonly op: string; readonly inputs: readonly string[] } | undefined {
    const node = this.#graph.node.find(({ output }) => output.includes(value));
    return node && { op: node.op_type, inputs: node.input };
  }

  /**
   * The bytes of a model with `nodes` added, which may read any value of this one, and with the given inputs and
   * outputs; what the outputs do not depend on is left out. A name that both use belongs to the added part. An output
   * may be given by its name alone. Throws an Error where something else must be fed. /
   */
  write(added: {
    readonly inputs: readonly OnnxValue[];
    readonly outputs: readonly (OnnxValue | string)[];
    readonly nodes: readonly OnnxNode[];
    readonly initializers: readonly OnnxTensor[];
    /** Names in the added part that stand for values of this model, which it reads or, for an input, writes. */
    readonly aliases?: Readonly<Record<string, string>>;
  }): Uint8Array {
    const { inputs, outputs, nodes, initializers, aliases = {} } = added;
    const own = new Set([
      ...inputs.map(({ name }) => name),
      ...initializers.map(({ name }) => name),
      ...nodes.flatMap((node) => node.outputs.filter((name) => aliases[name] === undefined)),
    ]);
    const renamed = renaming(this.#graph, (name) => (own.has(name) ? `source/${name}` : name));
    const read = (name: string): string => {
      const source = aliases[name];
      return source === undefined ? name : own.has(source) ? `source/${source}` : source;
    };
    const extra = nodes.map(
      (node) => nodeProto({ ...node, inputs: node.inputs.map(read), outputs: node.outputs.map(read) }) as NodeMessage,
    );
    const wanted = outputs.map((output) => (typeof output === 'string' ? read(output) : output.name));
    const all = [...renamed.node, ...extra];
    const live = liveNodes(all, wanted);
    const used = new Set([...live.flatMap(valuesRead), ...wanted]);
    const fed = new Set(inputs.map(({ name }) => name));
    const constants = [...renamed.initializer, ...initializers.map((tensor) => tensorProto(tensor) as TensorMessage)];
    const known = new Set([...fed, ...constants.map(({ name }) => name), ...live.flatMap(({ output }) => output)]);
    const missing = [...used].find((name) => name !== '' && !known.has(name) && isOuter(name, live));
    if (missing !== undefined) throw new Error(`needs the value ${missing}, which nothing gives`);
    const graph = {
      ...renamed,
      node: live,
      initializer: constants.filter(({ name }) => used.has(name)),
      input: inputs.map(valueProto),
      output: outputs.map((output) => (typeof output === 'string' ? { name: read(output) } : valueProto(output))),
      value_info: [],
    };
    const bytes = onnxModelType()
      .encode({ ...this.#model, graph })
      .finish();
    if (bytes.length > MODEL_BYTES_MAX)
      throw new Error(`has ${bytes.length} bytes with its weights; the limit is 2 GiB`);
    return bytes;
  }
}

function declared({ name, type }: ValueMessage): Declared {
  const tensor = type?.tensor_type;
  const entry = Object.entries(ELEMENT_TYPES).find(([, { code }]) => code === tensor?.elem_type);
  return {
    name,
    type: entry?.[0] as ElementType | undefined, // a key of ELEMENT_TYPES
    dims: tensor?.shape?.dim.map(({ dim_value, dim_param }) => (dim_param ? dim_param : Number(dim_value ?? 0))),
  };
}

/** Every value that a node or a graph inside it reads. */
function valuesRead(node: NodeMessage): string[] {
  const inner = node.attribute.flatMap(({ g, graphs = [] }) => (g ? [g, ...graphs] : graphs));
  return [
    ...node.input,
    ...inner.flatMap((graph) => [...graph.node.flatMap(valuesRead), ...graph.output.map((o) => o.name)]),
  ];
}

/** Whether a name that is read is none of a graph inside a node, whose own values need not come from outside. */
function isOuter(name: string, nodes: readonly NodeMessage[]): boolean {
  return nodes.some(({ input }) => input.includes(name));
}

/** The nodes that the wanted values depend on, each after those whose results it reads. */
function liveNodes(nodes: readonly NodeMessage[], wanted: readonly string[]): NodeMessage[] {
  const producers = new Map(nodes.flatMap((node) => node.output.map((name) => [name, node] as const)));
  const sorted = new Set<NodeMessage>();
  const opened = new Set<NodeMessage>();
  const pending = wanted.flatMap((name) => producers.get(name) ?? []);
  for (let node = pending.at(-1); node !== undefined; node = pending.at(-1)) {
    const before = valuesRead(node).flatMap((name) => producers.get(name) ?? []);
    const waiting = before.filter((one) => !sorted.has(one) && one !== node);
    if (waiting.length > 0 && !opened.has(node)) {
      opened.add(node);
      pending.push(...waiting);
      continue;
    }
    sorted.add(node);
    pending.pop();
  }
  return [...sorted];
}

/** A copy of the graph with other names of values; its big arrays of weights are shared. */
function renaming(graph: GraphMessage, name: (old: string) => string): GraphMessage {
  return {
    ...graph,
    initializer: graph.initializer.map((tensor) => ({ ...tensor, name: name(tensor.name) })),
    input: graph.input.map((value) => ({ ...value, name: name(value.name) })),
    output: graph.output.map((value) => ({ ...value, name: name(value.name) })),
    node: graph.node.map((node) => ({
      ...node,
      input: node.input.map(name),
      output: node.output.map(name),
      attribute: node.attribute.map((attribute) => ({
        ...attribute,
        ...(attribute.g && { g: renaming(attribute.g, name) }),
        ...(attribute.graphs && { graphs: attribute.graphs.map((inner) => renaming(inner, name)) }),
      })),
    })),
  };
}

/** Puts weights that stand in other files into the tensors. */
async function readExternalData(graph: GraphMessage, folder: string, size: number): Promise<void> {
  const inner = graph.node.flatMap(({ attribute }) => attribute);
  const tensors = [...graph.initializer, ...inner.flatMap(({ t }) => t ?? [])].filter(
    ({ data_location }) => data_location === 1,
  );
  let total = size;
  for (const tensor of tensors) {
    const entries = new Map((tensor.external_data ?? []).map(({ key, value }) => [key, value]));
    const location = normalize(entries.get('location') ?? '');
    if (location === '.' || location.startsWith('..') || location.startsWith(sep) || /^[a-z]:/i.test(location))
      throw new Error(`keeps weights in ${location}, outside of its folder, which is not read`);
    const file = await open(join(folder, location)).catch((cause: unknown) => {
      throw new Error(`keeps weights in ${location}, which is missing beside it`, { cause });
    });
    try {
      const offset = Number(entries.get('offset') ?? 0);
      const there = (await file.stat()).size;
      const length = Number(entries.get('length') ?? there - offset);
      if (!(offset >= 0 && length >= 0 && offset + length <= there))
        throw new Error(`claims ${length} bytes of ${location} from ${offset}; the file has ${there}`);
      total += length;
      if (total > MODEL_BYTES_MAX)
        throw new Error('has more than 2 GiB of weights; take a smaller variant, such as fp16');
      tensor.raw_data = new Uint8Array(length);
      await file.read(tensor.raw_data, 0, length, offset);
      tensor.data_location = 0;
      tensor.external_data = [];
    } finally {
      await file.close();
    }
  }
  for (const { g, graphs = [] } of inner)
    for (const one of g ? [g, ...graphs] : graphs) await readExternalData(one, folder, total);
}
