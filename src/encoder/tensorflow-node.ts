import type * as TensorFlow from '@tensorflow/tfjs-core';
import type { OnnxNode, OnnxTensor } from '../compile/onnx-model.js';

type Tensor = TensorFlow.Tensor;

/** The tfjs-core module, or a package that contains it. */
export type Tf = typeof TensorFlow;

/** Runs one node. Operators with several outputs return a list. */
export type Operator = (tf: Tf, node: NodeArguments) => Tensor | readonly Tensor[];

/**
 * Inputs and attributes of one ONNX node, with defaults. A missing input, or an attribute of another type, throws an
 * error that names it.
 */
export class NodeArguments {
  readonly #node: OnnxNode;
  readonly #inputs: readonly (Tensor | undefined)[];
  readonly #makeConstant: (tensor: OnnxTensor) => Tensor;

  constructor(node: OnnxNode, inputs: readonly (Tensor | undefined)[], makeConstant: (tensor: OnnxTensor) => Tensor) {
    this.#node = node;
    this.#inputs = inputs;
    this.#makeConstant = makeConstant;
  }

  get outputCount(): number {
    return this.#node.outputs.length;
  }

  input(index: number): Tensor {
    const tensor = this.#inputs[index];
    if (tensor === undefined) throw new Error(`input ${index} is missing`);
    return tensor;
  }

  optionalInput(index: number): Tensor | undefined {
    return this.#inputs[index];
  }

  allInputs(): readonly Tensor[] {
    return this.#inputs.map((_, index) => this.input(index));
  }

  /** An input as numbers: shapes and axes, which tfjs takes as arrays. */
  numbers(index: number): number[] | undefined {
    const tensor = this.#inputs[index];
    return tensor === undefined ? undefined : Array.from(tensor.dataSync());
  }

  int(name: string, fallback: number): number {
    const value = this.#node.attributes?.[name] ?? fallback;
    if (typeof value !== 'number') throw new Error(`attribute ${name} is not an int`);
    return value;
  }

  float(name: string, fallback: number): number {
    const value = this.#node.attributes?.[name] ?? { float: fallback };
    if (typeof value !== 'object' || !('float' in value)) throw new Error(`attribute ${name} is not a float`);
    return value.float;
  }

  text(name: string, fallback: string): string {
    const value = this.#node.attributes?.[name] ?? fallback;
    if (typeof value !== 'string') throw new Error(`attribute ${name} is not a string`);
    return value;
  }

  ints(name: string): readonly number[] | undefined {
    const value = this.#node.attributes?.[name];
    if (value === undefined) return undefined;
    if (typeof value !== 'object' || !Array.isArray(value)) throw new Error(`attribute ${name} is not a list of ints`);
    return value;
  }

  tensor(name: string): Tensor | undefined {
    const value = this.#node.attributes?.[name];
    if (value === undefined) return undefined;
    if (typeof value !== 'object' || !('tensor' in value)) throw new Error(`attribute ${name} is not a tensor`);
    return this.#makeConstant(value.tensor);
  }
}
