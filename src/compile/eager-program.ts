import * as tf from '@tensorflow/tfjs-core';
import {
  checkedValues,
  type NamedValues,
  type ProgramDefinition,
  type StepProgram,
  type TensorValues,
} from './program.js';

/**
 * The same program executed by tfjs on its current backend (tfjs-node-gpu, tfjs-node, cpu), without compiling: for GPUs
 * that only TensorFlow drives, and as the reference in tests of compiled programs. The state is kept as plain arrays
 * between steps.
 */
export class EagerProgram implements StepProgram {
  readonly #definition: ProgramDefinition;
  #state: Record<string, tf.Tensor>;

  constructor(definition: ProgramDefinition) {
    this.#definition = definition;
    this.#state = mapEntries(definition.state, ([name, spec]) => [name, kept(tf.zeros([...spec.shape], spec.dtype))]);
  }

  async run(feeds: NamedValues): Promise<Record<string, TensorValues>> {
    const { inputs, run } = this.#definition;
    const former = this.#state;
    const { outputs, nextState } = tf.tidy(() => {
      const given = mapEntries(inputs, ([name, spec]) => [
        name,
        tf.tensor(checkedValues(name, spec, feeds[name]), [...spec.shape], spec.dtype),
      ]);
      return run({ inputs: given, state: former });
    });
    // A next state may be the former tensor itself; clones give this program its own.
    this.#state = mapEntries(this.#definition.state, ([name]) => [name, kept(tf.clone(nextState[name]!))]);
    const values: Record<string, TensorValues> = {};
    // numbers, never strings
    for (const [name, tensor] of Object.entries(outputs)) values[name] = (await tensor.data()) as TensorValues;
    tf.dispose([Object.values(former), Object.values(outputs), Object.values(nextState)]);
    return values;
  }

  readState(): Record<string, TensorValues> {
    return mapEntries(this.#state, ([name, tensor]) => [name, (tensor.dataSync() as TensorValues).slice()]);
  }

  writeState(values: NamedValues): void {
    for (const [name, given] of Object.entries(values)) {
      const spec = this.#definition.state[name];
      if (spec === undefined) throw new Error(`The program has no state named ${name}.`);
      this.#state[name]?.dispose();
      this.#state[name] = kept(tf.tensor(checkedValues(name, spec, given).slice(), [...spec.shape], spec.dtype));
    }
  }

  close(): Promise<void> {
    tf.dispose(Object.values(this.#state));
    return Promise.resolve();
  }
}

function kept<T extends tf.Tensor>(tensor: T): T {
  return tf.keep(tensor);
}

function mapEntries<From, To>(
  record: Readonly<Record<string, From>>,
  map: (entry: [string, From]) => [string, To],
): Record<string, To> {
  return Object.fromEntries(Object.entries(record).map(map));
}
