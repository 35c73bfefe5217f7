/**
 * Small hand-written ONNX programs: the matrix products of this room (exact search, probes) run in ONNX Runtime, which is some thirty
 * times faster than a loop over typed arrays. This file only writes the few messages of the ONNX format that such a program needs.
 * Training steps are not written by hand: they are traced.
 */
import { InferenceSession } from 'onnxruntime-node';
import protobuf from 'protobufjs/minimal.js';

type Writer = protobuf.Writer;
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
  });
}

/** The bytes of an ONNX ModelProto (onnx.proto of the ONNX project; field numbers stand beside the fields). */
export function encodeOnnxModel(graph: ProgramGraph): Uint8Array {
  const model = protobuf.Writer.create();
  model.uint32(tag(1, 0)).int64(IR_VERSION);
  message(model, 7, (body) => writeGraph(body, graph));
  message(model, 8, (opset) => {
    opset.uint32(tag(1, 2)).string('').uint32(tag(2, 0)).int64(OPSET_VERSION);
  });
  return model.finish();
}

function writeGraph(body: Writer, graph: ProgramGraph): void {
  for (const node of graph.nodes) message(body, 1, (inner) => writeNode(inner, node));
  body.uint32(tag(2, 2)).string(graph.name);
  for (const value of graph.inputs) message(body, 11, (inner) => writeValue(inner, value));
  for (const value of graph.outputs) message(body, 12, (inner) => writeValue(inner, value));
}

function writeNode(body: Writer, node: ProgramNode): void {
  for (const input of node.inputs) body.uint32(tag(1, 2)).string(input);
  for (const output of node.outputs) body.uint32(tag(2, 2)).string(output);
  body.uint32(tag(4, 2)).string(node.op);
  for (const [name, value] of Object.entries(node.attributes ?? {})) {
    message(body, 5, (attribute) => {
      attribute.uint32(tag(1, 2)).string(name);
      if ('float' in value) attribute.uint32(tag(2, 5)).float(value.float).uint32(tag(20, 0)).int32(ATTRIBUTE_TYPES.float);
      else if ('int' in value) attribute.uint32(tag(3, 0)).int64(value.int).uint32(tag(20, 0)).int32(ATTRIBUTE_TYPES.int);
      else {
        for (const each of value.ints) attribute.uint32(tag(8, 0)).int64(each);
        attribute.uint32(tag(20, 0)).int32(ATTRIBUTE_TYPES.ints);
      }
    });
  }
}

function writeValue(body: Writer, value: ProgramValue): void {
  body.uint32(tag(1, 2)).string(value.name);
  message(body, 2, (type) =>
    message(type, 1, (tensor) => {
      tensor.uint32(tag(1, 0)).int32(ELEMENT_TYPES[value.type]);
      message(tensor, 2, (shape) => {
        for (const dimension of value.shape) {
          message(shape, 1, (inner) => {
            if (typeof dimension === 'number') inner.uint32(tag(1, 0)).int64(dimension);
            else inner.uint32(tag(2, 2)).string(dimension);
          });
        }
      });
    }),
  );
}

/** Wire types of protocol buffers: 0 varint, 2 length-delimited, 5 four bytes. */
function tag(field: number, wireType: 0 | 2 | 5): number {
  return (field << 3) | wireType;
}

function message(parent: Writer, field: number, write: (body: Writer) => void): void {
  parent.uint32(tag(field, 2)).fork();
  write(parent);
  parent.ldelim();
}
