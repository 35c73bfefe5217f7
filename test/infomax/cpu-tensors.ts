/** tfjs on the processor, and what the tests of the method compute with there. Importing it registers the backend. */
import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import { registerGradients } from '../../src/compile/gradients.js';
import type { InitialValues, Tensors } from '../../src/infomax/parameters.js';

/** Chooses the backend of plain JavaScript and registers the gradients. For `before`. */
export async function useCpu(): Promise<void> {
  registerGradients();
  await tf.setBackend('cpu');
}

/** Initial values as tensors, by the same names. */
export function tensors(values: InitialValues): Tensors {
  return Object.fromEntries(
    Object.entries(values).map(([name, { shape, values: data }]) => [name, tf.tensor(data, [...shape])]),
  );
}
