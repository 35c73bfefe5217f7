/**
 * The encoder: convolutional stages to a feature map, further stages to a pooled vector, and two dense heads, the mean
 * and the log-variance of the code's normal distribution. B: batch, H x W: image, h x w: feature map, C: channels, D:
 * code size.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Random } from '../seeded-random.js';
import {
  constantValue,
  dense,
  denseValues,
  glorotUniform,
  type InitialValue,
  type InitialValues,
  parameter,
  type Tensors,
} from './parameters.js';

/**
 * One stage: convolution (SAME, stride 1, no bias: batch norm would cancel it), batch norm, LeakyReLU, and max-pooling
 * by `pool` (1: none).
 */
type StageSpec = { readonly channels: number; readonly kernel: number; readonly pool: number };

/** The shape of an encoder. */
export type NetworkSpec = {
  readonly image: { readonly height: number; readonly width: number; readonly channels: number };
  readonly stages: readonly StageSpec[];
  /** Number of stages up to the feature map, whose cells are the local samples. */
  readonly mapStages: number;
  readonly codeSize: number;
  /** Slope of LeakyReLU below zero. */
  readonly leak: number;
};

/** The outputs of an encoder for a batch. */
export type Encoding = {
  /** Mean of p(z|x): [B, D]. The saved encoder's embedding. */
  readonly mean: tf.Tensor2D;
  /** Logarithm of the variance of p(z|x), natural: [B, D]. */
  readonly logVariance: tf.Tensor2D;
  /** Feature map C(x): [B, h, w, C]. */
  readonly map: tf.Tensor4D;
  /** Maximum of the last stage over its cells: [B, C']. */
  readonly pooled: tf.Tensor2D;
};

/** Batch norm as in Keras, whose defaults the article takes. */
export const BATCH_NORM = { momentum: 0.99, epsilon: 1e-3 } as const;

/** Side lengths and channels of the feature map. */
export function mapShape(spec: NetworkSpec): {
  readonly height: number;
  readonly width: number;
  readonly channels: number;
} {
  const stages = spec.stages.slice(0, spec.mapStages);
  const shrink = (side: number): number => stages.reduce((length, { pool }) => Math.floor(length / pool), side);
  return {
    height: shrink(spec.image.height),
    width: shrink(spec.image.width),
    channels: stages.at(-1)?.channels ?? spec.image.channels,
  };
}

/** Initial parameters: Glorot uniform filters and weights, gamma 1, beta and biases 0. */
export function encoderParameters(spec: NetworkSpec, random: Random): InitialValues {
  const values: Record<string, InitialValue> = {};
  let inputs = spec.image.channels;
  for (const [index, { channels, kernel }] of spec.stages.entries()) {
    values[`encoder.stage${index}.filter`] = glorotUniform([kernel, kernel, inputs, channels], random);
    values[`encoder.stage${index}.gamma`] = constantValue([channels], 1);
    values[`encoder.stage${index}.beta`] = constantValue([channels], 0);
    inputs = channels;
  }
  Object.assign(values, denseValues('encoder.mean', { inputs, outputs: spec.codeSize }, random));
  Object.assign(values, denseValues('encoder.logVariance', { inputs, outputs: spec.codeSize }, random));
  return values;
}

/** Moving statistics of batch norm before the first step: mean 0, variance 1. */
export function initialStatistics(spec: NetworkSpec): InitialValues {
  const entries = spec.stages.flatMap(({ channels }, index): [string, InitialValue][] => [
    [`encoder.stage${index}.movingMean`, constantValue([channels], 0)],
    [`encoder.stage${index}.movingVariance`, constantValue([channels], 1)],
  ]);
  return Object.fromEntries(entries);
}

/**
 * Encodes with the batch's own statistics, as in training, and returns the moving statistics after this batch. images:
 * [B, H, W, channels].
 */
export function encodeForTraining(options: {
  readonly spec: NetworkSpec;
  readonly parameters: Tensors;
  readonly statistics: Tensors;
  readonly images: tf.Tensor4D;
}): { readonly encoding: Encoding; readonly nextStatistics: Record<string, tf.Tensor> } {
  const { spec, parameters, statistics, images } = options;
  const nextStatistics: Record<string, tf.Tensor> = {};
  const encoding = runStages({ spec, parameters, images }, (x, index) => {
    const stage = `encoder.stage${index}`;
    const gamma = parameter(parameters, `${stage}.gamma`);
    const sign = tf.sub(tf.mul(tf.step(gamma), 2), 1); // [C], 1 or -1; no gradient
    const y = tf.conv2d(x, tf.mul(filterOf(parameters, stage), sign) as tf.Tensor4D, 1, 'same');
    const mean = tf.mean(y, [0, 1, 2]); // [C], of the signed outputs
    const variance = varianceAround(y, mean); // [C]
    nextStatistics[`${stage}.movingMean`] = moved(parameter(statistics, `${stage}.movingMean`), tf.mul(mean, sign));
    nextStatistics[`${stage}.movingVariance`] = moved(parameter(statistics, `${stage}.movingVariance`), variance);
    const scale = tf.mul(tf.mul(gamma, sign), tf.rsqrt(tf.add(variance, BATCH_NORM.epsilon)));
    return { y, mean, scale, shift: parameter(parameters, `${stage}.beta`) };
  });
  return { encoding, nextStatistics };
}

