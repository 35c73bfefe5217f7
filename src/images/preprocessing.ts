import type { Pixels } from './pixels.js';
import type { Resize } from './resample.js';

/**
 * How an upright image becomes an encoder's input. It is part of the saved encoder's manifest and identity, so that
 * training, indexing and search agree. The decoder resizes to width x height by `resize`, where the encoder was
 * imported, otherwise by `fit` (cover: fill and crop the centre; contain: pad with mid grey; stretch: ignore the aspect
 * ratio); then {@link writeInputTensor} normalises. /
 */
export type Preprocessing = {
  readonly width: number;
  readonly height: number;
  readonly fit: 'cover' | 'contain' | 'stretch';
  /** Per channel, in the range 0..1. */
  readonly mean: readonly [number, number, number];
  /** Per channel multiplier after the mean is subtracted. */
  readonly scale: readonly [number, number, number];
  readonly layout: 'NHWC' | 'NCHW';
  /** Resizing as in Python, with its own geometry; `fit` then only says what it resembles. */
  readonly resize?: Resize;
  /** Order of channels in the tensor, where it is not RGB. mean and scale are in the order R, G, B. */
  readonly channels?: 'BGR';
};

/**
 * Writes image `index` of the batch tensor `target`: value = (pixel / 255 - mean) * scale. Throws where the pixels do
 * not have the preprocessing's size. Nothing else turns pixels into tensors.
 */
export function writeInputTensor(options: {
  readonly pixels: Pixels;
  readonly preprocessing: Preprocessing;
  readonly target: Float32Array;
  readonly index: number;
}): void {
  const { pixels, preprocessing, target, index } = options;
  const { width, height, mean, scale, layout, channels } = preprocessing;
  const area = width * height;
  if (pixels.width !== width || pixels.height !== height || pixels.rgb.length !== area * 3) {
    throw new Error(
      `Pixels are ${pixels.width}x${pixels.height}; the encoder takes ${width}x${height}. This is a bug.`,
    );
  }
  const offset = index * area * 3;
  if (target.length < offset + area * 3) throw new Error(`Batch tensor ends before image ${index}. This is a bug.`);
  const pixelStride = layout === 'NHWC' ? 3 : 1;
  const channelStride = layout === 'NHWC' ? 1 : area;
  for (let channel = 0; channel < 3; channel++) {
    const gain = scale[channel]! / 255;
    const bias = -mean[channel]! * scale[channel]!;
    let to = offset + (channels === 'BGR' ? 2 - channel : channel) * channelStride;
    for (let from = channel; from < area * 3; from += 3, to += pixelStride)
      target[to] = pixels.rgb[from]! * gain + bias;
  }
}
