/**
 * Small hand-written ONNX programs: the matrix products of this room (exact search, probes) run in ONNX Runtime, which is some thirty
 * times faster than a loop over typed arrays. This file writes the few messages of the ONNX format that such a program needs, and no
 * more; training steps are not written by hand but traced (compile/).
 */
import { InferenceSession } from 'onnxruntime-node';

type AttributeValue = { readonly int: number } | { readonly float: number } | { readonly ints: readonly number[] };

/** One operator. Names of values are free; an input that is left out is the empty string. */
export type ProgramNode = {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes?: { readonly [name: string]: AttributeValue };
};

/** A typed input or output; a dimension is a number, or a name where it varies from run to run. */
export type ProgramValue = {
  readonly name: string;
  readonly type: 'float32' | 'int64';
  readonly shape: readonly (number | string)[];
};

/** A whole program: nodes in an order in which each value is written before it is read. */
export type ProgramGraph = {
  readonly name: string;
  readonly inputs: readonly ProgramValue[];
  readonly outputs: readonly ProgramValue[];
  readonly nodes: readonly ProgramNode[];
};

const IR_VERSION = 8;
const OPSET_VERSION = 17;
const ELEMENT_TYPES = { float32: 1, int64: 7 } as const;
const ATTRIBUTE_TYPES = { float: 1, int: 2, ints: 7 } as const;

/**
 * Opens the program on the CPU. `threads` 0 lets ONNX Runtime take every core. Same inputs and same threads give the same bits. The
 * caller releases the session.
 */
export async function openProgram(graph: ProgramGraph, options: { readonly threads: number }): Promise<InferenceSession> {
  return InferenceSession.create(encodeOnnxModel(graph), {
    executionProviders: ['cpu'],
    intraOpNumThreads: options.threads,
    interOpNumThreads: 1,
    graphOptimizationLevel: 'all',
    // Idle threads sleep instead of spinning: between two runs the cores belong to whoever prepares the next.
    extra: { session: { intra_op: { allow_spinning: '0' } } },
  });
}

/** The bytes of an ONNX ModelProto. Field numbers are those of onnx.proto of the ONNX project. */
export function encodeOnnxModel(graph: ProgramGraph): Uint8Array {
  const opset = [...text(1, ''), ...integer(2, OPSET_VERSION)];
  return Uint8Array.from([...integer(1, IR_VERSION), ...message(7, graphFields(graph)), ...message(8, opset)]);
}

function graphFields(graph: ProgramGraph): number[] {
  return [
    ...graph.nodes.flatMap((node) => message(1, nodeFields(node))),
    ...text(2, graph.name),
    ...graph.inputs.flatMap((value) => message(11, valueFields(value))),
    ...graph.outputs.flatMap((value) => message(12, valueFields(value))),
  ];
}

function nodeFields(node: ProgramNode): number[] {
  const attributes = Object.entries(node.attributes ?? {}).map(([name, value]) => [...text(1, name), ...attributeFields(value)]);
  return [
    ...node.inputs.flatMap((input) => text(1, input)),
    ...node.outputs.flatMap((output) => text(2, output)),
    ...text(4, node.op),
    ...attributes.flatMap((fields) => message(5, fields)),
  ];
}

function attributeFields(value: AttributeValue): number[] {
  if ('float' in value) return [...float(2, value.float), ...integer(20, ATTRIBUTE_TYPES.float)];
  if ('int' in value) return [...integer(3, value.int), ...integer(20, ATTRIBUTE_TYPES.int)];
  return [...value.ints.flatMap((each) => integer(8, each)), ...integer(20, ATTRIBUTE_TYPES.ints)];
}

function valueFields(value: ProgramValue): number[] {
  const dimensions = value.shape.map((size) => (typeof size === 'number' ? integer(1, size) : text(2, size)));
  const tensor = [
    ...integer(1, ELEMENT_TYPES[value.type]),
    ...message(
      2,
      dimensions.flatMap((fields) => message(1, fields)),
    ),
  ];
  return [...text(1, value.name), ...message(2, message(1, tensor))];
}

// Protocol buffers: a field is its number and wire type (0 varint, 2 length and bytes, 5 four bytes), then its value.

function integer(field: number, value: number): number[] {
  return [...varint(field * 8), ...varint(value)];
}

function float(field: number, value: number): number[] {
  return [...varint(field * 8 + 5), ...new Uint8Array(Float32Array.of(value).buffer)];
}

function text(field: number, value: string): number[] {
  return message(field, [...new TextEncoder().encode(value)]);
}

function message(field: number, bytes: readonly number[]): number[] {
  return [...varint(field * 8 + 2), ...varint(bytes.length), ...bytes];
}

/** Seven bits a byte, lowest first; a negative number as its 64-bit two's complement. */
function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return [...bytes, Number(rest)];
}