/**
 * Encodes with the moving statistics, folded into filters and biases, as the saved encoder does. images: [B, H,
 * W, channels].
 */
export function encode(options: {
  readonly spec: NetworkSpec;
  readonly parameters: Tensors;
  readonly statistics: Tensors;
  readonly images: tf.Tensor4D;
}): Encoding {
  const { spec, parameters, statistics, images } = options;
  return runStages({ spec, parameters, images }, (x, index) => {
    const stage = `encoder.stage${index}`;
    const variance = parameter(statistics, `${stage}.movingVariance`);
    const scale = tf.mul(parameter(parameters, `${stage}.gamma`), tf.rsqrt(tf.add(variance, BATCH_NORM.epsilon)));
    const shift = tf.sub(
      parameter(parameters, `${stage}.beta`),
      tf.mul(parameter(statistics, `${stage}.movingMean`), scale),
    );
    return { y: tf.conv2d(x, tf.mul(filterOf(parameters, stage), scale) as tf.Tensor4D, 1, 'same'), shift };
  });
}

/** A sample of p(z|x) by reparameterisation: mean + standard deviation * noise. noise: [B, D], standard normal. */
export function sampleCode(
  { mean, logVariance }: Pick<Encoding, 'mean' | 'logVariance'>,
  noise: tf.Tensor,
): tf.Tensor2D {
  return tf.add(mean, tf.mul(tf.exp(tf.mul(logVariance, 0.5)), noise));
}

/**
 * A stage's convolution y and the batch norm still to apply to it: (y - mean) * scale + shift, scale not negative; 0
 * and 1 where left out.
 */
type Normalise = (
  x: tf.Tensor4D,
  stage: number,
) => { readonly y: tf.Tensor4D; readonly mean?: tf.Tensor; readonly scale?: tf.Tensor; readonly shift: tf.Tensor };

/**
 * Stages and heads. The article normalises, applies LeakyReLU, then pools. With a scale that is not negative (its sign
 * went into the filter, which changes no result) both rise with y and are the same within a window, so pooling first
 * gives the very same numbers, and the same gradients, from a quarter of the work.
 */
function runStages(
  options: { readonly spec: NetworkSpec; readonly parameters: Tensors; readonly images: tf.Tensor4D },
  normalise: Normalise,
): Encoding {
  const { spec, parameters, images } = options;
  let x = images;
  let map = images;
  for (const [index, { pool }] of spec.stages.entries()) {
    const { y, mean, scale, shift } = normalise(x, index);
    let z: tf.Tensor = pool === 1 ? y : tf.maxPool(y, pool, pool, 'valid');
    if (mean !== undefined) z = tf.sub(z, mean);
    if (scale !== undefined) z = tf.mul(z, scale);
    x = tf.leakyRelu(tf.add(z, shift), spec.leak) as tf.Tensor4D;
    if (index + 1 === spec.mapStages) map = x;
  }
  const pooled = tf.max(x, [1, 2]) as tf.Tensor2D; // [B, C']
  const mean = dense(pooled, parameters, 'encoder.mean') as tf.Tensor2D;
  const logVariance = dense(pooled, parameters, 'encoder.logVariance') as tf.Tensor2D;
  return { mean, logVariance, map, pooled };
}

/**
 * Mean of (y - mean)^2 over batch and places: [C], `mean` being y's own. Its gradient is 2 (y - mean) / n: the path
 * through the mean adds nothing, since the deviations sum to zero, which automatic differentiation would work out anew
 * at every step.
 */
function varianceAround(y: tf.Tensor4D, mean: tf.Tensor): tf.Tensor {
  const count = y.size / y.shape[3];
  return tf.customGrad((value, save) => {
    const input = value as tf.Tensor;
    (save as tf.GradSaveFunc)([input, mean]);
    return {
      value: tf.mean(tf.square(tf.sub(input, mean)), [0, 1, 2]),
      gradFunc: (dy, [saved, centre]) => tf.mul(tf.mul(dy, 2 / count), tf.sub(saved!, centre!)),
    };
  })(y);
}

function moved(average: tf.Tensor, value: tf.Tensor): tf.Tensor {
  return tf.add(tf.mul(average, BATCH_NORM.momentum), tf.mul(value, 1 - BATCH_NORM.momentum));
}

function filterOf(parameters: Tensors, stage: string): tf.Tensor4D {
  return parameter(parameters, `${stage}.filter`) as tf.Tensor4D; // [h, w, C, O] as encoderParameters makes it
}
