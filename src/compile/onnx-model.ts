import type { ELEMENT_TYPES } from './onnx-proto.js';

/** Element type of a tensor. */
export type ElementType = keyof typeof ELEMENT_TYPES;

export type TensorData = Float32Array | Float64Array | Int32Array | BigInt64Array | Uint8Array | Uint16Array;

/**
 * A constant of a graph. dims: [] is a scalar; data row-major, its length the product of dims. `type` may be left out
 * where the array says it (Float32Array: float32, Uint8Array: uint8, Uint16Array: float16); a bool tensor is a
 * Uint8Array with type 'bool'.
 */
export type OnnxTensor = {
  readonly name: string;
  readonly dims: readonly number[];
  readonly data: TensorData;
  readonly type?: ElementType;
};

/** Declaration of an input or output. A dimension is a number, or a name where it is free: ['batch', 3, 32, 32]. */
export type OnnxValue = {
  readonly name: string;
  readonly type: ElementType;
  readonly dims: readonly (number | string)[];
};

/**
 * An attribute. A plain number is an int and must be whole, a plain list is ints; floats say so ({ float: 0.2 }), since
 * JavaScript cannot tell 1 from 1.0 and an operator accepts only the one its definition names.
 */
export type OnnxAttribute =
  | number
  | string
  | readonly number[]
  | { readonly float: number }
  | { readonly floats: readonly number[] }
  | { readonly tensor: OnnxTensor };

/** One operation. An input that is left out is ''. `domain` is '' (ONNX's own operators) unless stated. */
export type OnnxNode = {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes?: Readonly<Record<string, OnnxAttribute>>;
  readonly name?: string;
  readonly domain?: string;
};

/** A graph in static single assignment form: every name is written once, and before it is read. */
export type OnnxGraph = {
  readonly name: string;
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
  readonly initializers: readonly OnnxTensor[];
  readonly nodes: readonly OnnxNode[];
};

/**
 * A whole model. opset: version of ONNX's own operators. domains: versions of further operator sets ({ 'com.microsoft':
 * 1 }).
 */
export type OnnxModel = {
  readonly graph: OnnxGraph;
  readonly opset: number;
  readonly domains?: Readonly<Record<string, number>>;
  readonly metadata?: Readonly<Record<string, string>>;
};
