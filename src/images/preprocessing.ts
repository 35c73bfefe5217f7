import type { Pixels } from './pixels.js';

/**
 * How an upright image becomes an encoder's input; written in the saved encoder's manifest and part of its identity, so that training,
 * indexing and search cannot drift apart. The decoder resizes to width x height by `fit` (cover: fill and crop the middle; contain: pad
 * with mid grey; stretch: ignore the aspect ratio), then {@link writeInputTensor} normalises.
 */
export type Preprocessing = {
  readonly width: number;
  readonly height: number;
  readonly fit: 'cover' | 'contain' | 'stretch';
  /** Per channel, of pixel values in 0..1. */
  readonly mean: readonly [number, number, number];
  /** Per channel multiplier after the mean is subtracted. */
  readonly scale: readonly [number, number, number];
  readonly layout: 'NHWC' | 'NCHW';
};

/**
 * Writes one image into a batch tensor: value = (pixel / 255 - mean) * scale. `target` is the whole batch, `index` the image's place
 * in it. Throws where the pixels do not have the preprocessing's size. This is the only place where pixels become numbers.
 */
export function writeInputTensor(options: {
  readonly pixels: Pixels;
  readonly preprocessing: Preprocessing;
  readonly target: Float32Array;
  readonly index: number;
}): void {
  const { pixels, preprocessing, target, index } = options;
  const { width, height, mean, scale, layout } = preprocessing;
  const area = width * height;
  if (pixels.width !== width || pixels.height !== height || pixels.rgb.length !== area * 3) {
    throw new Error(`Pixels are ${pixels.width}x${pixels.height}; the encoder takes ${width}x${height}. This is a bug.`);
  }
  const offset = index * area * 3;
  if (target.length < offset + area * 3) throw new Error(`Batch tensor ends before image ${index}. This is a bug.`);
  const pixelStride = layout === 'NHWC' ? 3 : 1;
  const channelStride = layout === 'NHWC' ? 1 : area;
  for (let channel = 0; channel < 3; channel++) {
    const gain = scale[channel]! / 255;
    const bias = -mean[channel]! * scale[channel]!;
    let to = offset + channel * channelStride;
    for (let from = channel; from < area * 3; from += 3, to += pixelStride) target[to] = pixels.rgb[from]! * gain + bias;
  }
}
