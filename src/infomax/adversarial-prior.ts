/**
 * Prior matching as in the paper: a discriminator learns to tell codes from samples of the prior, and the encoder to
 * make them indistinguishable. Alternative to the KL prior of the article. B: codes, D: code size.
 */
import * as tf from '@tensorflow/tfjs-core';
import { normalNoise, type Random } from '../seeded-random.js';
import { dense, denseValues, type InitialValues, parameter, type Tensors } from './parameters.js';
import { withoutGradient } from './stop-gradient.js';

/**
 * normal: codes against the standard normal. uniform: their sigmoids against the unit cube, as in the paper. hidden:
 * widths of the discriminator's layers (the paper's: 1000 and 200), each with ReLU.
 */
export type AdversarialPriorSpec = { readonly distribution: 'normal' | 'uniform'; readonly hidden: readonly number[] };

const NAME = 'prior';

/** Initial parameters of the discriminator. */
export function adversarialPriorParameters(
  { hidden }: AdversarialPriorSpec,
  { codeSize, random }: { readonly codeSize: number; readonly random: Random },
): InitialValues {
  const widths = [codeSize, ...hidden, 1];
  const layers = hidden
    .concat(1)
    .map((outputs, index) => denseValues(`${NAME}.layer${index}`, { inputs: widths[index]!, outputs }, random));
  return Object.assign({}, ...layers);
}

/** `length` numbers drawn from the prior. */
export function priorSamples({ distribution }: AdversarialPriorSpec, length: number, random: Random): Float32Array {
  return distribution === 'normal' ? normalNoise(length, random) : Float32Array.from({ length }, () => random());
}

/** The losses of encoder and discriminator; see {@link adversarialPrior}. */
export type AdversarialLosses = {
  /** The encoder's: -E[ln sigma(T(code))], which does not saturate; ln 2 at zero logits. */
  readonly encoder: tf.Scalar;
  /** The discriminator's: -E[ln sigma(T(sample))] - E[ln(1 - sigma(T(code)))]; 2 ln 2 at zero logits. */
  readonly discriminator: tf.Scalar;
};

/**
 * Both losses on codes and samples [B, D]. No gradient of `encoder` reaches the discriminator and none of
 * `discriminator` the codes, so that the gradient of their sum is both players' own, and one step of Adam (which treats
 * every parameter by itself) is a step of either: simultaneous descent, in one program. Source: Hjelm et al. 2019, Deep
 * InfoMax, equation 7; Goodfellow et al. 2014 for the encoder's form.
 */
export function adversarialPrior(options: {
  readonly spec: AdversarialPriorSpec;
  readonly parameters: Tensors;
  readonly codes: tf.Tensor2D;
  readonly samples: tf.Tensor2D;
}): AdversarialLosses {
  const { spec, parameters, codes, samples } = options;
  const shown = spec.distribution === 'uniform' ? tf.sigmoid(codes) : codes;
  const layers = spec.hidden.length + 1;
  const own = ownParameters(parameters, layers);
  const frozen = Object.fromEntries(Object.entries(own).map(([name, value]) => [name, withoutGradient(value)]));
  const encoder = tf.mean<tf.Scalar>(tf.softplus(tf.neg(logits(shown, frozen, layers))));
  const real = tf.mean(tf.softplus(tf.neg(logits(samples, own, layers))));
  const fake = tf.mean(tf.softplus(logits(withoutGradient(shown), own, layers)));
  return { encoder, discriminator: tf.add<tf.Scalar>(real, fake) };
}

/** Logits [B, 1] of x [B, D] being a sample of the prior. */
function logits(x: tf.Tensor, parameters: Tensors, layers: number): tf.Tensor {
  let y = x;
  for (let layer = 0; layer < layers; layer++) {
    y = dense(y, parameters, `${NAME}.layer${layer}`);
    if (layer < layers - 1) y = tf.relu(y);
  }
  return y;
}

function ownParameters(parameters: Tensors, layers: number): Tensors {
  const names = Array.from({ length: layers }, (_, layer) => [
    `${NAME}.layer${layer}.weight`,
    `${NAME}.layer${layer}.bias`,
  ]).flat();
  return Object.fromEntries(names.map((name) => [name, parameter(parameters, name)]));
}
