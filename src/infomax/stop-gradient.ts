import * as tf from '@tensorflow/tfjs-core';

/** x, a constant for differentiation. */
export function withoutGradient<T extends tf.Tensor>(x: T): T {
  return tf.customGrad((value) => ({ value: tf.clone(value as tf.Tensor), gradFunc: (dy) => tf.zerosLike(dy) }))(
    x,
  ) as T; // a clone keeps its rank
}
