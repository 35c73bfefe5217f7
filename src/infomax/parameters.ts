/**
 * Named parameters: shapes, initial values, and dense layers. Plain arrays outside programs and tensors inside, so that
 * both engines start from the same values.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Random } from '../seeded-random.js';

/** Tensors by name. */
export type Tensors = Readonly<Record<string, tf.Tensor>>;

/** Shape and initial values of a parameter, row-major. */
export type InitialValue = { readonly shape: readonly number[]; readonly values: Float32Array };
export type InitialValues = Readonly<Record<string, InitialValue>>;

/**
 * Glorot and Bengio's uniform initialisation: within +- sqrt(6 / (fan in + fan out)). The last two axes are inputs
 * and outputs.
 */
export function glorotUniform(shape: readonly number[], random: Random): InitialValue {
  const field = shape.slice(0, -2).reduce((product, dim) => product * dim, 1);
  const limit = Math.sqrt(6 / (field * (shape.at(-2)! + shape.at(-1)!)));
  const length = field * shape.at(-2)! * shape.at(-1)!;
  return { shape, values: Float32Array.from({ length }, () => (2 * random() - 1) * limit) };
}

/** A parameter with one initial value throughout. */
export function constantValue(shape: readonly number[], value: number): InitialValue {
  return { shape, values: new Float32Array(shape.reduce((product, dim) => product * dim, 1)).fill(value) };
}

/** Weight and bias of a dense layer: `${name}.weight` [inputs, outputs] and `${name}.bias` [outputs]. */
export function denseValues(
  name: string,
  sizes: { readonly inputs: number; readonly outputs: number },
  random: Random,
): InitialValues {
  const { inputs, outputs } = sizes;
  return {
    [`${name}.weight`]: glorotUniform([inputs, outputs], random),
    [`${name}.bias`]: constantValue([outputs], 0),
  };
}

/** x [rows, inputs] through the dense layer `name`: [rows, outputs]. */
export function dense(x: tf.Tensor, parameters: Tensors, name: string): tf.Tensor {
  return tf.add(tf.matMul(x, parameter(parameters, `${name}.weight`)), parameter(parameters, `${name}.bias`));
}

/** The parameter of that name; throws where there is none. */
export function parameter(parameters: Tensors, name: string): tf.Tensor {
  const found = parameters[name];
  if (found === undefined) throw new Error(`There is no parameter named ${name}.`);
  return found;
}
