/**
 * The decoder of the reconstruction baselines (autoencoder, VAE), on the same trunk as the method that they are
 * compared with. B: batch, D: code size, C: channels.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Random } from '../seeded-random.js';
import { BATCH_NORM, mapShape, type NetworkSpec } from './network.js';
import {
  constantValue,
  dense,
  denseValues,
  glorotUniform,
  type InitialValues,
  parameter,
  type Tensors,
} from './parameters.js';

/** One transposed convolution: its stride, and channels in and out. */
type UpsampleStage = { readonly stride: number; readonly inputs: number; readonly outputs: number };

/** Kernel size per unit of stride: a multiple of the stride avoids checkerboard patterns. */
const KERNEL_PER_STRIDE = 2;

/**
 * Initial parameters: a dense layer to the size of the encoder's last map, then the encoder's pooling stages in
 * reverse.
 */
export function decoderParameters(spec: NetworkSpec, random: Random): InitialValues {
  const { height, width, channels } = bottleneckShape(spec);
  const values: Record<string, InitialValues[string]> = {
    ...denseValues('decoder.dense', { inputs: spec.codeSize, outputs: height * width * channels }, random),
    ...normValues('decoder.dense', channels),
  };
  const rises = upsampleStages(spec);
  for (const [index, { stride, inputs, outputs }] of rises.entries()) {
    const kernel = KERNEL_PER_STRIDE * stride;
    values[`decoder.stage${index}.filter`] = glorotUniform([kernel, kernel, outputs, inputs], random);
    if (index < rises.length - 1) Object.assign(values, normValues(`decoder.stage${index}`, outputs));
    else values[`decoder.stage${index}.bias`] = constantValue([outputs], 0);
  }
  return values;
}

/**
 * Codes [B, D] to images [B, H, W, channels] on the preprocessed scale: batch norm (the batch's own statistics) and
 * LeakyReLU between transposed convolutions.
 */
export function decode(spec: NetworkSpec, parameters: Tensors, codes: tf.Tensor2D): tf.Tensor4D {
  const batch = codes.shape[0];
  const { height, width, channels } = bottleneckShape(spec);
  const active = (x: tf.Tensor, name: string): tf.Tensor4D =>
    tf.leakyRelu(normalised(x, parameters, name), spec.leak) as tf.Tensor4D;
  let x = active(
    tf.reshape(dense(codes, parameters, 'decoder.dense'), [batch, height, width, channels]),
    'decoder.dense',
  );
  const rises = upsampleStages(spec);
  for (const [index, { stride, outputs }] of rises.entries()) {
    const name = `decoder.stage${index}`;
    const [, rows, columns] = x.shape;
    const size: [number, number, number, number] = [batch, rows * stride, columns * stride, outputs];
    const y = tf.conv2dTranspose(x, parameter(parameters, `${name}.filter`) as tf.Tensor4D, size, stride, 'same');
    x = index < rises.length - 1 ? active(y, name) : tf.add(y, parameter(parameters, `${name}.bias`));
  }
  return x;
}

/** Mean over batch, places and channels of the squared difference. A scalar, at least 0. */
export function squaredError(images: tf.Tensor4D, reconstructions: tf.Tensor4D): tf.Scalar {
  return tf.mean(tf.square(tf.sub(reconstructions, images)));
}

/** Whether poolings divide the image evenly, so that strides lead back to its size. */
export function isReversible({ image, stages }: NetworkSpec): boolean {
  const product = stages.reduce((total, { pool }) => total * pool, 1);
  return image.height % product === 0 && image.width % product === 0;
}

/** The last stage's map, from which the decoder rises. */
function bottleneckShape(spec: NetworkSpec): ReturnType<typeof mapShape> {
  return mapShape({ ...spec, mapStages: spec.stages.length });
}

/**
 * The pooling stages backwards; each gives the channels that the stage before it had. A network without pooling has one
 * rise of stride 1.
 */
function upsampleStages({ image, stages }: NetworkSpec): readonly UpsampleStage[] {
  const pooling = stages.filter(({ pool }) => pool > 1);
  const channels = [image.channels, ...pooling.slice(0, -1).map((stage) => stage.channels)];
  const last = stages.at(-1)?.channels ?? image.channels;
  if (pooling.length === 0) return [{ stride: 1, inputs: last, outputs: image.channels }];
  return pooling
    .map(({ pool }, index) => ({
      stride: pool,
      inputs: index === pooling.length - 1 ? last : channels[index + 1]!,
      outputs: channels[index]!,
    }))
    .reverse();
}

function normValues(name: string, channels: number): InitialValues {
  return { [`${name}.gamma`]: constantValue([channels], 1), [`${name}.beta`]: constantValue([channels], 0) };
}

/** Batch norm of [B, H, W, C] by the batch's own statistics: the decoder is never saved, so it keeps no others. */
function normalised(x: tf.Tensor, parameters: Tensors, name: string): tf.Tensor {
  const mean = tf.mean(x, [0, 1, 2]); // [C]
  const centred = tf.sub(x, mean);
  const variance = tf.mean(tf.square(centred), [0, 1, 2]); // [C]
  const scale = tf.mul(parameter(parameters, `${name}.gamma`), tf.rsqrt(tf.add(variance, BATCH_NORM.epsilon)));
  return tf.add(tf.mul(centred, scale), parameter(parameters, `${name}.beta`));
}
