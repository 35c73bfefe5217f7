import * as tf from '@tensorflow/tfjs-core';

/**
 * Settings of Adam (Kingma and Ba 2015); the defaults are Keras's. weightDecay: decoupled (AdamW), per step and unit of
 * learning rate.
 */
export type AdamSettings = {
  readonly beta1?: number;
  readonly beta2?: number;
  readonly epsilon?: number;
  readonly weightDecay?: number;
};

/** First and second moments of each parameter's gradient, shaped as the parameter; zeros at the start. */
export type AdamMoments = {
  readonly first: Readonly<Record<string, tf.Tensor>>;
  readonly second: Readonly<Record<string, tf.Tensor>>;
};

/**
 * One step of Adam as plain tensor arithmetic, so that it runs eagerly and compiled alike. step: scalar float, 1 at the
 * first step (bias correction). learningRate: scalar. A parameter that has no gradient is an error. Returns new
 * tensors; changes none.
 */
export function adamStep(options: {
  readonly parameters: Readonly<Record<string, tf.Tensor>>;
  readonly gradients: Readonly<Record<string, tf.Tensor>>;
  readonly moments: AdamMoments;
  readonly step: tf.Tensor;
  readonly learningRate: tf.Tensor;
  readonly settings?: AdamSettings;
}): { readonly parameters: Record<string, tf.Tensor>; readonly moments: AdamMoments } {
  const { parameters, gradients, moments, step, learningRate, settings = {} } = options;
  const { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-7, weightDecay = 0 } = settings;
  // beta ** step by way of exp: ONNX Runtime's Pow of a scalar base is no more exact.
  const correction = (beta: number): tf.Tensor => tf.sub(1, tf.exp(tf.mul(step, Math.log(beta))));
  // rate * m / c1 / (sqrt(v / c2) + eps) = rate * sqrt(c2) / c1 * m / (sqrt(v) + eps * sqrt(c2)): two scalars instead
  // of two passes.
  const root = tf.sqrt(correction(beta2));
  const rate = tf.div(tf.mul(learningRate, root), correction(beta1));
  const floor = tf.mul(root, epsilon);
  const next: Record<string, tf.Tensor> = {};
  const first: Record<string, tf.Tensor> = {};
  const second: Record<string, tf.Tensor> = {};
  for (const [name, parameter] of Object.entries(parameters)) {
    const gradient = gradients[name];
    const [m, v] = [moments.first[name], moments.second[name]];
    if (gradient === undefined || m === undefined || v === undefined)
      throw new Error(`Parameter ${name} has no gradient or moments.`);
    const mean = tf.add(tf.mul(m, beta1), tf.mul(gradient, 1 - beta1));
    const square = tf.add(tf.mul(v, beta2), tf.mul(tf.square(gradient), 1 - beta2));
    const change = tf.div(tf.mul(mean, rate), tf.add(tf.sqrt(square), floor));
    const kept = weightDecay === 0 ? parameter : tf.mul(parameter, tf.sub(1, tf.mul(learningRate, weightDecay)));
    next[name] = tf.sub(kept, change);
    first[name] = mean;
    second[name] = square;
  }
  return { parameters: next, moments: { first, second } };
}
