/**
 * Lower bounds of the mutual information, or of a divergence that grows with it, from discriminator logits: of true
 * pairs [M] and the false pairs of each [M, N]. All return a scalar to maximise, in nats. At zero logits infoNce,
 * decoupledInfoNce and donskerVaradhan are 0.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { PairLogits } from './discriminators.js';
import { withoutGradient } from './stop-gradient.js';

export type EstimatorName = keyof typeof ESTIMATORS;
export type Estimator = (logits: PairLogits) => tf.Scalar;

/**
 * Jensen-Shannon estimator: E+[log sigma(T)] + E-[log(1 - sigma(T))]. At most 0, -2 ln 2 at zero logits (the article's
 * convention, without the shift that would make it a divergence). Source: Hjelm et al. 2019, Deep InfoMax, equation 4.
 */
function jensenShannon({ positive, negative }: PairLogits): tf.Scalar {
  return tf.neg(tf.add(tf.mean(tf.softplus(tf.neg(positive))), tf.mean(tf.softplus(negative))));
}

/**
 * InfoNCE: log-softmax of the true pair against its N false ones, plus ln(N + 1), which is its maximum. Source: van den
 * Oord et al. 2018, equation 4.
 */
function infoNce({ positive, negative }: PairLogits): tf.Scalar {
  const own = tf.reshape(positive, [-1, 1]);
  const candidates = tf.concat([own, negative], 1); // [M, N + 1]
  return tf.add(tf.mean(tf.sub(positive, logSumExp(candidates))), Math.log(candidates.shape[1]!));
}

/**
 * InfoNCE without the true pair in its own denominator, plus ln N. Not bounded above. Source: Yeh et al. 2022,
 * Decoupled contrastive learning.
 */
export function decoupledInfoNce({ positive, negative }: PairLogits): tf.Scalar {
  return tf.add(tf.mean(tf.sub(positive, logSumExp(negative))), Math.log(negative.shape[1]));
}

/**
 * Donsker and Varadhan's bound of the KL divergence: E+[T] - ln E-[exp T], one logarithm for the whole batch. Source:
 * Belghazi et al. 2018, MINE.
 */
function donskerVaradhan({ positive, negative }: PairLogits): tf.Scalar {
  const all = tf.reshape(negative, [1, negative.size]);
  return tf.add(tf.sub(tf.mean(positive), tf.reshape(logSumExp(all), [])), Math.log(negative.size));
}

/**
 * An f-divergence by f-GAN's variational bound: E+[g(T)] - E-[f*(g(T))], f* the convex conjugate of f and g an
 * activation into its domain. Source: Nowozin et al. 2016, tables 2 and 6.
 */
export type Divergence = {
  readonly activation: (logit: tf.Tensor) => tf.Tensor;
  readonly conjugateOfActivation: (logit: tf.Tensor) => tf.Tensor;
};

/**
 * The divergences that the article names. conjugateOfActivation is f*(g(T)) in its simplest form, which does
 * not cancel.
 */
export const DIVERGENCES = {
  /** f*(t) = exp(t - 1), g(T) = T. */
  'kullback-leibler': { activation: (logit) => logit, conjugateOfActivation: (logit) => tf.exp(tf.sub(logit, 1)) },
  /** f*(t) = t / (1 - t), g(T) = 1 - exp(-T). */
  'squared-hellinger': {
    activation: (logit) => tf.sub(1, tf.exp(tf.neg(logit))),
    conjugateOfActivation: (logit) => tf.sub(tf.exp(logit), 1),
  },
  /** f*(t) = -ln(2 - exp t), g(T) = ln 2 - softplus(-T): {@link jensenShannon} plus 2 ln 2. */
  'jensen-shannon': {
    activation: (logit) => tf.sub(Math.LN2, tf.softplus(tf.neg(logit))),
    conjugateOfActivation: (logit) => tf.sub(tf.softplus(logit), Math.LN2),
  },
} as const satisfies Record<string, Divergence>;

/** The variational lower bound of an f-divergence between true and false pairs. */
export function fDivergence(
  { activation, conjugateOfActivation }: Divergence,
  { positive, negative }: PairLogits,
): tf.Scalar {
  return tf.sub(tf.mean(activation(positive)), tf.mean(conjugateOfActivation(negative)));
}

/** Every estimator that a configuration can name. */
export const ESTIMATORS = {
  'jensen-shannon': jensenShannon,
  'info-nce': infoNce,
  'decoupled-info-nce': decoupledInfoNce,
  'donsker-varadhan': donskerVaradhan,
  'kullback-leibler': (logits) => fDivergence(DIVERGENCES['kullback-leibler'], logits),
  'squared-hellinger': (logits) => fDivergence(DIVERGENCES['squared-hellinger'], logits),
} as const satisfies Record<string, Estimator>;

/** ln sum exp over the last axis, [M, N] to [M], without overflow. */
function logSumExp(x: tf.Tensor): tf.Tensor {
  // The gradient of the maximum cancels, so none is computed.
  const largest = withoutGradient(tf.max(x, 1, true));
  return tf.add(tf.log(tf.sum(tf.exp(tf.sub(x, largest)), 1)), tf.reshape(largest, [-1]));
}
