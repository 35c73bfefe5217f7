import type { ElementType, OnnxAttribute, OnnxModel, OnnxTensor, OnnxValue, TensorData } from './onnx-model.js';
import { ATTRIBUTE_TYPES, ELEMENT_TYPES, onnxModelType } from './onnx-proto.js';

// What protobufjs' toObject returns for the schema, with longs as numbers and every field present.
type DimensionObject = { readonly dim_value: number; readonly dim_param: string };
type ValueObject = {
  readonly name: string;
  readonly type: { tensor_type: { elem_type: number; shape: { dim: DimensionObject[] } | null } | null } | null;
};
type TensorObject = {
  readonly name: string;
  readonly dims: number[];
  readonly data_type: number;
  readonly raw_data: Uint8Array;
  readonly float_data: number[];
  readonly int32_data: number[];
  readonly int64_data: number[];
  readonly data_location: number;
};
type AttributeObject = {
  readonly name: string;
  readonly type: number;
  readonly f: number;
  readonly i: number;
  readonly s: Uint8Array;
  readonly t: TensorObject;
  readonly floats: number[];
  readonly ints: number[];
};
type NodeObject = {
  name: string;
  op_type: string;
  domain: string;
  input: string[];
  output: string[];
  attribute: AttributeObject[];
};
type GraphObject = {
  name: string;
  input: ValueObject[];
  output: ValueObject[];
  initializer: TensorObject[];
  node: NodeObject[];
};
type ModelObject = {
  readonly graph: GraphObject | null;
  readonly opset_import: { domain: string; version: number }[];
  readonly metadata_props: { key: string; value: string }[];
};

/**
 * Decodes the bytes of a .onnx file: the inverse of encodeModel, and able to read what other tools write as long as it
 * stays within the subset of OnnxModel. Throws an Error naming what it cannot carry (subgraphs, weights in other files,
 * other element types).
 */
export function decodeModel(bytes: Uint8Array): OnnxModel {
  const type = onnxModelType();
  // toObject yields exactly the fields of the schema; `defaults` makes each of them present.
  const model = type.toObject(type.decode(bytes), { longs: Number, defaults: true }) as ModelObject;
  if (model.graph === null) throw new Error('The file holds no ONNX graph.');
  const { graph } = model;
  const domains = Object.fromEntries(
    model.opset_import.filter(({ domain }) => domain !== '').map(({ domain, version }) => [domain, version]),
  );
  return {
    opset: model.opset_import.find(({ domain }) => domain === '' || domain === 'ai.onnx')?.version ?? 0,
    domains,
    metadata: Object.fromEntries(model.metadata_props.map(({ key, value }) => [key, value])),
    graph: {
      name: graph.name,
      inputs: graph.input.map(readValue),
      outputs: graph.output.map(readValue),
      initializers: graph.initializer.map(readTensor),
      nodes: graph.node.map(({ name, op_type, domain, input, output, attribute }) => ({
        name,
        op: op_type,
        domain,
        inputs: input,
        outputs: output,
        attributes: Object.fromEntries(attribute.map((entry) => [entry.name, readAttribute(entry)])),
      })),
    },
  };
}

function readValue({ name, type }: ValueObject): OnnxValue {
  const tensor = type?.tensor_type;
  if (tensor === undefined || tensor === null) throw new Error(`Value ${name} is not a tensor.`);
  const dims = tensor.shape?.dim.map(({ dim_value, dim_param }) => (dim_param === '' ? dim_value : dim_param)) ?? [];
  return { name, type: elementType(tensor.elem_type, name), dims };
}

function readTensor(tensor: TensorObject): OnnxTensor {
  const { name, dims, raw_data, float_data, int32_data, int64_data } = tensor;
  if (tensor.data_location !== 0) throw new Error(`Tensor ${name} keeps its values in another file.`);
  const type = elementType(tensor.data_type, name);
  const size = dims.reduce((product, dim) => product * dim, 1);
  const data = raw_data.length > 0 || size === 0 ? fromRaw(raw_data, type) : fromFields();
  if (data.length !== size)
    throw new Error(`Tensor ${name} has ${data.length} values; its dims [${dims.join(', ')}] ask for ${size}.`);
  return { name, dims, data, type };

  /** The other place where values may stand: one list for floats, one for int64, one for all small types. */
  function fromFields(): TensorData {
    if (type === 'float32') return Float32Array.from(float_data);
    if (type === 'int64') return BigInt64Array.from(int64_data, BigInt);
    if (type === 'float64') throw new Error(`Tensor ${name}: float64 values are read from raw data only.`);
    return ELEMENT_TYPES[type].array.from(int32_data);
  }
}

/** Copies: a message's bytes are seldom aligned to the element size (and Buffer's own slice would not copy). */
function fromRaw(raw: Uint8Array, type: ElementType): TensorData {
  const { array } = ELEMENT_TYPES[type];
  if (raw.length % array.BYTES_PER_ELEMENT !== 0)
    throw new Error(`${raw.length} raw bytes are no whole number of ${type} values.`);
  return new array(new Uint8Array(raw).buffer, 0, raw.length / array.BYTES_PER_ELEMENT);
}

function readAttribute(attribute: AttributeObject): OnnxAttribute {
  switch (attribute.type) {
    case ATTRIBUTE_TYPES.float:
      return { float: attribute.f };
    case ATTRIBUTE_TYPES.int:
      return attribute.i;
    case ATTRIBUTE_TYPES.string:
      return new TextDecoder().decode(attribute.s);
    case ATTRIBUTE_TYPES.tensor:
      return { tensor: readTensor(attribute.t) };
    case ATTRIBUTE_TYPES.floats:
      return { floats: attribute.floats };
    case ATTRIBUTE_TYPES.ints:
      return attribute.ints;
    default:
      throw new Error(
        `Attribute ${attribute.name} is of kind ${attribute.type}, which is not read (subgraphs and lists of tensors are not).`,
      );
  }
}

function elementType(code: number, name: string): ElementType {
  const found = Object.entries(ELEMENT_TYPES).find(([, entry]) => entry.code === code)?.[0];
  if (found === undefined) throw new Error(`${name} has the ONNX element type ${code}, which is not read.`);
  return found as ElementType; // A key of ELEMENT_TYPES.
}
