import * as tf from '@tensorflow/tfjs-core';
import { type AdamSettings, adamStep } from './adam.js';
import { registerGradients } from './gradients.js';
import type { ProgramDefinition } from './program.js';
import type { NamedTensors, TensorSpec } from './trace.js';

/** Tensors with shapes, by name. */
type Specs = Readonly<Record<string, TensorSpec>>;

/**
 * An objective: from inputs, parameters and carried tensors of a batch to a scalar loss to minimise, tensors to report,
 * and carried tensors for the next step.
 */
export type Objective = (tensors: {
  readonly inputs: NamedTensors;
  readonly parameters: NamedTensors;
  readonly carried: NamedTensors;
}) => {
  readonly loss: tf.Tensor;
  readonly outputs: NamedTensors;
  readonly nextCarried: NamedTensors;
};

/** Names of what Adam keeps between steps, beside the parameters and the carried tensors. */
const STEP = 'adam.step';
const FIRST = 'adam.first.';
const SECOND = 'adam.second.';

/** Names of inputs and outputs that every training step has: a scalar each. */
const LEARNING_RATE = 'learningRate';
const LOSS = 'loss';

/**
 * A training step as a program: loss, tfjs's gradients, Adam, and carried statistics. Its state (parameters, carried
 * tensors, moments, step count) determines the next step besides the inputs; moments and count start at zero. Adds the
 * input `learningRate` and the output `loss`.
 */
export function trainingStep(options: {
  readonly inputs: Specs;
  readonly parameters: Specs;
  readonly carried: Specs;
  readonly objective: Objective;
  readonly adam?: AdamSettings;
}): ProgramDefinition {
  const { inputs, parameters, carried, objective, adam = {} } = options;
  registerGradients();
  const names = Object.keys(parameters);
  const scalar: TensorSpec = { shape: [], dtype: 'float32' };
  const moments = names.flatMap((name) =>
    [FIRST + name, SECOND + name].map((key): [string, TensorSpec] => [key, parameters[name]!]),
  );
  return {
    inputs: { ...inputs, [LEARNING_RATE]: scalar },
    state: { ...parameters, ...carried, ...Object.fromEntries(moments), [STEP]: scalar },
    run: ({ inputs: given, state }) => {
      const current = pick(state, names);
      const { loss, gradients, outputs, nextCarried } = lossAndGradients(objective, {
        inputs: given,
        parameters: current,
        carried: pick(state, Object.keys(carried)),
      });
      const step = tf.add(state[STEP]!, 1);
      const next = adamStep({
        parameters: current,
        gradients,
        moments: { first: pick(state, names, FIRST), second: pick(state, names, SECOND) },
        step,
        learningRate: given[LEARNING_RATE]!,
        settings: adam,
      });
      const nextMoments = names.flatMap((name) => [
        [FIRST + name, next.moments.first[name]!] as const,
        [SECOND + name, next.moments.second[name]!] as const,
      ]);
      return {
        outputs: { ...outputs, [LOSS]: loss },
        nextState: { ...next.parameters, ...nextCarried, ...Object.fromEntries(nextMoments), [STEP]: step },
      };
    },
  };
}

/**
 * The loss with its gradient by every parameter and the other outputs of the objective. The caller owns the tensors.
 */
export function lossAndGradients(
  objective: Objective,
  tensors: Parameters<Objective>[0],
): {
  readonly loss: tf.Tensor;
  readonly gradients: Record<string, tf.Tensor>;
  readonly outputs: NamedTensors;
  readonly nextCarried: NamedTensors;
} {
  const names = Object.keys(tensors.parameters);
  let outputs: Record<string, tf.Tensor> = {};
  let nextCarried: Record<string, tf.Tensor> = {};
  const withGradients = tf.valueAndGrads((...values: tf.Tensor[]) => {
    const parameters = Object.fromEntries(names.map((name, index) => [name, values[index]!]));
    const result = objective({ ...tensors, parameters });
    // tfjs disposes everything but the result of a differentiated function: the rest is kept and returned below.
    outputs = mapValues(result.outputs, (tensor) => tf.keep(tf.clone(tensor)));
    nextCarried = mapValues(result.nextCarried, (tensor) => tf.keep(tf.clone(tensor)));
    return result.loss as tf.Scalar;
  });
  const { value, grads } = withGradients(names.map((name) => tensors.parameters[name]!));
  const release = (kept: tf.Tensor): tf.Tensor => {
    const own = tf.clone(kept);
    kept.dispose();
    return own;
  };
  return {
    loss: value,
    gradients: Object.fromEntries(names.map((name, index) => [name, grads[index]!])),
    outputs: mapValues(outputs, release),
    nextCarried: mapValues(nextCarried, release),
  };
}

function pick(tensors: NamedTensors, names: readonly string[], prefix = ''): Record<string, tf.Tensor> {
  return Object.fromEntries(
    names.map((name) => {
      const tensor = tensors[prefix + name];
      if (tensor === undefined) throw new Error(`There is no tensor named ${prefix}${name}.`);
      return [name, tensor];
    }),
  );
}

function mapValues<From, To>(record: Readonly<Record<string, From>>, map: (value: From) => To): Record<string, To> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, map(value)]));
}
