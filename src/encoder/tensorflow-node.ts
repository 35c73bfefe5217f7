/** One node of an ONNX graph as the TensorFlow.js operators see it. */
import type * as TensorFlow from '@tensorflow/tfjs-core';
import type { OnnxNode, OnnxTensor } from '../compile/onnx-model.js';

type Tensor = TensorFlow.Tensor;

/** TensorFlow.js as a value: tfjs-core, or a package that contains it. */
export type Tf = typeof TensorFlow;

/** Runs one node. Operators with several outputs return a list. */
export type Operator = (tf: Tf, node: NodeArguments) => Tensor | readonly Tensor[];

/** A node's inputs and attributes, read with their defaults; a missing input, or an attribute of another kind, is an error naming it. */
export class NodeArguments {
  private readonly node: OnnxNode;
  private readonly inputs: readonly (Tensor | undefined)[];
  private readonly makeConstant: (tensor: OnnxTensor) => Tensor;

  constructor(node: OnnxNode, inputs: readonly (Tensor | undefined)[], makeConstant: (tensor: OnnxTensor) => Tensor) {
    this.node = node;
    this.inputs = inputs;
    this.makeConstant = makeConstant;
  }

  get outputCount(): number {
    return this.node.outputs.length;
  }

  input(index: number): Tensor {
    const tensor = this.inputs[index];
    if (tensor === undefined) throw new Error(`input ${index} is missing`);
    return tensor;
  }

  optionalInput(index: number): Tensor | undefined {
    return this.inputs[index];
  }

  allInputs(): readonly Tensor[] {
    return this.inputs.map((_, index) => this.input(index));
  }

  /** The numbers in an input: of shapes and axes, which tfjs takes as plain lists. */
  numbers(index: number): number[] | undefined {
    const tensor = this.inputs[index];
    return tensor === undefined ? undefined : Array.from(tensor.dataSync());
  }

  int(name: string, standard: number): number {
    const value = this.node.attributes?.[name] ?? standard;
    if (typeof value !== 'number') throw new Error(`attribute ${name} is no int`);
    return value;
  }

  float(name: string, standard: number): number {
    const value = this.node.attributes?.[name] ?? { float: standard };
    if (typeof value !== 'object' || !('float' in value)) throw new Error(`attribute ${name} is no float`);
    return value.float;
  }

  text(name: string, standard: string): string {
    const value = this.node.attributes?.[name] ?? standard;
    if (typeof value !== 'string') throw new Error(`attribute ${name} is no string`);
    return value;
  }

  ints(name: string): readonly number[] | undefined {
    const value = this.node.attributes?.[name];
    if (value === undefined) return undefined;
    if (typeof value !== 'object' || !Array.isArray(value)) throw new Error(`attribute ${name} is no list of ints`);
    return value;
  }

  tensor(name: string): Tensor | undefined {
    const value = this.node.attributes?.[name];
    if (value === undefined) return undefined;
    if (typeof value !== 'object' || !('tensor' in value)) throw new Error(`attribute ${name} is no tensor`);
    return this.makeConstant(value.tensor);
  }
}
