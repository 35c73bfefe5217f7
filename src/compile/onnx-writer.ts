import type {
  ElementType,
  OnnxAttribute,
  OnnxGraph,
  OnnxModel,
  OnnxNode,
  OnnxTensor,
  OnnxValue,
} from './onnx-model.js';
import { ATTRIBUTE_TYPES, ELEMENT_TYPES, onnxModelType } from './onnx-proto.js';

/** IR version written: the oldest that holds all we use, so that old readers take our files. */
const IR_VERSION = 8;
/** Protobuf's own limit of one message, which ONNX Runtime enforces. */
const MODEL_BYTES_MAX = 2 ** 31 - 1;

/**
 * Encodes a model as the bytes of a .onnx file. The same model gives the same bytes, so that a hash of them identifies
 * it. Throws an Error that names the node or tensor where the graph cannot be right: a value read before it is written
 * or written twice, an output that nothing writes, a constant whose length is not that of its dims. Operators, their
 * attributes and shapes are the runtime's to check.
 */
export function encodeModel(model: OnnxModel): Uint8Array {
  const { graph, opset, domains = {}, metadata = {} } = model;
  checkGraph(graph);
  const bytes = onnxModelType()
    .encode({
      ir_version: IR_VERSION,
      producer_name: 'likeness',
      opset_import: [
        { domain: '', version: opset },
        ...Object.entries(domains).map(([domain, version]) => ({ domain, version })),
      ],
      metadata_props: Object.entries(metadata).map(([key, value]) => ({ key, value })),
      graph: {
        name: graph.name,
        input: graph.inputs.map(valueProto),
        output: graph.outputs.map(valueProto),
        initializer: graph.initializers.map(tensorProto),
        node: graph.nodes.map((node, index) => nodeProto({ name: `${node.op}_${index}`, ...node })),
      },
    })
    .finish();
  if (bytes.length > MODEL_BYTES_MAX)
    throw new Error(`Model ${graph.name} has ${bytes.length} bytes; the ONNX format ends at 2 GiB.`);
  return bytes;
}

/** The element type of a constant: as stated, or as its array says. */
function elementTypeOf(tensor: OnnxTensor): ElementType {
  const { name, data, type } = tensor;
  const fits = Object.entries(ELEMENT_TYPES).filter(([, entry]) => data instanceof entry.array);
  if (type === undefined) {
    // The table lists uint8 before bool: bytes are uint8 unless stated. Its keys are the element types.
    const first = fits[0]?.[0] as ElementType | undefined;
    if (first === undefined) throw new Error(`Tensor ${name}: no element type for ${data.constructor.name}.`);
    return first;
  }
  if (!fits.some(([key]) => key === type))
    throw new Error(`Tensor ${name} is ${type} but holds a ${data.constructor.name}.`);
  return type;
}

/** A node as its protobuf message. */
export function nodeProto({ name = '', op, domain = '', inputs, outputs, attributes = {} }: OnnxNode): object {
  const attribute = Object.entries(attributes).map(([key, value]) => attributeProto(key, value));
  return { name, op_type: op, domain, input: inputs, output: outputs, attribute };
}

/** A declared input or output as its protobuf message. */
export function valueProto({ name, type, dims }: OnnxValue): object {
  const dim = dims.map((size) => (typeof size === 'string' ? { dim_param: size } : { dim_value: size }));
  return { name, type: { tensor_type: { elem_type: ELEMENT_TYPES[type].code, shape: { dim } } } };
}

/** A constant as its protobuf message. */
export function tensorProto(tensor: OnnxTensor): object {
  const { name, dims, data } = tensor;
  const size = dims.reduce((product, dim) => product * dim, 1);
  if (size !== data.length)
    throw new Error(`Tensor ${name} has ${data.length} values; its dims [${dims.join(', ')}] ask for ${size}.`);
  // ONNX raw data is little-endian, as is every machine that Node and ONNX Runtime ship for.
  const raw = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return { name, dims, data_type: ELEMENT_TYPES[elementTypeOf(tensor)].code, raw_data: raw };
}

function attributeProto(name: string, value: OnnxAttribute): object {
  if (typeof value === 'number') {
    if (!Number.isSafeInteger(value))
      throw new Error(`Attribute ${name} = ${value}: a plain number is an int; write { float: ${value} }.`);
    return { name, i: value, type: ATTRIBUTE_TYPES.int };
  }
  if (typeof value === 'string') return { name, s: new TextEncoder().encode(value), type: ATTRIBUTE_TYPES.string };
  if ('float' in value) return { name, f: value.float, type: ATTRIBUTE_TYPES.float };
  if ('floats' in value) return { name, floats: value.floats, type: ATTRIBUTE_TYPES.floats };
  if ('tensor' in value) return { name, t: tensorProto(value.tensor), type: ATTRIBUTE_TYPES.tensor };
  if (!value.every(Number.isSafeInteger))
    throw new Error(`Attribute ${name} = [${value}]: a plain list is ints; write { floats: [...] }.`);
  return { name, ints: value, type: ATTRIBUTE_TYPES.ints };
}

/**
 * Checks single assignment and order; ONNX Runtime reports the same faults, but without saying which part of a compiler
 * made them.
 */
function checkGraph(graph: OnnxGraph): void {
  const written = new Set<string>();
  const write = (name: string, place: string): void => {
    if (name === '') throw new Error(`Graph ${graph.name}: ${place} has no name.`);
    if (written.has(name)) throw new Error(`Graph ${graph.name}: ${place} writes "${name}" a second time.`);
    written.add(name);
  };
  for (const { name } of graph.inputs) write(name, `input ${name}`);
  for (const { name } of graph.initializers) write(name, `tensor ${name}`);
  for (const [index, { op, inputs, outputs }] of graph.nodes.entries()) {
    const unknown = inputs.find((name) => name !== '' && !written.has(name));
    if (unknown !== undefined)
      throw new Error(`Graph ${graph.name}: node ${index} (${op}) reads "${unknown}" before anything writes it.`);
    // An operator's optional output that nobody wants is ''.
    for (const name of outputs) if (name !== '') write(name, `node ${index} (${op})`);
  }
  const missing = graph.outputs.find(({ name }) => !written.has(name));
  if (missing !== undefined) throw new Error(`Graph ${graph.name}: nothing writes the output "${missing.name}".`);
}
