import * as tf from '@tensorflow/tfjs-core';
import type { Encoding } from './network.js';

/**
 * KL(N(mean, exp(logVariance)) || N(0, I)), the mean over batch and dimensions (the article's convention; a VAE's is the sum over dimensions).
 * A scalar, at least 0, in nats.
 */
export function standardNormalDivergence({ mean, logVariance }: Pick<Encoding, 'mean' | 'logVariance'>): tf.Scalar {
  const inner = tf.sub(tf.sub(tf.add(logVariance, 1), tf.square(mean)), tf.exp(logVariance));
  return tf.mul(tf.mean(inner), -0.5);
}
